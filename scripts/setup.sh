# Sourced by scripts that run in the root of the tree or in web/: installs what they need, or says what is
# missing. Packages of the distribution are installed only here.
#
#   need COMMAND PACKAGE      asks for a Debian or Ubuntu package, unless its command is there
#   need_rust [SUBCOMMAND…]   asks for the Rust version that Cargo.toml names, or newer, with these subcommands of cargo
#   install_missing           installs everything that was asked for, or ends the script
#   install_packages [--no-remove] PACKAGE…
#                             installs packages, within $install_limit seconds if that is set, or fails

missing=
packages_are_fresh=
rust_wanted=
rust_subcommands=

need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need_rust() {
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    rust_wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
    rust_channel="$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)"
    case "$rust_channel" in
        "$rust_wanted" | "$rust_wanted".*) ;;
        *) fail "rust-toolchain.toml names Rust $rust_channel, but Cargo.toml names $rust_wanted: make them agree." ;;
    esac
    rust_subcommands="$*"
}

install_missing() {
    rust=
    rust_is_there || rust_by_rustup || rust_of_rustup || rust="Rust $rust_wanted or newer"
    [ -n "$missing$rust" ] || return 0
    if may_install; then
        refresh_packages
        [ -z "$rust" ] || missing="$missing $(rust_packages)"
        echo "Installing:$missing" >&2
        # shellcheck disable=SC2086 # A list of packages.
        install_packages --no-remove $missing || fail "These packages could not be installed:$missing"
    elif [ -n "$missing" ]; then
        fail "Missing on this machine:$missing${rust:+, and $rust}. Install that${apt:+ (as root: apt-get install$missing)} and run this again."
    fi
    [ -z "$rust" ] || rust_is_there || rust_by_rustup || rust_of_rustup || rust_by_installer ||
        fail "Missing on this machine: $rust. Install it from https://rustup.rs and run this again."
}

# Whether there is apt-get and a way to become root.
may_install() {
    apt="$(command -v apt-get)" || return 1
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root="$(command -v sudo)"
}

refresh_packages() {
    [ -z "$packages_are_fresh" ] || return 0
    $as_root apt-get update -qq >&2 || true
    packages_are_fresh=yes
}

install_packages() {
    may_install || { echo "Missing on this machine, and there is no apt-get or no way to become root: $*" >&2; return 1; }
    refresh_packages
    $as_root env DEBIAN_FRONTEND=noninteractive timeout "${install_limit:-0}" \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

rust_is_there() {
    [ -n "$rust_wanted" ] || return 0
    at_least "$rust_wanted" "$(RUSTUP_AUTO_INSTALL=0 cargo --version 2>/dev/null | cut -d ' ' -f 2)" || return 1
    for subcommand in $rust_subcommands; do
        RUSTUP_AUTO_INSTALL=0 cargo "$subcommand" --version >/dev/null 2>&1 || return 1
    done
}

# The packages that provide Rust on this machine: the distribution's Rust, if it is new enough (a stable
# Debian has a new one for its browsers) and replaces no other package, or else rustup, or else what
# rustup's installer needs.
rust_packages() {
    for rust_package in "rustc cargo${rust_subcommands:+ rust-clippy rustfmt}" \
        "rustc-web cargo-web${rust_subcommands:+ rust-web-clippy rustfmt-web}" rustup; do
        if offers "$rust_package"; then
            break
        fi
        rust_package=curl
    done
    # Downloading crates needs these, but the packages of Rust only recommend them.
    echo "$rust_package ca-certificates"
}

offers() {
    candidate="$(apt-cache policy "${1%% *}" 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]\)/\1/p')"
    [ "$1" = rustup ] || at_least "$rust_wanted" "$candidate" || return 1
    # shellcheck disable=SC2086 # A list of packages.
    apt-get install -qq -s --no-remove $1 >/dev/null 2>&1
}

at_least() {
    [ -n "$2" ] && printf '%s\n%s\n' "$1" "$2" | sort -V -C
}

rust_by_rustup() {
    command -v rustup >/dev/null 2>&1 || return 1
    rustup toolchain install "$rust_channel" --no-self-update --profile minimal --component clippy --component rustfmt >&2 || return 1
    take_toolchain "$rust_channel"
}

# rustup's default toolchain, for machines that cannot download the one that rust-toolchain.toml names.
rust_of_rustup() {
    command -v rustup >/dev/null 2>&1 || return 1
    default="$(rustup default 2>/dev/null | cut -d ' ' -f 1)"
    [ -n "$default" ] && take_toolchain "$default"
}

take_toolchain() {
    (export RUSTUP_TOOLCHAIN="$1"; rust_is_there) || return 1
    export RUSTUP_TOOLCHAIN="$1"
}

rust_by_installer() {
    command -v curl >/dev/null 2>&1 || return 1
    echo "Installing Rust with the installer from https://rustup.rs" >&2
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
        sh -s -- -y --quiet --profile minimal --default-toolchain none
    rust_by_rustup
}

fail() {
    echo "$1" >&2
    exit 1
}
