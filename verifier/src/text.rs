//! Text for people: untrusted text made harmless, and numbers made readable.

use std::fmt::Write;

/// Escapes what could deceive on a terminal: control characters, bidirectional marks, invisible formatting.
///
/// Ordinary text of any language stays as it is.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if deceives(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Escapes the same characters in indented JSON, as JSON does, so that the document stays the same.
pub fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        // Outside of strings JSON has only ordinary characters and the line breaks that indent it.
        if deceives(character) && character != '\n' {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a `String` cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

fn deceives(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Several lines as one, for where a line is all that there is room for.
pub fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// A number with its noun: `1 pack`, `2 packs`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Reads a number of bytes with an optional K, M, G or T: powers of 1024, also written KiB or KB.
pub fn parse_bytes(text: &str) -> Result<u64, &'static str> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit.is_empty() => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err("give bytes with an optional K, M, G or T, such as 500M or 2G"),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or("give bytes with an optional K, M, G or T, such as 500M or 2G")
}

/// Bytes with a unit: `0 B`, `1.5 KiB`, `2.0 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(unit).unwrap_or(&"PiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        let table =
            [("0", 0), ("17", 17), ("3k", 3 << 10), ("20M", 20 << 20), ("2GiB", 2 << 30), ("1TB", 1 << 40)];
        for (text, bytes) in table {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1", "1.5G", "10%", "1 G", "3ib", "3b", "20000000T", "1kk"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deceiving_characters_are_escaped_and_others_kept() {
        let table = [
            ("nightly ✂ été 日本", "nightly ✂ été 日本"),
            ("a\u{1b}[31mred", "a\\u{1b}[31mred"),
            ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
            ("line\nbreak\u{2028}", "line\\u{a}break\\u{2028}"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
        ];
        for (text, expected) in table {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn json_with_deceiving_characters_stays_the_same_document() {
        let text = "a\u{9b}31m \u{202e}gpj \u{e0041} \u{7f} \" \\ \n \u{2028} é ✂";
        let document = serde_json::json!({ "tag": text, "list": [1, 2] });
        let json = serde_json::to_string_pretty(&document).unwrap();
        let escaped = escape_json(&json);
        assert!(escaped.contains("\\u009b31m \\u202egpj \\udb40\\udc41 \\u007f"), "{escaped}");
        assert!(escaped.contains("é ✂") && escaped.lines().count() == json.lines().count());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), document);
    }

    #[test]
    fn bytes_have_units() {
        let table =
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (2 << 30, "2.0 GiB")];
        for (bytes, expected) in table {
            assert_eq!(human_bytes(bytes), expected);
        }
        assert_eq!(human_bytes(u64::MAX), "16383.9 PiB");
    }
}
