#!/bin/sh
# peer.sh DIR -- the peer, llama.cpp, built for this machine; prints the folder
# of its programs.
#
# The source is the registry's package of llama-cpp-python, which carries
# llama.cpp's tree, so one version is pinned for everybody. It is a development
# tool: nothing of ours links it. About 8 CPU-minutes, once; a finished build in
# DIR is used again. LFMD_BENCH_PEER names a folder of programs built elsewhere.
set -eu
version=0.3.36
programs="llama-server llama-bench llama-batched-bench llama-perplexity llama-quantize"

if [ -n "${LFMD_BENCH_PEER:-}" ]; then
    test -x "$LFMD_BENCH_PEER/llama-server" || {
        echo "peer.sh: LFMD_BENCH_PEER=$LFMD_BENCH_PEER has no llama-server" >&2
        exit 1
    }
    echo "$LFMD_BENCH_PEER"
    exit 0
fi

dir=$1/peer-$version
if [ ! -e "$dir/ready" ]; then
    for tool in cmake ninja c++ python3; do
        command -v $tool >/dev/null || {
            echo "peer.sh: $tool is missing (apt install cmake ninja-build g++ python3-venv)" >&2
            exit 1
        }
    done
    mkdir -p "$dir"
    python3 -m venv "$dir/venv" >&2
    "$dir/venv/bin/pip" download --disable-pip-version-check --no-deps --no-binary :all: \
        -d "$dir" "llama-cpp-python==$version" >&2
    tar -xzf "$dir/llama_cpp_python-$version.tar.gz" -C "$dir"
    cmake -S "$dir/llama_cpp_python-$version/vendor/llama.cpp" -B "$dir/build" -G Ninja \
        -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
        -DLLAMA_CURL=OFF -DLLAMA_BUILD_UI=OFF \
        -DLLAMA_BUILD_TESTS=OFF >&2
    echo "peer.sh: building llama.cpp, about 8 CPU-minutes; $dir/build.log" >&2
    # shellcheck disable=SC2086
    nice cmake --build "$dir/build" --target $programs >"$dir/build.log" 2>&1 || {
        tail -n 20 "$dir/build.log" >&2
        exit 1
    }
    touch "$dir/ready"
fi
echo "$dir/build/bin"
