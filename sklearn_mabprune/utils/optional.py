"""Packages that only some functions need, imported when one of them is called."""

from __future__ import annotations

import importlib
from typing import Any


def require(package: str, extra: str) -> Any:
    """Import a package of an extra.

    Parameters
    ----------
    package : str
        Name to import, "onnx" or "onnx.helper".
    extra : str
        The extra that installs it.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        name = package.partition(".")[0]
        raise ImportError(
            f'This needs {name}, which is not installed: pip install "sklearn-mabprune[{extra}]"'
        ) from error


def frames(caller: str) -> Any:
    """The module pandas, for a function that returns a DataFrame.

    Parameters
    ----------
    caller : str
        The function's name, for the message.

    Raises
    ------
    ImportError
        If pandas is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise ImportError(
            f"{caller} needs pandas, which is not installed: pip install pandas"
        ) from error
