//! How much an archive lost from one snapshot to a later one: the one rule for the alarm, the list and the guards of
//! forgetting.

use serde::Serialize;

use crate::format::stats::ArchiveStats;

/// What may be lost without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// Hundredths of what there was.
    pub percent: u8,
    /// Rows.
    pub rows: u64,
}

impl Tolerance {
    /// What is told of unless somebody asks for something else.
    pub const USUAL: Self = Self { percent: 5, rows: 20 };
    /// What makes nobody less of a keeper.
    pub const OF_KEEPERS: Self = Self { percent: 10, rows: 0 };

    /// Whether more was lost than that, by share and by number.
    pub fn is_exceeded(self, before: u64, after: u64) -> bool {
        let lost = before.saturating_sub(after);
        lost > self.rows && u128::from(lost) * 100 > u128::from(before) * u128::from(self.percent)
    }
}

/// Something that there is much less of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shrinkage {
    /// `messages`, `attachments` or `sources`.
    pub what: &'static str,
    /// How many there were.
    pub before: u64,
    /// How many there are.
    pub after: u64,
}

/// What there is less of than is tolerated.
pub fn losses(before: &ArchiveStats, after: &ArchiveStats, tolerance: Tolerance) -> Vec<Shrinkage> {
    let counts = [
        ("messages", before.messages, after.messages),
        ("attachments", before.attachment_rows, after.attachment_rows),
        ("sources", before.sources, after.sources),
    ];
    let exceeded = counts.into_iter().filter(|(_, before, after)| tolerance.is_exceeded(*before, *after));
    exceeded.map(|(what, before, after)| Shrinkage { what, before, after }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_counts_by_share_and_by_number() {
        let table = [
            (1000, 950, false),
            (1000, 949, true),
            (100, 80, false),
            (100, 79, true),
            (20, 0, false),
            (21, 0, true),
            (5, 500, false),
            (0, 0, false),
            (u64::MAX, 0, true),
        ];
        for (before, after, expected) in table {
            assert_eq!(Tolerance::USUAL.is_exceeded(before, after), expected, "{before} {after}");
        }
        // Nine tenths are enough for a keeper.
        assert!(!Tolerance::OF_KEEPERS.is_exceeded(10, 9));
        assert!(Tolerance::OF_KEEPERS.is_exceeded(10, 8));
    }
}
