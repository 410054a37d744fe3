//! All attachments that cannot be captured, once one of them could not.

use std::io::{self, Read};

use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::length::to_u64;
use sha2::{Digest, Sha256};

use super::attachments::Source;
use super::{Capture, ContentFaults, CreateError, stop_if_cancelled};
use crate::archive::content::ContentError;
use crate::archive::content_table::RecordedContent;
use crate::phase;

/// So many are told at the most.
const MOST: usize = 1000;
const PIECE: usize = 1 << 16;

/// Reads every attachment once more, as whoever mends the archive wants to know of all of them at once.
pub(super) fn find_all(capture: &Capture<'_>, source: &Source, first: ContentError) -> CreateError {
    let mut found = ContentFaults { first, all: Vec::new(), count: 0 };
    match look(capture, source, &mut found) {
        Ok(()) => CreateError::Attachments(Box::new(found)),
        Err(error) => error,
    }
}

fn look(capture: &Capture<'_>, source: &Source, found: &mut ContentFaults) -> Result<(), CreateError> {
    let observer = capture.context.observer;
    observer.begin(phase::ATTACHMENTS, source.table.hinted_bytes());
    let mut position = 0;
    loop {
        let page = source.table.page(position)?;
        if page.is_empty() {
            return Ok(());
        }
        position += to_u64(page.len());
        for recorded in page {
            stop_if_cancelled(capture)?;
            if let Err(fault) = check(capture, source, &recorded) {
                found.count += 1;
                if found.all.len() < MOST {
                    found.all.push(fault);
                }
            }
        }
    }
}

fn check(capture: &Capture<'_>, source: &Source, recorded: &RecordedContent) -> Result<(), ContentError> {
    let contents = &source.contents;
    let mut content = contents.read(recorded)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    // A file that was longer than it is now, or a compressed one that says so, cannot be read for ever.
    let mut left = content.len.saturating_add(1);
    loop {
        let count = match content.reader.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(contents.unreadable(recorded, error)),
        };
        hash.update(piece.get(..count).unwrap_or_default());
        capture.context.observer.advance(to_u64(count));
        left = left.saturating_sub(to_u64(count));
        if left == 0 || capture.context.observer.cancelled() {
            break;
        }
    }
    let hash = BlobId::from_bytes(hash.finalize().into());
    if hash == recorded.id { Ok(()) } else { Err(contents.changed(recorded, hash)) }
}
