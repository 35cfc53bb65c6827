#!/bin/sh
# run_tests.sh DIR BINARY... -- runs each C test binary, bounded in time.
#
# cmocka prints its own counts; the last line adds the binaries up.  DIR keeps
# one log per binary; the log of a failing one is shown.  RUN is a command that
# runs a binary that this machine cannot, such as qemu.
set -u
dir=$1
shift
mkdir -p "$dir"
passed=0
failed=0
for t in "$@"; do
    log="$dir/$(echo "$t" | tr / _).log"
    # shellcheck disable=SC2086
    if timeout 300 ${RUN:-} "$t" >"$log" 2>&1; then
        passed=$((passed + 1))
        printf 'ok   %s\n' "${t#build/}"
    else
        code=$?
        failed=$((failed + 1))
        printf 'FAIL %s (exit %d)\n' "${t#build/}" "$code"
        tail -n 60 "$log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
