#!/usr/bin/env bash
# Run the tests with every pair of a Python and a NumPy that can be had, and beside the peers.
#
#     tests/matrix.sh                       the whole suite for each pair, which takes hours
#     tests/matrix.sh tests/autodiff -x     what pytest is to run instead
#
# Pythons are looked for on the PATH and with pyenv and uv. Each pair gets an environment of its
# own, which is removed afterwards. One line is printed for each; what pip and pytest said is kept
# in build/matrix/. The exit code is 1 if a test failed, or if no pair was tested.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
unset PYTHONPATH
export OPENBLAS_NUM_THREADS=1
mkdir -p build/matrix
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
failed=0 tested=0

find_python() { # VERSION; print a command that runs this Python
    local found version='import sys; print("%d.%d" % sys.version_info[:2])'
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
    local python=$1 pair requirements log said bin=$environment/bin
    pair="$("$python" -c 'import platform; print(platform.python_version())')  $2"
    log=build/matrix/${pair// /_}.txt
    read -ra requirements <<<"$3"
    shift 3
    "$python" -m venv --clear "$environment" >"$log" 2>&1
    if "$bin/python" -m pip install --no-compile --only-binary=:all: \
        -e ".[tutorials,test]" "${requirements[@]}" >>"$log" 2>&1; then
        pair+=" ($("$bin/python" -c 'import numpy; print(numpy.__version__)'))"
        "$bin/python" -m pytest -q "$@" >>"$log" 2>&1 || failed=1
        tested=$((tested + 1))
        said=$(tail -n 1 "$log")
    else
        said="cannot be had: $(grep '^ERROR' "$log" | tail -n 1)"
    fi
    printf '%-24s %s\n' "$pair" "$said"
}

printf '%-24s %s\n' "Python   NumPy" "result"
pythons=()
for version in 3.10 3.11 3.12 3.13 3.14 3.15; do
    if python=$(find_python $version); then pythons+=("$python"); else echo "$version  not here"; fi
done
latest=$("${pythons[@]: -1}" -m pip index versions numpy 2>/dev/null | # as numpy (2.5.1)
    sed -n 's/^numpy (2\.\([0-9]*\)\..*/\1/p')
for python in "${pythons[@]}"; do
    row "$python" 2.0.0 numpy==2.0.0 "$@" # the oldest that setup.cfg allows
    for minor in $(seq "$latest"); do row "$python" "2.$minor" "numpy==2.$minor.*" "$@"; done
done
# The peers' tests, with the versions that BEYOND.md names.
if python=$(find_python 3.11); then
    peers=$(sed -n 's/^python -m pip install \(jax==.*\)/\1/p' tutorials/BEYOND.md)
    row "$python" peers "$peers" -m peers
fi
exit $((failed || !tested))
