#!/bin/sh
# Builds a guest, which is a Rust package with one program that runs on other people's machines:
# as a WASM module, as a static Linux program and, if a registry is named, as a container image.
#
#   guest.sh FOLDER NAME [REGISTRY/REPOSITORY]
#
# FOLDER holds the package and its Dockerfile, NAME is the program. Each guest has a `build.sh` that calls this.
# Needs the Rust targets wasm32-wasip1 and x86_64-unknown-linux-musl; for the image a Docker engine, named by
# DOCKER_HOST. What is up to date is not built again. Prints one `name=value` line for each thing that it made;
# progress goes to stderr.
set -eu

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: $0 FOLDER NAME [REGISTRY/REPOSITORY]" >&2
    exit 2
fi
folder=$(cd "$1" && pwd)
name=$2
repository=${3:-}
if [ -n "$repository" ] && [ -z "${DOCKER_HOST:-}" ]; then
    echo "$0: set DOCKER_HOST to the engine that shall build the image, such as unix:///var/run/docker.sock" >&2
    exit 2
fi

# A folder of its own inside a shared target directory, so that nobody else's build is disturbed.
target=${CARGO_TARGET_DIR:+$CARGO_TARGET_DIR/guest-$name}
mkdir -p "${target:=$folder/target}"
target=$(cd "$target" && pwd)
cd "$folder"
for triple in wasm32-wasip1 x86_64-unknown-linux-musl; do
    CARGO_TARGET_DIR=$target cargo build --release --locked --target "$triple" >&2
done
wasm=$target/wasm32-wasip1/release/$name.wasm
native=$target/x86_64-unknown-linux-musl/release/$name

# The CID of a file of at most one chunk: base32 of (CIDv1, raw, sha-256, 32 bytes, the digest).
if [ "$(wc -c <"$wasm")" -gt 1048576 ]; then
    echo "$0: $wasm is larger than one chunk of 1 MiB, so its CID is not that of its bytes" >&2
    exit 1
fi
digest=$(sha256sum "$wasm" | cut -c1-64 | sed 's/../\\x&/g')
# `env printf`: the shell's own may not know \x.
module_cid=b$(env printf "\\x01\\x55\\x12\\x20$digest" | base32 -w0 | tr -d = | tr A-Z a-z)

echo "target=$target"
echo "wasm=$wasm"
echo "native=$native"
echo "module_cid=$module_cid"
[ -n "$repository" ] || exit 0

context=$target/image
mkdir -p "$context"
cp -p Dockerfile "$native" "$context/"
# The tag follows the content: another program never hides behind a tag that is in use.
tag=$repository:$(sha256sum "$native" | cut -c1-16)
# The classic builder, which every engine has; its cache gives the same image for the same program.
DOCKER_BUILDKIT=0 docker build -q -t "$tag" "$context" >&2
docker push -q "$tag" >&2
image=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$tag" |
    grep -F "$repository@sha256:" | head -n 1)
[ -n "$image" ] || { echo "$0: the registry gave no digest for $tag" >&2; exit 1; }
echo "image=$image"
