//! Attachment bytes: documents that compress well, and pictures and archives that do not.

use std::fmt::Write as _;
use std::io::Write as _;

use super::{rng::Rng, text};

/// The kind of document that an attachment imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Csv,
    Pdf,
    Photo,
    Zip,
}

impl Kind {
    /// About half of what people send is compressed already.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        rng.pick(&[Self::Photo, Self::Photo, Self::Zip, Self::Pdf, Self::Csv, Self::Text])
    }

    pub(super) fn mime(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::Csv => "text/csv",
            Self::Pdf => "application/pdf",
            Self::Photo => "image/jpeg",
            Self::Zip => "application/zip",
        }
    }

    pub(super) fn file_name(self, rng: &mut Rng) -> String {
        let extension = match self {
            Self::Text => "txt",
            Self::Csv => "csv",
            Self::Pdf => "pdf",
            Self::Photo => "jpg",
            Self::Zip => "zip",
        };
        format!("{} {}.{extension}", rng.pick(text::NAMES), text::subject(rng).replace('/', "-"))
    }

    /// Exactly `len` bytes.
    pub(super) fn bytes(self, rng: &mut Rng, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len.saturating_add(512));
        match self {
            Self::Text => {
                let mut prose = String::with_capacity(len.saturating_add(512));
                text::prose(rng, len, &mut prose);
                bytes = prose.into_bytes();
            }
            Self::Csv => csv(rng, len, &mut bytes),
            Self::Pdf => pdf(rng, len, &mut bytes),
            Self::Photo => {
                bytes.extend_from_slice(b"\xFF\xD8\xFF\xE0\x00\x10JFIF\x00");
                rng.noise(len, &mut bytes);
            }
            Self::Zip => {
                bytes.extend_from_slice(b"PK\x03\x04\x14\x00");
                rng.noise(len, &mut bytes);
            }
        }
        bytes.truncate(len);
        bytes
    }
}

fn csv(rng: &mut Rng, len: usize, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(b"date;account;payee;amount;balance\r\n");
    while bytes.len() < len {
        // Writing to memory does not fail.
        let _ = write!(
            bytes,
            "2{:03}-{:02}-{:02};{:04};{};{}.{:02};{}\r\n",
            rng.below(30),
            rng.between(1, 12),
            rng.between(1, 28),
            rng.below(40),
            rng.pick(text::NAMES),
            rng.below(900),
            rng.below(100),
            rng.below(20_000),
        );
    }
}

/// Text objects alternating with streams that look deflated, about half and half.
fn pdf(rng: &mut Rng, len: usize, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(b"%PDF-1.4\n");
    let mut page = String::new();
    let mut number = 1_u32;
    while bytes.len() < len {
        page.clear();
        let _ = write!(page, "{number} 0 obj\n<< /Type /Page /Contents (");
        text::prose(rng, 1500, &mut page);
        page.push_str(") >>\nstream\n");
        bytes.extend_from_slice(page.as_bytes());
        rng.noise(1500, bytes);
        bytes.extend_from_slice(b"\nendstream\nendobj\n");
        number = number.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_gives_exactly_the_length_asked() {
        let mut rng = Rng::new(1, "content");
        for kind in [Kind::Text, Kind::Csv, Kind::Pdf, Kind::Photo, Kind::Zip] {
            for len in [0, 1, 1023, 1024, 1025, 70_000] {
                assert_eq!(kind.bytes(&mut rng, len).len(), len, "{kind:?}");
            }
            assert!(!kind.file_name(&mut rng).contains('/'));
        }
    }
}
