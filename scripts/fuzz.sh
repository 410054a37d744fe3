#!/bin/sh
# Fuzzes every target of verifier/fuzz, or only one, for SECONDS each, starting from the contents of the
# fixtures. Ends with an error at the first crash; its input is then in verifier/fuzz/artifacts.
# fuzz.sh [SECONDS [TARGET [OPTIONS OF libFuzzer…]]]   default: 30, all
set -eu
cd "$(dirname "$0")/../verifier"
if ! cargo fuzz --version >/dev/null 2>&1 || ! cargo +nightly --version >/dev/null 2>&1; then
    echo "Fuzzing needs cargo-fuzz (cargo install cargo-fuzz) and a nightly Rust (rustup toolchain install nightly)." >&2
    exit 1
fi
seconds="${1:-30}"
targets="${2:-$(cargo +nightly fuzz list)}"
[ $# -gt 2 ] && shift 2 || shift $#
cargo +nightly run --quiet --manifest-path fuzz/Cargo.toml --example seeds -- ../tests/fixtures fuzz/corpus
for target in $targets; do
    echo "== $target" >&2
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=20 "$@"
done
