//! Paths in the JSON documents, without loss.

use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::Serializer;

/// What is escaped in the path of a `file:` URI.
pub(crate) const OUTSIDE_PATHS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_');

/// A path as it is, where it is UTF-8; else a `file:` URI whose escapes are the path's bytes.
pub(crate) fn exact(path: &Path) -> String {
    path.to_str().map_or_else(
        || format!("file:{}", percent_encode(path.as_os_str().as_encoded_bytes(), OUTSIDE_PATHS)),
        str::to_owned,
    )
}

/// [`exact`] for a field of a document.
pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&exact(path))
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn every_path_can_be_read_back_from_its_text() {
        for (path, text) in [
            (&b"/srv/mail"[..], "/srv/mail"),
            ("/srv/Postf\u{e4}cher".as_bytes(), "/srv/Postf\u{e4}cher"),
            (b"/srv/caf\xe9 %", "file:/srv/caf%E9%20%25"),
        ] {
            assert_eq!(exact(Path::new(OsStr::from_bytes(path))), text);
            let encoded = text.strip_prefix("file:").map_or_else(
                || text.as_bytes().to_vec(),
                |encoded| percent_encoding::percent_decode_str(encoded).collect(),
            );
            assert_eq!(encoded, path);
        }
    }
}
