//! What a run keeps in memory about every attachment (the bound is stated in `docs/performance.md`).
//!
//! Bytes on the heap are counted, at points where nothing is under way, so that the number of workers and their
//! luck play no part.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use msgvault::context::Context;
use msgvault::create::{self, CreateReport, CreateRequest};
use msgvault::freeze;
use msgvault::home::{Environment, Flags, Home};
use msgvault_tests::sample::Options;
use msgvault_tests::scene::Scene;
use msgvault_verifier::{Observer, Phase};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Attachments of the smaller and the larger archive.
const SIZES: [u64; 2] = [300, 5300];
/// Bytes a blob of the repository that a run may keep.
const A_BLOB: usize = 100;
/// Bytes a page: its hash in the new map, and in the second run in the old one too.
const A_PAGE: [usize; 2] = [16, 32];

/// Notes what is on the heap when every attachment is stored and the index not yet written.
struct Watch {
    before: usize,
    kept: AtomicUsize,
}

impl Observer for Watch {
    fn begin(&self, phase: Phase, _: u64) {
        if phase == Phase::Publish {
            self.kept.store(HEAP.current_usage().saturating_sub(self.before), Ordering::Relaxed);
        }
    }
}

/// Makes a snapshot; gives the bytes that the run kept too.
fn create(scene: &Scene, seed: u64) -> (CreateReport, usize) {
    let flags = Flags { home: Some(scene.home()), config: None };
    let home = Home::resolve(&flags, &Environment::default(), Path::new("/")).unwrap();
    let repo = scene.repo();
    let watch = Watch { before: HEAP.current_usage(), kept: AtomicUsize::new(0) };
    let numbers = AtomicU64::new(seed);
    let random = || u128::from(numbers.fetch_add(1, Ordering::Relaxed));
    let context = Context { observer: &watch, now: &jiff::Timestamp::now, random: &random };
    let pause = |_: Duration| {};
    let asked =
        freeze::Request { data_dir: &home.data_dir, api_key: "", patience: Duration::ZERO, pause: &pause };
    let mut freezer = freeze::acquire(&context, &asked).unwrap();
    let request = CreateRequest {
        home: &home,
        repo: &repo,
        tag: "",
        include_config: false,
        include_tokens: false,
        allow_plaintext_secrets: false,
        jobs: 2,
        zstd_level: 0,
        force_unlock: false,
        dry_run: false,
        version: "0.0.0-test",
        host: "here",
        pid: 1,
        pause: &pause,
    };
    let report = create::run(&context, &request, freezer.as_mut()).unwrap();
    (report, watch.kept.load(Ordering::Relaxed))
}

/// Backs an archive of so many attachments up, and once more without any change; gives what both runs kept, apart
/// from pages, and how many blobs the attachments are.
fn kept(attachments: u64) -> ([usize; 2], usize) {
    // Large enough for several packs, of each of which something is kept too.
    let size = attachments * 20_000;
    let options = Options {
        attachments: Some(attachments),
        messages: Some(500),
        namespaced: true,
        size,
        ..Options::default()
    };
    let scene = Scene::new(&options);
    let runs = [1, 2].map(|run| create(&scene, run << 32));
    let [(first, _), (second, _)] = &runs;
    assert_eq!((first.attachments.new, second.attachments.new), (first.attachments.blobs, 0));
    let blobs = usize::try_from(first.attachments.blobs).unwrap();
    let pages = |n: usize| A_PAGE[n] * usize::try_from(runs[n].0.pages.total).unwrap();
    let kept = [0, 1].map(|n| runs[n].1 - pages(n));
    (kept, blobs)
}

#[test]
fn a_run_keeps_less_than_100_bytes_an_attachment() {
    let [(small, few), (large, many)] = SIZES.map(kept);
    for (small, large) in small.into_iter().zip(large) {
        let each = large.saturating_sub(small) / (many - few);
        assert!(each < A_BLOB, "{each} bytes each: {small} for {few}, {large} for {many}");
        // The index alone has 56; less would mean that the wrong thing was counted.
        assert!(each >= 56, "{each} bytes each: {small} for {few}, {large} for {many}");
    }
}
