//! The attachments: every content is read and hashed, and what is not known is stored.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use msgvault_verifier::format::attachment_list::{self, Attachment};
use msgvault_verifier::format::id::BlobId;
use msgvault_verifier::length::{to_u32, to_u64, to_usize};

use super::parent::Parent;
use super::{Capture, CreateError, stop_if_cancelled};
use crate::archive::content::{ContentError, Contents};

use crate::archive::content_table::{ContentTable, RecordedContent};
use crate::archive::place::Place;
use crate::phase;
use crate::repo::pack_writer::{Fault, PackKind, PackSink, STREAM_FROM, SourceFault, StreamedBlob, Ticket};

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

/// The contents that were handed over: one after another, from the first ticket on.
#[derive(Default)]
pub(super) struct HandedOverAttachments(Option<(Source, Ticket)>);

/// Where contents come from, and which.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) contents: Arc<Contents>,
    pub(super) table: Arc<ContentTable>,
}

impl HandedOverAttachments {
    /// Where they came from, once there were any.
    pub(super) fn source(&self) -> Option<Source> {
        self.0.as_ref().map(|(source, _)| source.clone())
    }

    /// Names the attachment that a fault is about, if it is about one.
    pub(super) fn explain(&self, fault: SourceFault) -> Result<CreateError, SourceFault> {
        let Some((Source { contents, table }, first)) = &self.0 else { return Err(fault) };
        let Some(position) = fault.ticket.since(*first) else { return Err(fault) };
        let recorded = match table.page(position) {
            Ok(page) => page.into_iter().next(),
            Err(error) => return Ok(error.into()),
        };
        // Lists and other files come behind the attachments.
        let Some(recorded) = recorded else { return Err(fault) };
        Ok(content_error(match fault.what {
            Fault::Hash { found, .. } => contents.changed(&recorded, found),
            Fault::Unreadable(error) => contents.unreadable(&recorded, error),
            other => contents.unreadable(&recorded, io::Error::other(other.to_string())),
        }))
    }
}

fn content_error(error: ContentError) -> CreateError {
    CreateError::Attachment(Box::new(error))
}

/// A large content, found again whenever it is opened.
struct LargeContent {
    contents: Arc<Contents>,
    recorded: RecordedContent,
}

impl StreamedBlob for LargeContent {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let content = self.contents.read(&self.recorded).map_err(|error| io::Error::other(error.fault))?;
        Ok(content.reader)
    }
}

/// Reads and hashes every content, and hands over what is not known.
pub(super) fn store(
    capture: &Capture<'_>,
    database: &Place,
    table: ContentTable,
    rows: u64,
    sink: &PackSink<'_, '_>,
    handed_over: &mut HandedOverAttachments,
) -> Result<CapturedAttachments, CreateError> {
    let home = capture.request.home;
    capture.context.observer.begin(phase::ATTACHMENTS, table.hinted_bytes());
    capture.context.observer.explain(&format!(
        "{} attachments are read and hashed, all of them, and those that the repository lacks are stored",
        table.len()
    ));
    let contents = Arc::new(Contents::open(&home.attachments, database)?);
    let table = Arc::new(table);
    let source = Source { contents: Arc::clone(&contents), table: Arc::clone(&table) };
    handed_over.0 = Some((source, sink.next_ticket()));
    let mut captured =
        CapturedAttachments { rows, blobs: table.len(), blob_bytes: 0, new_blobs: 0, lists: Vec::new() };
    let mut position = 0;
    let mut last = None;
    loop {
        let page = table.page(position)?;
        if page.is_empty() {
            break;
        }
        let mut attachments = Vec::with_capacity(page.len());
        for recorded in page {
            stop_if_cancelled(capture)?;
            let (ticket, size) = hand_over(capture, &contents, &recorded, sink)?;
            last = Some(ticket);
            let attachment = Attachment { id: recorded.id, size };
            let is_new = !capture.parent.is_some_and(|parent| parent.lists(capture.repository, &attachment));
            captured.blob_bytes = captured.blob_bytes.saturating_add(size);
            captured.new_blobs += u64::from(is_new);
            attachments.push((attachment, is_new));
        }
        table.note(position, &attachments)?;
        position += to_u64(attachments.len());
    }
    // Every content is what its hash says before a list is written.
    if let Some(last) = last {
        sink.wait_for(last)?;
    }
    captured.lists = write_lists(capture, &table, &captured, sink)?;
    Ok(captured)
}

