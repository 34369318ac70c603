"""Networks trained once, that many ways of pruning start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from benchmarks.shared.data_sets import DataSet
from sklearn_mabprune import MLPNetClassifier, MLPNetRegressor
from sklearn_mabprune.data.samples import Data, Samples
from sklearn_mabprune.data.splitting import content_split
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.tracing import recover_graph
from sklearn_mabprune.training.conversion import samples_of
from sklearn_mabprune.training.initial import train
from sklearn_mabprune.training.predicting import network_outputs


@dataclass
class Prepared:
    """A trained network, its training and validation samples, and samples to score on."""

    net: Any
    fitted: Data
    validation: Data
    scored: Data

    @classmethod
    def of(
        cls, data: DataSet, seed: int, sizes: tuple[int, ...], *, test: bool, most: int = 10**9
    ) -> Prepared:
        """Split, scale, train.

        Parameters
        ----------
        data : DataSet
        seed : int
            Of the split and of the training.
        sizes : tuple of int
            Hidden layers.
        test : bool
            Score on the quarter set apart for testing; otherwise on a third of the rest,
            which is where settings may be chosen, and the quarter is not touched.
        most : int
            Training samples beyond so many are left out.
        """
        classify = data.task == "classification"
        fit_X, score_X, fit_y, score_y = data.split(seed)
        if not test:
            fit_X, score_X, fit_y, score_y = train_test_split(
                fit_X,
                fit_y,
                test_size=1 / 3,
                random_state=seed,
                stratify=fit_y if classify else None,
            )
        # The split was shuffled: the first samples are as good as any.
        fit_X, fit_y = fit_X[:most], fit_y[:most]
        prepare = data.preprocessing()
        fit_X = prepare.fit_transform(fit_X).astype(np.float32)
        score_X = prepare.transform(score_X).astype(np.float32)
        if classify:
            classes, fit_y = np.unique(fit_y, return_inverse=True)
            score_y, n_outputs = np.searchsorted(classes, score_y), len(classes)
            # Published methods prune plain networks.
            net: Any = MLPNetClassifier(inputs=None, module__hidden_layer_sizes=sizes)
        else:
            fit_y, score_y, n_outputs = fit_y.reshape(-1, 1), score_y.reshape(-1, 1), 1
            net = MLPNetRegressor(inputs=None, module__hidden_layer_sizes=sizes)
        split = content_split(fit_X, fit_y if classify else None, 0.1, seed)
        fitted, validation = (
            Data(fit_X[index], fit_y[index], None, n_outputs)
            for index in (split.train, split.validation)
        )
        net, _ = train(net, fitted, validation, seed)
        return cls(net, fitted, validation, Data(score_X, score_y, None, n_outputs))

    def graph(self) -> Graph:
        """The trained network as a graph."""
        return recover_graph(self.net.module_, samples_of(self.net, self.fitted).x[:64])

    def pruning_rows(self, most: int, seed: int) -> Samples:
        """At most so many of the training samples, in their order."""
        rows = samples_of(self.net, self.fitted)
        index = np.random.default_rng(seed).permutation(len(rows))[:most]
        return rows.at(torch.as_tensor(np.sort(index)))


def points(net: Any, graph: Any, data: Data) -> float:
    """Accuracy or R2, x 100."""
    outputs = network_outputs(net, graph.forward, data.x)
    if data.y.ndim == 1:
        return 100 * float(np.mean(outputs.argmax(axis=1) == data.y))
    return 100 * float(1 - np.mean((outputs - data.y) ** 2) / np.var(data.y))
