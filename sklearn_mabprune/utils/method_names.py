"""Methods are called in errors as the user calls them, not after the mixin that defines them."""

from __future__ import annotations

from types import FunctionType
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)


def with_names_of_its_own(made: Class) -> Class:
    """Class decorator: Python's errors about arguments name no internal base class.

    Inherited public methods of this package are called by their name alone, and the constructor
    by the class that is decorated.

    Parameters
    ----------
    made : type
        Changed in place, as are its bases.

    Examples
    --------
    >>> from sklearn_mabprune.utils.method_names import with_names_of_its_own
    >>> from sklearn_mabprune import MABPrunedClassifier
    >>> MABPrunedClassifier.at_budget.__qualname__
    'at_budget'
    """
    package = __name__.partition(".")[0]
    for base in made.__mro__[1:]:
        if base.__module__.partition(".")[0] != package:
            continue
        for name, value in vars(base).items():
            # `available_if` of scikit-learn has the function in `fn`.
            function = getattr(value, "fn", value)
            while isinstance(function, FunctionType) and not name.startswith("_"):
                function.__qualname__ = name
                function = getattr(function, "__wrapped__", None)
    # Shared by classes that users call by different names.
    shared: Any = made.__init__  # type: ignore[misc]
    if "__init__" not in vars(made) and isinstance(shared, FunctionType):
        own = FunctionType(
            shared.__code__, shared.__globals__, "__init__", shared.__defaults__, shared.__closure__
        )
        own.__kwdefaults__, own.__doc__ = shared.__kwdefaults__, shared.__doc__
        own.__annotations__ = shared.__annotations__
        own.__qualname__ = f"{made.__name__}.__init__"
        made.__init__ = own  # type: ignore[misc]
    return made
