#!/bin/sh
# What to run between two edits: formatting, lints, and all tests except the end-to-end ones.
# check.sh [TEST FILTER]
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh
need cc build-essential
need_rust clippy fmt
install_missing
cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets -- -D warnings
exec scripts/unit-tests.sh "$@"
