//! Whether the repository's disk has room for what is new, asked before the first byte is stored.

use msgvault_verifier::length::to_u64;

use super::{Capture, CreateError};
use crate::archive::content_table::ContentTable;
use crate::archive::session::Pinned;
use crate::free_space;

/// No archive is compressed better than to this share, in practice.
const LEAST_SHARE: u64 = 20;

/// How much room there is for something whose size after compression nobody knows yet.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    /// Enough, or nobody knows.
    Enough,
    /// Enough if it compresses well.
    Doubtful,
    /// Too little, however well it compresses.
    TooLittle,
}

/// Refuses to begin what cannot end well, and warns of what may not.
pub(super) fn check(
    capture: &Capture<'_>,
    pinned: &Pinned,
    contents: &ContentTable,
) -> Result<(), CreateError> {
    let repo = capture.request.repo;
    let Some(free) = free_space::of(repo) else { return Ok(()) };
    let new = new_bytes(capture, pinned, contents)?;
    match room(new, free) {
        Room::TooLittle if !capture.request.dry_run => {
            let error = free_space::shortage("begin a backup in", repo, new / LEAST_SHARE, free);
            Err(CreateError::Space { new, error })
        }
        Room::Enough => Ok(()),
        Room::TooLittle | Room::Doubtful => {
            capture.context.observer.warn(&format!(
                "the repository's disk may become full: without compression, {}; what is there stays good then",
                free_space::numbers(new, free)
            ));
            Ok(())
        }
    }
}

fn room(new: u64, free: u64) -> Room {
    match free {
        free if free >= new => Room::Enough,
        free if free >= new / LEAST_SHARE => Room::Doubtful,
        _ => Room::TooLittle,
    }
}

/// Bytes that are new at least, before compression: attachments that no index names, and the database where
/// there is none to compare it with.
fn new_bytes(capture: &Capture<'_>, pinned: &Pinned, contents: &ContentTable) -> Result<u64, CreateError> {
    let maps = capture.parent.and_then(|parent| parent.maps.as_ref());
    let has_pages = maps.is_some_and(|maps| maps.pages.page_size == pinned.page_size());
    let mut new = if has_pages { 0 } else { pinned.page_count().saturating_mul(pinned.page_size().bytes()) };
    let (index, mut position) = (capture.repository.index(), 0);
    loop {
        let page = contents.page(position)?;
        if page.is_empty() {
            return Ok(new);
        }
        let unknown = page.iter().filter(|content| index.position(&content.id).is_none());
        new = unknown.fold(new, |sum, content| sum.saturating_add(content.size_hint.unwrap_or(0)));
        position += to_u64(page.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_compress_well_enough_is_tried() {
        let table = [
            (0, 0, Room::Enough),
            (2000, 2000, Room::Enough),
            (2000, 1999, Room::Doubtful),
            (2000, 100, Room::Doubtful),
            (2000, 99, Room::TooLittle),
            (u64::MAX, 0, Room::TooLittle),
        ];
        for (new, free, expected) in table {
            assert_eq!(room(new, free), expected, "{new} {free}");
        }
    }
}
