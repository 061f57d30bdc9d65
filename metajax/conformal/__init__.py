"""Conformal prediction: sets and intervals that hold the truth as often as they say (floor 1).

A score says how badly a label fits a row; higher is stranger. Calibration rows whose labels are
known say which scores are usual. The p-value of a label is the share of calibration scores at
least as strange as its own, the new row counted in; the set holds every label whose p-value is
above `alpha`. If the calibration rows and the new row are exchangeable, which also asks that the
model never saw any of them, then the set misses the truth with probability `alpha` at most. This
is no statement on one patient, nor on one class or hospital: it is a mean over all such draws.

What is guaranteed, by function (n calibration rows, K folds, T tasks):

==================  ========================================  =================================
`p_values`          split: rows that the model never saw      at least 1 - alpha over rows;
                                                              by category: in each of them
`cross_p_values`    cross: every row judged by a model        at least 1 - 2 alpha (and a little
                    that did not see it                       less for small K); usually 1 - alpha
`task_p_values`     across tasks: models of other tasks,      at least 1 - alpha over a new task
                    judged on their queries                   and a row of it, not in each task
==================  ========================================  =================================

Plain numpy. What is equal is counted as strange (conservative), unless an `rng` is given that
breaks ties at random: then the split sets are right exactly 1 - alpha of the time.

Reference:
  Vovk, Gammerman, Shafer (2005, 2022), Algorithmic Learning in a Random World. Romano, Sesia,
  Candes (2020), Classification with valid and adaptive coverage. Barber, Candes, Ramdas,
  Tibshirani (2021), Predictive inference with the jackknife+. Lee, Barber, Willett (2023),
  Distribution-free inference with hierarchical data.
"""

from __future__ import annotations

from metajax.conformal.crossed import cross_interval, cross_p_values
from metajax.conformal.quality import Quality, quality
from metajax.conformal.rows import enough, least_rows, p_values, sets, threshold
from metajax.conformal.scores import aps, interval, label_scores, lac, residual
from metajax.conformal.tasks import task_p_values, task_threshold

__all__ = (
    "Quality", "aps", "cross_interval", "cross_p_values", "enough", "interval", "label_scores",
    "lac", "least_rows", "p_values", "quality", "residual", "sets", "task_p_values",
    "task_threshold", "threshold",
)  # fmt: skip
