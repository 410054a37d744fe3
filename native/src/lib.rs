//! The host side of msgvault: what writes, restores and serves.
