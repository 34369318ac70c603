"""Loss per sample, derived from the criterion of a net."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch import NeuralNetRegressor
from torch import Tensor, nn
from torch.nn import functional as F

from ..utils.compat import predict_nonlinearity, uncompiled
from ..utils.words import counted
from .class_losses import SoftNLLLoss, class_weights, mean_weight, weighs_classes

#: Criteria for mutually exclusive classes, and for multilabel targets.
ONE_LABEL = (nn.CrossEntropyLoss, nn.NLLLoss)
SEVERAL_LABELS = (nn.BCEWithLogitsLoss, nn.BCELoss, nn.MultiLabelSoftMarginLoss)
#: Criteria for two classes and one output, the probability of the second class or its logit.
TWO_CLASSES = (nn.BCEWithLogitsLoss, nn.BCELoss)

#: Criteria that take one class index for each sample.
_ONE_INDEX = (*ONE_LABEL, nn.MultiMarginLoss)

#: Losses of torch that compare outputs with targets in the same units.
SAME_UNITS = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss)


def has_other_units(criterion: nn.Module) -> bool:
    """Whether a loss of torch reads outputs in other units than targets.

    Examples are logarithms of rates (PoissonNLLLoss) and logits.  Losses of the user's own are
    taken to compare both in the same units.
    """
    of_torch = any(_is_of_torch(base) for base in type(criterion).__mro__)
    return of_torch and not isinstance(criterion, SAME_UNITS)


def _is_of_torch(loss: type) -> bool:
    """Whether a class is a loss of torch, and not one of the user's that is derived from it."""
    return loss.__module__ == nn.MSELoss.__module__ and loss.__name__ in nn.__dict__


def check_criterion(net: Any, y: np.ndarray) -> None:
    """Raise ValueError if a net's criterion does not match y.

    Parameters
    ----------
    net : skorch net
        Initialised.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Class indices, an indicator matrix or values.
    """
    criterion = uncompiled(net.criterion_)
    name = type(criterion).__name__
    if isinstance(net, NeuralNetRegressor):
        if isinstance(criterion, ONE_LABEL):
            raise ValueError(
                f"The net's criterion {name} is for classes, and y of a regressor has values. Pass "
                "criterion=nn.MSELoss, with one output per target; or use a classifier."
            )
        return
    if y.ndim == 2 and isinstance(criterion, ONE_LABEL):
        raise ValueError(
            f"y is multilabel with {counted(y.shape[1], 'class')}, but the net's criterion "
            f"{name} is for mutually exclusive classes. Pass criterion=nn.BCEWithLogitsLoss."
        )
    if y.ndim == 1 and isinstance(criterion, SEVERAL_LABELS):
        if len(np.unique(y)) == 2 and isinstance(criterion, TWO_CLASSES):
            return  # with one output; that is known when the module has been run
        raise ValueError(
            f"y has one class per sample, but the net's criterion {name} is for multilabel "
            "targets. Pass criterion=nn.CrossEntropyLoss, with one output per class."
        )
    if y.ndim == 1 and _is_of_torch(type(criterion)) and not isinstance(criterion, _ONE_INDEX):
        raise ValueError(
            f"y has one class per sample, but the net's criterion {name} does not compare outputs "
            "with classes. Pass criterion=nn.CrossEntropyLoss, with one output per class; or use a "
            "regressor."
        )


def separates_two(criterion: nn.Module, y: np.ndarray, n_outputs: int) -> bool:
    """Whether one output of a module stands for two classes.

    Parameters
    ----------
    criterion : nn.Module
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Class indices, an indicator matrix or values.
    n_outputs : int
        Of the module.

    Raises
    ------
    ValueError
        If the criterion is for one output, y has one class per sample, and the module has more.
    """
    if y.ndim == 2 or not isinstance(criterion, TWO_CLASSES):
        return False
    if n_outputs > 1:
        raise ValueError(
            f"y has one class per sample, and the net's module {n_outputs} outputs, but the "
            f"criterion {type(criterion).__name__} takes each output for a label of its own. Pass "
            "criterion=nn.CrossEntropyLoss, with one output per class; or a module with one output."
        )
    return True


def both_classes(outputs: np.ndarray) -> np.ndarray:
    """Probabilities of two classes, (n_samples, 2), from those of the second, (n_samples, 1)."""
    return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs


def check_soft_labels(criterion: nn.Module, y: np.ndarray) -> None:
    """Raise ValueError if a criterion does not take soft labels, such as class probabilities."""
    if isinstance(criterion, nn.NLLLoss):
        return
    targets = torch.as_tensor(y)
    own: Any = copy.deepcopy(criterion).cpu().to(targets.dtype)
    try:
        own(torch.full_like(targets, 0.5), targets)
    except Exception as error:
        name = type(criterion).__name__
        raise ValueError(
            f"The net's criterion {name} does not take soft labels, which a teacher gives: "
            f"{error}. Pass criterion=nn.CrossEntropyLoss, or teacher=None."
        ) from error


