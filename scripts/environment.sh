# Sourced by the scripts beside it. `environment [EXTRA]` makes .venv in the current folder, the
# repository's, and installs MetaJAX into it; what is done already is not done again.
#
# It needs Python >= 3.11 with venv or pip, and a package index: no root, no other tool. PYTHON
# names the interpreter to make .venv with. .venv/ready-EXTRA is written last, from what was
# installed: where it is missing or differs, something is still to do.

python_is_usable() {
  "$1" -c 'import sys; from importlib.util import find_spec as has
sys.exit(sys.version_info < (3, 11) or not (has("pip") or has("ensurepip")))' 2>/dev/null
}

find_python() {
  if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else
    set -- python3 python3.13 python3.12 python3.11 python; fi
  local name
  for name in "$@"; do
    if python_is_usable "$name"; then echo "$name"; return; fi
  done
  {
    echo "No Python >= 3.11 with pip was found. Tried:"
    for name in "$@"; do
      echo "  $name: $("$name" --version 2>/dev/null || echo "cannot be run")"
    done
    echo "Install one, or name one: PYTHON=/path/to/python3.12 bash $0"
  } >&2
  return 2
}

wanted() { pwd -P; cat setup.cfg pyproject.toml; }

is_ready() {
  [ "$(cat ".venv/ready-$1" 2>/dev/null)" = "$(wanted)" ] &&
    .venv/bin/python -c 'from importlib.util import find_spec; find_spec("jax") or exit(1)'
}

make_venv() {
  "$1" -m venv .venv >/dev/null 2>&1 && return
  echo "$1 -m venv does not work here (ensurepip is missing?): taking virtualenv instead."
  "$1" -m pip install --quiet --target .venv/virtualenv virtualenv
  PYTHONPATH="$PWD/.venv/virtualenv" "$1" -m virtualenv --quiet --no-periodic-update .venv
  rm -rf .venv/virtualenv
}

environment() {
  local extra="${1:-core}" target=".${1:+[$1]}" python
  if is_ready "$extra"; then return; fi
  # pip settings of some clusters that are at odds with a virtual environment.
  export PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1
  python=$(find_python)
  # One at a time: the lock is the open file's, so it ends with the script however that ends.
  exec 9>.venv.lock
  "$python" -c 'import fcntl
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Waiting for another call that is making .venv.", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)' || true  # a file system without locks
  if ! is_ready "$extra"; then
    if [ -e .venv/unfinished ] || ! python_is_usable .venv/bin/python; then rm -rf .venv; fi
    mkdir -p .venv
    touch .venv/unfinished
    rm -f .venv/ready-*
    echo "Installing MetaJAX into .venv: about 1.4 GB, once, in minutes."
    .venv/bin/python -c 'import pip' 2>/dev/null || make_venv "$python"
    .venv/bin/python -m pip install --editable "$target" || {
      echo "pip failed (its message is above). With network and disk space, run this again." >&2
      return 1
    }
    rm .venv/unfinished
    wanted | tee ".venv/ready-$extra" >.venv/ready-core
  fi
  exec 9>&-
}
