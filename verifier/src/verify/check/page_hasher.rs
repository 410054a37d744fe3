//! The hashes of the pages in a stream of bytes.

use sha2::{Digest, Sha256};

use crate::format::id::PageHash;
use crate::format::page_size::PageSize;
use crate::length::{to_u64, to_usize};
use crate::verify::pages::WantedPages;

use super::four_at_once;

/// Hashes the wanted pages in a stream; a last part that is not a whole page has no hash.
pub(super) struct PageHasher<'r> {
    page_size: PageSize,
    /// Ranges of wanted pages that are not behind us.
    ranges: &'r [(u32, u32)],
    /// Bytes of the stream so far.
    position: u64,
    hash: Sha256,
    hashes: Vec<PageHash>,
    /// Whether four pages that lie side by side are hashed at once.
    four_at_once: bool,
}

impl<'r> PageHasher<'r> {
    /// Of a stream of so many bytes.
    pub(super) fn new(wanted: &'r WantedPages, len: u64) -> Self {
        let WantedPages { page_size, ranges, .. } = wanted;
        let mut hashes = Vec::new();
        let count = ranges.count_within(len / page_size.bytes());
        // The plan has bounded it. Without it the room grows as they come.
        let _ = hashes.try_reserve_exact(to_usize(count));
        let (hash, four_at_once) = (Sha256::new(), four_at_once::IS_FASTER);
        Self { page_size: *page_size, ranges: ranges.as_slice(), position: 0, hash, hashes, four_at_once }
    }

    pub(super) fn update(&mut self, mut piece: &[u8]) {
        let size = self.page_size.bytes();
        while let Some(((first, end), following)) = self.ranges.split_first()
            && !piece.is_empty()
        {
            let (start, end) = (u64::from(*first) * size, u64::from(*end) * size);
            if self.position < start {
                piece = self.skip(piece, start - self.position);
            } else if self.position >= end {
                self.ranges = following;
            } else {
                let wanted = to_usize(end - self.position).min(piece.len());
                let (wanted, rest) = piece.split_at(wanted);
                self.hash_pages(wanted);
                piece = rest;
            }
        }
    }

    /// Passes over bytes of pages that are not wanted.
    fn skip<'p>(&mut self, piece: &'p [u8], unwanted: u64) -> &'p [u8] {
        let (skipped, rest) = piece.split_at(to_usize(unwanted).min(piece.len()));
        self.position += to_u64(skipped.len());
        rest
    }

    fn hash_pages(&mut self, mut piece: &[u8]) {
        let size = self.page_size.in_memory();
        while !piece.is_empty() {
            let filled = to_usize(self.position % self.page_size.bytes());
            if self.four_at_once && filled == 0 {
                piece = self.take_fours(piece);
            }
            let (head, tail) = piece.split_at((size - filled).min(piece.len()));
            self.hash.update(head);
            self.position += to_u64(head.len());
            if filled + head.len() == size {
                self.hashes.push(PageHash::from_digest(&self.hash.finalize_reset().into()));
            }
            piece = tail;
        }
    }

    /// Hashes as many pages as lie side by side in fours; gives what is left.
    fn take_fours<'p>(&mut self, piece: &'p [u8]) -> &'p [u8] {
        let size = self.page_size.in_memory();
        let fours = piece.chunks_exact(4 * size);
        let left = fours.remainder();
        for four in fours {
            let (front, back) = four.split_at(2 * size);
            let ((a, b), (c, d)) = (front.split_at(size), back.split_at(size));
            let digests = four_at_once::digests([a, b, c, d]);
            self.hashes.extend(digests.iter().map(PageHash::from_digest));
        }
        self.position += to_u64(piece.len() - left.len());
        left
    }

    pub(super) fn finish(self) -> (PageSize, Vec<PageHash>) {
        (self.page_size, self.hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::page_map::Run;
    use crate::verify::pages::PageRanges;

    #[test]
    fn wanted_pages_are_hashed_whatever_the_pieces_and_however_many_at_once() {
        for size in [512, 1024, 4096] {
            let page_size = PageSize::new(size).unwrap();
            let bytes: Vec<u8> = (0..23 * page_size.in_memory() / 4)
                .flat_map(|word| (word * word).to_le_bytes().into_iter().take(4))
                .collect();
            let all: Vec<PageHash> = bytes.chunks_exact(page_size.in_memory()).map(PageHash::of).collect();
            let stream = [&bytes[..], b"no whole page"].concat();
            let run = |(first, page_count): (u64, u32)| Run {
                start_page: 0,
                page_count,
                blob_index: 0,
                blob_offset: first * page_size.bytes(),
            };
            for runs in [vec![(0, 40)], vec![(3, 1), (5, 9), (22, 1)], vec![(30, 1)], vec![]] {
                let mut ranges = PageRanges::default();
                ranges.add(&runs.iter().copied().map(run).collect::<Vec<_>>(), page_size);
                let wanted = WantedPages { position: 0, page_size, ranges };
                let is_wanted = |page: u64| {
                    runs.iter().any(|(first, count)| (*first..first + u64::from(*count)).contains(&page))
                };
                let expected: Vec<PageHash> =
                    (0..).zip(&all).filter(|(page, _)| is_wanted(*page)).map(|(_, hash)| *hash).collect();
                for piece in [1, 511, 512, 2048, 2049, 5000, 16_384, 40_000, stream.len()] {
                    for four_at_once in [false, true] {
                        let new = PageHasher::new(&wanted, stream.len() as u64);
                        let mut hasher = PageHasher { four_at_once, ..new };
                        stream.chunks(piece).for_each(|piece| hasher.update(piece));
                        assert_eq!(hasher.finish(), (page_size, expected.clone()), "{piece} {four_at_once}");
                    }
                }
            }
        }
    }
}
