#!/bin/sh
# install-packages.sh build|test -- makes sure that the packages are there.
#
# Installs what is missing with apt when it may (root, or sudo that asks no
# password); otherwise prints the one command to type and stops.
set -eu

build="libmicrohttpd-dev libjansson-dev libuv1-dev libopenblas-dev \
libpcre2-dev libinih-dev libxxhash-dev"
test="libcmocka-dev python3 python3-venv curl git"
# What `make cross` builds with and runs under; an ARM machine needs no cross.
cross="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || cross=

case "${1:-build}" in
build) wanted="$build" ;;
test) wanted="$build $test $cross" ;;
*) echo "usage: $0 build|test" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is not a Debian system: install the equivalents of" >&2
    echo "    $wanted" >&2
    echo "yourself; the build goes on as if they were there." >&2
    exit 0
fi

missing=
for p in $wanted; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

command="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "lfmd needs packages that are not installed. Type:" >&2
    echo "    sudo apt-get update && sudo $command" >&2
    exit 1
fi
echo "installing:$missing"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive $command >/dev/null
