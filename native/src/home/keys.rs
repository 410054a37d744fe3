//! Keys of the configuration that nobody reads.
//!
//! Other sections belong to other programs, and are none of this one's business.

use toml::de::DeTable;

/// All keys of `[backup]`.
const BACKUP: [&str; 15] = [
    "repo",
    "zstd_level",
    "check",
    "dense",
    "schedule",
    "check_schedule",
    "verify_schedule",
    "verify_budget",
    "on_success",
    "on_failure",
    "on_alarm",
    "alarm",
    "keep",
    "prune_schedule",
    "hook_timeout",
];

/// The first key of `[backup]` that means nothing: where it is, in bytes, and a sentence about it. A misspelt
/// schedule would mean no backups, and nobody would be told.
pub(super) fn unknown(text: &str) -> Option<(usize, String)> {
    // What does not parse is reported by who reads the values.
    let config = DeTable::parse(text).ok()?;
    let backup = config.get_ref().get("backup")?.get_ref().as_table()?;
    let (key, _) = backup.iter().find(|(key, _)| !BACKUP.contains(&&**key.get_ref()))?;
    let name: &str = key.get_ref();
    let nearest = BACKUP.into_iter().min_by_key(|known| strsim::damerau_levenshtein(known, name))?;
    Some((key.span().start, format!("[backup] has no key {name:?}; did you mean {nearest:?}?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_told_with_the_nearest_right_one() {
        let table = [
            ("schedul = 1", Some("schedule")),
            ("Repo = 1", Some("repo")),
            ("verify-schedule = 1", Some("verify_schedule")),
            ("check-schedule = 1", Some("check_schedule")),
            ("on_sucess = 1", Some("on_success")),
            ("hook_time = 1", Some("hook_timeout")),
            ("repo = 1\nzstd_level = 1", None),
        ];
        for (line, expected) in table {
            let text = format!("[other]\nschedul = 1\n[backup]\n{line}\n");
            let found = unknown(&text);
            assert_eq!(found.is_some(), expected.is_some(), "{line}: {found:?}");
            if let (Some((at, reason)), Some(expected)) = (found, expected) {
                assert_eq!(at, text.rfind(line).unwrap());
                assert!(reason.ends_with(&format!("did you mean {expected:?}?")), "{reason}");
            }
        }
    }
}
