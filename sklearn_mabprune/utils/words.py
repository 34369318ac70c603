"""Numbers of things in messages and reports."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number and its noun, in the plural where it is not one.

    Parameters
    ----------
    number : int
    noun : str
        In the singular; an "s" makes it a plural.

    Examples
    --------
    >>> from sklearn_mabprune.utils.words import counted
    >>> counted(1, "round"), counted(0, "round"), counted(2000, "round")
    ('1 round', '0 rounds', '2,000 rounds')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"
