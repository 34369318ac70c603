"""What an estimator says of the epochs of its initial training, as scikit-learn's networks do."""

from __future__ import annotations

from typing import Any

import numpy as np


class Epochs:
    """Mixin with the number of epochs and their losses, read from the history of ``estimator_``."""

    @property
    def n_iter_(self) -> int:
        """Number of epochs of the initial training."""
        return len(self._epochs())

    @property
    def loss_curve_(self) -> list[float]:
        """Training loss of each epoch of the initial training, (``n_iter_``,)."""
        return [float(epoch.get("train_loss", np.nan)) for epoch in self._epochs()]

    @property
    def validation_scores_(self) -> list[float]:
        """Negative validation loss of each epoch of the initial training, (``n_iter_``,)."""
        return [-float(epoch.get("valid_loss", np.nan)) for epoch in self._epochs()]

    def _epochs(self) -> Any:
        """What the net has recorded of the epochs of the initial training.

        An AttributeError leads to ``__getattr__``, which says what is wrong.
        """
        history = getattr(vars(self).get("estimator_"), "history", None)
        if not history:
            raise AttributeError("no epochs")
        return history
