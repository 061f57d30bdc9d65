"""A regressor for a few labelled rows, by scikit-learn's conventions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from metajax.estimator import adapted, methods, portable
from metajax.estimator.base import seed_of, tabular, targets
from metajax.estimator.frames import encode, learn_columns


class FewShotRegressor(RegressorMixin, BaseEstimator):
    """A quantity for new patients from a few labelled ones; X as `FewShotClassifier` takes it.

    Args:
      method: "auto" (ridge regression, strength by generalised cross-validation: the shipped
        network knows classes only) or any of `metajax.baselines.REGRESSORS`.
      random_state: of forests and boosting.
      model: a meta-trained learner, see `FewShotClassifier`.

    Attributes:
      n_features_in_: the number of columns.
      feature_names_in_: their names, if X was a frame with texts as names.
      columns_: how each column is read.
      fitted_: the labelled rows as the method has read them; a saved estimator holds them.
    """

    def __init__(self, method: str = "auto", *, random_state: Any = 0, model: Any = None) -> None:
        """Keeps its arguments as they are; `fit` checks them."""
        self.method = method
        self.random_state = random_state
        self.model = model

    @classmethod
    def from_run(cls, run: Any, **options: Any) -> FewShotRegressor:
        """See `FewShotClassifier.from_run`."""
        from metajax.estimator.learned import from_run  # brings all of training

        return cls(model=from_run(run, **options))

    @classmethod
    def from_bundle(cls, path: Any) -> FewShotRegressor:
        """See `FewShotClassifier.from_bundle`."""
        return cls(model=portable.read(path))

    def fit(self, X: Any, y: Any) -> FewShotRegressor:  # noqa: N803  (scikit-learn's name)
        """Reads the labelled rows.

        Args:
          X: (N, D) frame or array.
          y: (N,) finite numbers.

        Raises:
          ValueError: for rows, columns or targets that cannot be used, naming them.
        """
        methods.checked(self.method, methods.QUANTITY_PARTS)
        table = tabular(self, X, reset=True) if self.model is None else None
        y = np.asarray(targets(X, y), dtype=np.float64)
        if table is not None:
            check_consistent_length(table, y)
        if len(y) < 2:
            raise ValueError("1 sample: a regression needs two labelled rows or more")
        if table is None:
            self.fitted_ = adapted.adapt(self.model, X, y, 0)
            return self
        self.columns_ = learn_columns(table)
        x = encode(self.columns_, table)
        self.fitted_ = methods.fit_quantity(self.method, x, y, seed_of(self.random_state))
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:  # noqa: N803
        """(Q,) predictions; with `return_std` also (Q,) standard deviations.

        Raises:
          ValueError: for columns that are not those of `fit`, naming them; for a standard deviation
            of a method that has none.
        """
        check_is_fitted(self)
        spread = None
        if isinstance(self.fitted_, adapted.Adapted):
            mean, spread = adapted.quantities(self.fitted_, X)
        if return_std and spread is None:
            raise ValueError(
                "this method has no standard deviation. Remedy: a learner with a predictive "
                "variance (dkt, adkf, cnp, ...), or intervals by metajax.conformal"
            )
        if isinstance(self.fitted_, adapted.Adapted):
            return (mean, spread) if return_std else mean
        table = tabular(self, X, reset=False)
        return methods.quantities(self.fitted_, encode(self.columns_, table))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags
