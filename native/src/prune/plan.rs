//! What happens to every pack.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use msgvault_verifier::format::id::PackId;
use msgvault_verifier::format::pack;
use msgvault_verifier::repository::Repository;
use msgvault_verifier::text::parse_bytes;

use super::mark::Live;
use super::{PruneError, PruneReport, PruneRequest};

/// How much of the packs that stay may be of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxUnused {
    /// Hundredths of the bytes that stay.
    Percent(u8),
    /// Bytes.
    Bytes(u64),
}

impl FromStr for MaxUnused {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "give a part such as 10%, or bytes such as 500M or 2G";
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent = percent.parse().ok().filter(|percent| *percent <= 100);
                percent.map(Self::Percent).ok_or(EXPECTED)
            }
            None => parse_bytes(text).map(Self::Bytes).map_err(|_| EXPECTED),
        }
    }
}

/// A pack, and what of it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackUse {
    pub(super) id: PackId,
    /// Bytes of the file.
    pub(super) len: u64,
    /// Needed blobs in it.
    pub(super) blobs: u64,
    /// Bytes that a pack of them alone would have.
    pub(super) needed: u64,
}

impl PackUse {
    fn unused(&self) -> u64 {
        self.len.saturating_sub(self.needed)
    }
}

/// What happens to every pack.
#[derive(Debug, Default)]
pub(super) struct PrunePlan {
    /// Packs that stay as they are.
    pub(super) kept: Vec<PackUse>,
    /// Packs whose needed blobs go into new packs, worst first.
    pub(super) repack: Vec<PackUse>,
    /// Packs that nothing needs.
    pub(super) dead: Vec<PackUse>,
}

pub(super) fn plan(
    repository: &Repository,
    live: &Live,
    request: &PruneRequest<'_>,
) -> Result<PrunePlan, PruneError> {
    let mut plan = PrunePlan::default();
    for pack in pack_uses(repository, live)? {
        if pack.blobs == 0 { plan.dead.push(pack) } else { plan.kept.push(pack) }
    }
    plan.choose(request.max_unused, request.max_repack);
    Ok(plan)
}

/// Every pack that is there, in the order of their names.
fn pack_uses(repository: &Repository, live: &Live) -> Result<Vec<PackUse>, PruneError> {
    let index = repository.index();
    let mut needed: HashMap<PackId, (u64, u64)> = HashMap::new();
    for position in (0..index.len()).filter(|position| live.contains(*position)) {
        if let Some(location) = index.at(position) {
            let (blobs, bytes) = needed.entry(location.pack).or_default();
            *blobs = blobs.saturating_add(1);
            *bytes = bytes.saturating_add(location.stored_len);
        }
    }
    let mut uses = Vec::new();
    for (id, len) in repository.pack_files()? {
        let (blobs, bytes) = needed.get(&id).copied().unwrap_or_default();
        let needed = pack::file_len(blobs, bytes);
        uses.push(PackUse { id, len, blobs, needed });
    }
    Ok(uses)
}

impl PrunePlan {
    /// Takes packs for repacking, worst first, until little enough of what stays is of no use.
    fn choose(&mut self, max_unused: MaxUnused, max_repack: Option<u64>) {
        let mut unused: u64 = self.kept.iter().map(PackUse::unused).sum();
        let needed: u64 = self.kept.iter().map(|pack| pack.needed).sum();
        let is_too_much = |unused: u64| match max_unused {
            MaxUnused::Bytes(limit) => unused > limit,
            MaxUnused::Percent(percent) => {
                let total = u128::from(unused) + u128::from(needed);
                u128::from(unused) * 100 > total * u128::from(percent)
            }
        };
        self.kept.sort_by_key(|pack| {
            let part = u128::from(pack.unused()) * 1_000_000 / u128::from(pack.len.max(1));
            (std::cmp::Reverse(part), pack.id)
        });
        let mut copied = 0u64;
        let mut kept = Vec::new();
        for pack in std::mem::take(&mut self.kept) {
            let after = copied.saturating_add(pack.needed);
            let is_chosen =
                pack.unused() > 0 && is_too_much(unused) && max_repack.is_none_or(|limit| after <= limit);
            if is_chosen {
                copied = after;
                unused = unused.saturating_sub(pack.unused());
                self.repack.push(pack);
            } else {
                kept.push(pack);
            }
        }
        kept.sort_by_key(|pack| pack.id);
        self.kept = kept;
    }

    /// Whether the indexes name a blob that nothing needs, or a pack that does not stay as it is.
    pub(super) fn changes_the_index(&self, repository: &Repository, live: &Live) -> bool {
        let index = repository.index();
        let kept: HashSet<PackId> = self.kept.iter().map(|pack| pack.id).collect();
        index.packs().iter().any(|pack| !kept.contains(pack))
            || (0..index.len()).any(|position| !live.contains(position))
    }

    /// What stays and what is written anew.
    pub(super) fn tell(&self, report: &mut PruneReport) {
        let packs = &mut report.packs;
        packs.kept = self.kept.len();
        packs.repacked = self.repack.len();
        packs.written = self.repack.len();
        packs.repacked_bytes = self.repack.iter().map(|pack| pack.needed).sum();
        packs.unused_bytes = self.kept.iter().map(PackUse::unused).sum();
        packs.kept_bytes = self.kept.iter().map(|pack| pack.len).sum::<u64>() + packs.repacked_bytes;
    }
}
