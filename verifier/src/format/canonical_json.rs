//! The one spelling of JSON that snapshot IDs are computed over (`docs/format.md` §9).
//!
//! Two forms of the same text: compact, which is hashed, and indented by two spaces, which is stored.

use std::fmt::Write;

/// Writes compact canonical JSON.
#[derive(Default)]
pub struct Writer {
    out: String,
    needs_comma: bool,
}

impl Writer {
    /// The text written so far.
    pub fn finish(self) -> String {
        self.out
    }

    /// Writes an object whose members `members` writes.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.nested('{', '}', members);
    }

    /// Writes an array whose items `items` writes.
    pub fn array(&mut self, items: impl FnOnce(&mut Self)) {
        self.nested('[', ']', items);
    }

    /// Writes a member's name; its value comes next.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.separate();
        write_string(&mut self.out, name);
        self.out.push(':');
        self.needs_comma = false;
        self
    }

    /// Writes a string.
    pub fn string(&mut self, text: &str) {
        self.separate();
        write_string(&mut self.out, text);
    }

    /// Writes a value that is JSON already, compact and canonical.
    pub fn raw(&mut self, json: &str) {
        self.separate();
        self.out.push_str(json);
    }

    /// Writes an integer.
    pub fn integer(&mut self, value: u64) {
        self.raw(&value.to_string());
    }

    /// Writes `true` or `false`.
    pub fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// Writes a finite float; anything else becomes `0`, which no reader can mistake for a number that was
    /// measured.
    pub fn float(&mut self, value: f64) {
        self.raw(&format_float(value));
    }

    fn nested(&mut self, open: char, close: char, inner: impl FnOnce(&mut Self)) {
        self.separate();
        self.out.push(open);
        self.needs_comma = false;
        inner(self);
        self.out.push(close);
        self.needs_comma = true;
    }

    fn separate(&mut self) {
        if self.needs_comma {
            self.out.push(',');
        }
        self.needs_comma = true;
    }
}

/// The shortest decimal that reads back the same; an exponent only below 1e-6 and from 1e21 on.
pub fn format_float(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let magnitude = value.abs();
    if value != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
            _ => text,
        };
    }
    format!("{value}")
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => push_escape(out, character),
            other => push_html_safe(out, other),
        }
    }
    out.push('"');
}

fn push_html_safe(out: &mut String, character: char) {
    match character {
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => push_escape(out, character),
        other => out.push(other),
    }
}

fn push_escape(out: &mut String, character: char) {
    // Writing to a `String` cannot fail.
    let _ = write!(out, "\\u{:04x}", u32::from(character));
}

/// Takes the white space out of valid JSON and escapes what the canonical form escapes.
///
/// Numbers, keys and escapes that are there already keep their spelling.
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut in_string = false;
    let mut escaped = false;
    for character in json.chars() {
        if in_string {
            push_html_safe(&mut out, character);
            if escaped {
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == '"' {
                in_string = false;
            }
        } else if !matches!(character, ' ' | '\t' | '\n' | '\r') {
            in_string = character == '"';
            out.push(character);
        }
    }
    out
}

/// Indents compact JSON by two spaces; empty objects and arrays stay on one line.
pub fn indent(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len().saturating_mul(2));
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut opened = false;
    for character in compact.chars() {
        if in_string {
            out.push(character);
            if escaped {
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == '"' {
                in_string = false;
            }
            continue;
        }
        let closes = matches!(character, '}' | ']');
        if opened && !closes {
            new_line(&mut out, depth);
        }
        match character {
            '{' | '[' => {
                out.push(character);
                depth = depth.saturating_add(1);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !opened {
                    new_line(&mut out, depth);
                }
                out.push(character);
            }
            ',' => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            other => {
                in_string = other == '"';
                out.push(other);
            }
        }
        opened = matches!(character, '{' | '[');
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_the_canonical_way() {
        let table = [
            ("plain ✂ é", "\"plain ✂ é\""),
            ("<b>&\"q\"\\", r#""\u003cb\u003e\u0026\"q\"\\""#),
            ("\u{2028}\u{2029}", r#""\u2028\u2029""#),
            ("\n\r\t\u{8}\u{c}", r#""\n\r\t\b\f""#),
            ("\0\u{1}\u{1f}", r#""\u0000\u0001\u001f""#),
            ("\u{7f}/", "\"\u{7f}/\""),
        ];
        for (text, expected) in table {
            let mut writer = Writer::default();
            writer.string(text);
            assert_eq!(writer.finish(), expected);
        }
    }

    #[test]
    fn floats_are_the_shortest_that_read_back() {
        let table = [
            (0.0, "0"),
            (12.0, "12"),
            (0.043_863, "0.043863"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.25e22, "1.25e+22"),
            (-3.5, "-3.5"),
            (0.1 + 0.2, "0.30000000000000004"),
        ];
        for (value, expected) in table {
            assert_eq!(format_float(value), expected);
        }
    }

    #[test]
    fn compacting_keeps_spelling_and_escapes_markup() {
        let json = "{ \"a b\" : [ 1.50, 1e3 , \"x \\\" <&\u{2028}\\u00e9\" ] ,\n\t\"c\":{ }, \"d\": null }";
        let expected = "{\"a b\":[1.50,1e3,\"x \\\" \\u003c\\u0026\\u2028\\u00e9\"],\"c\":{},\"d\":null}";
        assert_eq!(compact(json), expected);
        assert_eq!(compact(expected), expected);
    }

    #[test]
    fn indenting_is_undone_by_compacting() {
        let json = r#"{"a":[],"b":{},"c":[1,{"d":"{[,:]} \" "}],"e":""}"#;
        let indented = indent(json);
        assert_eq!(
            indented,
            "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"{[,:]} \\\" \"\n    }\n  ],\n  \"e\": \"\"\n}"
        );
        assert_eq!(compact(&indented), json);
    }
}
