//! `locks/` of a repository: looking at locks, creating them, taking them away.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use msgvault_platform::context::Context;
use msgvault_platform::{self as platform, Dir, Kind};
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::lock::{LockName, LockRecord};
use msgvault_verifier::format::path::RelativePath;

use super::super::medium_time;
use super::file::{put_back, record_of, relative};
use super::holder::Here;
use super::{Lock, LockError, LockRequest, STALE_AFTER};

pub(super) const EXCLUSIVE: &str = "exclusive.json";

/// `locks/`, held open.
pub(super) struct LockFolder<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) request: &'a LockRequest<'a>,
    pub(super) here: Here<'a>,
    dir: Dir,
}

/// A lock that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundLock {
    pub(super) record: Option<LockRecord>,
    pub(super) modified: SystemTime,
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
        Ok(Self { context, request, here: Here::new(request.host), dir: dir.map_err(failed)? })
    }

    /// Removes what interrupted releases left behind; what cannot be removed does no harm.
    pub(super) fn sweep(&self) {
        let names = self.names(LockName::Releasing).unwrap_or_default();
        if names.is_empty() {
            return;
        }
        let now = self.medium_time();
        for name in names {
            if let Ok(path) = relative(&name)
                && let Ok(Some(found)) = look(&self.dir, &path)
                && distance(found.modified, now) > STALE_AFTER
            {
                let _ = self.dir.remove_file(&path);
            }
        }
    }

    /// The time that the medium gives a new file, which is comparable with the times of locks on it; this
    /// machine's time where no file can be made.
    pub(super) fn medium_time(&self) -> SystemTime {
        self.probe()
            .unwrap_or_else(|_| SystemTime::try_from((self.context.now)()).unwrap_or(SystemTime::UNIX_EPOCH))
    }

    /// Makes a file and removes it. An interrupted probe is swept like an interrupted release.
    fn probe(&self) -> io::Result<SystemTime> {
        self.context.observer.reached("lock.probe")?;
        medium_time::of_new_file(&self.dir, &relative(&self.claim_name())?)
    }

    /// Creates a lock of this name, which nobody may have.
    pub(super) fn create(&self, name: String) -> Result<Lock, LockError> {
        let record = self.record();
        let failed = |source| self.failed("create", &name)(source);
        let path = relative(&name).map_err(failed)?;
        let reached = self.context.observer.reached("lock.create");
        let mut file = reached.and_then(|()| self.dir.create_file(&path)).map_err(failed)?;
        if let Err(error) = file.write_all(record.encode().as_bytes()) {
            let _ = self.dir.remove_file(&path);
            return Err(failed(error));
        }
        let dir = self.dir.try_clone().map_err(failed)?;
        let claim = relative(&self.claim_name()).map_err(failed)?;
        Ok(Lock::hold(dir, path, claim, record, self.path(&name)))
    }

    /// This holder, unlike any other.
    fn record(&self) -> LockRecord {
        let (unix_ms, token) = self.context.ulid_parts();
        let seconds = self.context.now_text();
        let seconds = seconds.trim_end_matches('Z');
        let origin = self.here.origin(self.request.pid);
        LockRecord {
            hostname: self.request.host.to_owned(),
            pid: self.request.pid,
            operation: self.request.operation.to_owned(),
            acquired_at: LockRecord::acquired_at(seconds, unix_ms, origin, token),
        }
    }

    /// Takes a lock away after another look at what was taken; `false` when it is not what it was.
    pub(super) fn reap(&self, name: &str, judged: &FoundLock) -> Result<bool, LockError> {
        let claim = relative(&self.claim_name()).map_err(self.failed("name", name))?;
        let path = relative(name).map_err(self.failed("break", name))?;
        match self.dir.rename(&path, &claim) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            renamed => renamed.map_err(self.failed("break", name))?,
        }
        match look(&self.dir, &claim).map_err(self.failed("look at", name))? {
            Some(found) if !self.request.force && found != *judged => {
                put_back(&self.dir, &claim, &path).map_err(self.failed("put back", name))?;
                Ok(false)
            }
            Some(_) => self.dir.remove_file(&claim).map_err(self.failed("break", name)).map(|()| true),
            None => Ok(true),
        }
    }

    pub(super) fn look(&self, name: &str) -> Result<Option<FoundLock>, LockError> {
        relative(name).and_then(|path| look(&self.dir, &path)).map_err(self.failed("look at", name))
    }

    pub(super) fn names(&self, kind: LockName) -> Result<Vec<String>, LockError> {
        let names = self.dir.entries().map_err(self.failed("list the folder of", ""))?;
        let names = names.into_iter().filter_map(|name| name.text);
        Ok(names.filter(|name| LockName::of(name) == Some(kind)).collect())
    }

    fn claim_name(&self) -> String {
        let (unix_ms, random) = self.context.ulid_parts();
        format!("releasing-{}.json", FileId::from_parts(unix_ms, random))
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

/// How far two times are apart.
pub(super) fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}
