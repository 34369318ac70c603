"""Lazy import of optional dependencies."""

from __future__ import annotations

import importlib
from typing import Any


def require(package: str, extra: str, caller: str = "This function") -> Any:
    """Import and return an optional dependency.

    Parameters
    ----------
    package : str
        Name of the module to import, such as "onnx" or "onnx.helper".
    extra : str
        Extra of this package that installs it.
    caller : str, default="This function"
        What needs it, for the error message.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If the package is not installed; the message says how to install it.
    """
    return _imported(package, caller, f'"sklearn-mabprune[{extra}]"')


def frames(caller: str) -> Any:
    """Import and return pandas, for a method that returns a DataFrame.

    Parameters
    ----------
    caller : str
        Name of the method, for the error message.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If pandas is not installed; the message says how to install it.
    """
    return _imported("pandas", caller, "pandas")


def _imported(package: str, caller: str, installed: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise ImportError(
            f"{caller} needs {name}, which is not installed: pip install {installed}"
        ) from error
