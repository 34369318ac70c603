"""The data and the net that the comparisons of whole fits share."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import make_classification

from sklearn_mabprune import MLPNetClassifier

HIDDEN = (256, 128)
EPOCHS = 20


def table(n_rows: int = 20_000, n_features: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Ten classes in float32."""
    X, y = make_classification(
        n_rows, n_features, n_informative=20, n_classes=10, flip_y=0.02, random_state=0
    )
    return X.astype(np.float32), y


def net(hidden: tuple[int, ...] = HIDDEN, epochs: int = EPOCHS, **parameters: Any) -> Any:
    """The default net without an input stage and early stopping: the same epochs on both sides."""
    return MLPNetClassifier(
        inputs=None,
        module__hidden_layer_sizes=hidden,
        max_epochs=epochs,
        early_stopping=False,
        **({"random_state": 0} | parameters),
    )
