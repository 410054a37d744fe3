//! Moving and removing files of a repository: by handle, and durable.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use msgvault_platform::Dir;
use msgvault_platform::context::Context;
use msgvault_verifier::format::path::RelativePath;

use crate::repo::publish::PublishError;

fn parse(path: &str) -> io::Result<RelativePath> {
    RelativePath::parse(path).map_err(io::Error::other)
}

/// Moves a file of the repository to another of its folders, which is made when it is missing. A file of the
/// new name is replaced: what names itself by its content is the same.
pub(crate) fn rename(context: &Context<'_>, root: &Path, from: &str, to: &str) -> Result<(), PublishError> {
    let renamed = || -> io::Result<()> {
        let dir = Dir::open(root)?;
        let (from, to) = (parse(from)?, parse(to)?);
        let folders = [folder(&to)?, folder(&from)?];
        dir.create_dirs(&folders[0])?;
        context.observer.reached("file.move")?;
        dir.rename(&from, &to)?;
        context.observer.reached("file.sync-folder")?;
        // The new name first, so that no power cut leaves the file without any.
        folders.iter().try_for_each(|folder| dir.open_dir(folder)?.sync())?;
        dir.sync()
    };
    renamed().map_err(PublishError::io("move", root.join(from)))
}

/// Removes files of the repository. One that is gone already is no error.
pub(crate) fn remove(context: &Context<'_>, root: &Path, paths: &[String]) -> Result<(), PublishError> {
    let failed = |path: &str| PublishError::io("remove", root.join(path));
    let dir = Dir::open(root).map_err(failed(""))?;
    let mut folders = BTreeSet::new();
    for path in paths {
        let mut removed = || -> io::Result<()> {
            let path = parse(path)?;
            context.observer.reached("file.remove")?;
            match dir.remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            folders.insert(folder(&path)?);
            Ok(())
        };
        removed().map_err(failed(path))?;
    }
    for folder in folders {
        let synced = || dir.open_dir(&folder)?.sync();
        context
            .observer
            .reached("file.sync-folder")
            .and_then(|()| synced())
            .map_err(failed(folder.as_str()))?;
    }
    Ok(())
}

fn folder(path: &RelativePath) -> io::Result<RelativePath> {
    path.as_str()
        .rsplit_once('/')
        .map_or_else(|| Err(io::ErrorKind::InvalidInput.into()), |(folder, _)| parse(folder))
}