def output_nonlinearity(net: Any) -> Callable[[Tensor], Tensor]:
    """Function from a module's outputs to probabilities (classifier) or values (regressor).

    skorch assumes that a binary loss means two classes; here it means multilabel targets, whose
    probabilities are independent.
    """
    criterion = uncompiled(net.criterion_)
    if net.predict_nonlinearity == "auto" and isinstance(criterion, SEVERAL_LABELS):
        return nn.Identity() if isinstance(criterion, nn.BCELoss) else torch.sigmoid
    return predict_nonlinearity(net)


def is_softmax(nonlinearity: Any) -> bool:
    """Whether a function is the softmax that skorch applies to logits."""
    given = getattr(nonlinearity, "func", None), getattr(nonlinearity, "keywords", None)
    return given == (torch.softmax, {"dim": -1})


def _divergence(outputs: Tensor, teacher: Tensor, several: bool) -> Tensor:
    """Kullback-Leibler divergence of class probabilities from those of a teacher network.

    Its shape is (n_samples,), or (n_samples, n_labels) if several labels may be true.
    """
    eps = torch.finfo(outputs.dtype).eps
    outputs, teacher = outputs.clamp(eps, 1 - eps), teacher.clamp(eps, 1 - eps)
    divergence = F.kl_div(outputs.log(), teacher, reduction="none")
    if several:
        return divergence + F.kl_div((1 - outputs).log(), 1 - teacher, reduction="none")
    return divergence.sum(-1)


