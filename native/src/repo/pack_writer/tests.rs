use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use msgvault_testing::FailAt;
use msgvault_verifier::format::pack::{Encoding, PackEntry, SEAL_LEN};
use msgvault_verifier::format::zstd_frame;
use msgvault_verifier::length::to_u64;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::{Observer, PackReader, Ruzstd};

use super::super::publish::tests::Fixture;
use super::*;

/// Bytes that no compressor shortens, the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(len / 8 + 1).flatten().collect();
    bytes.truncate(len);
    bytes
}

fn words(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (seed..).flat_map(|number| format!("message {number} of many; ").into_bytes()).take(len).collect();
    bytes.truncate(len);
    bytes
}

struct InMemory(Vec<u8>);

impl StreamedBlob for InMemory {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Cursor::new(&self.0)))
    }
}

enum Blob {
    Whole(Vec<u8>),
    Stream(Vec<u8>),
}

fn unknown(_: &BlobId) -> bool {
    false
}

type Written = Result<((), Packed), PackError<Stopped>>;

fn write_as(
    context: Context<'_>,
    root: &Path,
    jobs: usize,
    known: &(dyn Fn(&BlobId) -> bool + Sync),
    blobs: &[Blob],
) -> Written {
    let options = PackOptions { root, jobs, level: 3, dry_run: false, packs_per_index: usize::MAX };
    write_packs(context, options, known, |sink| {
        let hand_over = |blob: &Blob| match blob {
            Blob::Whole(raw) => {
                sink.add(PackKind::Pages, raw.clone()).map(|added| (added.ticket(), Some(added)))
            }
            Blob::Stream(raw) => {
                let stream = Box::new(InMemory(raw.clone()));
                let ticket =
                    sink.add_expected_stream(PackKind::Pages, stream, to_u64(raw.len()), BlobId::of(raw))?;
                Ok((ticket, None))
            }
        };
        let handed_over = blobs.iter().map(hand_over).collect::<Result<Vec<_>, _>>()?;
        for ((ticket, unnamed), Blob::Whole(raw) | Blob::Stream(raw)) in handed_over.into_iter().zip(blobs) {
            sink.wait_for(ticket)?;
            if let Some(unnamed) = unnamed {
                assert_eq!(sink.id_of(unnamed)?, BlobId::of(raw));
            }
        }
        Ok(())
    })
}

fn write(fixture: &Fixture, root: &Path, jobs: usize, blobs: &[Blob]) -> Packed {
    write_as(fixture.context(&()), root, jobs, &unknown, blobs).unwrap().1
}

