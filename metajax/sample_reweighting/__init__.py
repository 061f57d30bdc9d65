"""Rows with wrong labels and rare classes: learned weights against their rivals (floor 8).

What experiments/sample_reweighting.py runs, whose docstring has the protocol. `settings` says what
there is; `draws` damages rows; `training` trains and chooses step sizes; `runs` makes records;
`pages` makes tables of them.
"""
