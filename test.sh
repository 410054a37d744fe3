#!/bin/sh
# Runs all checks and tests, after installing what they need. Ends with the repositories that were tested
# and the number of tests. MSGVAULT_FIXTURES=DIR adds the repositories below a folder, each with its
# expected results.
set -eu
# The path is made absolute, because every test program runs in its own folder. An empty name is left for
# them to refuse.
[ -z "${MSGVAULT_FIXTURES:-}" ] || MSGVAULT_FIXTURES="$(cd "$MSGVAULT_FIXTURES" && pwd)"
cd "$(dirname "$0")"
. scripts/setup.sh
need cc build-essential
need ip iproute2
need node nodejs
need npm npm
need_rust clippy fmt
install_missing

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
step() {
    echo "== $*" >&2
}

step formatting
cargo fmt --all --check
step clippy
cargo clippy --quiet --workspace --all-targets -- -D warnings
step documentation
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps
step tests
failed=0
cargo test --workspace --no-fail-fast 2>&1 | tee "$log" || true
if [ -x web/test.sh ]; then
    step page
    web/test.sh 2>&1 | tee -a "$log" || true
fi

# The summary line of every test runner counts; a run without a summary has failed.
total() {
    sed -n "s/^test result: .* \([0-9]*\) $1; .*/\1/p; s/^ℹ $2 \([0-9]*\)$/\1/p" "$log" | awk '{n += $1} END {print n + 0}'
}
passed="$(total passed pass)"
failed="$(total failed fail)"
if grep -qE '^error(\[|:)|^error: test failed|could not compile' "$log" && [ "$failed" -eq 0 ]; then
    echo "A test program did not run to its end; see above." >&2
    failed=1
fi
if [ -x web/test.sh ] && ! grep -q '^ℹ pass [1-9]' "$log"; then
    echo "The page's tests did not run to their end; see above." >&2
    failed=$((failed + 1))
fi
for side in programs page; do
    [ "$side" = programs ] || [ -x web/test.sh ] || continue
    if ! grep -oE "$side tested with [1-9].*" "$log"; then
        echo "It is not known what the $side were tested with; see above." >&2
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
