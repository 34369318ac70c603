"""Sums, means and largest values of rows of a table, by codes: EmbeddingBag."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....graph.program import Operation, Weight
from .elements import Each, Embedded, Joined
from .formulas import FORMULAS
from .nodes import Reduced, Step
from .places import Operand
from .reading import Reading

#: Modes of the operator, by number.
_SUM, _MEAN, _MAX = range(3)


def embedding_bag(reading: Reading, operation: Operation) -> Any:
    """Bags of equally many codes; the padding counts in no bag."""
    defaults = (None, None, None, False, _SUM, False, None, False, -1)
    args = (*operation.args, *defaults[len(operation.args) :])
    mode, padding = args[4], args[8]
    if args[6] is not None:
        raise reading.refused(operation, " with per_sample_weights")
    codes, table = reading.operand(operation, 1), reading.array(operation, args[0])
    n_bags, length = _equal_bags(reading, operation, codes.places.size, args[2], bool(args[7]))
    padded = padding is not None and padding >= 0
    if padded and mode == _MAX:
        raise reading.refused(operation, " with padding_idx and mode='max'")
    if padded:
        table = table.copy()
        table[padding] = 0.0
    width = table.shape[1]
    rows = _step(reading, operation, "rows", Embedded(table), (n_bags * length, width), codes)
    factor = {_SUM: 1.0, _MEAN: 1.0 if padded else 1 / length, _MAX: None}[mode]
    total = Reduced(factor, n_bags, length, width)
    if not (padded and mode == _MEAN):
        return [reading.add(operation, total, rows)]
    sums = _step(reading, operation, "sums", total, (n_bags, width), rows)
    counted: Each = FORMULAS["ne"](float(padding))
    flags = _step(reading, operation, "flags", counted, (n_bags, length), codes)
    found = _step(reading, operation, "counts", Reduced(1.0, n_bags, length, 1), (n_bags, 1), flags)
    # A bag of padding alone has the sum 0.
    some = _step(reading, operation, "some", Joined("maximum", np.ones(n_bags)), (n_bags, 1), found)
    spread = Operand(some.value, np.broadcast_to(some.places, (n_bags, width)))
    return [reading.add(operation, Joined("div"), sums, spread)]


def _step(
    reading: Reading, operation: Operation, name: str, node: Any, shape: Any, *reads: Operand
) -> Operand:
    """Add a step beside that of the operation's value."""
    key = (operation.value, name)
    reading.steps.append(Step(key, node, reads))
    return Operand(key, np.arange(np.prod(shape)).reshape(shape))


def _equal_bags(
    reading: Reading, operation: Operation, n_codes: int, offsets: Any, with_last: bool
) -> tuple[int, int]:
    """Number of bags, and of codes in each of them."""
    if not isinstance(offsets, Weight):
        raise reading.refused(operation, " with offsets that depend on samples")
    starts = reading.weights[offsets.name].tolist()
    ends = starts if with_last else [*starts, n_codes]
    lengths = set(np.diff(ends).tolist())
    if len(lengths) != 1 or ends[0] != 0 or ends[-1] != n_codes or not min(lengths):
        raise reading.refused(operation, " with bags of several sizes")
    return len(ends) - 1, lengths.pop()
