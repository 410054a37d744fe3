#!/bin/sh
# Builds msgvault-verify as one static program and prints its path.
set -eu
cd "$(dirname "$0")/.."
target="$(uname -m)-unknown-linux-gnu"
profile="${PROFILE:-release}"
# With the page for browsers inside, if it was built.
features=
[ -f web/dist/msgvault-verify.html ] && features="--features page"
RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --quiet --profile "$profile" -p msgvault-cli --bin msgvault-verify $features --target "$target" \
    --target-dir "${CARGO_TARGET_DIR:-target}/static"
folder="$profile"
[ "$profile" = dev ] && folder=debug
echo "${CARGO_TARGET_DIR:-$PWD/target}/static/$target/$folder/msgvault-verify"
