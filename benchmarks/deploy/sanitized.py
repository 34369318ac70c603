"""C forms of every kind of estimator under the address and undefined-behaviour sanitizers.

python -m benchmarks.deploy.sanitized     # exits with 1 when a self-test fails
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import make_classification, make_regression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from benchmarks.shared.compiling import STRICT, compiler, run
from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MLPNetClassifier,
    MLPNetRegressor,
    make_tabular_pipeline,
    pipeline_to_c,
)

_FLAGS = (*STRICT, "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

#: Activations of the networks, one for each way in which a layer is written.
_ACTIVATIONS = ("relu", "tanh", "gelu", "sigmoid", "leaky_relu")


class Chain(nn.Module):
    """A module of a user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 12), nn.BatchNorm1d(12), nn.PReLU(12), nn.Linear(12, 8), nn.Softplus(),
            nn.BatchNorm1d(8), nn.Hardswish(), nn.Linear(8, 3),
        )  # fmt: skip

    def forward(self, X: Any) -> Any:
        return self.layers(X)


class Images(nn.Module):
    """A module that is no chain: convolutions with a residual connection, pooling, a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.inner, self.depth = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, 2, groups=6)
        self.gate, self.last = nn.Linear(6, 12), nn.Linear(12, 3)

    def forward(self, X: Any) -> Any:
        h = torch.relu(self.norm(self.stem(X)))
        h = nn.functional.max_pool2d(h + torch.tanh(self.inner(h)), 3, 2, 1)
        h = nn.functional.gelu(self.depth(nn.functional.pad(h, (1, 0, 1, 0)))).mean((2, 3))
        value, gate = self.gate(h).chunk(2, 1)
        return self.last(torch.cat([value * torch.sigmoid(gate), h], 1))


class Words(nn.Module):
    """A module that is no chain: embeddings, a convolution over words, the largest value."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.conv = nn.Embedding(9, 8), nn.Conv1d(8, 10, 3)
        self.norm, self.last = nn.LayerNorm(10), nn.Linear(10, 3)

    def forward(self, X: Any) -> Any:
        h = torch.relu(self.conv(self.words(X).transpose(1, 2))).amax(-1)
        return self.last(self.norm(h))


class Sequences(nn.Module):
    """A module that is no chain: recurrent layers of every kind, and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 5, 2, batch_first=True, bidirectional=True)
        self.gru, self.rnn = nn.GRU(10, 6, batch_first=True), nn.RNN(6, 4, batch_first=True)
        self.heads = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
        self.last = nn.Linear(4 + 6, 3)

    def forward(self, X: Any) -> Any:
        h, last = self.gru(self.lstm(X)[0])
        return self.last(torch.cat([self.rnn(self.heads(h))[0].mean(1), last[-1]], 1))


def models() -> Iterator[tuple[str, Any, Any]]:
    """Name, fitted pipeline and samples of each kind."""
    X, codes = make_classification(200, 6, n_informative=5, n_redundant=0, n_classes=3,
                                   random_state=0)  # fmt: skip
    X = X.astype(np.float32)
    options: dict[str, Any] = {"random_state": 0, "tolerance": 100.0}
    quick = {"module__hidden_layer_sizes": (12, 8), "max_epochs": 3}
    for activation in _ACTIVATIONS:
        net = MLPNetClassifier(module__activation=activation, **quick)
        model = make_pipeline(StandardScaler(), MABPrunedClassifier(net, **options))
        yield f"classes, {activation}", model.fit(X, codes), X
    classifier = MABPrunedClassifier(MLPNetClassifier(**quick), **options)
    two = make_pipeline(classifier.fit(X, codes > 0))
    yield "two classes", two, X
    labels = make_pipeline(StandardScaler(), MABPrunedClassifier(MLPNetClassifier(**quick),
                                                                **options))  # fmt: skip
    yield "multilabel", labels.fit(X, np.column_stack([codes > 0, codes > 1]).astype(int)), X
    several = MABPrunedClassifierCV(MABPrunedClassifier(MLPNetClassifier(**quick), **options), cv=2)
    yield "cross-validated", make_pipeline(several.fit(X, codes)), X
    net = NeuralNetClassifier(Chain, criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0)
    yield "own module", make_pipeline(MABPrunedClassifier(net, **options).fit(X, codes)), X
    images = np.pad(X, ((0, 0), (0, 58))).reshape(-1, 1, 8, 8)
    words = np.random.default_rng(0).integers(0, 9, (len(X), 7))
    for what, module, samples in (
        ("images", Images, images),
        ("words", Words, words),
        ("sequences", Sequences, X.reshape(-1, 3, 2)),
    ):
        net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, max_epochs=2, verbose=0)
        yield what, MABPrunedClassifier(net, **options).fit(samples, codes), samples
    values = make_regression(200, 6, n_targets=2, random_state=0)[1] + 1000.0
    for n_targets in (1, 2):
        y = values[:, 0] if n_targets == 1 else values
        model = MABPrunedRegressor(MLPNetRegressor(**quick), **options)
        yield f"values, {n_targets}", make_pipeline(StandardScaler(), model).fit(X, y), X
    table = pd.DataFrame(X[:, :3], columns=[*"abc"]).assign(
        town=np.array(["Ulm", "Bonn", None])[codes], flag=codes > 1
    )
    table.iloc[::9, 0] = np.nan
    model = make_tabular_pipeline(MABPrunedClassifier(MLPNetClassifier(**quick), **options))
    yield "table", model.fit(table, codes), table


def main() -> int:
    """Compile and run every self-test; 1 if one fails."""
    warnings.simplefilter("ignore")
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, model, X in models():
            samples = X
            if not hasattr(X, "columns") and X.dtype.kind == "f":
                samples = np.concatenate([X, 1e6 * X[:5], 0 * X[:1]])
            for dtype in ("float32", "int8"):
                calibrate = {"calibrate": X} if dtype == "int8" else {}
                pipeline_to_c(model, folder / "model.h", dtype=dtype, samples=samples, **calibrate)
                program = folder / "model"
                command = [*compiler(), *_FLAGS, "-DMODEL_TEST", "-x", "c", folder / "model.h",
                           "-o", program, "-lm"]  # fmt: skip
                try:
                    run(command)
                    result = run([program]).strip()
                except RuntimeError as error:
                    failed, result = failed + 1, f"FAILED: {error}"
                print(f"{what:20s} {dtype:8s} {result}", flush=True)
    print(f"{failed} failed" if failed else "all passed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
