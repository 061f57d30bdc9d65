"""Runs a sweep file of Weights & Biases without its server: resumes, retries, shards, Slurm.

    python scripts/sweep.py experiments/sweeps/imaging.yaml --workers=2
    python scripts/sweep.py experiments/sweeps/imaging.yaml --dry-run
    python scripts/sweep.py experiments/sweeps/imaging.yaml --shard=1/4
    python scripts/sweep.py experiments/sweeps/imaging.yaml --slurm.jobs=4 --slurm.partition=cpu
"""

from metajax import surroundings

surroundings.check()

import sys

from metajax import sweep_command

main = surroundings.guarded(sweep_command.main)

if __name__ == "__main__":
    sys.exit(main())
