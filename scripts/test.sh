#!/usr/bin/env bash
# The whole test suite: makes .venv with the dev extra, then ruff, import-linter and pytest.
#   bash scripts/test.sh [--long] [pytest arguments]
# --long adds the tests marked `long` and leaves the record results/tests/long.txt.
# METAJAX_DATA names the data directory; without it the tests on its data are skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
long=false
if [ "${1:-}" = --long ]; then long=true; shift; fi

if [ -z "${METAJAX_DATA:-}" ]; then
  data="SKIPPED, because METAJAX_DATA does not name a data directory"
elif [ -d "$METAJAX_DATA" ]; then
  data="RUN, on the data directory that METAJAX_DATA names"
else
  echo "METAJAX_DATA=$METAJAX_DATA is not a folder; unset it to skip the tests on real data." >&2
  exit 2
fi

source scripts/environment.sh
environment dev
python=.venv/bin/python

export JAX_PLATFORMS="${JAX_PLATFORMS:-cpu}" MPLBACKEND=Agg
export WANDB_MODE=offline WANDB_SILENT=true WANDB_ERROR_REPORTING=false
export METAJAX_CACHE="${METAJAX_CACHE:-$PWD/.cache/data}"
# A second call finds its programs compiled.
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$PWD/.cache/jax}"
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
# The suite compiles some thousand small programs once each: without XLA's slow optimisations it
# takes half the time. --long compiles as a user does.
if ! $long; then export JAX_DISABLE_MOST_OPTIMIZATIONS="${JAX_DISABLE_MOST_OPTIMIZATIONS:-1}"; fi

$python -m ruff check .
$python -c 'from importlinter.cli import lint_imports_command as main; main()' \
  --no-logo --cache-dir .cache/import-linter
echo "Tests on real data: $data"
pytest=("$python" -m pytest -n "${WORKERS:-2}" --dist worksteal)
if ! $long; then exec "${pytest[@]}" "$@"; fi

status=0
"${pytest[@]}" -m "" "$@" | tee .cache/long.log || status=$?
# Only the whole suite leaves a record, passed or failed.
if [ $# = 0 ]; then
  mkdir -p results/tests
  cat >results/tests/long.txt <<RECORD
command    bash scripts/test.sh --long
date       $(date -u +%Y-%m-%dT%H:%MZ)
commit     $(git describe --always --dirty 2>/dev/null || echo "not a checkout")
hardware   $(getconf _NPROCESSORS_ONLN) x $(sed -n '/^model name/{s/.*: //p;q}' /proc/cpuinfo || uname -m)
software   $($python -c 'import platform, jax; print("Python", platform.python_version(), "jax", jax.__version__)')
real data  tests $data
result     $(tail -n 1 .cache/long.log | tr -d '=')
RECORD
  cat results/tests/long.txt
fi
exit $status
