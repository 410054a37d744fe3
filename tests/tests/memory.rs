//! What a run keeps in memory about every attachment (the bound is stated in `docs/performance.md`).
//!
//! Bytes on the heap are counted at points where no work is under way, so that neither the sizes of single
//! attachments nor the timing of workers matter.

use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use msgvault::create::{self, CreateReport, CreateRequest};
use msgvault::home::{Dense, Environment, Flags, Home};
use msgvault::repo::lock::LockRequest;
use msgvault::restore::{self, RestoreRequest};
use msgvault_cli::{check_all, with_jobs};
use msgvault_freeze as freeze;
use msgvault_platform::context::{Context, SharedObserver};
use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;
use msgvault_verifier::format::zstd_frame::FrameHeader;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::store::DirectoryStore;
use msgvault_verifier::verify::{Depth, Scope, Verdict};
use msgvault_verifier::{Decompressor, Memory, Observer, Phase, Ruzstd};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Attachments of the smaller and the larger archive. Both fill packs, about whose blobs more is kept for a
/// while.
const SIZES: [u64; 2] = [1000, 5000];
/// Bytes per blob of the repository that a run may keep.
const PER_BLOB: usize = 100;
/// Bytes per blob in the index, which is always there. Less would mean that the wrong thing was counted.
const INDEX: usize = 56;
/// Bytes per page: its hash in the new map, and also in the old map if there is one.
const PER_PAGE: usize = 16;

/// Records the most that was on the heap.
struct Watch {
    before: usize,
    most: AtomicUsize,
}

impl Watch {
    fn begin() -> Self {
        Self { before: HEAP.current_usage(), most: AtomicUsize::new(0) }
    }

    fn note(&self) {
        self.most.fetch_max(HEAP.current_usage().saturating_sub(self.before), Ordering::Relaxed);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

/// Looks when every attachment is stored and the index is not yet written.
struct OfCreate(Watch);

impl Observer for OfCreate {
    fn begin(&self, phase: Phase, _: u64) {
        if phase == msgvault::phase::PUBLISH {
            self.0.note();
        }
    }
}

/// Looks when all blobs are about to be read, and when the last snapshot is about to be judged, including
/// what the earlier ones left: while a pack is read, more is kept about its blobs, and while a frame is decoded,
/// its window.
struct OfVerify<'a> {
    watch: Watch,
    left: AtomicU64,
    frames: &'a AtomicUsize,
}

impl Observer for OfVerify<'_> {
    fn cancelled(&self) -> bool {
        let is_reading = self.left.load(Ordering::Relaxed) > 0 || self.frames.load(Ordering::Relaxed) > 0;
        if !is_reading {
            self.watch.note();
        }
        false
    }

    fn begin(&self, _: Phase, total: u64) {
        self.left.store(total, Ordering::Relaxed);
        self.watch.note();
    }

    fn advance(&self, bytes: u64) {
        self.left.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Counts the frames that are being decoded.
struct Counted(Arc<AtomicUsize>);

struct Frame<'a> {
    decoded: Box<dyn Read + 'a>,
    frames: Arc<AtomicUsize>,
}

impl Decompressor for Counted {
    fn decoder<'a>(
        &self,
        header: &FrameHeader,
        frame: &'a mut dyn BufRead,
    ) -> io::Result<Box<dyn Read + 'a>> {
        let decoded = Ruzstd.decoder(header, frame)?;
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Frame { decoded, frames: Arc::clone(&self.0) }))
    }
}

impl Read for Frame<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoded.read(buffer)
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        self.frames.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Looks when a phase begins, and after the last attachment.
struct OfRestore(Watch);

impl Observer for OfRestore {
    fn begin(&self, _: Phase, _: u64) {
        self.0.note();
    }

    fn reached(&self, step: &'static str) -> std::io::Result<()> {
        if step == "restore.attachments.written" {
            self.0.note();
        }
        Ok(())
    }
}

/// Runs `work` with a context whose random numbers start from `seed`.
fn in_context<T>(observer: SharedObserver<'_>, seed: u128, work: impl FnOnce(&Context<'_>) -> T) -> T {
    let drawn = AtomicU64::new(0);
    let random = || (seed << 64) + u128::from(drawn.fetch_add(1, Ordering::Relaxed));
    work(&Context { observer, now: &jiff::Timestamp::now, random: &random })
}

