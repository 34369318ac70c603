"""Recurrent layers: a unit is a component of the hidden state, with its slices in all gates."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..labels import NO_UNIT, along
from .step import Source, Step, read, rule


@rule("offsets")
def offsets(step: Step) -> Any:
    """A bias at each step, or zeros."""
    if len(step.args) == 2:
        return step.given(0)
    plain = step.plain(2)
    step.found.biases[step.operation.value] = plain[0] if plain else ""
    return along(step.given(2).reshape(-1), step.result.shape, -1)


@rule("lstm_steps", "gru_steps", "rnn_tanh_steps", "rnn_relu_steps")
def steps(step: Step) -> Any:
    """A unit has a row of each gate, a column of the recurrent weight, and its own states."""
    plain, weight = step.plain(2), step.args[2]
    if plain is None:
        return step.pin_all(f"the weight is computed that {step.what} multiplies with")
    name, (rows, columns) = plain
    gates, n_units = weight.shape
    row_ids, units = step.ids(name, rows, gates), step.ids(name, columns, n_units)
    step.labels.unite(row_ids.view(-1, n_units), units.expand(gates // n_units, -1))
    reason = f"{step.what} reads computed gates"
    for place in (0, 1):
        label = step.given(place)
        step.labels.unite(along(row_ids, label.shape, -1), label, reason)
    states = [place for place in (3, 4) if isinstance(step.argument(place, ""), Tensor)]
    for place in states:
        label = step.given(place)
        step.labels.unite(
            along(units, label.shape, -1), label, f"an initial state of {step.what} has no units"
        )
    found = step.found
    if any(not bool((step.given(place) > NO_UNIT).any()) for place in states):
        # Zeros of the caller's own, of as many units as there were.
        found.with_states.add(step.operation.module)
    # All layers and directions of a module have as many units, if they are to be one plain layer.
    first = found.first_units.setdefault(step.operation.module, units)
    if step.operation.module in found.tied and len(first) == n_units:
        step.labels.unite(first, units)
    # More sequences than samples where each sample has several.
    n_sequences, n_steps = step.args[0].shape[:2]
    found.positions.append((name, n_steps * n_sequences / found.n_samples))
    found.steps_of[step.number(1)] = step.operation.value
    return [along(units, part.shape, -1) for part in step.result]


@rule("hidden_sums")
def hidden_sums(step: Step) -> Any:
    """The recurrent weight reads the hidden states of all steps but the last."""
    plain = step.plain(1)
    if plain is None:
        return step.pin_all(f"the weight is computed that {step.what} multiplies with")
    name, (rows, columns) = plain
    read(step, step.given(0), -1, name, columns)
    ids = step.ids(name, rows, step.args[1].shape[0])
    place, operation = step.number(2), step.operation
    bias = step.found.biases.get(place, "")
    step.found.sources.append(
        Source(operation.value, operation.module, name, bias, rows, columns, step.number(0),
               runs=step.found.steps_of[place], gradient=place)
    )  # fmt: skip
    return along(ids, step.result.shape, -1)


@rule("recurrent")
def whole(step: Step) -> Any:
    """Layers that are not read as steps: their units stay, and the report says why."""
    first, operation = step.reference(3)[0], step.operation
    step.labels.pin(step.ids(first.name, 0, len(step.args[3][0])), f"{step.what} has projections")
    step.found.sources.append(Source(operation.value, operation.module, first.name, "", 0))
    return step.pin_all(f"{step.what} has projections (proj_size)")
