#!/usr/bin/env bash
# Everything that can be checked without running a test. Prints the time of each step; fails at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    local name=$1 start=$SECONDS
    shift
    printf '\033[1m▸ %s\033[0m\n' "$name"
    "$@"
    printf '  %s: %d s\n' "$name" $((SECONDS - start))
}

step "forbidden imports" cargo xtask tidy
step "formatting" cargo fmt --all --check
step "formatting of the contracts" npm --prefix contracts run --silent fmt:check
step "lints of the contracts" npm --prefix contracts run --silent lint
step "generated files" cargo xtask generate --check
step "types and lints of the web" npm --prefix web run --silent check
step "gas snapshot" npm --prefix contracts run --silent gas:check
step "mutants of the contract" npm --prefix contracts run --silent mutants:check
step "lints" cargo clippy --locked --workspace --all-targets -- -D warnings
step "docs" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
if cargo deny --version >/dev/null 2>&1; then
    step "licences and banned crates" cargo deny --all-features check bans licenses sources
else
    echo "▸ licences and banned crates: skipped, cargo-deny is not installed (cargo install --locked cargo-deny)"
fi
