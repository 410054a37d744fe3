//! A defect of the program ends it as any failure does: one line, exit code 1, and the JSON document.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use msgvault_verifier::text::escape;

use super::output::line;
use super::{Exit, Output};

/// What the last panic said. Whoever catches it is given its payload, and not where it happened.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Runs a program's work. A panic is one line on standard error, wherever it happens; one that nobody below
/// catches is a failure.
pub fn guarded(output: &Output, work: impl FnOnce() -> Exit) -> Exit {
    let program = output.program();
    panic::set_hook(Box::new(move |defect| {
        let message = sentence(defect);
        line(&format!("{program}: {}", escape(&message)));
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    }));
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let message = LAST.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        output.failure_document(Exit::Failed, message);
        Exit::Failed
    })
}

fn sentence(defect: &panic::PanicHookInfo<'_>) -> String {
    let what = defect.payload_as_str().unwrap_or("it does not say what");
    let place = defect.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    format!("this is a defect of the program, please report it: {what}{place}")
}
