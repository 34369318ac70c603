"""A C function under construction: vectors, constants, and calls of small functions in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernel import Kernel
from .kernels import KERNELS
from .literals import array, number

#: Bytes of the types of vectors and constants.
_BYTES = {"float": 4, "int32_t": 4, "int16_t": 2, "int8_t": 1, "unsigned char": 1}

#: Bytes of the registers that a function saves, and how many arguments are passed in registers.
_SAVED, _IN_REGISTERS = 36, 4


@dataclass(eq=False)
class Vector:
    """Numbers of a sample: the input, the output, a part of the working memory, or of these.

    Parameters
    ----------
    size : int
        Number of elements.
    kind : {"float", "int16_t"}
        Type of an element.
    name : str, optional
        Of the input and the output, which are the caller's memory.
    whole : Vector, optional
        The vector of which this one is a part, and its first element there.
    shared : bool
        Whether it is read again later, so that nothing may be written over it.
    """

    size: int
    kind: str = "float"
    name: str = ""
    whole: Vector | None = None
    first: int = 0
    shared: bool = False

    def part(self, first: int, size: int) -> Vector:
        """A part of this vector."""
        return Vector(size, self.kind, whole=self, first=first, shared=self.shared)

    @property
    def place(self) -> tuple[Vector, int]:
        """The vector that this one is a part of, which is no part itself, and the offset in it."""
        if self.whole is None:
            return self, 0
        base, offset = self.whole.place
        return base, offset + self.first


@dataclass(frozen=True)
class Constant:
    """A constant array of the program, by name, and how many of its first elements are read."""

    name: str
    size: int


Argument = Vector | Constant | int | float


@dataclass
class _Call:
    """A call; what it writes comes last.

    `picks` are the elements of its first vector that it reads; None: all.
    """

    kernel: str
    arguments: tuple[Argument, ...]
    macs: int
    picks: NDArray[Any] | None

    @property
    def vectors(self) -> list[Vector]:
        """The vectors among its arguments."""
        return [argument for argument in self.arguments if isinstance(argument, Vector)]


@dataclass
class Program:
    """The steps from an input to an output.

    Parameters
    ----------
    n_inputs : int
        Number of features.
    static : bool, default=False
        Whether the working memory is static, not on the stack.

    Attributes
    ----------
    input, output : Vector
        The caller's memory; `output` is set by the last step.
    macs : int
        Multiply-accumulate operations per sample.
    """

    n_inputs: int
    static: bool = False
    input: Vector = field(init=False)
    output: Vector | None = field(default=None, init=False)
    _arrays: list[tuple[str, str, NDArray[Any]]] = field(default_factory=list, init=False)
    _calls: list[_Call] = field(default_factory=list, init=False)
    _kernels: dict[str, Kernel] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.input = Vector(self.n_inputs, name="x", shared=True)

    def constant(self, base: str, values: Any, kind: str = "float") -> Constant:
        """A constant array with a name that begins with `base`.

        An array that another one of the same type begins with is that one.
        """
        dtype = np.float64 if kind == "float" else np.int64
        values = np.asarray(values, dtype=dtype).ravel()
        for k, (name, known_kind, known) in enumerate(self._arrays):
            n = min(len(known), len(values))
            if known_kind == kind and np.array_equal(known[:n], values[:n], equal_nan=True):
                longest = max(known, values, key=len)
                self._arrays[k] = (name, kind, longest)
                return Constant(name, len(values))
        name = f"{base}{len(self._arrays)}"
        self._arrays.append((name, kind, values))
        return Constant(name, len(values))

    def function(self, kernel: Kernel) -> str:
        """The name of a function that the program needs; the same text is the same function."""
        for name, known in self._kernels.items():
            if known == kernel:
                return name
        name = (
            kernel.name
            if kernel.name not in self._kernels
            else f"{kernel.name}{len(self._kernels)}"
        )
        for needed in kernel.needs:
            self.function(KERNELS[needed])
        self._kernels[name] = kernel
        return name

    def call(
        self, kernel: str | Kernel, *arguments: Argument, macs: int = 0, picks: Any = None
    ) -> None:
        """Add a call; the last vector among its arguments is the one that it writes.

        Parameters
        ----------
        kernel : str or Kernel
        *arguments : Vector, Constant, int or float
        macs : int
            Multiply-accumulate operations.
        picks : array-like of int, optional
            Elements of its first vector that it reads, if not all.
        """
        found = KERNELS[kernel] if isinstance(kernel, str) else kernel
        picks = None if picks is None else np.asarray(picks, dtype=np.intp)
        self._calls.append(_Call(self.function(found), arguments, macs, picks))

    def target(self, source: Vector, into: Vector | None = None) -> Vector:
        """Where an element-wise step writes: `into`, or over its source, or a new vector."""
        if into is not None:
            return into
        return Vector(source.size, source.kind) if source.shared else source

    def leave_out_unread(self) -> set[int]:
        """Leave out the calls whose results nothing reads, and what only they need.

        Returns
        -------
        set of int
            Features that are read.
        """
        read: dict[int, NDArray[np.bool_]] = {}

        def elements(vector: Vector, picks: Any = None) -> NDArray[Any]:
            """Whether each element of a vector, or of some of them, is read; a view, or a copy."""
            base, first = vector.place
            marks = read.setdefault(id(base), np.full(base.size, base is self.output))
            found = marks[first : first + vector.size]
            if picks is not None:
                found[picks] = True
            return found

        calls = []
        for call in reversed(self._calls):
            *sources, target = call.vectors
            if not elements(target).any():
                continue
            calls.append(call)
            for k, source in enumerate(sources or [target]):
                whole = k > 0 or call.picks is None
                elements(source, slice(None) if whole else call.picks)
        self._calls = calls[::-1]
        sizes: dict[str, int] = {}
        for call in self._calls:
            for given in call.arguments:
                if isinstance(given, Constant):
                    sizes[given.name] = max(sizes.get(given.name, 0), given.size)
        self._arrays = [
            (name, kind, values[: sizes[name]])
            for name, kind, values in self._arrays
            if name in sizes
        ]
        needed = {call.kernel for call in self._calls}
        for name in reversed(self._kernels):
            # Those that a function needs stand before it.
            needed.update(self._kernels[name].needs if name in needed else ())
        self._kernels = {name: self._kernels[name] for name in self._kernels if name in needed}
        return set(np.flatnonzero(elements(self.input)).tolist())

    # ------------------------------------------------------------------------------ sizes

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations per sample."""
        return sum(call.macs for call in self._calls)

    @property
    def constant_bytes(self) -> int:
        """Bytes of all constants."""
        return sum(_BYTES[kind] * values.size for _, kind, values in self._arrays)

    @property
    def code_bytes(self) -> int:
        """Estimated bytes of the machine code, for size (``-Os``)."""
        passed = sum(len(call.arguments) + 1 for call in self._apart())
        once = {call.kernel for call in self._calls} - {call.kernel for call in self._apart()}
        return 2 * passed + sum(
            (name in once and kernel.inside_bytes) or kernel.code_bytes
            for name, kernel in self._kernels.items()
        )

    @property
    def work_bytes(self) -> int:
        """Bytes of the working memory."""
        return sum(_BYTES[kind] * size for kind, size in self._places()[1].items())

    @property
    def stack_bytes(self) -> int:
        """Estimated bytes of the stack beside the working memory."""
        apart = self._apart()
        inside = set(self._kernels) - {call.kernel for call in apart}
        # What is the same in all calls of a function becomes a part of it.
        differ: dict[str, set[int]] = {}
        first: dict[str, _Call] = {}
        for call in apart:
            known = first.setdefault(call.kernel, call)
            pairs = enumerate(zip(known.arguments, call.arguments, strict=True))
            differ.setdefault(call.kernel, set()).update(k for k, (a, b) in pairs if a != b)
        called = [
            self._kernels[name].stack_bytes + 4 * max(0, len(places) - _IN_REGISTERS)
            for name, places in differ.items()
        ]
        spilled = [self._kernels[name].stack_bytes - _SAVED for name in inside]
        return _SAVED + max([0, *called]) + max([0, *spilled])

    def _apart(self) -> list[_Call]:
        """Calls of functions that are called several times; others become part of the caller."""
        counts = Counter(call.kernel for call in self._calls)
        return [call for call in self._calls if counts[call.kernel] > 1]

    @property
    def library(self) -> list[str]:
        """Functions of math.h that are called."""
        return sorted({name for kernel in self._kernels.values() for name in kernel.library})

    # ------------------------------------------------------------------------------- text

    def definitions(self) -> Iterable[str]:
        """Constants and functions, with ``@`` in place of the prefix."""
        for name, kind, values in self._arrays:
            yield array(kind, f"@{name}", values)
        for name, kernel in self._kernels.items():
            yield kernel.text.replace("@@", f"@{name}")

    def body(self) -> Iterable[str]:
        """The lines of the function, with ``@`` in place of the prefix."""
        places, sizes = self._places()
        for kind, size in sizes.items():
            yield f"    {'static ' * self.static}{kind} {_MEMORY[kind]}[{size}];"
        if sizes:
            yield ""
        for call in self._calls:
            shown = ", ".join(self._shown(argument, places) for argument in call.arguments)
            yield f"    @{call.kernel}({shown});"

    def _shown(self, argument: Argument, places: dict[int, int]) -> str:
        if isinstance(argument, Constant):
            return f"@{argument.name}"
        if isinstance(argument, Vector):
            base, offset = argument.place
            if base is self.output:
                name = "out"
            elif base.name:
                name = base.name
            else:
                name, offset = _MEMORY[base.kind], offset + places[id(base)]
            return f"{name} + {offset}" if offset else name
        return number(argument) if isinstance(argument, float) else str(argument)

    def _places(self) -> tuple[dict[int, int], dict[str, int]]:
        """First elements of all vectors in the working memory, and its size, by type.

        Vectors that are never needed at the same time share their place.
        """
        spans: dict[int, tuple[Vector, int, int]] = {}
        for step, call in enumerate(self._calls):
            for argument in call.arguments:
                if isinstance(argument, Vector):
                    base, _ = argument.place
                    if base is not self.output and not base.name:
                        _, first, _ = spans.get(id(base), (base, step, step))
                        spans[id(base)] = (base, first, step)
        places: dict[int, int] = {}
        sizes: dict[str, int] = {}
        for key, (vector, first, last) in spans.items():
            taken = sorted(
                (places[other], places[other] + known.size)
                for other, (known, start, end) in spans.items()
                if other in places and known.kind == vector.kind and start <= last and first <= end
            )
            place = 0
            for start, end in taken:
                if place + vector.size <= start:
                    break
                place = max(place, end)
            places[key] = place
            sizes[vector.kind] = max(sizes.get(vector.kind, 0), place + vector.size)
        return places, sizes


_MEMORY = {"float": "work", "int16_t": "work16"}
