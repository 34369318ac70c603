"""What a policy's hyper-parameters may be."""

from __future__ import annotations

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np


class Allowed(NamedTuple):
    """Values that a hyper-parameter may take: finite numbers in an interval, and words.

    Truth values are no numbers.
    """

    low: float = np.inf
    high: float = np.inf
    ends: str = "[)"
    words: tuple[str | None, ...] = ()
    whole: bool = False

    def permits(self, value: object) -> bool:
        """Whether a value is allowed."""
        if value is None or isinstance(value, str):
            return value in self.words
        if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
            return False
        if self.whole and not isinstance(value, Integral):
            return False
        number = float(value)
        if number in (self.low, self.high):
            return self.ends[0 if number == self.low else 1] in "[]"
        return self.low < number < self.high

    def __str__(self) -> str:
        """What is allowed, for an error's message."""
        kind = "a whole number" if self.whole else "a number"
        interval = f"{kind} in {self.ends[0]}{self.low:g}, {self.high:g}{self.ends[1]}"
        return " or ".join([interval] * (self.low < self.high) + [repr(w) for w in self.words])
