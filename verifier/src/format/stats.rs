//! The numbers that a manifest keeps about the archive (`docs/format.md` §9, `stats`).

use serde::{Deserialize, Serialize};

use super::canonical_json::Writer;

/// What msgvault counts. To the repository format the value is opaque JSON; restore proves itself by
/// computing these numbers again and comparing the compact text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveStats {
    /// Rows of `messages`.
    pub messages: u64,
    /// Rows of `conversations`.
    pub conversations: u64,
    /// Rows of `sources`.
    pub sources: u64,
    /// Rows of `account_identities`.
    pub accounts: u64,
    /// Rows of `attachments`.
    pub attachment_rows: u64,
    /// Distinct hashes of contents and thumbnails.
    pub attachment_blobs: u64,
    /// Rows of `labels`.
    pub labels: u64,
    /// The smallest and the largest `messages.sent_at`, empty when there is none.
    pub date_range: [String; 2],
}

impl ArchiveStats {
    /// The compact canonical JSON.
    pub fn to_json(&self) -> String {
        let mut writer = Writer::default();
        writer.object(|w| {
            w.key("messages").integer(self.messages);
            w.key("conversations").integer(self.conversations);
            w.key("sources").integer(self.sources);
            w.key("accounts").integer(self.accounts);
            w.key("attachment_rows").integer(self.attachment_rows);
            w.key("attachment_blobs").integer(self.attachment_blobs);
            w.key("labels").integer(self.labels);
            w.key("date_range").array(|w| self.date_range.iter().for_each(|date| w.string(date)));
        });
        writer.finish()
    }

    /// Whether a manifest's `stats` say the same. Programs have spelled one floating-point date in several ways.
    pub fn is_told_by(&self, json: &str) -> bool {
        let json_of_known = |told: &Self| told.to_json() == json;
        let Some(told) = Self::from_json(json).filter(json_of_known) else { return false };
        let number = |text: &String| text.parse::<f64>().ok();
        let mut dates = self.date_range.iter().zip(&told.date_range);
        let same_dates = dates.all(|(a, b)| a == b || (number(a).is_some() && number(a) == number(b)));
        same_dates && Self { date_range: self.date_range.clone(), ..told } == *self
    }

    /// Reads the numbers out of a manifest's `stats`, if they are msgvault's.
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_in_two_spellings_is_the_same_date() {
        let stats = |first: &str, messages| ArchiveStats {
            messages,
            conversations: 2,
            sources: 3,
            accounts: 4,
            attachment_rows: 5,
            attachment_blobs: 6,
            labels: 7,
            date_range: [first.to_owned(), "2026-01-01".to_owned()],
        };
        let ours = stats("1.2345675e+06", 1);
        assert!(ours.is_told_by(&ours.to_json()));
        assert!(ours.is_told_by(&stats("1234567.5", 1).to_json()));
        for other in [stats("1234567.6", 1), stats("", 1), stats("2026", 1), stats("1234567.5", 2)] {
            assert!(!ours.is_told_by(&other.to_json()), "{other:?}");
        }
        assert!(!stats("2026-01-01", 1).is_told_by(&stats("2026-01-02", 1).to_json()));
        let more = ours.to_json().replace("\"labels\":7", "\"labels\":7,\"more\":8");
        assert!(!ours.is_told_by(&more));
    }
}
