#!/bin/sh
# Measures the main job on a sample archive: wall time, CPU time and peak memory of every command.
# bench.sh [SIZE] [OPTIONS OF sample-archive make…]   default size: 2G
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh
need cc build-essential
need /usr/bin/time time
need_rust
install_missing
size="${1:-2G}"
[ $# -gt 0 ] && shift
cargo build --quiet --release -p msgvault -p msgvault-cli -p msgvault-tests \
    --bin msgvault --bin msgvault-verify --bin sample-archive
bin="${CARGO_TARGET_DIR:-target}/release"
work="$(mktemp -d "${TMPDIR:-/tmp}/msgvault-bench.XXXXXX")"
trap 'rm -rf "$work"' EXIT
measure() {
    label="$1"
    shift
    /usr/bin/time -o "$work/time" -f '%e s wall, %U s user, %S s system, %M KiB peak' "$@" >/dev/null
    printf '%-34s %s\n' "$label" "$(cat "$work/time")"
}
echo "$(nproc) processors, archive of $size $*"
"$bin/sample-archive" make "$work/home" --size "$size" "$@"
export MSGVAULT_HOME="$work/home" MSGVAULT_REPO="$work/repo"
"$bin/msgvault" backup init >/dev/null
measure "create, first" "$bin/msgvault" backup create
measure "create, nothing changed" "$bin/msgvault" backup create
"$bin/sample-archive" churn "$work/home" --day 1 >/dev/null
measure "create, a day later" "$bin/msgvault" backup create
measure "verify --quick" "$bin/msgvault" backup verify --quick
measure "verify" "$bin/msgvault" backup verify
measure "verify --all" "$bin/msgvault" backup verify --all
measure "msgvault-verify" "$bin/msgvault-verify" "$work/repo"
measure "msgvault-verify --jobs 1" "$bin/msgvault-verify" "$work/repo" --jobs 1
measure "restore" "$bin/msgvault" backup restore --target "$work/restored"
cmp "$work/home/msgvault.db" "$work/restored/msgvault.db"
measure "cp -r of the restored tree" cp -r "$work/restored" "$work/copy"
du -sh "$work/home" "$work/repo" | sed "s#$work/##"
