#!/bin/sh
# Builds the digits example: the WASM module, the static Linux program, the container image, and
# the job specs that name them. Run it as often as you like; what is up to date is not built again.
#
#   ./build.sh                                    the module, the program and job.wasm.json
#   ./build.sh 127.0.0.1:5055/examples/digits     also the image, pushed there, and job.docker.json
#
# Needs the Rust targets wasm32-wasip1 and x86_64-unknown-linux-musl; for the image a Docker engine,
# named by DOCKER_HOST. Prints one `name=value` line for each thing that it made; progress goes to stderr.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
repository=${1:-}
if [ $# -gt 1 ]; then
    echo "usage: $0 [registry/repository]" >&2
    exit 2
fi
if [ -n "$repository" ] && [ -z "${DOCKER_HOST:-}" ]; then
    echo "$0: set DOCKER_HOST to the engine that shall build the image, such as unix:///var/run/docker.sock" >&2
    exit 2
fi

# A folder of its own inside a shared target directory, so that nobody else's build is disturbed.
target=${CARGO_TARGET_DIR:+$CARGO_TARGET_DIR/examples-digits}
mkdir -p "${target:=$here/target}"
target=$(cd "$target" && pwd)
cd "$here"
for triple in wasm32-wasip1 x86_64-unknown-linux-musl; do
    CARGO_TARGET_DIR=$target cargo build --release --locked --target "$triple" >&2
done
wasm=$target/wasm32-wasip1/release/digits.wasm
native=$target/x86_64-unknown-linux-musl/release/digits

# The CID of a file of at most one chunk: base32 of (CIDv1, raw, sha-256, 32 bytes, the digest).
cid() {
    if [ "$(wc -c <"$1")" -gt 1048576 ]; then
        echo "$0: $1 is larger than one chunk of 1 MiB" >&2
        exit 1
    fi
    digest=$(sha256sum "$1" | cut -c1-64 | sed 's/../\\x&/g')
    # `env printf`: the shell's own may not know \x.
    env printf "\\x01\\x55\\x12\\x20$digest" | base32 -w0 | tr -d = | tr A-Z a-z | sed 's/^/b/'
}
fill() {
    sed -e "s|@DATA@|$(cid data/digits.csv)|" -e "s|$2|$3|" "$1" >"$target/${1%.in}"
}

module=$(cid "$wasm")
fill job.wasm.json.in @MODULE@ "$module"
echo "wasm=$wasm"
echo "native=$native"
echo "data=$here/data/digits.csv"
echo "data_cid=$(cid data/digits.csv)"
echo "module_cid=$module"
echo "wasm_job=$target/job.wasm.json"

if [ -n "$repository" ]; then
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
    fill job.docker.json.in @IMAGE@ "$image"
    echo "image=$image"
    echo "docker_job=$target/job.docker.json"
fi
