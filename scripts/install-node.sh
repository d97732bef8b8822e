#!/usr/bin/env bash
# Installs the node agent on this machine as a service, in one command:
#
#   sudo scripts/install-node.sh --scheduler https://scheduler.example.org --provider 0xYourWallet
#
# Builds the program from this checkout (Rust is needed for that), or takes one that was built elsewhere:
#   --from FILE       the program
#   --sha256 HEX      what it must hash to
#   --to FOLDER       where it goes; /usr/local/bin where absent
# Everything else goes to `gristmill-node service install`; see its --help. Safe to run again: that brings program and
# service up to date, and keeps key, configuration and state.
set -euo pipefail

die() { printf 'install: %s\n' "$*" >&2; exit 1; }

from='' sha256='' to=/usr/local/bin rest=()
while [ $# -gt 0 ]; do
    case $1 in
        --from) from=${2:?--from needs a file}; shift 2 ;;
        --sha256) sha256=${2:?--sha256 needs 64 hexadecimal digits}; shift 2 ;;
        --to) to=${2:?--to needs a folder}; shift 2 ;;
        -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) rest+=("$1"); shift ;;
    esac
done
[ ${#rest[@]} -gt 0 ] || die "name a scheduler and your wallet: --scheduler https://… --provider 0x…"

if [ -z "$from" ]; then
    [ -z "$sha256" ] || die "--sha256 goes with --from"
    command -v cargo >/dev/null ||
        die "Rust is missing, and no program was named. Install it from https://rustup.rs, or use --from FILE."
    cd "$(dirname "$0")/.."
    printf '▸ Building gristmill-node (several minutes)\n' >&2
    cargo build --locked --release --quiet --package gristmill-node
    from=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/gristmill-node
fi
[ -f "$from" ] || die "there is no file $from"
if [ -n "$sha256" ]; then
    found=$(sha256sum "$from" | cut -d ' ' -f 1)
    [ "$found" = "${sha256,,}" ] || die "$from hashes to $found, and not to what was named; nothing was installed"
fi
mkdir -p "$to"
# Beside it first, then renamed: a program that runs cannot be written over, and a half one is never started.
install -m 0755 "$from" "$to/.gristmill-node.new"
mv "$to/.gristmill-node.new" "$to/gristmill-node"
printf '▸ Installed %s/gristmill-node\n' "$to" >&2
exec "$to/gristmill-node" service install "${rest[@]}"
