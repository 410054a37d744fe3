//! Jobs and results as text, for checkers that share no memory with the planner.

use serde::de::Error;
use serde::{Deserialize, Serialize};

use crate::format::id::{BlobId, PackId};
use crate::format::pack::Encoding;
use crate::format::page_size::PageSize;
use crate::repository::Location;

use super::PackResult;
use super::pages::{PageRanges, WantedPages};
use super::plan::{PackJob, Wanted};

#[derive(Serialize, Deserialize)]
struct SentJob {
    pack: PackId,
    bytes: u64,
    blobs: Vec<SentBlob>,
    pages: Vec<SentPages>,
}

/// Position, ID, offset, stored length, and whether it is compressed.
#[derive(Serialize, Deserialize)]
struct SentBlob(u32, BlobId, u64, u64, bool);

/// Position of the blob, bytes per page, and the pages.
#[derive(Serialize, Deserialize)]
struct SentPages(u32, u32, PageRanges);

impl PackJob {
    /// The job as text.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let blob = |(wanted, location): &(Wanted, Location)| {
            let Location { id, offset, stored_len, encoding, .. } = *location;
            SentBlob(wanted.position, id, offset, stored_len, encoding == Encoding::Zstd)
        };
        let blobs = self.blobs.iter().map(blob).collect();
        let pages =
            |wanted: &WantedPages| SentPages(wanted.position, wanted.page_size.get(), wanted.ranges.clone());
        let pages = self.pages.iter().map(pages).collect();
        serde_json::to_string(&SentJob { pack: self.pack, bytes: self.bytes, blobs, pages })
    }

    /// Reads what `to_json` wrote.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        let SentJob { pack, bytes, blobs, pages } = serde_json::from_str(json)?;
        let blob = |SentBlob(position, id, offset, stored_len, compressed)| {
            let encoding = if compressed { Encoding::Zstd } else { Encoding::Raw };
            (Wanted { position }, Location { id, pack, offset, stored_len, encoding })
        };
        let wanted = |SentPages(position, page_size, ranges)| {
            let page_size =
                PageSize::new(page_size).ok_or_else(|| serde_json::Error::custom("no page size"))?;
            Ok(WantedPages { position, page_size, ranges })
        };
        let pages = pages.into_iter().map(wanted).collect::<serde_json::Result<Vec<_>>>()?;
        Ok(Self { pack, blobs: blobs.into_iter().map(blob).collect(), pages, bytes })
    }
}

impl PackResult {
    /// The result as text.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// Reads what `to_json` wrote.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}

/// Page hashes by page size: the hashes of one size are one text of 32 hex digits a page.
pub(super) mod pages {
    use data_encoding::HEXLOWER;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::format::id::PageHash;
    use crate::format::page_size::PageSize;

    type Pages = Vec<(PageSize, Vec<PageHash>)>;

    pub(crate) fn serialize<S: Serializer>(pages: &Pages, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |(size, hashes): &(PageSize, Vec<PageHash>)| {
            let bytes: Vec<u8> = hashes.iter().flat_map(PageHash::as_bytes).copied().collect();
            (size.get(), HEXLOWER.encode(&bytes))
        };
        pages.iter().map(text).collect::<Vec<(u32, String)>>().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pages, D::Error> {
        let hashes = |(size, text): (u32, String)| {
            let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
            let (hashes, []) = bytes.as_chunks::<16>() else { return None };
            Some((PageSize::new(size)?, hashes.iter().copied().map(PageHash::from_bytes).collect()))
        };
        let sent = Vec::<(u32, String)>::deserialize(deserializer)?;
        let pages: Option<Pages> = sent.into_iter().map(hashes).collect();
        pages.ok_or_else(|| D::Error::custom("no page hashes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::id::PageHash;
    use crate::format::page_map::Run;
    use crate::verify::ProblemCode;
    use crate::verify::check::{BlobFacts, BlobResult};
    use crate::verify::fault::Fault;

    #[test]
    fn a_job_arrives_as_it_was_sent() {
        let pack = PackId::from_parts(1, 2);
        let location = |encoding| Location {
            id: BlobId::of(b"blob"),
            pack,
            offset: u64::MAX,
            stored_len: 1 << 32,
            encoding,
        };
        let wanted = Wanted { position: 7 };
        let page_size = PageSize::new(4096).unwrap();
        let mut ranges = PageRanges::default();
        let run = |page: u64| Run { start_page: 0, page_count: 2, blob_index: 0, blob_offset: page * 4096 };
        ranges.add(&[run(1), run(9)], page_size);
        let pages = vec![WantedPages { position: 7, page_size, ranges }];
        let blobs = vec![(wanted, location(Encoding::Raw)), (wanted, location(Encoding::Zstd))];
        let job = PackJob { pack, blobs, pages, bytes: 99 };
        assert_eq!(PackJob::from_json(&job.to_json().unwrap()).unwrap(), job);
    }

    #[test]
    fn a_result_arrives_as_it_was_sent() {
        let pages = vec![(PageSize::new(4096).unwrap(), vec![PageHash::of(b"a"), PageHash::of(b"b")])];
        let problem = Fault::Problem(ProblemCode::BlobDamaged, "changed".to_owned());
        let outcomes = [
            Ok(BlobFacts { raw_len: 8192, pages }),
            Err(problem),
            Err(Fault::NotChecked("too large".to_owned())),
        ];
        let blobs = (0..).zip(outcomes).map(|(position, outcome)| BlobResult { position, outcome }).collect();
        let result = PackResult { blobs, pack_fault: None, bytes_read: 5, cancelled: true };
        assert_eq!(PackResult::from_json(&result.to_json().unwrap()).unwrap(), result);
    }

    #[test]
    fn what_nobody_sent_is_refused() {
        let half = r#"{"blobs":[{"position":0,"outcome":{"Ok":{"raw_len":1,"pages":[[4096,"00"]]}}}],
            "pack_fault":null,"bytes_read":0,"cancelled":false}"#;
        assert!(PackResult::from_json(half).is_err());
        assert!(PackJob::from_json("{}").is_err());
    }
}
