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
    target/peers/bin/python benches/peers/evidence.py

# A table of the docs, "aims" or "peers"; goes on where it was stopped, and is made though an aim is missed (exit code 3)
table NAME:
    cargo build --release
    target/release/retrograde bench examples/bench-{{NAME}}.toml --out target/bench-{{NAME}} || [ $? -eq 3 ]
    sed 's/^#/##/' target/bench-{{NAME}}/table.md > target/bench-{{NAME}}/section.md
    sed -i -e '/^<!-- table: {{NAME}} -->$/,/^<!-- end of table -->$/{//!d}' \
        -e '/^<!-- table: {{NAME}} -->$/r target/bench-{{NAME}}/section.md' docs/evidence.md docs/training-free.md

# Memory errors in the adapters and what they carry, by AddressSanitizer (needs nightly)
asan *ARGS:
    ASAN_OPTIONS=allocator_may_return_null=1 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 RUSTFLAGS=-Zsanitizer=address \
        cargo +nightly test --target x86_64-unknown-linux-gnu --target-dir target/asan --release -p retrograde-bridge {{ARGS}}

# Undefined behaviour in the adapters, by an interpreter (needs nightly with miri and rust-src). Borrows as trees: the queues of
# rayon do not keep to stacks, and leave memory behind at the end.
miri *ARGS:
    MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-ignore-leaks" \
        cargo +nightly miri test --target-dir target/miri -p retrograde-bridge --test bridge {{ARGS}}

# Memory errors of the example plugins and of the program around them (needs valgrind)
valgrind:
    cargo build --release
    plugins/build target/plugins
    for job in examples/plugins/*.toml; do \
        RETROGRADE_PLUGIN_PATH=$PWD/target/plugins valgrind -q --error-exitcode=9 --suppressions=plugins/valgrind.supp \
            target/release/retrograde run $job --quick -o $(mktemp -d)/run >/dev/null || [ $? -eq 3 ] || exit 1; \
    done
    # What was freed is given back at once, or all that is freed looks like a leak.
    for file in target/plugins/*.so; do \
        valgrind -q --error-exitcode=9 --trace-children=yes --freelist-vol=0 \
            target/release/retrograde plugin check $file --time-limit 600 \
            $(case $file in *demo-rust*) echo --set student-t.dim=2;; esac) >/dev/null || exit 1; \
    done

# Library, headers and pkg-config file for programs in C and C++
install-c PREFIX:
    cargo build --release
    crates/capi/install "{{PREFIX}}"
