#!/usr/bin/env bash
# The documentation site: makes .venv with the docs extra, writes .cache/docs/index.html.
#   bash scripts/docs.sh [flags of sphinx-build]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
environment docs

# A warning is an error: a page that no list names, a link to nothing, a formula that cannot be read.
exec .venv/bin/python -m sphinx -E -W --keep-going -b html -d .cache/doctrees "$@" docs .cache/docs
