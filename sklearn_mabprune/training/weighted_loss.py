"""Sample weights for skorch nets."""

from __future__ import annotations

from typing import Any

from torch import Tensor


class WeightedLossMixin:
    """Mixin for skorch nets that makes them use sample weights.

    It stands before the net class; X is then a dict with keys "X" and "sample_weight".  The
    loss is the mean over samples of weight times loss, never divided by the batch's sum of
    weights, so that a sample has the same influence in every batch.

    Examples
    --------
    >>> from skorch import NeuralNetClassifier
    >>> from sklearn_mabprune import WeightedLossMixin
    >>> class WeightedNet(WeightedLossMixin, NeuralNetClassifier):
    ...     "A net that takes sample weights."
    """

    def initialize_criterion(self) -> Any:
        """As in skorch, with one loss per sample."""
        super().initialize_criterion()  # type: ignore[misc]
        self.criterion_.reduction = "none"
        return self

    def infer(self, x: Any, **fit_params: Any) -> Tensor:
        """Run the module on the features, without the weights."""
        if isinstance(x, dict):
            x = {name: part for name, part in x.items() if name != "sample_weight"}
            x = x["X"] if set(x) == {"X"} else x
        return super().infer(x, **fit_params)  # type: ignore[misc]

    def get_loss(
        self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Mean over samples of weight times loss."""
        losses = super().get_loss(y_pred, y_true, X, training)  # type: ignore[misc]
        losses = losses.flatten(1).mean(1) if losses.dim() > 1 else losses
        if isinstance(X, dict) and "sample_weight" in X:
            losses = losses * X["sample_weight"].to(losses)
        return losses.mean()
