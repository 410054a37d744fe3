//! An empty repository (`docs/format.md` §1).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use msgvault_platform as platform;
use msgvault_platform::context::Context;
use msgvault_verifier::format::config::{RepoConfig, RepoId};
use msgvault_verifier::system_names::is_of_a_system;

use super::probe::{MediumError, probe};
use super::publish::{FileKind, PublishError, publish_bytes};

/// The folders of a repository.
const FOLDERS: [&str; 6] = ["snapshots", "packs", "indexes", "locks", "staging", "keys"];

/// Why a repository was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is one already.
    #[error("{} is a repository already; nothing was changed", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is used for something else.
    #[error("{} is not empty; give a folder that is empty or does not exist yet", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// There is something that is not a folder.
    #[error("{} is not a folder; give a folder that is empty or does not exist yet", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The medium cannot hold a repository.
    #[error(transparent)]
    Medium(#[from] MediumError),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] PublishError),
}

/// Makes an empty repository of a folder that is empty or does not exist yet.
///
/// The medium is tried out first. `config.toml` comes last, so that nothing half-made is ever taken for a repository; what was made before a
/// failure is removed again.
pub fn init(root: &Path, context: &Context<'_>) -> Result<RepoConfig, InitError> {
    let config = RepoConfig {
        repo_id: RepoId::from_random((context.random)()),
        format_version: 1,
        min_reader_version: 1,
        encryption: "none".to_owned(),
        created_at: context.now_text(),
        page_size: 0,
    };
    init_as(root, context, config)
}

/// The same, with a configuration that there is already: that of the repository which this one is to be a copy of.
pub fn init_as(root: &Path, context: &Context<'_>, config: RepoConfig) -> Result<RepoConfig, InitError> {
    refuse_used(root)?;
    let mut made = MadeFolders::default();
    made.create_all(root)?;
    for name in FOLDERS {
        made.create(&root.join(name))?;
    }
    probe(context, &root.join("staging"))?;
    // Durable from the inside out, so that a configuration is never there without its folders.
    for folder in made.folders.iter().rev() {
        platform::sync_folder(folder).map_err(PublishError::io("make durable", folder))?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            platform::sync_folder(parent).map_err(PublishError::io("make durable", parent))?;
        }
    }
    publish_bytes(*context, root, FileKind::Config, "config.toml", config.encode().as_bytes())
        .inspect_err(|_| super::publish::take_back(root, "config.toml"))?;
    made.folders.clear();
    Ok(config)
}

fn refuse_used(root: &Path) -> Result<(), InitError> {
    let path = root.to_owned();
    match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(InitError::NotAFolder { path }),
        Err(error) => Err(PublishError::io("look into", path)(error).into()),
        Ok(_) if root.join("config.toml").is_file() && root.join("snapshots").is_dir() => {
            Err(InitError::Exists { path })
        }
        Ok(mut entries) => {
            let names = entries.try_fold(true, |free, entry| Ok(free && is_left_by_a_system(&entry?)));
            if names.map_err(PublishError::io("look into", path.clone()))? {
                Ok(())
            } else {
                Err(InitError::NotEmpty { path })
            }
        }
    }
}

/// Whether it is what disks and shares hold that are otherwise empty.
fn is_left_by_a_system(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_str().is_some_and(is_of_a_system)
}

/// Folders that were made, outermost first; removed when dropped, as far as they are empty.
#[derive(Default)]
struct MadeFolders {
    folders: Vec<PathBuf>,
}

impl MadeFolders {
    fn create(&mut self, folder: &Path) -> Result<(), PublishError> {
        platform::create_folder(folder).map_err(PublishError::io("create", folder))?;
        self.folders.push(folder.to_owned());
        Ok(())
    }

    fn create_all(&mut self, folder: &Path) -> Result<(), PublishError> {
        if folder.as_os_str().is_empty() || folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.create_all(parent)?;
        }
        self.create(folder)
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in self.folders.iter().rev() {
            // What somebody else put there meanwhile stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use msgvault_testing::FailAt;

    use super::super::publish::tests::Fixture;
    use super::*;

    #[test]
    fn a_repository_begins_with_private_folders_and_a_configuration() {
        let fixture = Fixture::new();
        let root = fixture.folder.path().join("a/repo");
        let config = init(&root, &fixture.context(&())).unwrap();
        let text = fs::read_to_string(root.join("config.toml")).unwrap();
        assert_eq!(RepoConfig::decode(text.as_bytes()).unwrap(), config);
        assert_eq!(config.created_at, "2026-11-23T13:35:58Z");
        assert_eq!(config.page_size, 0);
        assert_eq!(fs::read_dir(root.join("staging")).unwrap().count(), 0);
        #[cfg(unix)]
        for (name, mode) in [("", 0o700), ("packs", 0o700), ("keys", 0o700), ("config.toml", 0o600)] {
            use std::os::unix::fs::PermissionsExt;
            let found = fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name}");
        }
        assert!(matches!(init(&root, &fixture.context(&())), Err(InitError::Exists { .. })));
    }

    #[test]
    fn a_folder_in_use_is_refused_and_an_empty_one_taken() {
        let fixture = Fixture::new();
        let used = fixture.folder.path();
        fs::write(used.join("letter.txt"), "dear").unwrap();
        assert!(matches!(init(used, &fixture.context(&())), Err(InitError::NotEmpty { .. })));
        assert!(matches!(
            init(&used.join("letter.txt"), &fixture.context(&())),
            Err(InitError::NotAFolder { .. })
        ));
        assert_eq!(fs::read_dir(used).unwrap().count(), 1);
        fs::create_dir(used.join("empty")).unwrap();
        init(&used.join("empty"), &fixture.context(&())).unwrap();
    }

    #[test]
    fn what_systems_leave_on_a_disk_is_not_in_the_way() {
        let fixture = Fixture::new();
        let disk = fixture.folder.path().join("disk");
        fs::create_dir_all(disk.join("lost+found")).unwrap();
        fs::create_dir(disk.join("@eaDir")).unwrap();
        for name in [".DS_Store", "._.DS_Store", "Thumbs.db", "desktop.ini"] {
            fs::write(disk.join(name), name).unwrap();
        }
        fs::write(disk.join("letter.txt"), "dear").unwrap();
        assert!(matches!(init(&disk, &fixture.context(&())), Err(InitError::NotEmpty { .. })));
        fs::remove_file(disk.join("letter.txt")).unwrap();
        init(&disk, &fixture.context(&())).unwrap();
        assert_eq!(fs::read_to_string(disk.join("Thumbs.db")).unwrap(), "Thumbs.db");
        assert!(matches!(init(&disk, &fixture.context(&())), Err(InitError::Exists { .. })));
    }

    #[test]
    fn a_failure_at_any_step_leaves_nothing_half_made() {
        for step in ["create", "write", "sync", "publish", "sync-folder", "done"] {
            let fixture = Fixture::new();
            let root = fixture.folder.path().join("a/repo");
            let full = FailAt::always(format!("config.{step}"));
            let failed = init(&root, &fixture.context(&full)).unwrap_err();
            assert!(failed.to_string().contains("free some space"), "{failed}");
            assert_eq!(fs::read_dir(fixture.folder.path()).unwrap().count(), 0, "{step}");
        }
    }
}
