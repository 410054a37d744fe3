//! Values of SQLite as the Go program spells them where a text is wanted.

use rusqlite::types::ValueRef;

/// The text of a value; empty for NULL. Invalid UTF-8 becomes U+FFFD.
pub(super) fn of(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => float(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The shortest digits that read back the same; with an exponent of at least two digits where it is below -4, or
/// 6 and more.
fn float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelled_as_the_go_program_does() {
        for (number, text) in [
            (0.0, "0"),
            (-1.5, "-1.5"),
            (100_000.0, "100000"),
            (999_999.5, "999999.5"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (1_700_000_000.25, "1.70000000025e+09"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (1e100, "1e+100"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(of(ValueRef::Real(number)), text);
        }
    }

    #[test]
    fn other_values_are_the_text_that_they_hold() {
        assert_eq!(of(ValueRef::Null), "");
        assert_eq!(of(ValueRef::Integer(-7)), "-7");
        assert_eq!(of(ValueRef::Text(b"a\xff")), "a\u{fffd}");
        assert_eq!(of(ValueRef::Blob(b"2026")), "2026");
    }
}
