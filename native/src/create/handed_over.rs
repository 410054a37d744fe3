//! Whose contents were handed over, to say so when one turns out to be bad.

use super::CreateError;
use super::attachments::HandedOverAttachments;
use super::extras::HandedOverExtras;
use crate::repo::pack_writer::PackError;

/// The attachments and the other files that were handed over.
#[derive(Default)]
pub(super) struct HandedOver {
    pub(super) attachments: HandedOverAttachments,
    pub(super) extras: HandedOverExtras,
}

impl HandedOver {
    /// Names the attachment or file that a fault is about.
    pub(super) fn explain(self, error: PackError<CreateError>) -> CreateError {
        let PackError::Source(fault) = error else { return error.into() };
        match self.attachments.explain(fault).map_err(|fault| self.extras.explain(fault)) {
            Ok(error) => error,
            Err(Ok(error)) => error.into(),
            Err(Err(fault)) => CreateError::Blob(fault),
        }
    }
}