/// Reads every blob back, checking that frames keep to the rules for writers.
fn read_back(root: &Path, packed: &Packed) -> BTreeMap<BlobId, (PackEntry, Vec<u8>)> {
    let reader = PackReader::new(DirectoryStore::new(root), Ruzstd);
    let mut blobs = BTreeMap::new();
    for pack in &packed.packs {
        let bytes = fs::read(root.join(pack.path())).unwrap();
        let file = reader.open(*pack).unwrap();
        for entry in file.entries() {
            if entry.encoding == Encoding::Zstd {
                let frame = &bytes[usize::try_from(entry.offset).unwrap()..];
                let header = zstd_frame::decode_header(frame, entry.raw_len).unwrap();
                assert_eq!(header.content_size, Some(entry.raw_len));
                assert!(header.window <= entry.raw_len.max(1024), "{header:?}");
            }
            let raw = file.read(entry, u64::MAX).unwrap();
            assert!(blobs.insert(entry.id, (*entry, raw)).is_none(), "stored twice");
        }
    }
    assert_eq!(packed.blobs.len(), blobs.len());
    for (entry, (id, (stored, _))) in packed.blobs.entries().zip(&blobs) {
        assert_eq!((entry.id, entry.offset, entry.stored_len), (*id, stored.offset, stored.stored_len));
    }
    assert_eq!(packed.blobs.stored_bytes(), blobs.values().map(|(entry, _)| entry.stored_len).sum::<u64>());
    blobs
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

#[test]
fn packs_hold_the_same_bytes_whatever_the_number_of_jobs() {
    let mut blobs = Vec::new();
    for seed in 0..40 {
        blobs.push(Blob::Whole(noise(seed, 900_000)));
        blobs.push(Blob::Whole(words(seed, 300_000)));
        blobs.push(Blob::Whole(words(seed, usize::try_from(seed).unwrap())));
        // Again, while the first may still be under way.
        blobs.push(Blob::Whole(words(seed, 300_000)));
    }
    blobs.insert(7, Blob::Stream(noise(100, 17_000_000)));
    blobs.insert(30, Blob::Stream(words(100, 17_000_000)));
    blobs.push(Blob::Stream(words(3, 300_000)));

    let packs = |jobs| {
        let fixture = Fixture::new();
        let root = fixture.repository();
        let packed = write(&fixture, &root, jobs, &blobs);
        let stored = read_back(&root, &packed);
        assert_eq!(stored.len(), 122);
        for Blob::Whole(raw) | Blob::Stream(raw) in &blobs {
            assert!(stored.get(&BlobId::of(raw)).is_some_and(|(_, found)| found == raw));
        }
        assert_eq!(fs::read_dir(root.join("staging")).unwrap().count(), 0);
        packed.packs.iter().map(|pack| fs::read(root.join(pack.path())).unwrap()).collect::<Vec<_>>()
    };
    let (alone, many) = (packs(1), packs(4));
    assert!(alone.len() > 1 && alone == many);
    assert!(alone.iter().rev().skip(1).all(|pack| to_u64(pack.len()) >= SEAL_LEN));
}

#[test]
fn a_stream_is_stored_like_the_same_bytes_in_memory() {
    let contents = [
        words(1, 0),
        words(1, 1023),
        words(1, 1024),
        noise(1, 1024),
        noise(2, 300_000),
        words(2, 256 << 10),
        words(3, 3_000_000),
        [noise(4, 3_000_000), vec![0; 80_000]].concat(),
        [noise(5, 3_000_000), vec![0; 120_000]].concat(),
    ];
    for content in contents {
        let fixture = Fixture::new();
        let root = fixture.repository();
        let whole = write(&fixture, &root, 2, &[Blob::Whole(content.clone())]);
        let streamed = write(&fixture, &root, 2, &[Blob::Stream(content.clone())]);
        let id = BlobId::of(&content);
        let of = |packed| read_back(&root, packed).remove(&id).unwrap();
        let ((whole, raw), (streamed, streamed_raw)) = (of(&whole), of(&streamed));
        assert!(raw == content && streamed_raw == content);
        assert_eq!(whole.encoding, streamed.encoding, "{} bytes", content.len());
    }
}

#[test]
fn what_is_known_is_hashed_and_not_stored() {
    let fixture = Fixture::new();
    let root = fixture.repository();
    let (old, new) = (words(1, 5000), words(2, 5000));
    let old_id = BlobId::of(&old);
    let known = |id: &BlobId| *id == old_id;
    let blobs = [Blob::Whole(old.clone()), Blob::Whole(new.clone()), Blob::Stream(old.clone())];
    let ((), packed) = write_as(fixture.context(&()), &root, 2, &known, &blobs).unwrap();
    assert_eq!(packed.blobs.entries().map(|entry| entry.id).collect::<Vec<_>>(), [BlobId::of(&new)]);

    let all_known = [Blob::Whole(old.clone()), Blob::Stream(old)];
    let ((), packed) = write_as(fixture.context(&()), &root, 2, &known, &all_known).unwrap();
    assert!(packed.packs.is_empty() && packed.blobs.is_empty(), "no pack is sealed empty");
}

type HandOver<'a> = &'a dyn Fn(&PackSink<'_, '_>) -> Result<Ticket, Stopped>;

#[test]
fn content_unlike_its_announcement_is_an_error_of_the_source() {
    struct Broken;
    impl StreamedBlob for Broken {
        fn open(&self) -> io::Result<Box<dyn Read + '_>> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let raw = words(1, 2_000_000);
    let wrong = BlobId::of(b"other");
    let stream = |sink: &PackSink<'_, '_>, len, expected| {
        sink.add_expected_stream(PackKind::Pages, Box::new(InMemory(raw.clone())), len, expected)
    };
    let unnamed = |sink: &PackSink<'_, '_>, content, len| {
        sink.add_stream(PackKind::Pages, content, len).map(Unnamed::ticket)
    };
    let cases: [(HandOver<'_>, &str); 7] = [
        (&|sink| sink.add_expected(PackKind::Attachments, raw.clone(), wrong), "should hash to"),
        (&|sink| stream(sink, 2_000_000, wrong), "should hash to"),
        (&|sink| stream(sink, 1_999_999, BlobId::of(&raw)), "changed its length"),
        (&|sink| stream(sink, 2_000_001, BlobId::of(&raw)), "changed its length"),
        (&|sink| unnamed(sink, Box::new(InMemory(raw.clone())), 5), "changed its length"),
        (&|sink| stream(sink, (1 << 32) + 1, wrong), "more than the 4 GiB"),
        (&|sink| unnamed(sink, Box::new(Broken), 5), "the disk is gone"),
    ];
    for (hand_over, expected) in cases {
        for jobs in [1, 3] {
            let fixture = Fixture::new();
            let root = fixture.repository();
            let options =
                PackOptions { root: &root, jobs, level: 3, dry_run: false, packs_per_index: usize::MAX };
            let result = write_packs(fixture.context(&()), options, &unknown, |sink| {
                sink.add(PackKind::Pages, noise(1, 40_000_000))?;
                let ticket = hand_over(sink)?;
                sink.wait_for(ticket)
            });
            let Err(PackError::Source(fault)) = result else { panic!("{result:?}") };
            assert_eq!(fault.ticket, Ticket(1));
            assert!(fault.to_string().contains(expected), "{fault}");
            assert_eq!(files(&root).len(), 1, "published packs are taken back");
        }
    }
}

#[test]
fn a_failure_at_any_step_leaves_no_pack() {
    let blobs: Vec<Blob> = (0..80).map(|seed| Blob::Whole(noise(seed, 1_000_000))).collect();
    for step in ["create", "write", "sync", "publish", "sync-folder", "done"] {
        let fixture = Fixture::new();
        let root = fixture.repository();
        // At the second pack, so that there is one to take back.
        let observer = FailAt::once(format!("pack.{step}"), 2);
        let result = write_as(fixture.context(&observer), &root, 2, &unknown, &blobs);
        assert!(matches!(result, Err(PackError::Publish(_))), "{step}: {result:?}");
        assert_eq!(files(&root).len(), 1, "{step}");
    }
}

#[test]
fn a_worker_that_panics_is_an_error_and_no_hang() {
    let fixture = Fixture::new();
    let root = fixture.repository();
    let panics = |_: &BlobId| -> bool { panic!("a fault that was put there by the test") };
    let blobs: Vec<Blob> = (0..200).map(|seed| Blob::Whole(noise(seed, 1_000_000))).collect();
    let result = write_as(fixture.context(&()), &root, 2, &panics, &blobs);
    assert!(matches!(result, Err(PackError::Panicked)), "{result:?}");
    assert_eq!(files(&root).len(), 1);
}

#[test]
fn the_producer_s_own_error_is_returned() {
    #[derive(Debug, PartialEq)]
    struct Own;
    impl From<Stopped> for Own {
        fn from(_: Stopped) -> Self {
            Self
        }
    }
    let fixture = Fixture::new();
    let root = fixture.repository();
    let options = PackOptions { root: &root, jobs: 2, level: 3, dry_run: false, packs_per_index: usize::MAX };
    let result: Result<((), Packed), _> = write_packs(fixture.context(&()), options, &unknown, |sink| {
        sink.add(PackKind::Pages, noise(1, 40_000_000))?;
        Err(Own)
    });
    assert!(matches!(result, Err(PackError::Produce(Own))));
    assert_eq!(files(&root).len(), 1);
}

#[test]
fn cancelling_stops_between_blobs() {
    struct Stop(AtomicBool);
    impl Observer for Stop {
        fn cancelled(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }
    let fixture = Fixture::new();
    let root = fixture.repository();
    let options = PackOptions { root: &root, jobs: 2, level: 3, dry_run: false, packs_per_index: usize::MAX };
    let stop = Stop(AtomicBool::new(false));
    let result: Result<((), Packed), _> = write_packs(fixture.context(&stop), options, &unknown, |sink| {
        let ticket = sink.add(PackKind::Pages, noise(1, 40_000_000))?;
        sink.id_of(ticket)?;
        stop.0.store(true, Ordering::SeqCst);
        loop {
            sink.add(PackKind::Pages, noise(2, 1000))?;
        }
        #[allow(unreachable_code)]
        Ok::<(), Stopped>(())
    });
    assert!(matches!(result, Err(PackError::Cancelled)), "{result:?}");
    assert_eq!(files(&root).len(), 1);
}

/// The pack of every blob, by its position in the list.
fn packs_of(packed: &Packed, blobs: &[(PackKind, Vec<u8>)]) -> Vec<usize> {
    let position = |pack: PackId| packed.packs.iter().position(|known| *known == pack).unwrap();
    let pack = |id| packed.blobs.entries().find(|entry| entry.id == id).unwrap().pack;
    blobs.iter().map(|(_, raw)| position(pack(BlobId::of(raw)))).collect()
}

#[test]
fn kinds_have_packs_of_their_own_and_small_ones_share() {
    use PackKind::{Attachments, Metadata, Pages};
    /// Kinds and lengths of blobs, and which pack each comes into.
    type Row = (&'static [(PackKind, usize)], &'static [usize]);
    const LARGE: usize = 1_100_000;
    const SMALL: usize = 400_000;
    let table: [Row; 6] = [
        (&[(Pages, SMALL), (Attachments, SMALL), (Metadata, SMALL)], &[0, 0, 0]),
        (&[(Pages, LARGE), (Attachments, SMALL), (Metadata, SMALL)], &[0, 1, 1]),
        (&[(Pages, SMALL), (Attachments, LARGE), (Metadata, SMALL)], &[1, 0, 1]),
        (&[(Metadata, LARGE), (Attachments, LARGE), (Pages, LARGE)], &[2, 1, 0]),
        (&[(Metadata, SMALL), (Pages, SMALL), (Metadata, SMALL), (Pages, SMALL)], &[0, 0, 0, 0]),
        // What is left of a kind that filled a pack stays by itself.
        (&[(Pages, 40_000_000), (Metadata, SMALL), (Pages, SMALL)], &[0, 2, 1]),
    ];
    for (sizes, expected) in table {
        for jobs in [1, 3] {
            let fixture = Fixture::new();
            let root = fixture.repository();
            let blobs: Vec<(PackKind, Vec<u8>)> =
                (0..).zip(sizes).map(|(seed, (kind, len))| (*kind, noise(seed, *len))).collect();
            let options =
                PackOptions { root: &root, jobs, level: 3, dry_run: false, packs_per_index: usize::MAX };
            let written: Written = write_packs(fixture.context(&()), options, &unknown, |sink| {
                blobs.iter().try_for_each(|(kind, raw)| sink.add(*kind, raw.clone()).map(drop))
            });
            let packed = written.unwrap().1;
            assert_eq!(packs_of(&packed, &blobs), expected, "{sizes:?}");
            let read = read_back(&root, &packed);
            assert!(blobs.iter().all(|(_, raw)| read[&BlobId::of(raw)].1 == *raw));
            let stored = read.values().map(|(entry, _)| entry.stored_len).sum::<u64>();
            assert_eq!(packed.blobs.stored_bytes(), stored);
            assert_eq!(files(&root).len(), packed.packs.len() + 1);
        }
    }
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let fixture = Fixture::new();
    let root = fixture.repository();
    let raw = noise(1, 5000);
    let options = PackOptions { root: &root, jobs: 2, level: 3, dry_run: true, packs_per_index: 1 };
    let (_, packed) = write_packs::<_, Stopped>(fixture.context(&()), options, &unknown, |sink| {
        sink.add(PackKind::Pages, raw.clone())
    })
    .unwrap();
    assert_eq!((packed.blobs.stored_bytes(), packed.blobs.len()), (5000, 1));
    assert_eq!(files(&root).len(), 1);
}

#[test]
fn an_interrupted_run_loses_only_packs_without_an_index() {
    let fixture = Fixture::new();
    let root = fixture.repository();
    let blobs: Vec<Vec<u8>> = (1..=5).map(|seed| noise(seed, 33 << 20)).collect();
    let options = PackOptions { root: &root, jobs: 2, level: 3, dry_run: false, packs_per_index: 2 };
    let store = |point, known: &(dyn Fn(&BlobId) -> bool + Sync)| {
        let stop = FailAt::once(point, 4);
        write_packs::<_, Stopped>(fixture.context(&stop), options, known, |sink| {
            blobs.iter().try_for_each(|blob| sink.add(PackKind::Pages, blob.clone()).map(drop))
        })
    };
    let opened = || Repository::open(DirectoryStore::new(&root), Ruzstd).unwrap();
    // The fourth pack cannot be published: the first two are in an index then, the third is taken back.
    let error = store("pack.publish", &unknown).unwrap_err();
    assert!(matches!(error, PackError::Publish(_)), "{error}");
    let left = opened();
    assert_eq!(left.pack_files().unwrap().len(), 2);
    assert_eq!(blobs.iter().filter(|blob| left.index().find(&BlobId::of(blob)).is_some()).count(), 2);

    let ((), packed) = store("nothing", &|id| left.index().find(id).is_some()).unwrap();
    assert_eq!((packed.packs.len(), packed.blobs.len()), (3, 3));
    // An index is written before the pack that would be one too many, and names two more.
    assert_eq!(fs::read_dir(root.join("indexes")).unwrap().count(), 2);
    assert_eq!(blobs.iter().filter(|blob| opened().index().find(&BlobId::of(blob)).is_some()).count(), 4);
}
