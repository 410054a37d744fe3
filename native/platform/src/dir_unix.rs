//! A folder held open, on Unix.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use msgvault_verifier::format::path::RelativePath;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::calls_unix::{self, FOLDER};
use super::{Kind, Name, RenameGuard, Stat, is_link, not_a_file, owner};

/// A folder held open. Names are looked up from it and no symbolic link is followed on the way, so that
/// nobody who changes names meanwhile can lead a read or a write elsewhere.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

/// No program of ours makes folders below folders so often.
const MOST_DEEP: u32 = 64;
const BESIDE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a folder; links in `path` itself are followed, since whoever names the anchor means it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { fd: calls_unix::open_folder(path)? })
    }

    /// Opens a folder unless its last component is a symbolic link.
    pub fn open_no_follow(path: &Path) -> io::Result<Self> {
        match fs::open(path, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Self { fd }),
            Err(_) if std::fs::symlink_metadata(path)?.is_symlink() => Err(is_link()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a folder below this one.
    pub fn open_dir(&self, path: &RelativePath) -> io::Result<Self> {
        let (parent, name) = self.parent_of(path)?;
        parent.as_ref().unwrap_or(self).child(name)
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, path: &RelativePath) -> io::Result<File> {
        // A pipe would wait for its writer without NONBLOCK, which means nothing to a regular file.
        self.open_regular(path, OFlags::RDONLY | OFlags::NONBLOCK)
    }

    /// Opens a regular file for reading and writing.
    pub fn open_file_to_change(&self, path: &RelativePath) -> io::Result<File> {
        self.open_regular(path, OFlags::RDWR | OFlags::NONBLOCK)
    }

    /// Creates a file, 0600, to write and read; fails when the name is taken. Made by root, it belongs to whom
    /// its folder belongs.
    pub fn create_file(&self, path: &RelativePath) -> io::Result<File> {
        let (parent, name) = self.parent_of(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | BESIDE;
        let parent = parent.as_ref().unwrap_or(self);
        let fd = fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?;
        owner::hand_over(&fd, || fs::fstat(parent));
        Ok(File::from(fd))
    }

    /// Creates a folder and the folders above it, 0700; those that are there stay as they are. Made by root,
    /// each belongs to whom the one above it belongs.
    pub fn create_dirs(&self, path: &RelativePath) -> io::Result<()> {
        let mut at: Option<Self> = None;
        for name in path.components() {
            let here = at.as_ref().unwrap_or(self);
            let made = fs::mkdirat(here, name, Mode::RWXU);
            if !matches!(made, Ok(()) | Err(Errno::EXIST)) {
                made?;
            }
            let child = here.child(name)?;
            if made.is_ok() {
                owner::hand_over(&child, || fs::fstat(here));
            }
            at = Some(child);
        }
        Ok(())
    }

    /// Renames, replacing a file of the new name.
    pub fn rename(&self, from: &RelativePath, to: &RelativePath) -> io::Result<()> {
        self.move_to(from, to, RenameFlags::empty())
    }

    /// Renames; fails with `AlreadyExists` when the new name is taken.
    pub fn rename_new(&self, from: &RelativePath, to: &RelativePath) -> io::Result<()> {
        match self.move_to(from, to, RenameFlags::NOREPLACE) {
            Err(error) if calls_unix::lacks_no_replace(&error) => self.rename_by_link(from, to),
            result => result,
        }
    }

    /// The way without a rename that refuses to replace.
    fn rename_by_link(&self, from: &RelativePath, to: &RelativePath) -> io::Result<()> {
        match self.link(from, to) {
            Ok(()) => self.remove_file(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // No hard links either, as on many shares: looking first is all that is left.
            Err(_) => match self.stat(to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.rename(from, to),
                Err(error) => Err(error),
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            },
        }
    }

    /// Gives a file a second name; fails with `AlreadyExists` when the name is taken.
    pub fn link(&self, from: &RelativePath, to: &RelativePath) -> io::Result<()> {
        let (from_parent, from_name) = self.parent_of(from)?;
        let (to_parent, to_name) = self.parent_of(to)?;
        fs::linkat(
            from_parent.as_ref().unwrap_or(self),
            from_name,
            to_parent.as_ref().unwrap_or(self),
            to_name,
            AtFlags::empty(),
        )?;
        Ok(())
    }

    /// Removes a file or a link, never what a link leads to.
    pub fn remove_file(&self, path: &RelativePath) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        fs::unlinkat(parent.as_ref().unwrap_or(self), name, AtFlags::empty())?;
        Ok(())
    }

    /// Removes an empty folder.
    pub fn remove_dir(&self, path: &RelativePath) -> io::Result<()> {
        let (parent, name) = self.parent_of(path)?;
        fs::unlinkat(parent.as_ref().unwrap_or(self), name, AtFlags::REMOVEDIR)?;
        Ok(())
    }

    /// What a name stands for.
    #[allow(clippy::useless_conversion, reason = "the fields are narrower on other systems")]
    pub fn stat(&self, path: &RelativePath) -> io::Result<Stat> {
        let (parent, name) = self.parent_of(path)?;
        let stat = fs::statat(parent.as_ref().unwrap_or(self), name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        Ok(Stat {
            kind,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            mode: u32::from(Mode::from_raw_mode(stat.st_mode).bits()) & 0o7777,
            modified: modified(i64::from(stat.st_mtime), u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        })
    }

    /// The names in the folder, sorted.
    pub fn entries(&self) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd)? {
            let bytes = entry?.file_name().to_bytes().to_vec();
            if bytes != b"." && bytes != b".." {
                names.push(Name::of(OsStringExt::from_vec(bytes)));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes everything below the folder, and never what a link leads to.
    pub fn clear(&self) -> io::Result<()> {
        self.clear_within(MOST_DEEP)
    }

    fn clear_within(&self, depth: u32) -> io::Result<()> {
        for Name { name, .. } in self.entries()? {
            match fs::unlinkat(&self.fd, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                // What Linux says of a folder, and what POSIX says.
                Err(Errno::ISDIR | Errno::PERM) => {
                    let Some(below) = depth.checked_sub(1) else { return Err(Errno::NAMETOOLONG.into()) };
                    let fd = fs::openat(&self.fd, &name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
                    Self { fd }.clear_within(below)?;
                    fs::unlinkat(&self.fd, &name, AtFlags::REMOVEDIR)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes the names in the folder durable.
    pub fn sync(&self) -> io::Result<()> {
        calls_unix::sync_folder(&self.fd).map(drop)
    }

    /// Whether the file system says that it makes names durable when asked to.
    pub fn syncs_names(&self) -> io::Result<bool> {
        calls_unix::sync_folder(&self.fd)
    }

    /// Finds out, on two files that are there, what keeps [`Self::rename_new`] from replacing one.
    pub fn rename_guard(&self, from: &RelativePath, to: &RelativePath) -> io::Result<RenameGuard> {
        let refused = |done: io::Result<()>| match done {
            Ok(()) => Some(RenameGuard::None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Some(RenameGuard::System),
            Err(_) => None,
        };
        match self.move_to(from, to, RenameFlags::NOREPLACE) {
            Err(error) if calls_unix::lacks_no_replace(&error) => {
                Ok(refused(self.link(from, to)).unwrap_or(RenameGuard::Look))
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            done => Ok(refused(done).unwrap_or(RenameGuard::Look)),
        }
    }

    /// Whether both are the same folder, by whatever names they were opened.
    pub fn is_same(&self, other: &Self) -> io::Result<bool> {
        let (ours, theirs) = (fs::fstat(&self.fd)?, fs::fstat(&other.fd)?);
        Ok((ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino))
    }

    /// Whether an open file belongs to whoever runs this or to whom the folder belongs.
    pub fn is_own(&self, file: &File) -> io::Result<bool> {
        let owner = fs::fstat(file)?.st_uid;
        Ok(owner == rustix::process::geteuid().as_raw() || owner == fs::fstat(&self.fd)?.st_uid)
    }

    /// A second handle of the same folder.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()? })
    }

    /// Bytes that whoever runs this may still write to the folder's file system; none where it does not say
    /// so, or packs what it is given and so takes more than it says.
    pub fn free_bytes(&self) -> Option<u64> {
        calls_unix::free_bytes(&self.fd)
    }

    /// Whether [`Self::sync_file_system`] makes everything durable here.
    pub fn syncs_as_a_whole(&self) -> bool {
        calls_unix::syncs_as_a_whole(&self.fd)
    }

    /// Everything written to the folder's file system becomes durable.
    pub fn sync_file_system(&self) -> io::Result<()> {
        calls_unix::sync_file_system(&self.fd)
    }

    /// Holds the folder against others who ask in this way, until it is let go; `false` when somebody else
    /// holds it. Where folders cannot be held nobody is kept out.
    pub fn try_hold(&self) -> bool {
        let held = fs::flock(&self.fd, fs::FlockOperation::NonBlockingLockExclusive);
        held != Err(Errno::WOULDBLOCK)
    }

    /// Holds the folder no longer. Closing it is not enough: a child that another thread is just starting has
    /// the descriptor too, and with it the hold.
    pub fn let_go(&self) {
        let _ = fs::flock(&self.fd, fs::FlockOperation::Unlock);
    }

    fn child(&self, name: &str) -> io::Result<Self> {
        let fd = fs::openat(&self.fd, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|error| self.explain(name, error))?;
        Ok(Self { fd })
    }

    fn open_regular(&self, path: &RelativePath, flags: OFlags) -> io::Result<File> {
        let (parent, name) = self.parent_of(path)?;
        let parent = parent.as_ref().unwrap_or(self);
        let fd = fs::openat(parent, name, flags | BESIDE, Mode::empty())
            .map_err(|error| parent.explain(name, error))?;
        let file = File::from(fd);
        if file.metadata()?.is_file() { Ok(file) } else { Err(not_a_file()) }
    }

    fn move_to(&self, from: &RelativePath, to: &RelativePath, flags: RenameFlags) -> io::Result<()> {
        let (from_parent, from_name) = self.parent_of(from)?;
        let (to_parent, to_name) = self.parent_of(to)?;
        let (from_parent, to_parent) =
            (from_parent.as_ref().unwrap_or(self), to_parent.as_ref().unwrap_or(self));
        calls_unix::rename_at(from_parent, Path::new(from_name), to_parent, Path::new(to_name), flags)
    }

    /// The folder that holds the last component, if that is not this one, and the component.
    fn parent_of<'p>(&self, path: &'p RelativePath) -> io::Result<(Option<Self>, &'p str)> {
        let mut components = path.components();
        let mut name = components.next().unwrap_or_default();
        let mut at: Option<Self> = None;
        for next in components {
            at = Some(at.as_ref().unwrap_or(self).child(name)?);
            name = next;
        }
        Ok((at, name))
    }

    /// Says that a link stands in the way where the system's own words would mislead.
    fn explain(&self, name: &str, error: Errno) -> io::Error {
        let suspicious = matches!(error, Errno::LOOP | Errno::NOTDIR | Errno::MLINK);
        let links = suspicious
            && fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
        if links { is_link() } else { error.into() }
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn modified(seconds: i64, nanos: u32) -> SystemTime {
    let fraction = Duration::from_nanos(nanos.into());
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    base.and_then(|base| base.checked_add(fraction)).unwrap_or(SystemTime::UNIX_EPOCH)
}
