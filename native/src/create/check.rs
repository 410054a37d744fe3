//! SQLite's own check of the database that is captured: damage of the archive is told when it is captured, and not
//! when it is needed.

use super::report::{DatabaseCheck, seconds};
use super::{Capture, CreateError};
use crate::archive::session::Pinned;
use crate::phase;

/// Checks the pinned database if that is asked for. It is captured either way: an archive that is damaged needs
/// what can be had of it.
pub(super) fn check(capture: &Capture<'_>, pinned: &Pinned) -> Result<Option<DatabaseCheck>, CreateError> {
    if !capture.request.check {
        return Ok(None);
    }
    let observer = capture.context.observer;
    observer.begin(phase::CHECK_DATABASE, 0);
    let began = (capture.context.now)();
    let checked = pinned.quick_check();
    if observer.cancelled() {
        return Err(CreateError::Cancelled);
    }
    let findings = checked?;
    let seconds = seconds(began, (capture.context.now)());
    Ok(Some(DatabaseCheck { sound: findings.is_empty(), findings, seconds }))
}
