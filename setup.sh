# Sourced by demo.sh and test.sh: makes sure that what they need is there, or says exactly what is missing.

# need COMMAND PACKAGE: installs a Debian or Ubuntu package when its command is not there.
need() {
    command -v "$1" >/dev/null 2>&1 && return
    missing_packages="${missing_packages:-} $2"
}

install_missing() {
    [ -n "${missing_packages:-}" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Missing on this machine:$missing_packages. Install these and run this again." >&2
        exit 1
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "Missing on this machine:$missing_packages. Run as root: apt-get install$missing_packages" >&2
            exit 1
        fi
        as_root=sudo
    fi
    echo "Installing:$missing_packages" >&2
    # shellcheck disable=SC2086 # A list of packages.
    if ! { $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing_packages; } \
        >/dev/null; then
        echo "These packages could not be installed:$missing_packages" >&2
        exit 1
    fi
    missing_packages=
}

# Rust of the version that Cargo.toml names, or newer.
need_rust() {
    [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
    wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
    if ! command -v rustup >/dev/null 2>&1 && ! rust_is_new_enough; then
        if apt-cache show rustup >/dev/null 2>&1; then
            need rustup rustup
            install_missing
        elif command -v curl >/dev/null 2>&1; then
            echo "Installing Rust with the installer of https://rustup.rs" >&2
            curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
                sh -s -- -y --quiet --profile minimal --default-toolchain none || true
            PATH="$HOME/.cargo/bin:$PATH"
        fi
    fi
    if ! rust_is_new_enough && command -v rustup >/dev/null 2>&1; then
        rustup toolchain install "$wanted" --profile minimal --component clippy --component rustfmt >&2 &&
            export RUSTUP_TOOLCHAIN="$wanted"
    fi
    if ! rust_is_new_enough; then
        echo "Rust $wanted or newer is missing: install it from https://rustup.rs and run this again." >&2
        exit 1
    fi
}

rust_is_new_enough() {
    version="$(cargo --version 2>/dev/null | cut -d ' ' -f 2)"
    [ -n "$version" ] && printf '%s\n%s\n' "$wanted" "$version" | sort -V -C
}
