"""Columns of a table on their way through the C form of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..export.c.program import Program, Vector


@dataclass
class Inputs:
    """What is known of the input columns of a program.

    Attributes
    ----------
    codes : dict of int to dict of str to int
        By input column that holds categories: code of each string; several may stand for one
        category.
    """

    codes: dict[int, dict[str, int]] = field(default_factory=dict)

    def code(self, column: int, category: str) -> int:
        """The code of a category of an input column, which is made up if it is new."""
        known = self.codes.setdefault(column, {})
        return known.setdefault(category, max(known.values(), default=-1) + 1)


@dataclass(frozen=True)
class Table:
    """Columns on their way through a pipeline.

    Parameters
    ----------
    program : Program
    whole : Vector
        Numbers, among them one for each column; of a column of categories its code.
    positions : tuple of int
        Where in `whole` each column stands.
    origins : tuple of (int or None)
        The input column of which each column still has the values; None: it is computed.
    inputs : Inputs
    binary : tuple of bool
        Whether each column is known to be 0 or 1, unless it is NaN.
    """

    program: Program
    whole: Vector
    positions: tuple[int, ...]
    origins: tuple[int | None, ...]
    inputs: Inputs
    binary: tuple[bool, ...]

    @classmethod
    def of_input(cls, program: Program) -> Table:
        """The input of a program."""
        columns = tuple(range(program.n_inputs))
        unknown = (False,) * program.n_inputs
        return cls(program, program.input, columns, columns, Inputs(), unknown)

    def __len__(self) -> int:
        return len(self.positions)

    def of(
        self,
        vector: Vector,
        origins: tuple[int | None, ...] | None = None,
        binary: tuple[bool, ...] | None = None,
    ) -> Table:
        """A table of other columns, which are computed unless origins are given."""
        return replace(
            self,
            whole=vector,
            positions=tuple(range(vector.size)),
            origins=origins or (None,) * vector.size,
            binary=binary or (False,) * vector.size,
        )

    def take(self, columns: NDArray[np.intp]) -> Table:
        """Some of the columns, which stay where they are."""
        positions = tuple(self.positions[k] for k in columns)
        origins, binary = (tuple(part[k] for k in columns) for part in (self.origins, self.binary))
        return replace(self, positions=positions, origins=origins, binary=binary)

    def column(self, k: int) -> Vector:
        """One column."""
        return self.whole.part(self.positions[k], 1)

    def vector(self) -> Vector:
        """All columns side by side; they are gathered if they are not."""
        first, n = min(self.positions, default=0), len(self)
        if self.positions == tuple(range(self.whole.size)):
            return self.whole
        if self.positions == tuple(range(first, first + n)):
            part = self.whole.part(first, n)
            # The other columns are read elsewhere.
            part.shared = True
            return part
        if max(self.positions) > np.iinfo(np.int16).max:
            raise RuntimeError(
                f"The pipeline selects from {self.whole.size:,} columns, of which C forms read the "
                f"first {np.iinfo(np.int16).max + 1:,}. Select columns before the pipeline."
            )
        gathered = Vector(n)
        index = self.program.constant("columns", self.positions, "int16_t")
        self.program.call("gather", index, n, self.whole, gathered, picks=self.positions)
        return gathered


def refused(part: Any, reason: str) -> RuntimeError:
    """The error for a step without a C form."""
    return RuntimeError(
        f"{type(part).__name__} has no C form: {reason}. Replace the step; or run it in Python, "
        "and export the network alone with to_c."
    )
