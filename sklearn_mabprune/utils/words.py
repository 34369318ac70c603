"""Numbers of things in messages and reports."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number and its noun, in the plural where it is not one.

    Parameters
    ----------
    number : int
    noun : str
        In the singular; an "s" makes it a plural, after an "s" an "es".

    Examples
    --------
    >>> from sklearn_mabprune.utils.words import counted
    >>> counted(1, "round"), counted(0, "class"), counted(2000, "round")
    ('1 round', '0 classes', '2,000 rounds')
    """
    ending = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending * (number != 1)}"


def be(number: int) -> str:
    """The verb that goes with a number of things.

    Examples
    --------
    >>> from sklearn_mabprune.utils.words import be
    >>> be(1), be(0)
    ('is', 'are')
    """
    return "is" if number == 1 else "are"
