//! Deltas of page maps and page hashes behave like the simplest model of them: a vector with an entry a page.

use msgvault_verifier::format::id::{BlobId, PageHash};
use msgvault_verifier::format::page_hash::{self, PageHashDelta, PageHashObject, PageHashes};
use msgvault_verifier::format::page_map::{self, MapKind, PageMap, Run};
use msgvault_verifier::format::page_size::PageSize;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const PAGE: u32 = 512;

/// Where a page lies: blob and offset. `None` is a page that the map does not hold.
type Model = Vec<Option<(u8, u64)>>;

fn size() -> PageSize {
    PageSize::new(PAGE).unwrap()
}

fn blob(fill: u8) -> BlobId {
    BlobId::from_bytes([fill; 32])
}

fn model_of(map: &PageMap) -> Model {
    let mut model = vec![None; usize::try_from(map.page_count).unwrap()];
    for run in &map.runs {
        for step in 0..u64::from(run.page_count) {
            let page = usize::try_from(run.start_page + step).unwrap();
            let fill = map.blob(run).unwrap().as_bytes()[0];
            assert_eq!(
                model[page].replace((fill, run.blob_offset + step * u64::from(PAGE))),
                None,
                "overlap"
            );
        }
    }
    model
}

/// Pages from one on, so many, and where they lie.
type Piece = (u64, u32, Option<(u8, u64)>);

/// Pieces that cover `0..pages`, each held (in one of a few blobs) or not.
fn pieces(pages: u64) -> impl Strategy<Value = Vec<Piece>> {
    let piece = (1..9u32, prop::option::weighted(0.6, (0..6u8, 0..4u64)));
    prop::collection::vec(piece, 0..40).prop_map(move |list| {
        let mut start = 0;
        let mut cut = Vec::new();
        for (count, place) in list {
            if start >= pages {
                break;
            }
            let count = count.min(u32::try_from(pages - start).unwrap());
            cut.push((start, count, place));
            start += u64::from(count);
        }
        if start < pages {
            cut.push((start, u32::try_from(pages - start).unwrap(), None));
        }
        cut
    })
}

fn map(pages: u64, pieces: &[Piece], base: u8, complete: bool) -> PageMap {
    let runs = pieces.iter().filter_map(|(start_page, page_count, place)| {
        let (fill, pages_in) = place.or(complete.then_some((0, 0)))?;
        Some(Run {
            start_page: *start_page,
            page_count: *page_count,
            blob_index: fill.into(),
            blob_offset: pages_in * u64::from(PAGE),
        })
    });
    PageMap {
        page_size: size(),
        page_count: pages,
        blobs: (0..6).map(|n| blob(base + n)).collect(),
        runs: runs.collect(),
    }
}

fn base_and_delta() -> impl Strategy<Value = (PageMap, PageMap)> {
    (0..120u64, 0..120u64).prop_flat_map(|(old, new)| {
        (pieces(old), pieces(new)).prop_map(move |(old_pieces, new_pieces)| {
            (map(old, &old_pieces, 10, true), map(new, &new_pieces, 100, false))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn a_page_map_delta_replaces_exactly_its_pages((base, delta) in base_and_delta()) {
        let mut expected = model_of(&base);
        expected.resize(usize::try_from(delta.page_count).unwrap(), None);
        for (page, place) in model_of(&delta).into_iter().enumerate() {
            if place.is_some() {
                expected[page] = place;
            }
        }
        let result = base.apply(&delta).unwrap();
        prop_assert_eq!(model_of(&result), expected);
        prop_assert!(result.runs.is_sorted_by(|a, b| a.end_page() <= b.start_page));
        let mut used: Vec<u32> = Vec::new();
        for run in &result.runs {
            if !used.contains(&run.blob_index) {
                used.push(run.blob_index);
            }
        }
        let in_order: Vec<u32> = (0..u32::try_from(result.blobs.len()).unwrap()).collect();
        prop_assert_eq!(used, in_order, "the table is in order of first use");
        prop_assert_eq!(page_map::decode(&result.encode(MapKind::Delta)).unwrap().1, result);
    }

    #[test]
    fn a_page_hash_delta_replaces_exactly_its_pages(
        old in prop::collection::vec(any::<[u8; 16]>(), 0..60),
        new_count in 0..60u64,
        changes in prop::collection::btree_map(0..60u64, any::<[u8; 16]>(), 0..60),
    ) {
        let changes: Vec<(u64, [u8; 16])> = changes.into_iter().filter(|(page, _)| *page < new_count).collect();
        let old_count = old.len() as u64;
        let covered = (old_count..new_count).all(|page| changes.iter().any(|(changed, _)| *changed == page));
        let delta = PageHashDelta {
            page_size: size(),
            page_count: new_count,
            pages: changes.iter().map(|(page, _)| *page).collect(),
            hashes: changes.iter().map(|(_, hash)| PageHash::from_bytes(*hash)).collect(),
        };
        prop_assert_eq!(page_hash::decode(&delta.encode()).unwrap(), PageHashObject::Delta(delta.clone()));
        let mut hashes = PageHashes { page_size: size(), hashes: old.iter().copied().map(PageHash::from_bytes).collect() };
        let applied = hashes.apply(&delta);
        prop_assert_eq!(applied.is_ok(), covered);
        if covered {
            let mut expected = old;
            expected.resize(usize::try_from(new_count).unwrap(), [0; 16]);
            for (page, hash) in changes {
                expected[usize::try_from(page).unwrap()] = hash;
            }
            let actual: Vec<[u8; 16]> = hashes.hashes.iter().map(|hash| *hash.as_bytes()).collect();
            prop_assert_eq!(actual, expected);
        }
    }

    #[test]
    fn decoders_never_panic_on_noise(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..6usize) {
        use sha2::{Digest, Sha256};
        let magic: [&[u8]; 6] = [b"MVIX", b"MVHK", b"MVHD", b"MVMK", b"MVMD", b"MVAL"];
        let mut sealed = magic[kind].to_vec();
        sealed.extend_from_slice(&[1, 0]);
        sealed.extend_from_slice(&bytes);
        let digest = Sha256::digest(&sealed);
        sealed.extend_from_slice(&digest);
        for input in [&bytes, &sealed] {
            let _ = msgvault_verifier::format::index::decode(input);
            let _ = page_hash::decode(input);
            let _ = page_map::decode(input);
            let _ = msgvault_verifier::format::attachment_list::decode(input);
            let _ = msgvault_verifier::format::extras::decode(input);
            let _ = msgvault_verifier::format::config::RepoConfig::decode(input);
        }
    }
}
