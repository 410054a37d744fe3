//! Why something could not be done, told to the page.

use msgvault_verifier::format::config::ConfigError;
use msgvault_verifier::repository::OpenError;
use serde::Serialize;
use wasm_bindgen::JsValue;

/// Sent as JSON: the page chooses its advice by `kind`, and shows `message`.
#[derive(Debug, Serialize)]
pub(crate) struct CallFailure {
    kind: &'static str,
    message: String,
}

impl CallFailure {
    /// What was asked for cannot be had.
    pub(crate) fn of(error: impl ToString) -> Self {
        Self { kind: "failed", message: error.to_string() }
    }
}

impl From<OpenError> for CallFailure {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Missing(_) | OpenError::NotARepository => "no-repository",
            OpenError::Config(ConfigError::TooNew { .. }) => "too-new",
            OpenError::Config(ConfigError::Encrypted { .. }) => "encrypted",
            OpenError::Store(_) => "unreadable",
            _ => "damaged-config",
        };
        Self { kind, message: error.to_string() }
    }
}

impl From<CallFailure> for JsValue {
    fn from(failure: CallFailure) -> Self {
        let json = serde_json::to_string(&failure);
        JsValue::from_str(&json.unwrap_or(failure.message))
    }
}
