//! What a daemon tells about its work: lines of `key=value`, which people and programs read.

use std::fmt::Write;

use jiff::Timestamp;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What is done and why, for who asked to be told.
    Debug,
    /// The course of things.
    Info,
    /// Something that the owner should look at.
    Warn,
    /// Something failed.
    Error,
}

/// One line without its end: `time=… level=INFO msg="http request" method=GET`.
pub fn line(time: Timestamp, level: Level, message: &str, fields: &[(&str, String)]) -> String {
    let level = match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    let mut line =
        format!("time={} level={level} msg={}", time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"), value(message));
    for (key, text) in fields {
        let _ = write!(line, " {key}={}", value(text));
    }
    line
}

/// A value as it is, or quoted when it would not end where it seems to. Nothing that a terminal obeys is
/// left in it.
fn value(text: &str) -> String {
    let plain = |char: char| char.is_ascii_graphic() && !matches!(char, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("{:?}", msgvault_verifier::text::escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_fields_that_end() {
        let time: Timestamp = "2026-11-23T14:22:10.6021Z".parse().unwrap();
        let fields = [("path", "/api/ping".to_owned()), ("text", "a \"b\"\n\u{1b}[1m".to_owned())];
        let line = line(time, Level::Error, "http request", &fields);
        assert!(line.starts_with(
            r#"time=2026-11-23T14:22:10.602Z level=ERROR msg="http request" path=/api/ping text="a \"b\""#
        ));
        assert!(!line.contains('\n') && !line.contains('\u{1b}'));
    }
}
