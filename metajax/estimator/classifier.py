"""A classifier for a few labelled rows, by scikit-learn's conventions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from metajax.estimator import adapted, methods, portable
from metajax.estimator.base import seed_of, tabular, targets
from metajax.estimator.frames import encode, learn_columns


class SchemeWarning(UserWarning):
    """A table larger than the network takes was made to fit; the message says how."""


class FewShotClassifier(ClassifierMixin, BaseEstimator):
    """Probabilities for new patients from 8 to some hundred labelled ones, without any training.

    ``FewShotClassifier().fit(X, y).predict_proba(X_new)``. X may be a frame with texts, categories,
    booleans and gaps (`metajax.estimator.frames` says how they are read; dates are refused), y of
    any kind of label. Columns are matched by name, in whatever order; a missing, new or renamed one
    is refused. A category that no labelled row has counts as missing, with a warning.

    Args:
      method: who judges.

        - "auto": the network alone up to 64 labelled rows, which it was trained on; beyond, its
          mean with logistic regression. On 76 real tables (natural draws, mean of k = 8 to 64) it
          is ahead in AUROC of logistic regression with C = .01 by +0.56 [-0.13, +1.25] points, with
          C = 1 by +1.58 [+0.67, +2.53], of a random forest by +0.91 [-0.18, +1.93]; log-loss .419
          against .421 and .477 of regression with C = .1 and forest. It is below none of them
          beyond noise at any k. On the tables among them that its prior had not seen, the mean with
          the regression has a little better probabilities also below 64 rows (log-loss .417 against
          .421) and no better ranking (results/estimator/table.md).
        - "pfn": the network, always.
        - "lr": logistic regression, C = .1.
        - "pfn+lr": the mean of both's probabilities.
        - any of `metajax.baselines.TARGET_ONLY`: "lr_cv", "random_forest", "gaussian_process", ...
          On z-scores by the labelled rows, with a flag for every column with gaps.
      random_state: of forests and of samples of very many rows. Results for one value are the same
        bit for bit; the network itself has nothing random.

      model: a meta-trained learner, see `from_run` and `from_bundle`; then `method` and
        `random_state` are not looked at, and X is what that learner was trained on: a frame of its
        columns, an array (N, ...) of raw images or codes, or a dict of several.

    More than two classes, 48 columns of numbers or 256 labelled rows: see
    `metajax.estimator.methods`; a `SchemeWarning` tells which scheme was used.

    Attributes:
      classes_: (C,) the labels in order.
      n_features_in_: the number of columns.
      feature_names_in_: their names, if X was a frame with texts as names.
      columns_: how each column is read.
      fitted_: the labelled rows as the method has read them; a saved estimator therefore holds
        them, as that of nearest neighbours does.
    """

    def __init__(self, method: str = "auto", *, random_state: Any = 0, model: Any = None) -> None:
        """Keeps its arguments as they are; `fit` checks them."""
        self.method = method
        self.random_state = random_state
        self.model = model

    @classmethod
    def from_run(cls, run: Any, **options: Any) -> FewShotClassifier:
        """The learner of a run that was trained here, with the decoding and scaling it had.

        Args:
          run: ``results/<suite>/runs/<id>``, with its checkpoints.
          options: `data_dir`, `fold`, `rows`; see `metajax.estimator.learned.from_run`.
        """
        from metajax.estimator.learned import from_run  # brings all of training

        return cls(model=from_run(run, **options))

    @classmethod
    def from_bundle(cls, path: Any) -> FewShotClassifier:
        """The learner of a file that `metajax export` wrote.

        Raises:
          metajax.estimator.portable.BundleError: naming what is damaged or of another version.
        """
        return cls(model=portable.read(path))

    def fit(self, X: Any, y: Any) -> FewShotClassifier:  # noqa: N803  (scikit-learn's name)
        """Reads the labelled rows.

        Args:
          X: (N, D) frame or array.
          y: (N,) labels, of two classes or more.

        Raises:
          ValueError: for rows, columns or labels that cannot be used, naming them.
        """
        methods.checked(self.method, methods.PARTS)
        table = tabular(self, X, reset=True) if self.model is None else None
        y = targets(X, y)
        if table is not None:
            check_consistent_length(table, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"all labelled rows have one class, {self.classes_.tolist()[0]!r}: two are needed"
            )
        if table is None:
            self.fitted_ = adapted.adapt(self.model, X, codes, len(self.classes_))
            return self
        self.columns_ = learn_columns(table)
        x = encode(self.columns_, table)
        seed = seed_of(self.random_state)
        self.fitted_ = methods.fit(self.method, x, codes, len(self.classes_), seed)
        if told := methods.schemes(self.fitted_):
            warnings.warn("; ".join(told), SchemeWarning, stacklevel=2)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """(Q, C) probabilities of the classes in the order of `classes_`; rows sum to 1.

        Raises:
          ValueError: for columns that are not those of `fit`, naming them.
        """
        check_is_fitted(self)
        if isinstance(self.fitted_, adapted.Adapted):
            return adapted.probabilities(self.fitted_, X)
        table = tabular(self, X, reset=False)
        return methods.probabilities(self.fitted_, encode(self.columns_, table))

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """(Q,) the most probable class; the first in order if two are level."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags
