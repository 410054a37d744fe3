# `just` lists the recipes. Each is a command or a script that works without just, too.

[private]
default:
    @just --list

# Build all programs, for development
build:
    cargo build --workspace

# Between two edits: formatting, lints, and all tests except the end-to-end ones
check *filter:
    scripts/check.sh {{ filter }}

# Everything, after installing what it needs
test:
    ./test.sh

# All tests except the end-to-end ones
unit *filter:
    scripts/unit-tests.sh {{ filter }}

# The main job from end to end, on a sample archive
demo:
    ./demo.sh

# Time and memory of every command: `just bench 300M --attachments 200000`
bench *args:
    scripts/bench.sh {{ args }}

# Many days of backups, each restored twice, then killed runs: `just endurance 100M 40 8192`
endurance *args:
    scripts/endurance.sh {{ args }}

# Fuzz every decoder, or one, for this many seconds each: `just fuzz 30 page_map`
fuzz *args:
    scripts/fuzz.sh {{ args }}

# The page that verifies in a browser
page:
    web/build.sh

# msgvault-verify as one static program
static:
    scripts/build-static.sh

# The documentation of all crates
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Format all Rust code
fmt:
    cargo fmt --all

# Lints, as strict as in CI
clippy:
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, advisories and sources of dependencies (needs cargo-deny)
deny:
    cargo deny check
