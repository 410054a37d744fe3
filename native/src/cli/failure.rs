//! Why a command failed, and how the program ends then.

use std::io;

use msgvault_verifier::cli::{Exit, VerifyError};
use msgvault_verifier::repository::{OpenError, SelectError};

use crate::home::HomeError;
use crate::repo::init::InitError;
use crate::repo::lock::LockError;

/// One line for people and the exit code.
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn failed(message: impl ToString) -> Self {
        Self { exit: Exit::Failed, message: message.to_string() }
    }

    fn new(exit: Exit, error: &dyn std::error::Error) -> Self {
        Self { exit, message: error.to_string() }
    }
}

macro_rules! failures {
    ($($error:ty => $exit:expr,)*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let exit: fn(&$error) -> Exit = $exit;
                Self::new(exit(&error), &error)
            }
        }
    )*};
}

failures! {
    HomeError => |_| Exit::Failed,
    InitError => |_| Exit::Failed,
    LockError => |error| if matches!(error, LockError::Held { .. } | LockError::Shared { .. }) { Exit::Locked } else { Exit::Failed },
    OpenError => Exit::of_open,
    SelectError => Exit::of_select,
    VerifyError => VerifyError::exit,
    io::Error => |_| Exit::Failed,
}
