//! The hashes of the pages in a stream of bytes.

use sha2::{Digest, Sha256};

use crate::format::id::PageHash;
use crate::format::page_size::PageSize;

use super::four_at_once;

/// Hashes a stream page by page; a last part that is not a whole page has no hash.
pub(super) struct PageHasher {
    page_size: PageSize,
    hash: Sha256,
    filled: usize,
    hashes: Vec<PageHash>,
    /// Whether four pages that lie side by side are hashed at once.
    four_at_once: bool,
}

impl PageHasher {
    pub(super) fn new(page_size: PageSize) -> Self {
        let four_at_once = four_at_once::IS_FASTER;
        Self { page_size, hash: Sha256::new(), filled: 0, hashes: Vec::new(), four_at_once }
    }

    pub(super) fn update(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            if self.four_at_once && self.filled == 0 {
                piece = self.take_fours(piece);
            }
            let room = self.page_size.in_memory() - self.filled;
            let (head, tail) = piece.split_at(room.min(piece.len()));
            self.hash.update(head);
            self.filled += head.len();
            if self.filled == self.page_size.in_memory() {
                self.hashes.push(PageHash::from_digest(&self.hash.finalize_reset().into()));
                self.filled = 0;
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
        left
    }

    pub(super) fn finish(self) -> (PageSize, Vec<PageHash>) {
        (self.page_size, self.hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_hashed_whatever_the_pieces_and_however_many_at_once() {
        for size in [512, 1024, 4096] {
            let size = PageSize::new(size).unwrap();
            let bytes: Vec<u8> = (0..11 * size.in_memory() / 4)
                .flat_map(|word| (word * word).to_le_bytes().into_iter().take(4))
                .collect();
            let expected: Vec<PageHash> = bytes.chunks_exact(size.in_memory()).map(PageHash::of).collect();
            let stream = [&bytes[..], b"no whole page"].concat();
            for piece in [1, 511, 512, 2048, 2049, 5000, 16_384, 40_000, stream.len()] {
                for four_at_once in [false, true] {
                    let mut hasher = PageHasher { four_at_once, ..PageHasher::new(size) };
                    stream.chunks(piece).for_each(|piece| hasher.update(piece));
                    assert_eq!(hasher.finish(), (size, expected.clone()), "{piece} {four_at_once}");
                }
            }
        }
    }
}
