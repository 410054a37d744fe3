//! What a check found wrong, in a form that can be sent.

use serde::{Deserialize, Serialize};

use crate::pack::{FrameError, ReadError};
use crate::repository::BlobFault;
use crate::store::StoreError;

use super::problem::{ProblemCode, fault_code};

/// Why a blob or a pack is not known to be good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    /// It cannot be trusted.
    Problem(ProblemCode, String),
    /// It may be intact; whoever should have looked could not.
    NotChecked(String),
}

impl Fault {
    pub(super) fn of(fault: &BlobFault) -> Self {
        match fault {
            BlobFault::Frame(FrameError::TooLargeHere(error)) => {
                Self::NotChecked(format!("not checked: {error}"))
            }
            BlobFault::Frame(FrameError::Store(StoreError::Unavailable { .. }))
            | BlobFault::Pack(ReadError::Store(StoreError::Unavailable { .. })) => {
                Self::NotChecked(fault.to_string())
            }
            _ => Self::Problem(fault_code(fault), fault.to_string()),
        }
    }
}
