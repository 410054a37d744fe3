//! Words that the page and the programs share.

use msgvault_verifier::verify::ProblemCode;
use serde_json::{Map, Value};
use wasm_bindgen::prelude::wasm_bindgen;

/// Makes text from a repository harmless to look at.
#[wasm_bindgen]
pub fn escape(text: &str) -> String {
    msgvault_verifier::text::escape(text)
}

/// A number of bytes with a unit; what cannot be one counts as 0.
#[wasm_bindgen(js_name = humanBytes)]
pub fn human_bytes(bytes: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is only shown to people"
    )]
    let whole = bytes as u64;
    msgvault_verifier::text::human_bytes(whole)
}

/// What every problem code means, as an object of texts.
#[wasm_bindgen(js_name = problemMeanings)]
pub fn problem_meanings() -> String {
    let meaning = |code: &ProblemCode| (code.as_str().to_owned(), Value::from(code.meaning()));
    Value::Object(ProblemCode::ALL.iter().map(meaning).collect::<Map<_, _>>()).to_string()
}

/// The version of the verifier.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
