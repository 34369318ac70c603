"""What a policy's hyper-parameters may be."""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

import numpy as np


class Allowed(NamedTuple):
    """Values that a hyper-parameter may take: finite numbers in an interval, and words."""

    low: float = np.inf
    high: float = np.inf
    ends: str = "[)"
    words: tuple[str | None, ...] = ()

    def permits(self, value: object) -> bool:
        """Whether a value is allowed."""
        if value is None or isinstance(value, str):
            return value in self.words
        if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
            return False
        number = float(value)
        if number in (self.low, self.high):
            return self.ends[0 if number == self.low else 1] in "[]"
        return self.low < number < self.high

    def __str__(self) -> str:
        """What is allowed, for an error's message."""
        interval = f"a number in {self.ends[0]}{self.low:g}, {self.high:g}{self.ends[1]}"
        return " or ".join([interval] * (self.low < self.high) + [repr(w) for w in self.words])
