# Every check that .ci/run makes, one by one. `just ci` makes them all.

default:
    @just --list

# All checks, as in CI
ci:
    bash .ci/run

# Format
fmt:
    cargo fmt --all
    git ls-files '*.rs' | xargs rustfmt --edition 2024

# Lints, benches included
lint:
    cargo clippy --release --workspace --all-targets -- -D warnings

# Tests, in the profile of the program
test:
    cargo test --release

# Documentation
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --workspace

# Benchmarks; ratios are kept in benches/README.md
bench *ARGS:
    cargo bench -p retrograde-benches {{ARGS}}

# Regenerate include/retrograde.h
header:
    RETROGRADE_BLESS=1 cargo test --release -p retrograde-capi header

# Licences, bans and sources of dependencies (needs cargo-deny)
deny:
    cargo deny check licenses bans sources

# The example of a program that depends on the facade
rust-example:
    cargo run --release --manifest-path examples/rust/Cargo.toml --target-dir target

# The same work in JAX, BlackJAX and NumPy (needs Python 3.11 and its venv module)
peers:
    python3 -m venv target/peers
    target/peers/bin/pip install --quiet --requirement benches/peers/requirements.txt
    cargo build --release
    target/peers/bin/python benches/peers/peers.py
