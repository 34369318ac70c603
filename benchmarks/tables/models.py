"""The models: ours, and what else a user could take, each with its preprocessing inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from benchmarks.tables.samples import Split
from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    make_tabular_pipeline,
)

#: Fractions of units that ours removes; the first is what is fitted, the others follow from it.
BUDGETS = (0.75, 0.0, 0.5, 0.9)


@dataclass(frozen=True)
class Model:
    """One of the models.

    Parameters
    ----------
    make : callable
        From samples and a seed to an unfitted estimator that takes them as they are.
    tier : int
        Models of a lower tier are run first.
    package : str
        What has to be installed.
    most : int
        Training samples beyond which it is left out.
    seeds : int
        It is fitted with so many seeds at most.
    ours : bool
        Whether its budget can be changed.
    """

    make: Callable[[Split, int], Any]
    tier: int
    package: str = "sklearn"
    most: int = 10**9
    seeds: int = 10
    ours: bool = False

    @property
    def missing(self) -> bool:
        return find_spec(self.package) is None


def _pruned(split: Split, seed: int, **params: Any) -> Any:
    made = MABPrunedClassifier if split.classify else MABPrunedRegressor
    return make_tabular_pipeline(made(pruning_budget=BUDGETS[0], random_state=seed, **params))


def _before(split: Split, seed: int) -> Any:
    """The default of the package before teachers, encodings of features and schedules."""
    made = MLPNetClassifier if split.classify else MLPNetRegressor
    net = made(inputs=None, module__hidden_layer_sizes=(128, 64))
    return _pruned(split, seed, estimator=net)


def _catboost(split: Split, seed: int, columns: list[str] | None = None) -> Any:
    import catboost

    made = catboost.CatBoostClassifier if split.classify else catboost.CatBoostRegressor
    return made(
        cat_features=columns, random_seed=seed, verbose=False, allow_writing_files=False,
        thread_count=1,
    )  # fmt: skip


def _with_catboost(split: Split, seed: int) -> Any:
    return _pruned(split, seed, teacher=_catboost(split, seed))


def _text_columns(X: Any) -> list[str]:
    return (
        [] if isinstance(X, np.ndarray) else list(make_column_selector(dtype_exclude="number")(X))
    )


def _coded(split: Split, model: Any) -> Any:
    """Categories as codes in front of a model."""
    columns = _text_columns(split.train[0])
    if not columns:
        return model
    coder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=254,
        encoded_missing_value=np.nan,
    )  # fmt: skip
    return make_pipeline(
        make_column_transformer((coder, columns), remainder="passthrough", n_jobs=1), model
    )


def _trees(split: Split, seed: int) -> Any:
    made = HistGradientBoostingClassifier if split.classify else HistGradientBoostingRegressor
    n = len(_text_columns(split.train[0]))
    return _coded(split, made(categorical_features=list(range(n)) or None, random_state=seed))


def _lightgbm(split: Split, seed: int) -> Any:
    import lightgbm

    made = lightgbm.LGBMClassifier if split.classify else lightgbm.LGBMRegressor
    model = made(random_state=seed, n_jobs=1, verbose=-1)
    columns = _text_columns(split.train[0])
    if not columns:
        return model
    kinds = {name: sorted(split.train[0][name].dropna().unique()) for name in columns}
    return make_pipeline(FunctionTransformer(as_categories, kw_args={"kinds": kinds}), model)


def as_categories(X: Any, kinds: dict[str, list[Any]]) -> Any:
    """A frame with its columns of strings as pandas' categories."""
    import pandas as pd

    return X.assign(**{k: pd.Categorical(X[k], categories=v) for k, v in kinds.items()})


def _own_catboost(split: Split, seed: int) -> Any:
    columns = _text_columns(split.train[0])
    model = _catboost(split, seed, columns or None)
    if not columns:
        return model
    return make_pipeline(FunctionTransformer(filled, kw_args={"columns": columns}), model)


def filled(X: Any, columns: list[str]) -> Any:
    """A frame whose columns of strings have no missing values."""
    return X.assign(**{name: X[name].fillna("missing").astype(str) for name in columns})


def _forest(split: Split, seed: int) -> Any:
    made = RandomForestClassifier if split.classify else RandomForestRegressor
    return _coded(split, made(random_state=seed, n_jobs=1))


def _mlp(split: Split, seed: int) -> Any:
    made = MLPClassifier if split.classify else MLPRegressor
    return make_tabular_pipeline(made(random_state=seed))


def _linear(split: Split, seed: int) -> Any:
    return make_tabular_pipeline(LogisticRegression(max_iter=1000) if split.classify else Ridge())


def _pytabkit(kind: str) -> Callable[[Split, int], Any]:
    def make(split: Split, seed: int) -> Any:
        import pytabkit

        made = getattr(pytabkit, f"{kind}_{'Classifier' if split.classify else 'Regressor'}")
        return made(random_state=seed, device="cpu", n_threads=1)

    return make


MODELS = {
    "ours": Model(lambda split, seed: _pruned(split, seed, teacher="auto"), 0, ours=True),
    "ours alone": Model(lambda split, seed: _pruned(split, seed, teacher=None), 0, ours=True),
    "before": Model(_before, 1, ours=True),
    "hist gradient boosting": Model(_trees, 0),
    "lightgbm": Model(_lightgbm, 1, "lightgbm"),
    "catboost": Model(_own_catboost, 1, "catboost"),
    "ours, catboost": Model(_with_catboost, 2, "catboost", ours=True),
    "random forest": Model(_forest, 2),
    "scikit-learn's MLP": Model(_mlp, 2),
    "linear": Model(_linear, 1),
    "realmlp": Model(_pytabkit("RealMLP_TD_S"), 2, "pytabkit", most=15_000),
    "tabm": Model(_pytabkit("TabM_D"), 3, "pytabkit", most=3_000, seeds=1),
}
