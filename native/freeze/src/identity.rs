//! How a daemon proves that a record is its own, and how both sides find out whether they know one key.
//!
//! Client and daemon call the same functions. Section "Who owns the archive" of docs/daemon.md.

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The header that carries a challenge.
pub const CHALLENGE_HEADER: &str = "x-msgvault-daemon-challenge";
/// The header that carries the proof.
pub const PROOF_HEADER: &str = "x-msgvault-daemon-proof";
/// The header that carries the shutdown token.
pub const TOKEN_HEADER: &str = "x-msgvault-daemon-token";
/// Where a daemon is told to end.
pub const SHUTDOWN_PATH: &str = "/api/daemon/shutdown";
/// The version of the protocol.
pub const API_VERSION: &str = "1";
/// The version of the schema of its answers.
pub const API_SCHEMA_VERSION: &str = "2.7.0";
/// The fingerprint of a daemon that needs no key.
pub const NO_KEY: &str = "none";

const PROOF_DOMAIN: &[u8] = b"msgvault-daemon-identity-v1";
const FINGERPRINT_PREFIX: &str = "argon2id:v1:";
const FINGERPRINT_SALT: &[u8] = b"msgvault-daemon-auth-fingerprint-v1";

/// 32 random bytes that a daemon is asked to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// A challenge of 256 random bits.
    pub fn new(random: &dyn Fn() -> u128) -> Self {
        let mut bytes = [0; 32];
        for half in bytes.chunks_exact_mut(16) {
            half.copy_from_slice(&random().to_be_bytes());
        }
        Self(bytes)
    }

    /// Reads a challenge: 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The challenge as it is sent.
    pub fn to_hex(self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The proof that the daemon of this process knows the record's shutdown token, whose text is the key.
    pub fn proof(self, shutdown_token: &str, pid: u32) -> String {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(shutdown_token.as_bytes()) else {
            return String::new();
        };
        for part in [PROOF_DOMAIN, &[0], pid.to_string().as_bytes(), &[0], &self.0] {
            mac.update(part);
        }
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    /// Whether a daemon's answer is the proof.
    pub fn is_proven_by(self, answer: &str, shutdown_token: &str, pid: u32) -> bool {
        let proof = self.proof(shutdown_token, pid);
        !shutdown_token.is_empty() && same_secret(proof.as_bytes(), answer.as_bytes())
    }
}

/// What a record says about a key: enough to see that another one is configured, too slow to guess from.
pub fn fingerprint(key: &str) -> String {
    if key.is_empty() {
        return NO_KEY.to_owned();
    }
    let mut hash = [0; 32];
    let hashed = Params::new(8192, 1, 1, Some(hash.len())).and_then(|params| {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(key.as_bytes(), FINGERPRINT_SALT, &mut hash)
    });
    match hashed {
        Ok(()) => format!("{FINGERPRINT_PREFIX}{}", HEXLOWER.encode(&hash)),
        // Only keys of gigabytes come here; they match nothing.
        Err(_) => FINGERPRINT_PREFIX.to_owned(),
    }
}

/// Compares secrets in a time that tells nothing about where they differ.
pub fn same_secret(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "57925fc1512bd9e5271b3ff1b8888afea20c041c46b48fe5a315b0cea66aa413";
    const CHALLENGE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const PROOF: &str = "06ca228f4e5240e45929d0a3f60813a4b3b67f0bbe265c9602221cfd55007afe";

    #[test]
    fn the_proof_is_the_one_of_the_go_program() {
        let challenge = Challenge::parse(CHALLENGE).unwrap();
        assert_eq!(challenge.to_hex(), CHALLENGE);
        assert_eq!(challenge.proof(TOKEN, 14620), PROOF);
        assert!(challenge.is_proven_by(PROOF, TOKEN, 14620));
        for (answer, token, pid) in
            [(PROOF, TOKEN, 14621), (PROOF, "00", 14620), ("", TOKEN, 14620), (&PROOF[1..], TOKEN, 14620)]
        {
            assert!(!challenge.is_proven_by(answer, token, pid));
        }
        let unkeyed = challenge.proof("", 14620);
        assert!(!challenge.is_proven_by(&unkeyed, "", 14620), "an empty token proves nothing");
    }

    #[test]
    fn a_challenge_has_64_digits() {
        for bad in ["", "zz", &CHALLENGE[2..], &format!("{CHALLENGE}00"), &CHALLENGE.replace('0', "g")] {
            assert_eq!(Challenge::parse(bad), None, "{bad}");
        }
        let count = std::cell::Cell::new(0);
        let random = || {
            count.set(count.get() + 1);
            count.get()
        };
        assert_eq!(Challenge::new(&random).to_hex(), format!("{:032x}{:032x}", 1, 2));
    }

    #[test]
    fn the_fingerprint_is_the_one_of_the_go_program() {
        assert_eq!(fingerprint(""), "none");
        assert_eq!(
            fingerprint("k3y-0123456789abcdefghijklmnopqrs"),
            "argon2id:v1:fefc7ee7a866bf0f643605a0fc89fbeb98a8ba4d98e4c18a50c3017b963c786a"
        );
    }
}
