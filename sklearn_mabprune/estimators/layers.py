"""Which of a network's groups of units the parameters `layers` and `min_neurons` mean."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from ..graph.members import MEMBERS
from ..graph.module_network import ModuleNetwork
from ..graph.recovery import nothing_to_remove, streams_of, with_named_groups
from ..graph.unit_groups import layers_of
from ..pruning.budget import Budget
from ..pruning.selection import limits_of, matches, selected
from ..training.conversion import few_samples
from ..utils.compat import uncompiled

_KINDS = ("heads", "channels", "neurons")


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
    UnsupportedModuleError
        If `layers` is None and all groups have to be named.
    ValueError
        If `layers` names what is kept whole; the message says why.
    """
    check_named(model, network)
    names = names_of(model.layers) or ()
    missing = _missing(network, names)
    if not (missing and isinstance(network, ModuleNetwork)):
        return network
    x, module = few_samples(net, data), uncompiled(net.module_)
    # Where there are no others, those to be named are in the network already.
    alone = all(group.named_only for group in network.groups)
    wider = network if alone else with_named_groups(network, module, x, missing)
    kept_whole, streams = {**network.kept_whole, **wider.kept_whole}, streams_of(network)
    chosen = [
        not group.named_only or any(matches(group, name) for name in missing)
        for group in wider.groups
    ]
    others = {group.name for group, is_in in zip(wider.groups, chosen, strict=True) if not is_in}
    if any(is_in and group.named_only for group, is_in in zip(wider.groups, chosen, strict=True)):
        network = wider.with_groups(
            [number for number, is_in in enumerate(chosen) if is_in],
            {name: why for name, why in network.kept_whole.items() if name in others},
        )
    for name in _missing(network, names):
        if name in kept_whole:
            raise ValueError(f"layers names {name!r}, which is kept whole: {kept_whole[name]}.")
        if name == "streams" and streams:
            why = "; ".join(f"{stream!r}: {kept_whole[stream]}" for stream in streams)
            raise ValueError(f"layers names 'streams', which are kept whole: {why}.")
        # For the list of groups in the message.
        listed = network if alone else with_named_groups(network, module, x, [*names, MEMBERS])
        try:
            selected(listed.groups, names)
        except ValueError as error:
            kept = _kept(name, network.kept_whole, wider.groups)
            raise ValueError(f"{error}{kept}") from None
    return network


def check_named(model: Any, network: Any) -> None:
    """Refuse a network whose groups all have to be named, where `layers` is None."""
    if model.layers is None and all(group.named_only for group in network.groups):
        raise nothing_to_remove(network, {**_to_be_named(network), **network.kept_whole})


def _kept(name: str, kept_whole: dict[str, str], groups: Sequence[Any]) -> str:
    """The end of an error on a kind or pattern: why units that it may mean are kept whole."""
    names = [group.name for group in groups]
    listed = [
        f"{key!r}: {why}"
        for key, why in kept_whole.items()
        if key not in names and (name in _KINDS or fnmatchcase(key, name))
    ]
    return f" Kept whole are {'; '.join(listed[:8])}." if listed else ""


def _missing(network: Any, names: Sequence[str]) -> list[str]:
    """The names that mean none of a network's groups."""
    return [name for name in names if not any(matches(g, name) for g in network.groups)]


def _to_be_named(network: Any) -> dict[str, str]:
    """Why groups that have to be named are not pruned, and how they are."""
    return {
        group.name: (
            f"residual stream of {layers_of(group.producers)}"
            if group.named_only == "streams"
            else "members of an ensemble"
        )
        + f'; pass layers="{group.named_only}" to prune it'
        for group in network.groups
    }


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
