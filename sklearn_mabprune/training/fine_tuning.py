"""Fine-tuning of a pruned net on labels and a teacher's outputs, in learning-rate cycles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..data.batches import epoch
from ..data.samples import Samples
from ..data.sparse import outputs_of
from ..graph.analysis import is_plain
from ..graph.kinds.norms import BATCH_NORMS
from ..graph.kinds.registry import layers_of
from ..utils.compat import uncompiled
from ..utils.randomness import global_generators
from ..utils.words import counted
from .optimizers import learning_rate, needs_closure, renew_optimizer
from .outside_module import batches_of_training
from .packing import snapshot

#: Cycles of "auto" fine-tuning, as fractions of the epochs of the initial training.
_CYCLES = (0.25, 0.5, 1.0)
#: Fraction of the steps of a cycle in which the learning rate rises: of chains, to which that gives
#: nothing, and of other networks.
_WARM_OF_CHAINS, _WARM = 0.0, 0.2
#: Decimals to which losses are compared.
_DECIMALS = 9


@dataclass(frozen=True)
class FineTuning:
    """Options of fine-tuning.

    Parameters
    ----------
    cycles : tuple of int
        Epochs of each cycle; no further cycle begins once the network has recovered.
    lr : float or "auto"
        Largest learning rate of a cycle.
    distillation : float in [0, 1]
        Fraction of the loss that compares with the unpruned network's outputs.
    temperature : float
        Softens class probabilities of both networks.
    """

    cycles: tuple[int, ...]
    lr: float | str
    distillation: float
    temperature: float

    @classmethod
    def of(
        cls,
        epochs: int | str,
        trained: int,
        lr: float | str,
        distillation: float,
        temperature: float,
    ) -> FineTuning:
        """Options from a user's number of epochs, or "auto".

        "auto" is a quarter of the epochs of the initial training, then half of them, and then as
        many, each only if the cycles before were not enough.
        """
        if isinstance(epochs, str):
            cycles = tuple(math.ceil(fraction * trained) for fraction in _CYCLES)
        else:
            cycles = (epochs,) if epochs else ()
        return cls(cycles, lr, distillation, temperature)


def check_optimizer(net: Any, epochs: int | str) -> None:
    """Refuse an initialised net whose optimizer cannot be used for fine-tuning.

    Raises
    ------
    ValueError
        If `epochs` is not 0 and the optimizer's steps need a closure, as those of LBFGS do.
    """
    optimizer = getattr(net, "optimizer_", None)
    if epochs != 0 and optimizer is not None and needs_closure(optimizer):
        raise ValueError(
            f"The net's optimizer {type(optimizer).__name__} needs a closure in every step, and "
            "fine-tuning does not pass one. Give the net optimizer=torch.optim.Adam, SGD or "
            "another one that takes one step per batch, or pass fine_tune_epochs=0."
        )


def check_trainable(net: Any, epochs: int | str) -> None:
    """Refuse a trained net of which fine-tuning could train nothing.

    Raises
    ------
    ValueError
        If `epochs` is not 0 and all parameters are frozen.
    """
    parameters = list(net.module_.parameters())
    if epochs != 0 and not any(parameter.requires_grad for parameter in parameters):
        raise ValueError(
            f"All parameters of the net's module ({counted(len(parameters), 'tensor')}) are frozen "
            "(requires_grad=False), so that fine-tuning could train nothing. Call "
            "net.module_.requires_grad_(True) before, for all or for some layers, or pass "
            "fine_tune_epochs=0."
        )


def fine_tune(
    net: Any,
    samples: Samples,
    validation: Samples,
    teacher: Tensor | None,
    options: FineTuning,
    seed: int,
    on_epoch: Callable[[int], Any] = lambda number: None,
    wanted: Tensor | None = None,
) -> float:
    """Fine-tune a pruned net in place, unless its validation loss is lower without.

    In every cycle the learning rate falls to 0 along a cosine (Loshchilov & Hutter 2017); that of
    networks that are no chains rises before, in a fifth of the steps (Goyal et al. 2017).  Part
    of the loss is the distance to the unpruned network's softened outputs (Hinton et al.
    2015).  Only the last epoch of a cycle, at rest, competes with the weights before it:
    choosing among all epochs by the loss on a few validation samples would pick noise.  The
    dropout that built-in nets have by default is left out: it suits the units of the large network.

    Parameters
    ----------
    net : skorch net
        Its optimizer's class and parameters are used, its callbacks are not.
    samples, validation : Samples
    teacher : Tensor of shape (n_samples, n_outputs) or None
        Outputs of the unpruned network on `samples`; None: labels only.
    options : FineTuning
    seed : int
        Of the order of batches and of Dropout.
    on_epoch : callable
        Called with the number of each finished epoch.
    wanted : Tensor of shape (n_validation,), optional
        Losses of the unpruned network on the validation samples.  No further cycle begins once
        the net's losses are not higher by more than a standard error of the paired difference;
        None: all cycles.

    Returns
    -------
    float
        Validation loss of the final weights, never above that of the initial ones.
    """
    module = uncompiled(net.module_)
    generator = torch.Generator().manual_seed(seed)
    loss, kept = validation_loss(module, validation), snapshot(module)
    done = 0
    quiet = _without_dropout(module) if getattr(net, "default_dropout_", False) else nullcontext()
    try:
        with quiet, global_generators(seed, net.device) if draws(module) else nullcontext():
            for epochs in options.cycles:
                for _ in _cycle(net, samples, teacher, options, epochs, generator):
                    done += 1
                    on_epoch(done)
                new = validation_loss(module, validation)
                # False as well where the loss is NaN.
                if new < loss:
                    loss, kept = new, snapshot(module)
                else:
                    module.load_state_dict(kept)
                if wanted is not None and _recovered(module, validation, wanted):
                    break
    finally:
        # Also after Ctrl-C.
        module.load_state_dict(kept)
        module.eval()
        renew_optimizer(net)
    return loss


@contextmanager
def _without_dropout(module: nn.Module) -> Iterator[None]:
    """No dropout until the end of the block."""
    layers: list[Any] = list(layers_of(module, "random"))
    rates = [layer.p for layer in layers]
    try:
        for layer in layers:
            layer.p = 0.0
        yield
    finally:
        for layer, rate in zip(layers, rates, strict=True):
            layer.p = rate


def draws(module: nn.Module) -> bool:
    """Whether training a pruned net's module draws from torch's global generator (Dropout).

    The forward of a user's own module may do so without a layer.
    """
    return not is_plain(module) or any(layer.p for layer in layers_of(module, "random"))


def _cycle(
    net: Any,
    samples: Samples,
    teacher: Tensor | None,
    options: FineTuning,
    epochs: int,
    generator: torch.Generator,
) -> Iterator[None]:
    """Train while the learning rate falls to 0; yields after each epoch."""
    module = uncompiled(net.module_)
    net.initialize_optimizer()
    optimizer, start, own = net.optimizer_, starting_rate(net, options.lr), _own_rate(net)
    # Groups with a rate of their own, as 0 for what was trained before, stay as much slower.
    starts = [start * (float(g["lr"]) / own if own else 1.0) for g in optimizer.param_groups]
    weights = samples.weights.to(next(module.parameters()).dtype)
    batch_size, shuffle = batches_of_training(net, len(samples))
    warm = _WARM_OF_CHAINS if is_plain(module) else _WARM
    for number in range(epochs):
        module.train()
        drawn = generator if shuffle else None
        batches = list(epoch(len(samples), batch_size, drawn, samples.per_epoch))
        for k, index in enumerate(batches):
            fraction = _of_rate(number * len(batches) + k, epochs * len(batches), warm)
            for group, own_start in zip(optimizer.param_groups, starts, strict=True):
                group["lr"] = own_start * fraction
            where = index if isinstance(index, slice) else index.to(samples.x.device)
            outputs = outputs_of(module, samples.x[where])
            losses = samples.loss(outputs, samples.targets[where])
            if teacher is not None and options.distillation:
                towards = samples.loss.distance(outputs, teacher[where], options.temperature)
                share = options.distillation
                losses = (1 - share) * losses + share * towards
            losses = losses * weights[where]
            optimizer.zero_grad(set_to_none=True)
            # The rate suits the reduction of the training.
            (losses.sum() if samples.loss.summed else losses.mean()).backward()
            optimizer.step()
        yield


def _of_rate(step: int, n_steps: int, warm: float) -> float:
    """Fraction of the learning rate in a step of a cycle, which rises in a fraction of the steps.

    It changes with every step: a cycle may have three epochs, and in the last one of them a rate
    that fell once an epoch would still be a quarter of what it was.  At the full rate the first
    steps, whose direction says little, would undo what the weights have taken over.
    """
    n_warm = int(warm * n_steps)
    if step < n_warm:
        return (step + 1) / (n_warm + 1)
    return (1 + math.cos(math.pi * (step - n_warm) / (n_steps - n_warm))) / 2


def _recovered(module: nn.Module, samples: Samples, wanted: Tensor) -> bool:
    """Whether losses are higher than these by at most a standard error of the difference.

    Copies of a sample, which differ by rounding at most, count as one sample with the sum of their
    weights: a weight has the same meaning as that many copies.
    """
    difference = (validation_losses(module, samples) - wanted).round(decimals=_DECIMALS)
    found, which = difference.unique(return_inverse=True)
    weights = torch.zeros_like(found).index_add(0, which, samples.weights / samples.weights.sum())
    mean = float(found @ weights)
    error = float(((found - mean) ** 2) @ weights**2) ** 0.5
    return mean <= error


def starting_rate(net: Any, lr: float | str) -> float:
    """Largest learning rate of fine-tuning.

    "auto": a small network tolerates larger steps than the one that it was cut from.  Adam's
    steps do not grow with the gradients, so that ten times its rate is safe, and .01 where the
    net's rate is "auto"; other optimizers keep their rate, and so do networks that are no chains,
    such as convolutional ones: ten times their rate leads some of them to a constant answer.
    With batch norms, after which the size of weights does not matter, ten times is safe again.
    """
    if not isinstance(lr, str):
        return lr
    adaptive = isinstance(net.optimizer_, (torch.optim.Adam, torch.optim.NAdam, torch.optim.RAdam))
    if not adaptive:
        return _own_rate(net)
    if isinstance(net.lr, str):
        return 0.01
    module = uncompiled(net.module_)
    with_norms = any(isinstance(part, BATCH_NORMS) for part in module.modules())
    return _own_rate(net) * (10.0 if with_norms or is_plain(module) else 1.0)


def _own_rate(net: Any) -> float:
    """Rate of a net's optimizer, where no group of parameters has another one."""
    given = getattr(net, "optimizer__lr", None)
    return float(learning_rate(net) if given is None else given)


def validation_losses(module: nn.Module, samples: Samples) -> Tensor:
    """Losses of a module in evaluation mode, (n_samples,)."""
    module.eval()
    with torch.inference_mode():
        return samples.loss(outputs_of(module, samples.x), samples.targets).double()


def validation_loss(module: nn.Module, samples: Samples) -> float:
    """Weighted mean of these losses."""
    return float(validation_losses(module, samples) @ samples.weights / samples.weights.sum())
