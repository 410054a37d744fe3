//! What a repository needs of the medium that it is to lie on, tried out before there is one.

use std::io;
use std::path::{Path, PathBuf};

use msgvault_platform::context::Context;
use msgvault_platform::{Dir, RenameGuard};
use msgvault_verifier::format::path::RelativePath;

/// Why a medium cannot hold a repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediumError {
    /// A file is listed under another name than its own.
    #[error(
        "{} does not keep names as they are: the file {wanted} is {} there, so no snapshot would ever be found; \
         mount that disk or share so that it keeps long names and their case, or use another",
        path.display(), shown_as(shown.as_deref())
    )]
    ChangesNames {
        /// The folder.
        path: PathBuf,
        /// The name that was given.
        wanted: String,
        /// The name that is listed.
        shown: Option<String>,
    },
    /// A name that is taken can be given again.
    #[error(
        "{} replaces files where it must not, so one backup could destroy another's files; use another disk or share",
        path.display()
    )]
    Replaces {
        /// The folder.
        path: PathBuf,
    },
    /// What is written cannot be made durable.
    #[error(
        "{} refuses to make files durable ({source}), so a backup could be lost after it was reported; use another disk or share, or another way to mount it",
        path.display()
    )]
    NotDurable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be handled.
    #[error(
        "{} cannot hold a repository: a file with the name {name} cannot be {action} there ({source})",
        path.display()
    )]
    Refused {
        /// What was being done.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// The file's name, as long as names get.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

fn shown_as(shown: Option<&str>) -> String {
    shown.map_or_else(|| "not listed".to_owned(), |shown| format!("listed as {shown}"))
}

/// Tries on two files in a folder what every run does, warns of what is weak, and removes them again.
pub(super) fn probe(context: &Context<'_>, folder: &Path) -> Result<(), MediumError> {
    let random = (context.random)();
    let [one, other] = [random, random ^ 1].map(manifest_name);
    let probe = Probe { context, path: folder, name: &one };
    let dir = Dir::open_no_follow(folder).map_err(probe.refused("looked for"))?;
    let parse = |name| RelativePath::parse(name).map_err(io::Error::other).map_err(probe.refused("named"));
    let (one, other) = (parse(&one)?, parse(&other)?);
    let tried = probe.run(&dir, &one, &other);
    for name in [&one, &other] {
        // Whoever locks the repository first removes what is left; without a repository, the folder stays.
        let _ = dir.remove_file(name);
    }
    tried
}

/// A name like the longest that a repository has, which none of its files gets.
fn manifest_name(random: u128) -> String {
    format!("00000000T000000Z-{random:032x}.mvmanifest")
}

struct Probe<'a> {
    context: &'a Context<'a>,
    path: &'a Path,
    name: &'a str,
}

