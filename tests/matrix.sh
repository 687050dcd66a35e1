#!/usr/bin/env bash
# Run the tests with every pair of a Python and a NumPy that can be had here, and beside the peers.
#
#     tests/matrix.sh                       the whole suite for each pair, which takes hours
#     tests/matrix.sh tests/autodiff -x     what pytest is to run instead
#
# Each pair gets an environment of its own, which is removed afterwards. Pythons are looked for on
# the PATH and with pyenv and uv. It prints one line for each pair, keeps what pip and pytest said
# in build/matrix/, and exits with 1 if a test failed.
set -uo pipefail
cd "$(dirname "$0")/.."
unset PYTHONPATH
export OPENBLAS_NUM_THREADS=1
logs=build/matrix
mkdir -p "$logs"
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
failed=0

find_python() { # VERSION; print a command that runs this Python
    local found
    local version='import sys; print("%d.%d" % sys.version_info[:2])'
    for found in "python$1" "$(pyenv prefix "$1" 2>/dev/null)/bin/python" \
        "$(uv python find "$1" 2>/dev/null)"; do
        if [ "$("$found" -c "$version" 2>/dev/null)" = "$1" ]; then
            echo "$found"
            return
        fi
    done
    return 1
}

row() { # PYTHON NAME "REQUIREMENTS" ARGUMENTS OF PYTEST; print one line of the table
    local python=$1 name=$2 log said versions bin=$environment/bin
    read -ra requirements <<<"$3"
    shift 3
    versions="$("$python" -c 'import platform; print(platform.python_version())')  $name"
    log=$logs/${versions//[ *]/_}.txt
    "$python" -m venv --clear "$environment" >"$log" 2>&1
    if ! "$bin/python" -m pip install --no-compile --only-binary=:all: \
        -e ".[tutorials,test]" "${requirements[@]}" >>"$log" 2>&1; then
        said="cannot be had: $(grep '^ERROR' "$log" | tail -n 1)"
    else
        versions+=" ($("$bin/python" -c 'import numpy; print(numpy.__version__)'))"
        "$bin/python" -m pytest -q "$@" >>"$log" 2>&1 || failed=1
        said=$(tail -n 1 "$log")
    fi
    printf '%-26s %s\n' "$versions" "$said"
}

printf '%-26s %s\n' "Python   NumPy" "result"
pythons=()
for version in 3.10 3.11 3.12 3.13 3.14 3.15; do
    if found=$(find_python $version); then
        python=$found
        pythons+=("$python")
    else
        echo "$version: no such Python here"
    fi
done
# The newest NumPy that the newest of these Pythons can have.
latest=$("$python" -m pip index versions numpy 2>/dev/null | sed -n 's/^numpy (2\.\([0-9]*\)\..*/\1/p')
for python in "${pythons[@]}"; do
    row "$python" 2.0.0 numpy==2.0.0 "$@" # the oldest that setup.cfg allows
    for minor in $(seq "$latest"); do
        row "$python" "2.$minor" "numpy==2.$minor.*" "$@"
    done
done
# The peers are run with the Python and the PyTorch with which the pages were measured.
if python=$(find_python 3.11); then
    row "$python" peers "scipy jax diffrax torch==2.13.0 torchdiffeq" -m peers
fi
exit $failed
