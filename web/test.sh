#!/bin/sh
# Checks the page: types, the wasm crate's own tests, and the page in real browsers. Ends with the runner's summary.
set -eu
cd "$(dirname "$0")"

. ../scripts/setup.sh
install_limit=300
command -v "${CHROMIUM:-/usr/bin/chromium}" >/dev/null || install_packages chromium fonts-dejavu-core
# Not every system has this one. What it would have shown is skipped by name, and said again here.
command -v "${FIREFOX:-/usr/bin/firefox-esr}" >/dev/null || install_packages firefox-esr 2>/dev/null ||
  echo "NOT RUN: the tests in Firefox, because it cannot be installed here; set FIREFOX to one that is there" >&2

# Playwright needs Node.js 20, web sockets need 22. npm has it, where the system's is older.
newer_node() {
  case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
  npm install --silent --no-save --ignore-scripts --prefix out/node "node-linux-$arch@22"
  PATH=$PWD/out/node/node_modules/node-linux-$arch/bin:$PATH
}
[ "$(node -p 'parseInt(process.versions.node)')" -ge 22 ] || newer_node

npm ci --silent --ignore-scripts
./build.sh
node_modules/.bin/tsc --noEmit
cargo test --quiet --package msgvault-web

# First with the page inside, for the tests of who hands it on; then those that everything else is compared with.
programs() {
  cargo build --quiet --workspace --bin msgvault --bin msgvault-verify "$@"
}
programs --features msgvault/page,msgvault-cli/page
mkdir -p out/programs
cp ../target/debug/msgvault ../target/debug/msgvault-verify out/programs/
programs

node_modules/.bin/esbuild tests/all.test.ts --bundle --platform=node --format=esm --packages=external \
  --outfile=out/tests.mjs --log-level=warning
# Browsers take the names of files for what the locale says.
export LC_ALL=C.UTF-8
exec node --test --test-reporter=spec out/tests.mjs
