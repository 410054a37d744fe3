//! What nothing needs is condemned first, and goes when it has been condemned long enough.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use msgvault_platform::context::Context;
use msgvault_verifier::format::id::PackId;
use msgvault_verifier::repository::Repository;

use super::plan::{PackUse, PrunePlan};
use super::{PruneError, PruneReport, PruneRequest};
use crate::repo::files;
use crate::repo::lock::Lock;
use crate::repo::sums::{self, FileSums};
use crate::retention::{Condemned, Pruned, forgotten_manifests, newest_prune, record_prune};

/// Everything that nothing needs, the index no longer naming it.
struct Sweep {
    /// Manifests in the trash.
    manifests: Vec<Condemned>,
    /// Packs, with their bytes.
    packs: Vec<(Condemned, u64)>,
}

/// What this run wrote, and what that takes the place of.
pub(super) struct Changed<'a> {
    /// Index files that are of no use any more.
    pub(super) old_indexes: &'a [String],
    /// The sums of new packs and indexes.
    pub(super) sums: FileSums,
}

/// Condemns what is newly found, has old indexes removed, and then what was condemned long enough ago. The record
/// comes first, and sums without what goes.
pub(super) fn sweep(
    context: &Context<'_>,
    request: &PruneRequest<'_>,
    repository: &Repository,
    plan: &PrunePlan,
    changed: Changed<'_>,
    lock: &Lock,
    report: &mut PruneReport,
) -> Result<(), PruneError> {
    let now = (context.now)();
    let Changed { old_indexes, sums } = changed;
    let (gone, condemned) = Sweep::of(request, repository, plan, now)?.divide(request, now, report);
    if gone.is_empty() && condemned.is_empty() && old_indexes.is_empty() {
        return Ok(());
    }
    let removed = old_indexes.iter().chain(&gone).cloned().collect();
    report.record = record_prune(context, request.root, request.by, Pruned { condemned, removed })?;
    lock.still_held()?;
    sums::restate(context, request.root, old_indexes.iter().chain(&gone).cloned(), sums)?;
    for files in [old_indexes, &gone] {
        // Indexes first: from then on no writer can refer to what nothing needs.
        lock.still_held()?;
        files::remove(context, request.root, files)?;
    }
    Ok(())
}

/// Says what would be removed and what would wait.
pub(super) fn preview(
    context: &Context<'_>,
    request: &PruneRequest<'_>,
    repository: &Repository,
    plan: &PrunePlan,
    report: &mut PruneReport,
) -> Result<(), PruneError> {
    let now = (context.now)();
    Sweep::of(request, repository, plan, now)?.divide(request, now, report);
    Ok(())
}

impl Sweep {
    fn of(
        request: &PruneRequest<'_>,
        repository: &Repository,
        plan: &PrunePlan,
        now: Timestamp,
    ) -> Result<Self, PruneError> {
        let before = newest_prune(request.root)?.condemned;
        let since: HashMap<&str, Timestamp> =
            before.iter().map(|condemned| (&*condemned.file, condemned.since)).collect();
        // Until now an index named it, and somebody may have begun to read it.
        let named: HashSet<&PackId> = repository.index().packs().iter().collect();
        let condemn = |file: String, starts_now: bool| {
            let since = since.get(&*file).copied().filter(|since| !starts_now && *since <= now);
            Condemned { file, since: since.unwrap_or(now) }
        };
        let packs = plan
            .dead
            .iter()
            .chain(&plan.repack)
            .map(|PackUse { id, len, .. }| (condemn(id.path(), named.contains(id)), *len));
        let manifests = forgotten_manifests(repository.store())?;
        Ok(Self {
            packs: packs.collect(),
            manifests: manifests.into_iter().map(|file| condemn(file, false)).collect(),
        })
    }

    /// The files that go, manifests first, and those that wait.
    fn divide(
        self,
        request: &PruneRequest<'_>,
        now: Timestamp,
        report: &mut PruneReport,
    ) -> (Vec<String>, Vec<Condemned>) {
        let may_go = |condemned: &Condemned| now.duration_since(condemned.since) >= request.grace;
        let (mut gone, mut waiting) = (Vec::new(), Vec::new());
        for manifest in self.manifests {
            if may_go(&manifest) {
                report.forgotten_removed += 1;
                gone.push(manifest.file);
            } else {
                waiting.push(manifest);
            }
        }
        let packs = &mut report.packs;
        for (pack, len) in self.packs {
            let (number, bytes) = if may_go(&pack) {
                gone.push(pack.file);
                (&mut packs.removed, &mut packs.removed_bytes)
            } else {
                waiting.push(pack);
                (&mut packs.waiting, &mut packs.waiting_bytes)
            };
            *number += 1;
            *bytes = bytes.saturating_add(len);
        }
        (gone, waiting)
    }
}
