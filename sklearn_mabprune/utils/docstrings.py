"""Class docstrings with shared entries, which are written once and named in each docstring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import indent
from typing import TypeVar

Class = TypeVar("Class", bound=type)


def documented_by(entries: Mapping[str, str]) -> Callable[[Class], Class]:
    """Class decorator that fills shared entries into the docstring.

    A docstring names an entry on a line of its own, as ``{name}``; the entry replaces the line,
    with its indentation.

    Parameters
    ----------
    entries : mapping of str to str
        Text of each entry, without indentation.

    Returns
    -------
    callable
        From a class to the same class.  It raises KeyError if a docstring names an entry that
        does not exist.

    Examples
    --------
    >>> from sklearn_mabprune.utils.docstrings import documented_by
    >>> @documented_by({"lr": "lr : float, default=0.001"})
    ... class Net:
    ...     '''A net.
    ...
    ...     {lr}
    ...     '''
    >>> import inspect
    >>> print(inspect.getdoc(Net))
    A net.
    <BLANKLINE>
    lr : float, default=0.001
    """

    def documented(made: Class) -> Class:
        if made.__doc__ is None:  # python -OO
            return made
        lines = []
        for line in made.__doc__.splitlines():
            text = line.strip()
            if text.startswith("{") and text.endswith("}"):
                line = indent(entries[text[1:-1]], line[: line.index("{")])
            lines.append(line)
        made.__doc__ = "\n".join(lines)
        return made

    return documented
