use std::fs;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
use msgvault_platform::context::SharedObserver;
use msgvault_testing::FailAt;
use msgvault_verifier::format::id::{IndexId, PackId};
use msgvault_verifier::format::index;

use super::*;

/// A folder, a clock that only tests move, and numbers in place of randomness.
pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    now: Box<dyn Fn() -> Timestamp + Sync>,
    random: Box<dyn Fn() -> u128 + Sync>,
    seconds: std::sync::Arc<AtomicI64>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let seconds = std::sync::Arc::new(AtomicI64::new(1_795_440_958));
        let clock = std::sync::Arc::clone(&seconds);
        let numbers = AtomicU64::new(1);
        Self {
            folder: tempfile::tempdir().unwrap(),
            now: Box::new(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap()),
            random: Box::new(move || u128::from(numbers.fetch_add(1, Ordering::SeqCst))),
            seconds,
        }
    }

    pub(crate) fn context<'a>(&'a self, observer: SharedObserver<'a>) -> Context<'a> {
        Context { observer, now: &self.now, random: &self.random }
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn repository(&self) -> PathBuf {
        let root = self.folder.path().join("repo");
        super::super::init::init(&root, &self.context(&())).unwrap();
        root
    }
}

fn files_below(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let name = PackId::from_parts(1, 2).path();
    for step in ["create", "write", "sync", "publish", "sync-folder", "done"] {
        let fixture = Fixture::new();
        let root = fixture.repository();
        let observer = FailAt::always(format!("pack.{step}"));
        let failed = publish_bytes(fixture.context(&observer), &root, FileKind::Pack, &name, b"x");
        assert!(failed.unwrap_err().to_string().contains("no storage space"), "{step}");
        assert_eq!(files_below(&root), 1, "only config.toml is left after a failure at {step}");
        publish_bytes(fixture.context(&()), &root, FileKind::Pack, &name, b"x").unwrap();
        assert_eq!(fs::read(root.join(&name)).unwrap(), b"x");
    }
}

#[test]
fn nothing_but_the_configuration_is_ever_replaced() {
    let fixture = Fixture::new();
    let root = fixture.repository();
    let publish =
        |kind, name: &str, bytes: &[u8]| publish_bytes(fixture.context(&()), &root, kind, name, bytes);
    let (name, index) = (IndexId::from_parts(1, 2).path(), index::encode(&[]));
    publish(FileKind::Index, &name, &index).unwrap();
    assert!(publish(FileKind::Index, &name, b"2").is_err());
    assert_eq!(fs::read(root.join(&name)).unwrap(), index);
    let new = fs::read_to_string(root.join("config.toml")).unwrap() + "# new\n";
    publish(FileKind::Config, "config.toml", new.as_bytes()).unwrap();
    assert_eq!(fs::read_to_string(root.join("config.toml")).unwrap(), new);
    assert_eq!(fs::read_dir(root.join("staging")).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn nothing_is_removed_behind_an_exchanged_staging_folder() {
    use std::sync::atomic::AtomicBool;
    let fixture = Fixture::new();
    let root = fixture.repository();
    let (staging, aside) = (root.join("staging"), root.join("aside"));
    let elsewhere = fixture.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::rename(&staging, &aside).unwrap();
                // It may have been created anew meanwhile, and an empty folder is replaced by the rename.
                if std::os::unix::fs::symlink(&elsewhere, &staging).is_ok() {
                    fs::remove_file(&staging).unwrap();
                }
                fs::rename(&aside, &staging).unwrap();
            }
        });
        let (mut emptied, mut names) = (0, 0..);
        for _ in 0..500 {
            let precious = elsewhere.join(format!("precious-{}", names.next().unwrap()));
            fs::write(&precious, "x").unwrap();
            emptied += u32::from(clean_staging(&root).is_ok());
            assert!(precious.exists());
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(emptied > 0);
    });
}

