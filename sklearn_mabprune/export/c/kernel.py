"""What a C program knows of one of its functions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kernel:
    """A function of a C program.

    Parameters
    ----------
    name : str
    text : str
        Its source, C99.  ``@@`` stands for its name, ``@`` for the prefix of all names.
    code_bytes : int
        Of its machine code, compiled for size for Cortex-M.
    needs : tuple of str
        Names of other functions that it calls.
    library : tuple of str
        Functions of math.h that it calls.
    inside_bytes : int
        Of its machine code where it is called once: then it is a part of the caller, whose
        arguments are known.  0: as many as `code_bytes`.
    stack_bytes : int
        Of the registers that it saves, and of what does not fit into registers.
    """

    name: str
    text: str
    code_bytes: int
    needs: tuple[str, ...] = ()
    library: tuple[str, ...] = ()
    inside_bytes: int = 0
    stack_bytes: int = 20
