"""Every neuron's loss increase from a few backward passes, before any pull.

Ablating neuron j of a layer moves the next pre-activations by -d_j w_j, with d_j the ablated
part of its activation and w_j its outgoing weights.  To first order that moves the raw
outputs by -d_j J w_j, with J a row's Jacobian of the outputs with respect to those
pre-activations.  Two estimates follow:

``"linear"``
    The moved outputs are put into the true loss.  Exact where what stands behind the layer
    is linear.  One backward pass an output; J w_j for all neurons in one product.
``"fisher"``
    First order of the loss plus half of (d_j times the gradient at a label that the network
    itself draws) squared, a sampled Fisher information: two backward passes, whatever
    the number of outputs.  In the mean over draws the second term is the Gauss-Newton
    curvature (Martens 2020, "New insights and perspectives on the natural gradient method").

Estimates of the rows that a pull sees, and of all rows, make a control variate: the pull
minus its estimate plus the mean estimate has the same mean and a far smaller variance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .chain import run
from .evaluation import Block

CONTROL_VARIATES = ("linear", "fisher")


def estimate(block: Block, kind: str, generator: torch.Generator) -> list[Tensor]:
    """Estimated rise of a block's mean loss when each neuron alone is ablated.

    Parameters
    ----------
    block : Block
        Rows run through the network as it stands, with its frozen ablations.
    kind : {"linear", "fisher"}
    generator : torch.Generator
        Draws labels for "fisher".

    Returns
    -------
    list of Tensor of float64, shape (width,), one a hidden layer
    """
    pre, outputs = _run_with_graph(block)
    if kind == "linear":
        return _linear(block, pre, outputs)
    return _fisher(block, pre, outputs, generator)


def passes(kind: str, n_outputs: int) -> int:
    """Backward passes an estimate takes."""
    return n_outputs if kind == "linear" else 2


def _run_with_graph(block: Block) -> tuple[list[Tensor], Tensor]:
    """Pre-activations that gradients can be taken of, and the raw outputs."""
    chain = block.chain
    # Tensors made in inference mode cannot enter a graph: this is an ordinary copy.
    z = block.pre[1].clone().requires_grad_()
    pre = [z]
    for stage, following in zip(chain.stages[1:-1], chain.stages[2:], strict=True):
        z = following.linear(run(stage.after, z))
        pre.append(z)
    return pre, z


def _linear(block: Block, pre: list[Tensor], outputs: Tensor) -> list[Tensor]:
    n_outputs = outputs.shape[1]
    columns = [
        torch.autograd.grad(outputs[:, k].sum(), pre, retain_graph=k < n_outputs - 1)
        for k in range(n_outputs)
    ]
    found = []
    with torch.no_grad():
        for layer in range(len(pre)):
            jacobian = torch.stack([gradients[layer] for gradients in columns], dim=1)
            found.append(_moved(block, layer, jacobian, outputs.detach()))
    return found


def _moved(block: Block, layer: int, jacobian: Tensor, outputs: Tensor) -> Tensor:
    """Rise of the true loss at the linearly moved outputs, (width,)."""
    chain, rows = block.chain, block.rows
    weight = chain.stages[layer + 1].linear.weight
    n_rows, n_outputs = outputs.shape
    width = weight.shape[1]
    units = torch.arange(width, device=chain.device)
    rise = torch.zeros(width, dtype=torch.float64, device=chain.device)
    rows_at_once = max(1, block.chunk // (width * n_outputs))
    for first in range(0, n_rows, rows_at_once):
        part = slice(first, first + rows_at_once)
        residual = block.ablations[layer].residual(block.hidden[layer][part], units)
        # (rows, outputs, width), then moved outputs of every neuron: (rows, width, outputs)
        reach = jacobian[part] @ weight
        moved = outputs[part, :, None] - residual[:, None, :] * reach
        flat = moved.transpose(1, 2).reshape(-1, n_outputs)
        targets = rows.targets[part].repeat_interleave(width, dim=0)
        losses = rows.loss(run(chain.stages[-1].after, flat), targets).double().view(-1, width)
        rise += rows.weights[part] @ (losses - block.base[part, None])
    return rise / block.weight


def _fisher(
    block: Block, pre: list[Tensor], outputs: Tensor, generator: torch.Generator
) -> list[Tensor]:
    chain, rows = block.chain, block.rows
    tail = chain.stages[-1].after
    losses = rows.loss(run(tail, outputs), rows.targets)
    loss = rows.loss
    targets = draw_targets(loss.criterion, outputs, tail, generator, loss.summed)
    drawn = loss(run(tail, outputs), targets)
    slopes = torch.autograd.grad(losses.sum(), pre, retain_graph=True)
    curves = torch.autograd.grad(drawn.sum(), pre)
    found = []
    with torch.no_grad():
        for layer, (slope, curve) in enumerate(zip(slopes, curves, strict=True)):
            weight = chain.stages[layer + 1].linear.weight
            units = torch.arange(weight.shape[1], device=chain.device)
            residual = block.ablations[layer].residual(block.hidden[layer], units)
            rise = -residual * (slope @ weight) + (residual * (curve @ weight)) ** 2 / 2
            found.append(rows.weights @ rise.double() / block.weight)
    return found


def draw_targets(
    criterion: nn.Module,
    outputs: Tensor,
    tail: list[nn.Module],
    generator: torch.Generator,
    summed: bool = False,
) -> Tensor:
    """Targets as the network itself expects them, one draw a row.

    Classes and labels by their probabilities; several labels, and real targets, as far
    around what is expected as gives the squared gradient of a row's loss, a mean (or the
    sum, if `summed`) over outputs, the loss's curvature as its mean.

    Raises
    ------
    ValueError
        If the criterion is neither a loss of classes or labels nor the squared error.
    """
    n_averaged = 1 if summed else outputs.shape[1]
    with torch.no_grad():
        if isinstance(criterion, (nn.CrossEntropyLoss, nn.NLLLoss)):
            found = run(tail, outputs)
            probabilities = found if isinstance(criterion, nn.NLLLoss) else found.softmax(-1)
            # Drawn on the host, so that every device draws the same.
            drawn = torch.multinomial(probabilities.double().cpu(), 1, generator=generator)
            return drawn[:, 0].to(outputs.device)
        if isinstance(criterion, nn.MSELoss):
            noise = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
            spread = (n_averaged / 2) ** 0.5
            return run(tail, outputs) + spread * noise.to(outputs)
        if isinstance(criterion, nn.BCEWithLogitsLoss):
            expected = run(tail, outputs).sigmoid()
            drawn = torch.bernoulli(expected.double().cpu(), generator=generator)
            # The loss is linear in its target, which need not be 0 or 1 then.
            return expected + n_averaged**0.5 * (drawn.to(outputs) - expected)
    raise ValueError(
        f"control_variate='fisher' knows CrossEntropyLoss, NLLLoss, BCEWithLogitsLoss and MSELoss, "
        f"the net has {type(criterion).__name__}. Use control_variate='linear' or None."
    )
