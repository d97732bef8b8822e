#!/bin/sh
# Builds the hostile guest as a module, a static program and, if a registry is named, a container
# image. See examples/guest.sh for what it needs and prints.
#
#   ./build.sh [127.0.0.1:5055/guests/hostile]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../../examples/guest.sh" "$here" hostile "$@"
