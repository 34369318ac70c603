"""Fine-tuning of a pruned net: cycles of a falling rate, towards labels and a teacher."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..data.batches import epoch
from ..data.rows import Rows
from ..data.sparse import outputs_of
from ..graph.graph import unwrap
from ..utils.randomness import global_generators
from .auto_size import needs_closure
from .initial import renew_optimizer

#: Cycles of "auto" fine-tuning, as shares of the epochs of the initial training.
_CYCLES = (0.25, 0.5, 1.0)
#: Losses are told apart by so many digits behind the point.
_DECIMALS = 9


@dataclass(frozen=True)
class FineTuning:
    """How a pruned network is trained on.

    Parameters
    ----------
    cycles : tuple of int
        Passes over the training rows, in cycles; none follows once the network has recovered.
    lr : float or "auto"
        Learning rate at the start of a cycle.
    distillation : float in [0, 1]
        Share of the loss on the unpruned network's outputs.
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
        """Read epochs as users write them: a number, or "auto".

        "auto" is a quarter of the epochs that were trained; if that is not enough, a half
        more, and then as many again.
        """
        if isinstance(epochs, str):
            cycles = tuple(math.ceil(share * trained) for share in _CYCLES)
        else:
            cycles = (epochs,) if epochs else ()
        return cls(cycles, lr, distillation, temperature)


def check_optimizer(net: Any, epochs: int | str) -> None:
    """Refuse an initialised net whose optimizer cannot fine-tune, if it is to.

    Raises
    ------
    ValueError
        If its steps need a closure, as those of LBFGS do.
    """
    optimizer = getattr(net, "optimizer_", None)
    if epochs != 0 and optimizer is not None and needs_closure(optimizer):
        raise ValueError(
            f"The net's optimizer {type(optimizer).__name__} needs a closure in every step, and "
            "fine-tuning has none. Give the net optimizer=torch.optim.Adam, SGD or another of a "
            "step a batch, or pass fine_tune_epochs=0."
        )


def fine_tune(
    net: Any,
    rows: Rows,
    validation: Rows,
    teacher: Tensor | None,
    options: FineTuning,
    seed: int,
    on_epoch: Callable[[int], Any] = lambda number: None,
    wanted: Tensor | None = None,
) -> float:
    """Train a pruned net on, in place; its old weights stay if validation prefers them.

    In every cycle the learning rate falls to 0 along a cosine (Loshchilov & Hutter 2017).  Part
    of the loss is the distance to the unpruned network's softened outputs (Hinton et al.
    2015).  Only the last epoch of a cycle, at rest, competes with the weights before it:
    choosing among all epochs by the loss on a few validation rows would pick noise.

    Parameters
    ----------
    net : skorch net
        Its optimizer's class and parameters are used, its callbacks are not.
    rows, validation : Rows
    teacher : Tensor of shape (n_rows, n_outputs) or None
        Outputs of the unpruned network on `rows`; None: labels only.
    options : FineTuning
    seed : int
        Of the batch order and Dropout.
    on_epoch : callable
        Told the number of each finished epoch.
    wanted : Tensor of shape (n_validation,), optional
        Losses of the unpruned network on the validation rows.  No further cycle begins once the
        net's are not higher, or by less than a standard error of the paired difference;
        None: all cycles.

    Returns
    -------
    float
        Validation loss of the weights that stay, never above that of the untouched ones.
    """
    module = unwrap(net.module_)
    generator = torch.Generator().manual_seed(seed)
    loss, kept = _validation_loss(module, validation), copy.deepcopy(module.state_dict())
    draws = any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p for m in module.modules())
    done = 0
    try:
        with global_generators(seed, net.device) if draws else nullcontext():
            for epochs in options.cycles:
                for _ in _cycle(net, rows, teacher, options, epochs, generator):
                    done += 1
                    on_epoch(done)
                new = _validation_loss(module, validation)
                # Written so that a loss that is not a number keeps the weights before it.
                if new < loss:
                    loss, kept = new, copy.deepcopy(module.state_dict())
                else:
                    module.load_state_dict(kept)
                if wanted is not None and _recovered(module, validation, wanted):
                    break
    finally:
        # After Ctrl-C as well.
        module.load_state_dict(kept)
        module.eval()
        renew_optimizer(net)
    return loss


def _cycle(
    net: Any,
    rows: Rows,
    teacher: Tensor | None,
    options: FineTuning,
    epochs: int,
    generator: torch.Generator,
) -> Iterator[None]:
    """Train for some epochs while the learning rate falls to 0; a stop after each of them."""
    module = unwrap(net.module_)
    net.initialize_optimizer()
    optimizer = net.optimizer_
    for group in optimizer.param_groups:
        group["lr"] = starting_rate(net, options.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    weights = rows.weights.to(rows.x.dtype)
    batch_size = len(rows) if net.batch_size == -1 else net.batch_size
    for _ in range(epochs):
        module.train()
        for index in epoch(len(rows), batch_size, generator):
            where = index if isinstance(index, slice) else index.to(rows.x.device)
            outputs = outputs_of(module, rows.x[where])
            losses = rows.loss(outputs, rows.targets[where])
            if teacher is not None and options.distillation:
                towards = rows.loss.distance(outputs, teacher[where], options.temperature)
                share = options.distillation
                losses = (1 - share) * losses + share * towards
            optimizer.zero_grad(set_to_none=True)
            (losses * weights[where]).mean().backward()
            optimizer.step()
        schedule.step()
        yield


def _recovered(module: nn.Module, rows: Rows, wanted: Tensor) -> bool:
    """Whether losses are as low as these, but for a standard error of the difference.

    Copies of a row, which differ by rounding at most, are one row of all their weight: they
    tell no more than one, and a weight says the same as that many copies.
    """
    difference = (validation_losses(module, rows) - wanted).round(decimals=_DECIMALS)
    found, which = difference.unique(return_inverse=True)
    weights = torch.zeros_like(found).index_add(0, which, rows.weights / rows.weights.sum())
    mean = float(found @ weights)
    error = float(((found - mean) ** 2) @ weights**2) ** 0.5
    return mean <= error


def starting_rate(net: Any, lr: float | str) -> float:
    """Learning rate at the start of fine-tuning.

    "auto": a small network bears larger steps than the one that it came from.  Adam's steps
    do not grow with the gradients, so ten times its rate is safe; others keep theirs.
    """
    if not isinstance(lr, str):
        return lr
    adaptive = isinstance(net.optimizer_, (torch.optim.Adam, torch.optim.NAdam, torch.optim.RAdam))
    return net.lr * (10.0 if adaptive else 1.0)


def validation_losses(module: nn.Module, rows: Rows) -> Tensor:
    """Losses of a module in evaluation mode, (n_rows,)."""
    module.eval()
    with torch.inference_mode():
        return rows.loss(outputs_of(module, rows.x), rows.targets).double()


def _validation_loss(module: nn.Module, rows: Rows) -> float:
    return float(validation_losses(module, rows) @ rows.weights / rows.weights.sum())