/// Creates a snapshot; also returns the bytes that the run kept.
fn create(scene: &Scene, seed: u128) -> (CreateReport, usize) {
    let flags = Flags { home: Some(scene.home()), config: None };
    let home = Home::resolve(&flags, &Environment::default(), Path::new("/")).unwrap();
    let repo = scene.repo();
    let watch = OfCreate(Watch::begin());
    let pause = |_: Duration| {};
    let report = in_context(&watch, seed, |context| {
        let asked = freeze::Request {
            data_dir: &home.data_dir,
            api_key: "",
            patience: Duration::ZERO,
            pause: &pause,
        };
        let mut freezer = freeze::acquire(context, &asked).unwrap();
        let request = CreateRequest {
            home: &home,
            repo: &repo,
            tag: "",
            include_config: false,
            include_tokens: false,
            allow_plaintext_secrets: false,
            jobs: 2,
            zstd_level: 0,
            dense: Dense::default(),
            force_unlock: false,
            retry_lock: Duration::ZERO,
            check: false,
            accept_clock: false,
            alarm_drop: 5,
            dry_run: false,
            version: "0.0.0-test",
            host: "here",
            pid: 1,
            log_limit: None,
            pause: &pause,
        };
        create::run(context, &request, freezer.as_mut()).unwrap()
    });
    (report, watch.0.most())
}

/// Verifies all snapshots; returns the bytes that the run kept.
fn verify(scene: &Scene) -> usize {
    let frames = Arc::new(AtomicUsize::new(0));
    let watch = OfVerify { watch: Watch::begin(), left: AtomicU64::new(0), frames: &frames };
    let decompressor = Counted(Arc::clone(&frames));
    let repository = Repository::open(DirectoryStore::new(scene.repo()), decompressor).unwrap();
    let report = with_jobs(1, || check_all(&repository, &Scope::All, Depth::Full, &watch)).unwrap();
    assert_eq!(report.verdict, Verdict::Intact, "{}", report.to_text());
    watch.watch.most()
}

/// Restores a snapshot; returns the bytes that the run kept.
fn restore(scene: &Scene, report: &CreateReport) -> usize {
    let watch = OfRestore(Watch::begin());
    let (root, target) = (scene.repo(), scene.beside("restored"));
    let lock = LockRequest {
        root: &root,
        operation: "restore",
        host: "here",
        pid: 1,
        force: false,
        patience: Duration::ZERO,
        pause: &|_| {},
    };
    let request = RestoreRequest {
        expect_content: None,
        lock,
        snapshot: report.snapshot_id.as_ref().unwrap(),
        target: &target,
        overwrite: false,
        integrity_check: false,
        jobs: 1,
        memory: Memory::unlimited(),
        live_homes: &[],
    };
    let restored = in_context(&watch, 9, |context| restore::run(context, &request)).unwrap();
    assert_eq!(restored.attachments, report.attachments.blobs);
    watch.0.most()
}

/// What every command kept for an archive with this many attachments, apart from pages, and the number of
/// blobs.
fn kept(attachments: u64) -> (Vec<(&'static str, usize)>, usize) {
    // Large enough for several packs, because something is kept about each of them too.
    let size = attachments * 20_000;
    let options = Options {
        attachments: Some(attachments),
        messages: Some(500),
        namespaced: true,
        size,
        ..Options::default()
    };
    let scene = Scene::new(&options);
    let (first, by_first) = create(&scene, 1);
    let (second, by_second) = create(&scene, 2);
    assert_eq!((first.attachments.new, second.attachments.new), (first.attachments.blobs, 0));
    let hashes = |of: usize| of * PER_PAGE * usize::try_from(first.pages.total).unwrap();
    let kept = vec![
        ("create", by_first - hashes(1)),
        ("create, nothing changed", by_second - hashes(2)),
        ("verify", verify(&scene) - hashes(2)),
        ("restore", restore(&scene, &second) - hashes(1)),
    ];
    (kept, usize::try_from(first.attachments.blobs).unwrap())
}

#[test]
fn a_run_keeps_less_than_100_bytes_per_attachment() {
    let [(small, few), (large, many)] = SIZES.map(kept);
    let mut told = Vec::new();
    for ((command, small), (_, large)) in small.into_iter().zip(large) {
        told.push((command, large.saturating_sub(small) / (many - few), small, large));
    }
    println!("{few} and {many} attachments: (command, bytes each, for the few, for the many) {told:?}");
    assert!(told.iter().all(|(_, each, ..)| (INDEX..PER_BLOB).contains(each)), "{told:?}");
}