class SampleLoss:
    """Loss per sample: a criterion without its reduction over samples.

    Parameters
    ----------
    criterion : nn.Module
        Criterion with a `reduction` attribute, as all losses of torch have; it is copied.
    targets : Tensor of shape (n_samples,) or (n_samples, n_outputs), optional
        Of all samples.  Losses are divided by their mean weight in the criterion, as its mean over
        samples is: class weights are ratios, and a class that it ignores counts nowhere.
    probabilities : callable, optional
        From outputs to class probabilities, of classifiers.

    Raises
    ------
    ValueError
        If the criterion has no `reduction`.
    """

    def __init__(
        self,
        criterion: nn.Module,
        targets: Tensor | None = None,
        probabilities: Callable[[Tensor], Tensor] | None = None,
    ):
        if not hasattr(criterion, "reduction"):
            raise ValueError(
                f"The net's criterion {type(criterion).__name__} has no `reduction` attribute, but "
                "pruning needs one loss per sample. Use a loss of torch.nn, or add a `reduction` "
                "parameter that supports 'none'."
            )
        own: Any = copy.deepcopy(criterion).eval()
        if type(own) is nn.NLLLoss:
            own = SoftNLLLoss.of(own)
        self.summed = own.reduction == "sum"
        self._weight = 1.0 if targets is None else mean_weight(own, targets)
        self._probabilities = probabilities
        self._several = targets is not None and targets.dim() == 2
        own.reduction = "none"
        self.criterion: nn.Module = own
        # Samples of a class that is ignored have no loss.
        plain = type(own) is nn.CrossEntropyLoss and own.weight is None
        self._classes = plain and own.label_smoothing == 0.0 and own.ignore_index < 0
        self._squares = type(own) is nn.MSELoss

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses of shape (n_samples,): mean over outputs, or sum for ``reduction="sum"``."""
        losses = self._per_sample(self.criterion(self._logits(outputs), targets))
        return losses if self._weight == 1.0 else losses / self._weight

    def at_drawn(self, outputs: Tensor, drawn: Tensor, targets: Tensor) -> Tensor:
        """Losses at drawn targets whose squared gradients have those' curvature as their mean.

        The curvature has the weights of the samples' own classes and labels: drawn ones may have
        others, or be ignored, and smoothed ones would move the mean of the gradients.

        Parameters
        ----------
        outputs : Tensor of shape (n_samples, n_outputs)
        drawn : Tensor
            From the network's own predictions.
        targets : Tensor
            Of the samples.

        Returns
        -------
        Tensor of shape (n_samples,)
        """
        own: Any = self.criterion
        if type(own) is nn.BCEWithLogitsLoss and not (
            own.weight is None and own.pos_weight is None
        ):
            weights = 1.0 if own.pos_weight is None else 1 + (own.pos_weight - 1) * targets
            weights = weights if own.weight is None else weights * own.weight
            losses = F.binary_cross_entropy_with_logits(outputs, drawn, reduction="none")
            return self._per_sample(losses * weights**0.5)
        if not weighs_classes(own, targets):
            return self(outputs, drawn)
        of_classes = F.nll_loss if isinstance(own, nn.NLLLoss) else F.cross_entropy
        losses = of_classes(self._logits(outputs), drawn, reduction="none")
        if own.weight is None and own.ignore_index < 0:
            return losses
        return losses * (class_weights(own, targets) / self._weight).sqrt().to(losses.dtype)

    def _per_sample(self, losses: Tensor) -> Tensor:
        """Reduce losses of shape (n_samples, ...) to shape (n_samples,)."""
        if losses.dim() < 2:  # a criterion of the user's own may return a number
            return losses
        losses = losses.flatten(1)
        return losses.sum(1) if self.summed else losses.mean(1)

    def takes_feature_major(self, targets: Tensor) -> bool:
        """Whether :meth:`feature_major` can be used for such targets."""
        return self._squares or (self._classes and targets.dim() == 1)

    def feature_major(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses from outputs in the feature-major layout, which is faster for few outputs.

        Parameters
        ----------
        outputs : Tensor of shape (n_outputs, ..., n_samples)
            Outputs; the targets are the same for all dimensions in the middle.
        targets : Tensor of shape (n_samples,) or (n_samples, n_outputs)
            Targets in the format of the criterion.

        Returns
        -------
        Tensor of shape (..., n_samples)
        """
        if self._squares:
            wanted = targets.reshape(len(targets), -1).T
            wanted = wanted.reshape(len(wanted), *[1] * (outputs.dim() - 2), -1)
            squares = (outputs - wanted).square_()
            return squares.sum(0) if self.summed else squares.mean(0)
        if len(outputs) == 2:
            return self.of_two(outputs[0] - outputs[1], self.signs(targets, outputs.dtype))
        index = targets.expand(1, *outputs.shape[1:])
        return F.log_softmax(outputs, dim=0).gather(0, index)[0].neg_()

    def has_two(self, n_outputs: int, targets: Tensor) -> bool:
        """Whether the loss depends only on the difference of two logits (2 classes)."""
        return self._classes and n_outputs == 2 and targets.dim() == 1

    def signs(self, targets: Tensor, dtype: torch.dtype) -> Tensor:
        """Signs of the two classes, (n_samples,): 1 for the first class, -1 for the second."""
        return targets.to(dtype, copy=True).mul_(-2).add_(1)

    def of_two(self, difference: Tensor, signs: Tensor) -> Tensor:
        """Losses of two classes from the difference of their logits.

        This needs half as many exponentials as the softmax of two logits.

        Parameters
        ----------
        difference : Tensor of shape (..., n_samples)
            Logit of the first class minus that of the second; overwritten.
        signs : Tensor of shape (n_samples,)
            Signs of the targets from :meth:`signs`.

        Returns
        -------
        Tensor of shape (..., n_samples)
        """
        return F.logsigmoid(difference.mul_(signs)).neg_()

    def distance(self, outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """Distillation loss per sample: distance of outputs from those of a teacher network.

        For classes it is the Kullback-Leibler divergence between the teacher's and the
        network's probabilities at the given temperature, multiplied by the squared temperature
        so that the scale of gradients does not depend on it (Hinton et al. 2015).  For
        multilabel targets it is the mean or sum of this divergence over classes.  A classifier's
        criterion of the user's own takes class indices, not outputs: there it is the divergence of
        the probabilities as they are.  For other targets it is the criterion with the teacher's
        predictions as targets, or the squared difference of outputs where the criterion reads them
        in other units than targets.

        Parameters
        ----------
        outputs, teacher : Tensor of shape (n_samples, n_outputs)
            Outputs of the network and of the teacher.
        temperature : float
            Divisor of the logits.

        Returns
        -------
        Tensor of shape (n_samples,)
        """
        if isinstance(self.criterion, SEVERAL_LABELS):
            if isinstance(self.criterion, nn.BCELoss):
                eps = torch.finfo(outputs.dtype).eps
                outputs, teacher = torch.logit(outputs, eps), torch.logit(teacher, eps)
            student, wanted = outputs / temperature, teacher / temperature
            target = wanted.sigmoid()
            cross_entropy = F.binary_cross_entropy_with_logits(student, target, reduction="none")
            entropy = F.binary_cross_entropy_with_logits(wanted, target, reduction="none")
            return self._per_sample(cross_entropy - entropy) * temperature**2
        if isinstance(self.criterion, nn.PoissonNLLLoss):
            # Its targets are counts, also where outputs are logarithms of them.
            return self(outputs, teacher.exp() if self.criterion.log_input else teacher)
        if not isinstance(self.criterion, ONE_LABEL):
            if self._probabilities is not None:
                both = self._probabilities(outputs), self._probabilities(teacher)
                return self._per_sample(_divergence(*both, self._several))
            if has_other_units(self.criterion):
                return self._per_sample(F.mse_loss(outputs, teacher, reduction="none"))
            return self(outputs, teacher)
        student = F.log_softmax(self._logits(outputs) / temperature, dim=-1)
        wanted = F.log_softmax(self._logits(teacher) / temperature, dim=-1)
        divergence = F.kl_div(student, wanted, reduction="none", log_target=True).sum(-1)
        return divergence * temperature**2

    def _logits(self, outputs: Tensor) -> Tensor:
        """Outputs as inputs of the criterion: logits, or log-probabilities for NLLLoss."""
        if isinstance(self.criterion, nn.NLLLoss):
            # As in skorch, a module trained with NLLLoss returns probabilities.
            return torch.log(outputs + torch.finfo(outputs.dtype).eps)
        return outputs
