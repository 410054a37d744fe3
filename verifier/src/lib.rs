//! Reads and verifies msgvault backup repositories, in Rust alone.
