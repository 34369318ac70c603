"""Factors and constants of channels, taken into the weights beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .elements import Scaled
from .nodes import Convolution, Step, Weighted
from .places import Operand


def readers(steps: Sequence[Step], output: Operand) -> Counter[Hashable]:
    """How often each value is read."""
    found = Counter(operand.value for step in steps for operand in step.reads)
    found[output.value] += 1
    return found


def folded(steps: Sequence[Step], output: Operand) -> tuple[list[Step], Operand]:
    """Steps without those that scale what weighted sums return, or what one alone reads."""
    for forward in (False, True):
        n_readers = readers(steps, output)
        found: list[Step] = []
        renamed: dict[Hashable, Hashable] = {}
        by_value: dict[Hashable, int] = {}
        for step in steps:
            step = replace(step, reads=tuple(_renamed(operand, renamed) for operand in step.reads))
            before = by_value.get(step.reads[0].value) if step.reads else None
            merged = None
            if before is not None and n_readers[step.reads[0].value] == 1:
                fold = _into_next if forward else _into_last
                merged = fold(found[before].node, step.node, step.reads[0])
            if merged is None:
                by_value[step.value] = len(found)
                found.append(step)
            elif before is not None:
                last = found[before]
                # Sums that take in the scaling before them read what it read, in their own order.
                reads = _through(last.reads, step.reads[0]) if forward else last.reads
                found[before] = replace(last, node=merged, reads=reads)
                renamed[step.value] = last.value
                n_readers[last.value] = n_readers[step.value]
        steps, output = found, _renamed(output, renamed)
    return list(steps), output


def _through(reads: tuple[Operand, ...], outer: Operand) -> tuple[Operand, ...]:
    """The elements of the only operand that `outer` picks from what a step made of them."""
    (inner,) = reads
    return (replace(inner, places=inner.places.ravel()[outer.places]),)


def _renamed(operand: Operand, renamed: dict[Hashable, Hashable]) -> Operand:
    return replace(operand, value=renamed.get(operand.value, operand.value))


def _is_whole(operand: Operand) -> bool:
    return np.array_equal(operand.places.ravel(), np.arange(operand.places.size))


def _into_last(first: Any, scaled: Any, read: Operand) -> Any:
    """Sums that are scaled, as sums; None if that is impossible."""
    if not isinstance(first, Weighted | Convolution) or not isinstance(scaled, Scaled):
        return None
    fits = first.rows == scaled.count and first.inner == scaled.m
    if not (fits and len(first.bias) == len(scaled.factor) and _is_whole(read)):
        return None
    bias = first.bias * scaled.factor + scaled.constant
    return replace(first, weight=first.weight * scaled.factor[:, None], bias=bias)


def _into_next(scaled: Any, weighted: Any, read: Operand) -> Any:
    """Sums of scaled values, as sums; None if that is impossible."""
    if not isinstance(scaled, Scaled) or not isinstance(weighted, Weighted):
        return None
    if weighted.rows > 1 or weighted.n_inputs != len(scaled.factor) * scaled.m * scaled.count:
        return None
    size = scaled.count, len(scaled.factor), scaled.m
    factor, constant = (
        np.broadcast_to(part[:, None], size).ravel()[read.places.ravel()]
        for part in (scaled.factor, scaled.constant)
    )
    if (read.places < 0).any():
        return None
    bias = weighted.bias + weighted.weight @ constant
    return replace(weighted, weight=weighted.weight * factor, bias=bias)
