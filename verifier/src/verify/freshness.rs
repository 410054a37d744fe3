//! How lately the packs of a repository were read, as a report tells it.

use serde::Serialize;

use crate::length::to_usize;
use crate::text::count;

pub(super) const SECONDS_A_DAY: u64 = 86_400;

/// How much of a repository was read in a run, and when the rest was or will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rolling {
    /// Packs that the snapshots need that were asked for.
    pub packs: usize,
    /// Those of them whose content was read in this run.
    pub packs_read: usize,
    /// Those of which nobody knows that they were ever read and found intact.
    pub never_read: usize,
    /// When the one of the others was read that is longest unread.
    pub oldest_read_at: Option<String>,
    /// Within how many days the rest will have been read, if it goes on like this; none when that is not known.
    pub rest_days: Option<u64>,
    /// What was asked about how long ago packs were read.
    pub max_age: Option<MaxAge>,
}

/// How long ago a pack may have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MaxAge {
    /// So many seconds.
    pub seconds: u64,
    /// Packs that were not read within that.
    pub overdue: usize,
}

impl Rolling {
    /// Whether a pack was not read as lately as it should have been.
    pub fn is_overdue(&self) -> bool {
        self.max_age.is_some_and(|age| age.overdue > 0)
    }

    /// In words, a sentence or two.
    pub(super) fn sentences(&self) -> String {
        let read = format!("{} of {} read now", self.packs_read, count(self.packs, "pack"));
        let rest = match self.rest_days {
            Some(0) => ".".to_owned(),
            Some(days) => format!(", the rest within {}.", count(to_usize(days), "day")),
            None => "; when the rest will have been read is not known before there are more runs.".to_owned(),
        };
        let overdue = self.max_age.filter(|_| self.is_overdue()).map(|age| self.overdue(age));
        format!("{read}{rest}{}", overdue.unwrap_or_default())
    }

    fn overdue(&self, MaxAge { seconds, overdue }: MaxAge) -> String {
        let (packs, age) = (count(self.packs, "pack"), age_text(seconds));
        let never = match self.never_read {
            0 => String::new(),
            never => format!(", and {never} of them never, as far as the repository knows"),
        };
        format!(
            " OVERDUE: {overdue} of {packs} not read within {age}{never}; run `msgvault backup verify --oldest`, \
             with a larger budget or more often."
        )
    }
}

/// A time in its largest unit that gives a whole number.
fn age_text(seconds: u64) -> String {
    let units = [(SECONDS_A_DAY, "day"), (3600, "hour"), (60, "minute")];
    let (len, unit) =
        units.into_iter().find(|(len, _)| seconds.is_multiple_of(*len)).unwrap_or((1, "second"));
    count(to_usize(seconds / len), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_told_in_words() {
        let rolling = Rolling {
            packs: 112,
            packs_read: 17,
            never_read: 0,
            oldest_read_at: None,
            rest_days: Some(41),
            max_age: None,
        };
        assert_eq!(rolling.sentences(), "17 of 112 packs read now, the rest within 41 days.");
        let unknown = Rolling { rest_days: None, ..rolling.clone() };
        assert!(unknown.sentences().contains("is not known"), "{}", unknown.sentences());
        let age = |seconds, overdue| Rolling {
            max_age: Some(MaxAge { seconds, overdue }),
            rest_days: Some(0),
            ..rolling.clone()
        };
        assert!(!age(60, 0).is_overdue() && !age(60, 0).sentences().contains("OVERDUE"));
        for (seconds, text) in
            [(90 * 86_400, "90 days"), (5400, "90 minutes"), (1, "1 second"), (7200, "2 hours")]
        {
            let told = age(seconds, 3).sentences();
            assert!(told.contains(&format!("OVERDUE: 3 of 112 packs not read within {text}; run")), "{told}");
        }
    }
}
