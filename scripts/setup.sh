#!/usr/bin/env bash
# Installs what building, the demo and the tests need, and nothing that is there already. Safe to run twice.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m▸ %s\033[0m\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || die "Rust is missing. Install it from https://rustup.rs, then run this again."
command -v npm >/dev/null || die "Node.js 20 or newer is missing. Install it from https://nodejs.org, then run this again."
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' ||
    die "Node.js $(node --version) is too old; 20 or newer is needed."

# The engine and the registry of the Docker job, and a static shell for the engine tests.
packages=()
command -v cc >/dev/null || packages+=(build-essential)
command -v dockerd >/dev/null || packages+=(docker.io)
command -v iptables >/dev/null || packages+=(iptables)
command -v runc >/dev/null || packages+=(runc)
command -v docker-registry >/dev/null || packages+=(docker-registry)
[ -x /bin/busybox ] || packages+=(busybox-static)
# What checks the node's unit; it is not started.
[ "${1:-}" != --tests ] || command -v systemd-analyze >/dev/null || packages+=(systemd)
# The browser of the web's tests.
if [ "${1:-}" = --tests ] && [ ! -x /usr/bin/chromium ]; then
    packages+=(chromium fonts-dejavu-core fonts-liberation)
fi
if [ ${#packages[@]} -gt 0 ]; then
    install="apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends ${packages[*]}"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing ${packages[*]} (about a minute)"
        # The services are started by who needs them, with their own folders; none starts by itself.
        printf '#!/bin/sh\nexit 101\n' > /tmp/gristmill-policy && chmod +x /tmp/gristmill-policy
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then cp /tmp/gristmill-policy $policy; trap 'rm -f /usr/sbin/policy-rc.d' EXIT; fi
        apt-get update -qq
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive $install -qq >/dev/null
    elif [ "${packages[*]}" = build-essential ]; then
        die "a C compiler is missing. Run: sudo $install"
    else
        printf 'setup: without these packages the Docker job, its tests and those of the web are skipped. To have them, run:\n  sudo apt-get update && sudo %s\n' "$install" >&2
    fi
fi

# Programs for the market's jobs: WASI, and static Linux binaries for images without a base.
for target in wasm32-wasip1 x86_64-unknown-linux-musl; do
    if ! rustup target list --installed 2>/dev/null | grep -qx "$target"; then
        say "Adding the Rust target $target"
        rustup target add "$target" >/dev/null
    fi
done

# Installs the packages of a folder as its lock file has them.
npm_packages() {
    local folder=$1 what=$2 stamp=$1/node_modules/.installed
    if ! cmp -s "$folder/package-lock.json" "$stamp"; then
        say "Installing $what from npm"
        (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
        cp "$folder/package-lock.json" "$stamp"
    fi
}
npm_packages contracts "Foundry and solc (200 MB)"
npm_packages web "the web's libraries (400 MB)"
npm_packages web/tools/openapi "the generator of the web's types"

if [ "${1:-}" = --tests ] && ! cargo nextest --version >/dev/null 2>&1; then
    say "Installing cargo-nextest (several minutes, once)"
    cargo install --locked --quiet cargo-nextest
fi
