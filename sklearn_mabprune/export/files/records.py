"""Conversion of dataclasses to JSON-compatible data and tensors, and back, with type checks.

The annotations of a dataclass are the schema of its data.  Arrays become tensors with the name
of their field, all other values become JSON-compatible data.
"""

from __future__ import annotations

import math
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]


def record_to_plain(
    value: Any, hint: Any, name: str, tensors: Tensors, leave_out: tuple[str, ...] = ()
) -> Any:
    """Convert a value of a declared type to JSON-compatible data, its arrays to tensors.

    Parameters
    ----------
    value : object
        The value.
    hint : type
        Declared type: a dataclass, list, tuple, dict with keys that are strings or integers,
        array of a dtype or a family of dtypes (``np.unsignedinteger``), int, float, bool, str,
        Any (one of the last four), or a union of one of these and None.
    name : str
        Name of the value, for its tensors and for error messages.
    tensors : dict of str to ndarray
        Receives the arrays; modified in place.
    leave_out : tuple of str
        Fields of a dataclass that are saved elsewhere.

    Returns
    -------
    bool, int, float, str, None, list or dict

    Raises
    ------
    TypeError
        If the declared type is not supported.
    ValueError
        If an array is not of its declared dtype.
    """
    origin, args = _parts(hint)
    if origin is np.ndarray:
        tensors[name] = np.array(value, order="C")
        _check_dtype(tensors[name], args, name)
        return None
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return {
            part.name: record_to_plain(
                getattr(value, part.name), hints[part.name], f"{name}.{part.name}", tensors
            )
            for part in fields(hint)
            if part.name not in leave_out
        }
    if _are_arrays(origin, args):
        return _joined(value, args[0], name, tensors)
    if origin in (list, tuple):
        return [
            record_to_plain(item, kind, f"{name}.{k}", tensors)
            for k, (item, kind) in enumerate(zip(value, _items(args, len(value)), strict=True))
        ]
    if origin is dict and args[0] in (str, int):
        return {
            str(k): record_to_plain(v, args[1], f"{name}.{k}", tensors) for k, v in value.items()
        }
    if origin in (Union, types.UnionType):
        return None if value is None else record_to_plain(value, _not_none(args), name, tensors)
    if hint is Any:
        value = value.item() if isinstance(value, np.generic) else value
        hint = type(value)
    if hint is float:
        return float(value) if math.isfinite(value) else str(float(value))
    if hint in (int, bool, str):
        return hint(value)
    raise TypeError(f"{name} is declared as {hint}, a type that cannot be saved")


def record_from_plain(
    data: Any, hint: Any, name: str, tensors: Tensors, leave_out: tuple[str, ...] = ()
) -> Any:
    """Convert data from :func:`record_to_plain` back to the value of a declared type.

    Parameters
    ----------
    data : object
        Content of a JSON file.
    hint : type
        Declared type.
    name : str
        Name of the value, of its tensors and for error messages.
    tensors : dict of str to ndarray
        Arrays by name; those of the value are removed from it.
    leave_out : tuple of str
        Fields of a dataclass that are saved elsewhere.

    Raises
    ------
    ValueError
        If a field or an array is missing, unknown or of another type.
    """
    origin, args = _parts(hint)
    if origin is np.ndarray:
        array = tensors.pop(name, None)
        if array is None or data is not None:
            raise ValueError(f"{name} is not an array")
        _check_dtype(array, args, name)
        return array
    if is_dataclass(hint):
        return _dataclass(data, hint, name, tensors, leave_out)
    if origin in (list, tuple) and type(data) is not list:
        raise ValueError(f"{name} is not a list")
    if _are_arrays(origin, args):
        return _split(data, args[0], name, tensors)
    if origin in (list, tuple):
        items = [
            record_from_plain(item, kind, f"{name}.{k}", tensors)
            for k, (item, kind) in enumerate(zip(data, _items(args, len(data)), strict=True))
        ]
        return origin(items)
    if origin is dict:
        if type(data) is not dict:
            raise ValueError(f"{name} is not a dict")
        return {
            args[0](k): record_from_plain(v, args[1], f"{name}.{k}", tensors)
            for k, v in data.items()
        }
    if origin in (Union, types.UnionType):
        return None if data is None else record_from_plain(data, _not_none(args), name, tensors)
    if hint is float and type(data) in (int, float):
        return float(data)
    if hint is float and data in ("nan", "inf", "-inf"):
        return float(data)
    if type(data) is hint or (hint is Any and type(data) in (int, float, bool, str)):
        return data
    raise ValueError(f"{name} is {str(data)[:80]!r}, not of type {getattr(hint, '__name__', hint)}")


