#!/bin/sh
# Builds the digits example: the WASM module, the static Linux program, the container image, and
# the job specs that name them. See ../guest.sh for what it needs and prints.
#
#   ./build.sh                                    the module, the program and job.wasm.json
#   ./build.sh 127.0.0.1:5055/examples/digits     also the image, pushed there, and job.docker.json
set -eu

here=$(cd "$(dirname "$0")" && pwd)
built=$("$here/../guest.sh" "$here" digits "$@")
echo "$built"
value() {
    echo "$built" | sed -n "s/^$1=//p"
}

# job_spec RUNTIME WHAT VALUE: the template with what was just built filled in.
job_spec() {
    file=$(value target)/job.$1.json
    sed "s|$2|$3|" "$here/job.$1.json.in" >"$file"
    echo "$1_job=$file"
}
echo "data=$here/data/digits.csv"
job_spec wasm @MODULE@ "$(value module_cid)"
image=$(value image)
if [ -n "$image" ]; then
    job_spec docker @IMAGE@ "$image"
fi
