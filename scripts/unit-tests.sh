#!/bin/sh
# Runs the tests of every crate but the end-to-end ones, on any system; with cargo-nextest where it is installed.
# unit-tests.sh [FILTER OF TESTS]
set -eu
cd "$(dirname "$0")/.."
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --workspace --exclude msgvault-tests --status-level fail "$@"
fi
exec cargo test --quiet --workspace --exclude msgvault-tests "$@"