def _dataclass(
    data: Any, kind: Any, name: str, tensors: Tensors, leave_out: tuple[str, ...]
) -> Any:
    """A dataclass from the data of its fields."""
    parts = {part.name: part for part in fields(kind) if part.name not in leave_out}
    if type(data) is not dict:
        raise ValueError(f"{name} is not a JSON object")
    unknown = set(data) - set(parts)
    # Fields with a default may be missing: files of an older version do not have them.
    needed = {
        key
        for key, part in parts.items()
        if part.default is MISSING and part.default_factory is MISSING
    }
    if unknown or needed - set(data):
        field = min(unknown | (needed - set(data)))
        raise ValueError(f"{name} has {'an unknown field' if unknown else 'no field'} {field!r}")
    hints = get_type_hints(kind)
    return kind(
        **{
            key: record_from_plain(value, hints[key], f"{name}.{key}", tensors)
            for key, value in data.items()
        }
    )


def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Origin and arguments of a declared type; of arrays those of ``numpy.ndarray``."""
    origin: Any = get_origin(hint) or hint
    args: tuple[Any, ...] = get_args(hint)
    # From NumPy 2.5 on NDArray is an alias that is not taken apart by itself.
    if origin is NDArray:
        return np.ndarray, (Any, np.dtype.__class_getitem__(args[0]))
    return origin, args


def _are_arrays(origin: Any, args: tuple[Any, ...]) -> bool:
    """Whether a declared type is a list of arrays."""
    return origin is list and _parts(args[0])[0] is np.ndarray


def _joined(arrays: list[NDArray[Any]], hint: Any, name: str, tensors: Tensors) -> Any:
    """Concatenate arrays to one tensor and return their shapes.

    In a file, the name and offsets of a tensor take more space than a small array.
    """
    if arrays:
        flat = np.concatenate([np.ravel(array) for array in arrays])
        record_to_plain(flat, hint, name, tensors)
    return [list(np.shape(array)) for array in arrays]


def _split(shapes: list[Any], hint: Any, name: str, tensors: Tensors) -> list[NDArray[Any]]:
    """Arrays of the given shapes, split from their tensor; the inverse of :func:`_joined`."""
    if not shapes:
        return []
    flat = record_from_plain(None, hint, name, tensors)
    if not all(
        type(shape) is list and all(type(n) is int and n >= 0 for n in shape) for shape in shapes
    ):
        raise ValueError(f"{name} has invalid shapes")
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    if flat.shape != (ends[-1],):
        raise ValueError(f"{name} has another length than its shapes require")
    parts = np.split(flat, ends[:-1])
    return [part.reshape(shape).copy() for part, shape in zip(parts, shapes, strict=True)]


def _check_dtype(array: NDArray[Any], args: tuple[Any, ...], name: str) -> None:
    """Raise ValueError if an array is not of its declared dtype."""
    (scalar,) = get_args(args[1])
    if not np.issubdtype(array.dtype, scalar):
        raise ValueError(f"{name} is an array of {array.dtype}, not of {scalar.__name__}")


def _items(args: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    """The declared types of the n items of a list or tuple."""
    return args if len(args) > 1 and args[1] is not Ellipsis else (args[0],) * n


def _not_none(args: tuple[Any, ...]) -> Any:
    """The declared type of an optional value that is not None."""
    (kind,) = (arg for arg in args if arg is not type(None))
    return kind
