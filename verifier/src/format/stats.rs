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

    /// Reads the numbers out of a manifest's `stats`, if they are msgvault's.
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}
