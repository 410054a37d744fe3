#!/bin/sh
# Builds web/dist/msgvault-verify.html. Uses what it finds, and fetches what is missing within a time limit.
set -eu
cd "$(dirname "$0")"
. ./toolchain.sh

find_wasm_std
find_wasm_bindgen

cargo build --quiet --release --package msgvault-web --target "$WASM_TARGET"
"$WASM_BINDGEN" --target no-modules --remove-name-section --remove-producers-section \
  --out-dir pkg --out-name verifier "$(target_dir)/$WASM_TARGET/release/msgvault_web.wasm"
[ -d node_modules/esbuild ] || npm ci --silent --ignore-scripts
node build.mjs
