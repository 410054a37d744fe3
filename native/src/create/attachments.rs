//! The attachments: every content is read and hashed, and what is not known is stored.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;

use msgvault_verifier::Phase;
use msgvault_verifier::format::attachment_list::{self, Attachment};
use msgvault_verifier::format::id::BlobId;

use super::{Capture, CreateError};
use crate::archive::content::{ContentError, Contents};
use crate::archive::schema::Reference;
use crate::repo::pack_writer::{Content, Fault, PackSink, STREAM_FROM, SourceFault, Ticket};

/// The captured attachments.
pub(super) struct CapturedAttachments {
    /// Rows of the table.
    pub(super) rows: u64,
    /// Distinct contents.
    pub(super) blobs: u64,
    /// Bytes of the distinct contents.
    pub(super) blob_bytes: u64,
    /// Contents that the parent does not have.
    pub(super) new_blobs: u64,
    /// The lists; none when there is no attachment.
    pub(super) lists: Vec<BlobId>,
}

/// The contents that were handed over, in order.
#[derive(Default)]
pub(super) struct HandedOver {
    contents: Option<Arc<Contents>>,
    references: Vec<(Ticket, Reference)>,
}

impl HandedOver {
    /// Names the attachment that a fault is about, if it is about one.
    pub(super) fn explain(&self, fault: SourceFault) -> Result<ContentError, SourceFault> {
        let position = self.references.binary_search_by_key(&fault.ticket, |(ticket, _)| *ticket);
        let reference = position.ok().and_then(|position| self.references.get(position));
        let (Some(contents), Some((_, reference))) = (&self.contents, reference) else { return Err(fault) };
        Ok(match fault.what {
            Fault::Hash { found, .. } => contents.changed(reference, found),
            Fault::Unreadable(error) => contents.unreadable(reference, error),
            other => contents.unreadable(reference, io::Error::other(other.to_string())),
        })
    }
}

/// A large content, found again whenever it is opened.
struct LargeContent {
    contents: Arc<Contents>,
    reference: Reference,
}

impl Content for LargeContent {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let content = self.contents.read(&self.reference).map_err(|error| io::Error::other(error.fault))?;
        Ok(content.reader)
    }
}

impl Capture<'_> {
    pub(super) fn capture_attachments(
        &self,
        references: Vec<Reference>,
        rows: u64,
        sink: &PackSink<'_, '_>,
        handed_over: &mut HandedOver,
    ) -> Result<CapturedAttachments, CreateError> {
        let home = self.request.home;
        let hinted = references.iter().filter_map(|reference| reference.size_hint);
        self.context.observer.begin(Phase::Attachments, hinted.fold(0, u64::saturating_add));
        let contents = Arc::new(Contents::open(&home.attachments, &home.database)?);
        handed_over.contents = Some(Arc::clone(&contents));
        handed_over.references.reserve_exact(references.len());
        let mut attachments = Vec::with_capacity(references.len());
        for reference in references {
            self.stop_if_cancelled()?;
            let id = reference.id;
            let (ticket, size) = self.hand_over(&contents, &reference, sink)?;
            handed_over.references.push((ticket, reference));
            attachments.push(Attachment { id, size });
        }
        // Every content is what its hash says before a list is written.
        if let Some((last, _)) = handed_over.references.last() {
            sink.id_of(*last)?;
        }
        self.write_lists(&attachments, rows, sink)
    }

    fn hand_over(
        &self,
        contents: &Arc<Contents>,
        reference: &Reference,
        sink: &PackSink<'_, '_>,
    ) -> Result<(Ticket, u64), CreateError> {
        let failed = |error| CreateError::Content(Box::new(error));
        let content = contents.read(reference).map_err(failed)?;
        if content.len >= STREAM_FROM {
            let large = LargeContent { contents: Arc::clone(contents), reference: reference.clone() };
            let ticket = sink.add_stream(Box::new(large), content.len, Some(reference.id))?;
            return Ok((ticket, content.len));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(content.len).unwrap_or(0));
        // One byte more than announced is enough to get another hash.
        let read = content.reader.take(content.len.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| failed(contents.unreadable(reference, error)))?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.context.observer.advance(size);
        Ok((sink.add_expected(bytes, reference.id)?, size))
    }

    /// Inherits the parent's lists when nothing was removed and lists what is new; else lists everything.
    fn write_lists(
        &self,
        attachments: &[Attachment],
        rows: u64,
        sink: &PackSink<'_, '_>,
    ) -> Result<CapturedAttachments, CreateError> {
        let old = self.parent.and_then(|parent| parent.attachments.as_deref()).unwrap_or_default();
        let old: HashSet<Attachment> = old.iter().copied().collect();
        let new: Vec<Attachment> = attachments.iter().filter(|item| !old.contains(item)).copied().collect();
        let nothing_removed = attachments.len() - new.len() == old.len();
        let mut lists = Vec::new();
        let mut listed = attachments;
        if let Some(parent) = self.parent.filter(|_| nothing_removed && !old.is_empty()) {
            lists = parent.manifest.lists().to_vec();
            listed = &new;
        }
        if !listed.is_empty() {
            let ticket = sink.add(attachment_list::encode(listed))?;
            lists.push(sink.id_of(ticket)?);
        }
        let sizes = attachments.iter().map(|attachment| attachment.size);
        Ok(CapturedAttachments {
            rows,
            blobs: count(attachments.len()),
            blob_bytes: sizes.fold(0, u64::saturating_add),
            new_blobs: count(new.len()),
            lists,
        })
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
