#!/usr/bin/env bash
# The first table: makes .venv, meta-trains on synthetic diseases, tests on real tables, prints.
#   bash scripts/quickstart.sh [flags of experiments/disease_prediction.py]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
environment

echo "Results go to results/quickstart/: table.md, table.csv, report.html and a record per run."
# exec: who stops this script stops the run itself, which resumes when called again.
exec .venv/bin/python experiments/disease_prediction.py --preset=quickstart "$@"
