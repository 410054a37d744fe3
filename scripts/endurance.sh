#!/bin/sh
# Lets many days pass on a sample archive, with a backup on each, and restores every snapshot on its day and
# again at the end; then kills many backups and restores. Ends with an error at the first difference.
# endurance.sh [SIZE [DAYS [PAGE_SIZE [KILLS]]]]   default: 100M 40 4096 50
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh
need cc build-essential
need_rust
install_missing
cargo build --quiet --release -p msgvault -p msgvault-tests --bin msgvault --bin endurance
exec nice "${CARGO_TARGET_DIR:-target}/release/endurance" "$@"
