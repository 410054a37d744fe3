//! `locks/` of a repository: looking at locks, creating them, taking them away.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use msgvault_platform::context::Context;
use msgvault_platform::{self as platform, Dir, Kind};
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::lock::{LockName, LockRecord};
use msgvault_verifier::format::path::RelativePath;

use super::file::{put_back, record_of, relative};
use super::{Holder, Lock, LockError, LockRequest, STALE_AFTER};

pub(super) const EXCLUSIVE: &str = "exclusive.json";

/// `locks/`, held open.
pub(super) struct LockFolder<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) request: &'a LockRequest<'a>,
    dir: Dir,
}

/// A lock that was found.
#[derive(Debug)]
pub(super) struct FoundLock {
    pub(super) record: Option<LockRecord>,
    modified: SystemTime,
}

impl<'a> LockFolder<'a> {
    /// Opens the folder and makes it when it is missing.
    pub(super) fn open(context: &'a Context<'a>, request: &'a LockRequest<'a>) -> Result<Self, LockError> {
        let path = request.root.join("locks");
        let failed = |source| LockError::Io { action: "open the folder of", path: path.clone(), source };
        let dir = match Dir::open_no_follow(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                platform::create_folder(&path).and_then(|()| Dir::open_no_follow(&path))
            }
            opened => opened,
        };
        Ok(Self { context, request, dir: dir.map_err(failed)? })
    }

    /// Removes what interrupted releases left behind; what cannot be removed does no harm.
    pub(super) fn sweep(&self) {
        for name in self.names(LockName::Releasing).unwrap_or_default() {
            let is_stale = |path: &RelativePath| {
                look(&self.dir, path).is_ok_and(|found| found.is_some_and(|found| self.is_stale(&found)))
            };
            if let Ok(path) = relative(&name)
                && is_stale(&path)
            {
                let _ = self.dir.remove_file(&path);
            }
        }
    }

    /// Makes way: a lock that is stale, or any when forced, is taken away; a fresh one is an error.
    pub(super) fn clear(&self, name: &str) -> Result<(), LockError> {
        match self.look(name)? {
            Some(found) if !self.may_break(&found) => Err(self.held(found)),
            Some(_) => self.reap(name),
            None => Ok(()),
        }
    }

    /// Fails under a fresh exclusive lock.
    pub(super) fn refuse_exclusive(&self) -> Result<(), LockError> {
        match self.look(EXCLUSIVE)? {
            Some(found) if !self.is_stale(&found) => Err(self.held(found)),
            _ => Ok(()),
        }
    }

    /// The readers that must be waited for; stale ones are taken away.
    pub(super) fn readers(&self) -> Result<Vec<FoundLock>, LockError> {
        let mut fresh = Vec::new();
        for name in self.names(LockName::Shared)? {
            match self.look(&name)? {
                Some(found) if self.may_break(&found) => match self.reap(&name) {
                    // It was refreshed in this moment.
                    Err(LockError::Held { .. }) => fresh.push(found),
                    reaped => reaped?,
                },
                Some(found) => fresh.push(found),
                None => {}
            }
        }
        Ok(fresh)
    }

    /// Creates a lock of this name, which nobody may have.
    pub(super) fn create(&self, name: String) -> Result<Lock, LockError> {
        let record = LockRecord {
            hostname: self.request.host.to_owned(),
            pid: self.request.pid,
            operation: self.request.operation.to_owned(),
            acquired_at: self.context.now_text(),
        };
        let failed = |source| self.failed("create", &name)(source);
        let path = relative(&name).map_err(failed)?;
        let reached = self.context.observer.reached("lock.create");
        let mut file = reached.and_then(|()| self.dir.create_file(&path)).map_err(failed)?;
        if let Err(error) = file.write_all(record.encode().as_bytes()) {
            let _ = self.dir.remove_file(&path);
            return Err(failed(error));
        }
        // Where only a file's owner may date it and the share gives it another, the share's own time serves.
        let _ = file.set_modified(self.now());
        let dir = self.dir.try_clone().map_err(failed)?;
        Ok(Lock::hold(dir, path, self.claim()?, record, self.path(&name)))
    }

    /// Takes a lock away after another look at what was taken.
    fn reap(&self, name: &str) -> Result<(), LockError> {
        let claim = self.claim()?;
        let path = relative(name).map_err(self.failed("break", name))?;
        match self.dir.rename(&path, &claim) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(self.failed("break", name))?,
        }
        match look(&self.dir, &claim).map_err(self.failed("look at", name))? {
            Some(found) if !self.may_break(&found) => {
                put_back(&self.dir, &claim, &path).map_err(self.failed("put back", name))?;
                Err(self.held(found))
            }
            Some(_) => self.dir.remove_file(&claim).map_err(self.failed("break", name)),
            None => Ok(()),
        }
    }

    fn look(&self, name: &str) -> Result<Option<FoundLock>, LockError> {
        relative(name).and_then(|path| look(&self.dir, &path)).map_err(self.failed("look at", name))
    }

    fn names(&self, kind: LockName) -> Result<Vec<String>, LockError> {
        let names = self.dir.entries().map_err(self.failed("list the folder of", ""))?;
        let names = names.into_iter().filter_map(|name| name.text);
        Ok(names.filter(|name| LockName::of(name) == Some(kind)).collect())
    }

    fn claim(&self) -> Result<RelativePath, LockError> {
        let (unix_ms, random) = self.context.ulid_parts();
        let name = format!("releasing-{}.json", FileId::from_parts(unix_ms, random));
        relative(&name).map_err(self.failed("name", &name))
    }

    fn may_break(&self, found: &FoundLock) -> bool {
        self.request.force || self.is_stale(found)
    }

    fn is_stale(&self, found: &FoundLock) -> bool {
        // A time in the future is not old.
        let age = self.now().duration_since(found.modified).unwrap_or(Duration::ZERO);
        age > STALE_AFTER
    }

    fn now(&self) -> SystemTime {
        SystemTime::try_from((self.context.now)()).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    fn held(&self, found: FoundLock) -> LockError {
        LockError::Held { holder: Holder::of(found.record, self.request.host) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.request.root.join("locks").join(name)
    }

    fn failed(&self, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> LockError {
        let path = self.path(name);
        move |source| LockError::Io { action, path, source }
    }
}

/// What there is under a name, if anything; a link is not followed.
fn look(dir: &Dir, path: &RelativePath) -> io::Result<Option<FoundLock>> {
    let stat = match dir.stat(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        stat => stat?,
    };
    let record = if stat.kind == Kind::File { read_record(dir, path)? } else { None };
    Ok(Some(FoundLock { record, modified: stat.modified }))
}

fn read_record(dir: &Dir, path: &RelativePath) -> io::Result<Option<LockRecord>> {
    match dir.open_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => record_of(&opened?),
    }
}
