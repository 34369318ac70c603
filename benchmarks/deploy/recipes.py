"""Recipes of the page "Where it runs" that need further packages: each runs where its package is.

python -m benchmarks.deploy.recipes
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mabprune import MABPrunedClassifier, pipeline_to_c


def main() -> None:
    """Print what each recipe did, or which package it needs."""
    warnings.simplefilter("ignore")
    X, y = load_digits(return_X_y=True)
    model = make_pipeline(
        StandardScaler(), MABPrunedClassifier(pruning_budget=0.9, random_state=0)
    ).fit(X[:1200], y[:1200])
    for package, recipe in RECIPES.items():
        if importlib.util.find_spec(package) is None:
            print(f"{package}: not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            print(f"{package}: {recipe(model, X, Path(folder))}")


def with_emlearn(model: Any, X: np.ndarray, folder: Path) -> str:
    """The network in C by emlearn, from ``to_sklearn``."""
    import emlearn

    mlp = model[-1].to_sklearn()
    made = emlearn.convert(mlp, method="loadable")
    made.save(file=str(folder / "network.h"), name="network")
    features = model[:-1].transform(X[1200:])
    same = np.mean(made.predict(features) == model.predict(X[1200:]))
    return f"{(folder / 'network.h').stat().st_size:,} bytes of source, {same:.1%} the same labels"


def with_skops(model: Any, X: np.ndarray, folder: Path) -> str:
    """A file without arbitrary code."""
    import skops.io

    file = folder / "model.skops"
    # Its description of the types is 60 KB of text, of any network.
    skops.io.dump(model, file, compression=zipfile.ZIP_DEFLATED, compresslevel=9)
    loaded = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    return f"{file.stat().st_size:,} bytes, {_same(model, loaded, X)}"


def with_mlflow(model: Any, X: np.ndarray, folder: Path) -> str:
    """A model of MLflow."""
    import mlflow.sklearn

    # As log_model does, without a tracking server.
    mlflow.sklearn.save_model(
        model, folder / "model", serialization_format="cloudpickle", pip_requirements=[]
    )
    loaded = mlflow.sklearn.load_model(str(folder / "model"))
    n_bytes = sum(file.stat().st_size for file in folder.rglob("model.*"))
    return f"{n_bytes:,} bytes, {_same(model, loaded, X)}"


def with_hls4ml(model: Any, X: np.ndarray, folder: Path) -> str:
    """The front end of hls4ml, from ``to_torch``."""
    import hls4ml

    module = model[-1].to_torch()
    config = hls4ml.utils.config_from_pytorch_model(module, (X.shape[1],))
    made = hls4ml.converters.convert_from_pytorch_model(
        module, hls_config=config, output_dir=str(folder / "hls"), backend="Vivado"
    )
    return f"layers {', '.join(layer.class_name for layer in made.get_layers())}"


def with_lightgbm(model: Any, X: np.ndarray, folder: Path) -> str:
    """From a LightGBM model to a few KB of C: the same pipeline, taught by it."""
    import lightgbm

    y = load_digits(return_X_y=True)[1]
    trees = lightgbm.LGBMClassifier(n_estimators=50, verbose=-1, n_jobs=1, random_state=0)
    taught = clone(model).set_params(
        mabprunedclassifier__teacher=trees,
        mabprunedclassifier__teacher_weight=0.5,
        mabprunedclassifier__n_synthetic=0,
    )
    taught.fit(X[:1200], y[:1200])
    source = pipeline_to_c(taught, folder / "student.h", dtype="int8", calibrate=X[:1200])
    trees.fit(X[:1200], y[:1200])
    flash = source.partition("Flash: about ")[2].partition(" bytes")[0]
    return (
        f"trees {len(pickle.dumps(trees)):,} bytes, {trees.score(X[1200:], y[1200:]):.1%}; "
        f"network {flash} bytes of C, {taught.score(X[1200:], y[1200:]):.1%}"
    )


def _same(model: Any, loaded: Any, X: np.ndarray) -> str:
    same = np.array_equal(model.predict_proba(X), loaded.predict_proba(X))
    return "the same probabilities" if same else "OTHER probabilities"


RECIPES: dict[str, Callable[[Any, np.ndarray, Path], str]] = {
    "emlearn": with_emlearn,
    "skops": with_skops,
    "mlflow": with_mlflow,
    "hls4ml": with_hls4ml,
    "lightgbm": with_lightgbm,
}

if __name__ == "__main__":
    main()
