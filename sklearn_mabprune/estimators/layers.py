"""Which of a network's groups of units the parameters `layers` and `min_neurons` mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph.module_network import ModuleNetwork
from ..graph.recovery import with_named_groups
from ..pruning.budget import Budget
from ..pruning.selection import limits_of, matches
from ..training.conversion import few_samples
from ..utils.compat import uncompiled


def names_of(layers: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """The parameter `layers` as names, patterns and kinds; None: all layers."""
    return (layers,) if isinstance(layers, str) else None if layers is None else tuple(layers)


def with_named(model: Any, net: Any, network: Any, data: Any) -> Any:
    """The network with the groups that have to be named, if `layers` names them.

    Parameters
    ----------
    model : MABPrunedClassifier or MABPrunedRegressor
        Whose `layers` it is.
    net : skorch net
        Initialised.
    network : Graph or ModuleNetwork
        Of its module.
    data : Data
        Training samples.

    Raises
    ------
    ValueError
        If `layers` names what is kept whole; the message says why.
    """
    names = names_of(model.layers) or ()
    missing = [name for name in names if not any(matches(g, name) for g in network.groups)]
    if missing and isinstance(network, ModuleNetwork):
        x = few_samples(net, data)
        wider = with_named_groups(network, uncompiled(net.module_), x, missing)
        others = [g for g in wider.groups if g.named_only]
        if any(matches(g, name) for g in others for name in missing):
            network = wider.with_groups(
                [
                    number
                    for number, group in enumerate(wider.groups)
                    if not group.named_only or any(matches(group, name) for name in missing)
                ],
                {k: why for k, why in network.kept_whole.items() if k in {g.name for g in others}},
            )
            missing = [name for name in names if not any(matches(g, name) for g in network.groups)]
        kept_whole = {**network.kept_whole, **wider.kept_whole}
        for name in missing:
            if name in kept_whole:
                raise ValueError(f"layers names {name!r}, which is kept whole: {kept_whole[name]}.")
    return network


def check_budget(model: Any, net: Any, network: Any, data: Any) -> None:
    """Refuse a budget that the layers do not allow, and names of layers that do not exist.

    Parameters
    ----------
    model, net, network, data
        As for :func:`with_named`.
    """
    network = with_named(model, net, network, data)
    limits = limits_of(network.groups, names_of(model.layers), model.min_neurons)
    Budget.of(model.pruning_budget, model.budget_unit, network.sizes, network.cost, limits)
