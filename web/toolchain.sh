# What is needed to compile the verifier for browsers. Sourced by build.sh.

. ../scripts/setup.sh

WASM_TARGET=wasm32-unknown-unknown
# The crate of the same name must have the same version: see the root Cargo.toml.
WASM_BINDGEN_VERSION=0.2.130
CACHE=${MSGVAULT_WASM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/msgvault-wasm}

target_dir() {
  cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

has_wasm_std() {
  ls "$(rustc --target "$WASM_TARGET" --print target-libdir 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1
}

# The standard library for wasm: there already, by rustup, or built from Debian's sources.
find_wasm_std() {
  has_wasm_std && return
  if command -v rustup >/dev/null; then
    for _ in 1 2; do
      timeout 180 rustup target add "$WASM_TARGET" && has_wasm_std && return
    done
  fi
  [ -x "$CACHE/sysroot/bin/rustc" ] || build_wasm_std
  PATH=$CACHE/sysroot/bin:$PATH
  RUSTC=$CACHE/sysroot/bin/rustc
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$CACHE/sysroot/bin/rust-lld
  CARGO_TARGET_DIR=$CACHE/target
  export PATH RUSTC CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER CARGO_TARGET_DIR
  has_wasm_std || { echo "no standard library for $WASM_TARGET: install it, or see docs/web.md" >&2; exit 1; }
}

build_wasm_std() {
  echo "building the standard library for $WASM_TARGET from Debian's sources" >&2
  install_limit=600
  install_packages rustc-web rust-web-src libstd-rust-web-dev cargo-web lld-22
  # What was compiled before a build was cut off is there for the next.
  work=$CACHE/std-build
  mkdir -p "$work/src"
  printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$work/Cargo.toml"
  printf '#![no_std]\n' >"$work/src/lib.rs"
  (cd "$work" && RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
    RUSTFLAGS="-Cembed-bitcode=yes -Zforce-unstable-if-unmarked" \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22 timeout 900 /usr/bin/cargo build --release \
    -Zbuild-std=core,alloc,std,panic_abort,proc_macro --target "$WASM_TARGET")
  root=$CACHE/sysroot
  rm -rf "$root"
  mkdir -p "$root/bin" "$root/lib/rustlib/$WASM_TARGET/lib"
  rm -f "$work/target/$WASM_TARGET"/release/deps/*empty*
  cp "$work/target/$WASM_TARGET"/release/deps/*.rlib "$work/target/$WASM_TARGET"/release/deps/*.rmeta \
    "$root/lib/rustlib/$WASM_TARGET/lib/"
  ln -s "$(/usr/bin/rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu" "$root/lib/rustlib/"
  ln -s "$(command -v wasm-ld-22)" "$root/bin/rust-lld"
  printf '#!/bin/sh\nexec /usr/bin/rustc --sysroot "%s" "$@"\n' "$root" >"$root/bin/rustc"
  chmod +x "$root/bin/rustc"
  rm -rf "$work"
}

# wasm-bindgen's command line: on PATH, in the cache, or built into it.
find_wasm_bindgen() {
  for WASM_BINDGEN in "$(command -v wasm-bindgen || true)" "$CACHE/bin/wasm-bindgen"; do
    case $("$WASM_BINDGEN" --version 2>/dev/null) in
      "wasm-bindgen $WASM_BINDGEN_VERSION") return ;;
    esac
  done
  # Not --locked: the lock file that is published with it names a version that cannot be had any more.
  timeout 900 cargo install --quiet wasm-bindgen-cli --version "=$WASM_BINDGEN_VERSION" --root "$CACHE" \
    --target-dir "$CACHE/wasm-bindgen-build"
  rm -rf "$CACHE/wasm-bindgen-build"
}
