//! Whether the archive suddenly holds much less than the snapshot before, or looks like something else: the snapshot is
//! made all the same, and somebody is told on the day.

use msgvault_verifier::format::manifest::Manifest;
use msgvault_verifier::format::stats::ArchiveStats;
use msgvault_verifier::shrink::{Tolerance, losses};

use super::parent::Parent;
use super::{Captured, CreateRequest};

/// Databases of fewer pages are rewritten by the work of a day.
const LEAST_PAGES: u64 = 1000;

/// What is alarming about a snapshot, in sentences; nothing if all is as usual.
pub(super) fn of(
    request: &CreateRequest<'_>,
    parent: Option<&Parent>,
    captured: &Captured,
    manifest: &Manifest,
) -> Vec<String> {
    let Some(parent) = parent else { return Vec::new() };
    let mut alarms = Vec::new();
    if let Some(before) = ArchiveStats::from_json(&parent.manifest.stats_json()) {
        let tolerance = Tolerance { percent: request.alarm_drop, ..Tolerance::USUAL };
        let lost = losses(&before, &captured.stats, tolerance).into_iter();
        alarms.extend(lost.map(|loss| format!("{} fell from {} to {}", loss.what, loss.before, loss.after)));
    }
    let (before, after) = (parent.manifest.db.page_count, manifest.db.page_count);
    let is_same_size = parent.manifest.db.page_size == manifest.db.page_size;
    let changed = captured.database.changed;
    if parent.maps.is_some() && is_same_size && before >= LEAST_PAGES && is_rewritten(changed, before, after)
    {
        alarms.push(format!(
            "{changed} of {after} pages of the database changed, and it did not grow: a VACUUM does that, and so does \
             whoever encrypts the file"
        ));
    }
    alarms
}

/// Whether most pages changed and there are hardly more of them.
fn is_rewritten(changed: u64, before: u64, after: u64) -> bool {
    let is_most = changed > after.saturating_sub(changed);
    let has_not_grown = u128::from(after) * 100 <= u128::from(before) * 105;
    is_most && has_not_grown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_rewritten_when_most_changed_and_it_did_not_grow() {
        let table = [
            (501, 1000, 1000, true),
            (500, 1000, 1000, false),
            (400, 1000, 600, true),
            (900, 1000, 1050, true),
            (900, 1000, 1051, false),
            (0, 1000, 1000, false),
        ];
        for (changed, before, after, expected) in table {
            assert_eq!(is_rewritten(changed, before, after), expected, "{changed} {before} {after}");
        }
    }
}
