#!/bin/sh
# The main job from end to end on a sample archive: init, create, a day of changes, create, list, verify,
# restore, compare.
set -eu
cd "$(dirname "$0")"
. scripts/setup.sh
need cc build-essential
need_rust
install_missing

echo "Building the programs (once; a few minutes on a new machine) …"
cargo build --quiet -p msgvault -p msgvault-cli -p msgvault-tests \
    --bin msgvault --bin msgvault-verify --bin sample-archive
bin="${CARGO_TARGET_DIR:-target}/debug"
work="$(mktemp -d "${TMPDIR:-/tmp}/msgvault-demo.XXXXXX")"
trap 'rm -rf "$work"' EXIT
export MSGVAULT_HOME="$work/home" MSGVAULT_REPO="$work/repo"

# Prints a command as a user would type it, and runs it.
show() {
    echo
    echo "\$ $*"
    program="$1"
    shift
    "$bin/$program" "$@"
}

show sample-archive make "$MSGVAULT_HOME" --size 20M
show msgvault backup init
show msgvault backup create --tag "first day"
cp "$MSGVAULT_HOME/msgvault.db" "$work/first.db"
echo
echo "A day goes by: messages arrive, are read, labelled and deleted."
show sample-archive churn "$MSGVAULT_HOME" --day 1
show msgvault backup create --tag "second day"
show msgvault backup list
show msgvault backup verify --all
show msgvault-verify "$MSGVAULT_REPO" --all
show msgvault backup restore --target "$work/restored" --integrity-check
first="$("$bin/msgvault" backup list --json | sed -n 's/.*"snapshot_id": "\(.*\)",/\1/p' | head -n 1)"
show msgvault backup restore "$first" --target "$work/earlier"
echo
cmp "$MSGVAULT_HOME/msgvault.db" "$work/restored/msgvault.db"
echo "The restored database equals the archive's, byte for byte."
cmp "$work/first.db" "$work/earlier/msgvault.db"
echo "The restored database of the first day equals the archive's on that day, byte for byte."
hashes() {
    (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum)
}
hashes "$MSGVAULT_HOME/attachments" >"$work/live"
hashes "$work/restored/attachments" | cmp "$work/live" -
echo "The restored attachments equal the archive's."
