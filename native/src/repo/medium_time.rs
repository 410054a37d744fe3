//! The time of the medium that a repository lies on, which on a share is another machine's.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use msgvault_platform::Dir;
use msgvault_platform::context::Context;
use msgvault_verifier::format::id::FileId;
use msgvault_verifier::format::path::RelativePath;

/// The time that the medium gives to a new file in `staging/`; for the holder of the exclusive lock.
pub(crate) fn ask(context: &Context<'_>, root: &Path) -> io::Result<SystemTime> {
    let (unix_ms, random) = context.ulid_parts();
    let name =
        RelativePath::parse(&FileId::from_parts(unix_ms, random).to_string()).map_err(io::Error::other)?;
    of_new_file(&Dir::open_no_follow(&root.join("staging"))?, &name)
}

/// The time that the medium gives to a new file of this name, which is removed again.
pub(super) fn of_new_file(dir: &Dir, name: &RelativePath) -> io::Result<SystemTime> {
    let file = dir.create_file(name)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    dir.remove_file(name)?;
    modified
}