fn hand_over(
    capture: &Capture<'_>,
    contents: &Arc<Contents>,
    recorded: &RecordedContent,
    sink: &PackSink<'_, '_>,
) -> Result<(Ticket, u64), CreateError> {
    let content = contents.read(recorded).map_err(content_error)?;
    if content.len >= STREAM_FROM {
        let large = LargeContent { contents: Arc::clone(contents), recorded: recorded.clone() };
        let ticket =
            sink.add_expected_stream(PackKind::Attachments, Box::new(large), content.len, recorded.id)?;
        return Ok((ticket, content.len));
    }
    let mut bytes = Vec::with_capacity(to_usize(content.len));
    // One byte more than announced is enough to get another hash.
    let read = content.reader.take(content.len.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| content_error(contents.unreadable(recorded, error)))?;
    let size = to_u64(bytes.len());
    capture.context.observer.advance(size);
    Ok((sink.add_expected(PackKind::Attachments, bytes, recorded.id)?, size))
}

/// Inherits the parent's lists when nothing was removed and lists what is new; else lists everything.
fn write_lists(
    capture: &Capture<'_>,
    table: &Arc<ContentTable>,
    captured: &CapturedAttachments,
    sink: &PackSink<'_, '_>,
) -> Result<Vec<BlobId>, CreateError> {
    let old = capture.parent.map_or(0, Parent::listed);
    let nothing_removed = captured.blobs - captured.new_blobs == old;
    let (mut lists, only_new, len) = match capture.parent.filter(|_| nothing_removed && old > 0) {
        Some(parent) => (parent.manifest.lists().to_vec(), true, captured.new_blobs),
        None => (Vec::new(), false, captured.blobs),
    };
    if len > 0 {
        let list = List { table: Arc::clone(table), only_new, count: len };
        let len = list.encoded_len();
        let list = if len >= STREAM_FROM {
            sink.add_stream(PackKind::Metadata, Box::new(list), len)?
        } else {
            let mut bytes = Vec::new();
            list.reader()
                .read_to_end(&mut bytes)
                .map_err(|error| CreateError::Internal(error.to_string()))?;
            sink.add(PackKind::Metadata, bytes)?
        };
        lists.push(sink.id_of(list)?);
    }
    Ok(lists)
}

/// A list of captured attachments.
struct List {
    table: Arc<ContentTable>,
    only_new: bool,
    count: u64,
}

impl List {
    fn encoded_len(&self) -> u64 {
        attachment_list::encoded_len(self.count)
    }

    fn reader(&self) -> ListReader<'_> {
        let count = to_u32(self.count);
        ListReader {
            list: self,
            next: 0,
            encoder: Some(attachment_list::ListEncoder::new(count)),
            bytes: Cursor::default(),
        }
    }
}

impl StreamedBlob for List {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.reader()))
    }
}

/// Encodes a list as it is read.
struct ListReader<'l> {
    list: &'l List,
    /// The position behind the last attachment that was encoded.
    next: u64,
    /// None once the end was encoded.
    encoder: Option<attachment_list::ListEncoder>,
    bytes: Cursor<Vec<u8>>,
}

impl Read for ListReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.bytes.read(buffer)?;
            if count > 0 || buffer.is_empty() || !self.encode_more()? {
                return Ok(count);
            }
        }
    }
}

impl ListReader<'_> {
    /// Encodes one page more; `false` after the last.
    fn encode_more(&mut self) -> io::Result<bool> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(false) };
        let page = self.list.table.noted(self.next, self.list.only_new).map_err(io::Error::other)?;
        for (position, attachment) in &page {
            encoder.push(attachment);
            self.next = position + 1;
        }
        self.bytes = Cursor::new(if page.is_empty() {
            encoder.finish()
        } else {
            let bytes = encoder.take();
            self.encoder = Some(encoder);
            bytes
        });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_list_equals_one_encoded_whole() {
        let attachment = |n: u16| Attachment { id: BlobId::of(&n.to_le_bytes()), size: n.into() };
        let noted: Vec<(Attachment, bool)> = (0..2500).map(|n| (attachment(n), n % 3 == 0)).collect();
        let table = Arc::new(ContentTable::new().unwrap());
        table.note(0, &noted).unwrap();
        for only_new in [false, true] {
            let listed: Vec<Attachment> =
                noted.iter().filter(|(_, is_new)| *is_new || !only_new).map(|(item, _)| *item).collect();
            let list = List { table: Arc::clone(&table), only_new, count: to_u64(listed.len()) };
            let expected = attachment_list::encode(&listed);
            assert_eq!(list.encoded_len(), to_u64(expected.len()));
            // A stream is opened more than once.
            for _ in 0..2 {
                let mut streamed = Vec::new();
                list.open().unwrap().read_to_end(&mut streamed).unwrap();
                assert!(streamed == expected);
            }
        }
    }
}
