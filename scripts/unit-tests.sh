#!/bin/sh
# Runs all tests except the end-to-end ones, on any system; with cargo-nextest if it is installed.
# unit-tests.sh [TEST FILTER]
set -eu
cd "$(dirname "$0")/.."
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --workspace --exclude msgvault-tests --status-level fail "$@"
fi
exec cargo test --quiet --workspace --exclude msgvault-tests "$@"
