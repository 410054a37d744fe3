#!/bin/sh
# Checks the page: types, the wasm crate's own tests, and the page in a real browser. Ends with the runner's summary.
set -eu
cd "$(dirname "$0")"

if ! command -v "${CHROMIUM:-/usr/bin/chromium}" >/dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi
npm ci --silent --ignore-scripts
./build.sh
node_modules/.bin/tsc --noEmit
cargo test --quiet --package msgvault-web
cargo build --quiet --package msgvault-verifier --features cli
node_modules/.bin/esbuild tests/all.test.ts --bundle --platform=node --format=esm --packages=external \
  --outfile=out/tests.mjs --log-level=warning
exec node --test --test-reporter=spec out/tests.mjs