impl Probe<'_> {
    fn run(&self, dir: &Dir, one: &RelativePath, other: &RelativePath) -> Result<(), MediumError> {
        let file = dir.create_file(one).map_err(self.refused("created"))?;
        self.context.observer.reached("probe.created").map_err(self.refused("created"))?;
        file.sync_all().map_err(|source| MediumError::NotDurable { path: self.path.to_owned(), source })?;
        self.keeps_names(dir)?;
        if dir.create_file(one).is_ok() {
            return Err(MediumError::Replaces { path: self.path.to_owned() });
        }
        dir.create_file(other).map_err(self.refused("created"))?;
        self.guards_names(dir, one, other)?;
        self.syncs_names(dir)
    }

    fn keeps_names(&self, dir: &Dir) -> Result<(), MediumError> {
        let listed = dir.entries().map_err(self.refused("listed"))?;
        let mut texts = listed.into_iter().filter_map(|name| name.text);
        let wanted = self.name.to_owned();
        let (mut is_listed, mut shown) = (false, None);
        for text in texts.by_ref() {
            is_listed |= text == wanted;
            shown = shown.or_else(|| text.eq_ignore_ascii_case(&wanted).then_some(text));
        }
        if !is_listed {
            return Err(MediumError::ChangesNames { path: self.path.to_owned(), wanted, shown });
        }
        let folded = RelativePath::parse(&wanted.to_lowercase()).map_err(io::Error::other);
        if folded.and_then(|folded| dir.stat(&folded)).is_ok() {
            self.warn(
                "does not tell upper case from lower case in names; that does no harm to a repository, but a restore \
                 onto this medium fails where names of files differ in nothing else",
            );
        }
        Ok(())
    }

    fn guards_names(&self, dir: &Dir, from: &RelativePath, to: &RelativePath) -> Result<(), MediumError> {
        match dir.rename_guard(from, to).map_err(self.refused("renamed"))? {
            RenameGuard::System => Ok(()),
            RenameGuard::Look => {
                self.warn(
                    "can neither rename without replacing nor make hard links, so that two programs which write at \
                     the same moment rely on the repository's lock alone; let only one machine back up into it",
                );
                Ok(())
            }
            RenameGuard::None => Err(MediumError::Replaces { path: self.path.to_owned() }),
        }
    }

    fn syncs_names(&self, dir: &Dir) -> Result<(), MediumError> {
        let synced = dir.syncs_names();
        let synced =
            synced.map_err(|source| MediumError::NotDurable { path: self.path.to_owned(), source })?;
        if !synced {
            self.warn(
                "does not say when names of files are durable, so the last backup may be missing after a power cut; \
                 verify after one",
            );
        }
        Ok(())
    }

    fn warn(&self, what: &str) {
        self.context.observer.warn(&format!("{} {what}", self.path.display()));
    }

    fn refused(&self, action: &'static str) -> impl Fn(io::Error) -> MediumError {
        let (path, name) = (self.path.to_owned(), self.name.to_owned());
        move |source| MediumError::Refused { action, path: path.clone(), name: name.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use msgvault_testing::FailAt;
    use msgvault_verifier::Observer;

    use super::super::publish::tests::Fixture;
    use super::*;

    /// Keeps warnings, and does something to a folder when a file was created in it.
    struct Medium<'a> {
        folder: &'a Path,
        created: &'a (dyn Fn(&Path) + Sync),
        warnings: Mutex<Vec<String>>,
    }

    impl Observer for Medium<'_> {
        fn warn(&self, message: &str) {
            self.warnings.lock().unwrap().push(message.to_owned());
        }

        fn reached(&self, point: &'static str) -> io::Result<()> {
            assert_eq!(point, "probe.created");
            let entries = fs::read_dir(self.folder).unwrap();
            entries.for_each(|entry| (self.created)(&entry.unwrap().path()));
            Ok(())
        }
    }

    fn probe_with(created: &(dyn Fn(&Path) + Sync)) -> (Result<(), MediumError>, Vec<String>) {
        let fixture = Fixture::new();
        let folder = fixture.folder.path();
        let medium = Medium { folder, created, warnings: Mutex::default() };
        let probed = probe(&fixture.context(&medium), folder);
        (probed, medium.warnings.into_inner().unwrap())
    }

    #[test]
    fn a_medium_that_keeps_names_is_taken_and_left_as_it_was() {
        let fixture = Fixture::new();
        probe(&fixture.context(&()), fixture.folder.path()).unwrap();
        assert_eq!(fs::read_dir(fixture.folder.path()).unwrap().count(), 0);
        probe(&fixture.context(&FailAt::always("probe.created".to_owned())), fixture.folder.path())
            .unwrap_err();
        assert_eq!(fs::read_dir(fixture.folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_medium_that_changes_names_is_refused() {
        let (refused, _) = probe_with(&|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            fs::rename(path, path.with_file_name(name.to_lowercase())).unwrap();
        });
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("is listed as 00000000t000000z-"), "{refused}");
        let (refused, _) = probe_with(&|path| fs::rename(path, path.with_file_name("00000000.MVM")).unwrap());
        assert!(refused.unwrap_err().to_string().contains("is not listed there"));
    }

    #[test]
    fn folded_case_does_no_harm_and_is_told() {
        let (probed, warnings) = probe_with(&|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            fs::copy(path, path.with_file_name(name.to_lowercase())).unwrap();
        });
        probed.unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("upper case from lower case"), "{warnings:?}");
    }

    #[test]
    fn a_medium_without_long_names_is_refused() {
        let refused = MediumError::Refused {
            action: "created",
            path: "/m".into(),
            name: manifest_name(1),
            source: io::ErrorKind::InvalidFilename.into(),
        };
        assert!(refused.to_string().starts_with("/m cannot hold a repository"), "{refused}");
        let longest = "20261123T133558Z-9824709055ec59757a6d0f7aa9aea77c.mvmanifest";
        assert_eq!(manifest_name(1).len(), longest.len());
    }
}