#[test]
fn staging_is_emptied_unless_it_leads_elsewhere() {
    let fixture = Fixture::new();
    let root = fixture.repository();
    let staging = root.join("staging");
    fs::write(staging.join("left-over"), "x").unwrap();
    fs::create_dir_all(staging.join("folder/deep")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        fs::write(staging.join(std::ffi::OsStr::from_bytes(b"caf\xe9.")), "x").unwrap();
    }
    clean_staging(&root).unwrap();
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);

    fs::remove_dir(&staging).unwrap();
    clean_staging(&root).unwrap();
    assert!(staging.is_dir());

    #[cfg(unix)]
    {
        let elsewhere = fixture.folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(&elsewhere, staging.join("link")).unwrap();
        clean_staging(&root).unwrap();
        assert!(elsewhere.join("precious").exists());
        fs::remove_dir(&staging).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &staging).unwrap();
        assert!(matches!(clean_staging(&root), Err(PublishError::ForeignStaging { .. })));
        assert!(elsewhere.join("precious").exists());
    }
    fs::remove_file(&staging).or_else(|_| fs::remove_dir(&staging)).unwrap();
    fs::write(&staging, "a file").unwrap();
    assert!(matches!(clean_staging(&root), Err(PublishError::ForeignStaging { .. })));
}

/// A medium that shows a file under another name, or another content, once its name is durable.
struct Forgetful<'a> {
    root: &'a Path,
    folder: &'static str,
    change: fn(&Path),
}

impl msgvault_verifier::Observer for Forgetful<'_> {
    fn reached(&self, point: &'static str) -> io::Result<()> {
        if point.ends_with(".done") {
            let entries = fs::read_dir(self.root.join(self.folder)).unwrap();
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.is_file())
                .for_each(|path| (self.change)(&path));
        }
        Ok(())
    }
}

#[test]
fn success_is_claimed_only_after_a_new_look() {
    let upper: fn(&Path) = |path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::rename(path, path.with_file_name(name.to_uppercase())).unwrap();
    };
    let gone: fn(&Path) = |path| fs::remove_file(path).unwrap();
    let empty: fn(&Path) = |path| fs::write(path, "").unwrap();
    for (change, told) in
        [(upper, " lists it as 0"), (gone, "does not list it"), (empty, "cannot be read back (")]
    {
        let fixture = Fixture::new();
        let root = fixture.repository();
        let observer = Forgetful { root: &root, folder: "indexes", change };
        let name = IndexId::from_parts(1, 2).path();
        let bytes = index::encode(&[]);
        let failed =
            publish_bytes(fixture.context(&observer), &root, FileKind::Index, &name, &bytes).unwrap_err();
        assert!(failed.to_string().contains(told), "{failed}");
        // What cannot be found is taken back as far as it can be.
        assert!(!root.join(&name).exists());
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_written_or_removed_behind_an_exchanged_folder() {
    use std::os::unix::fs::symlink;
    let name = PackId::from_parts(1, 2).path();
    for folder in ["staging", "packs", "packs/00"] {
        let fixture = Fixture::new();
        let root = fixture.repository();
        let elsewhere = fixture.folder.path().join("elsewhere");
        fs::create_dir_all(elsewhere.join("00")).unwrap();
        let precious = elsewhere.join(if folder == "packs" {
            &name["packs/".len()..]
        } else {
            &name["packs/00/".len()..]
        });
        fs::write(&precious, "precious").unwrap();
        fs::create_dir_all(root.join("packs/00")).unwrap();
        fs::remove_dir_all(root.join(folder)).unwrap();
        symlink(&elsewhere, root.join(folder)).unwrap();
        let before = files_below(&elsewhere);

        let failed = publish_bytes(fixture.context(&()), &root, FileKind::Pack, &name, b"x").unwrap_err();
        assert!(failed.to_string().contains(folder), "{failed}");
        take_back(&root, &name);
        let _ = make_durable(fixture.context(&()), &root, std::iter::once(&*name));
        assert_eq!(files_below(&elsewhere), before, "{folder}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious", "{folder}");
    }
}
