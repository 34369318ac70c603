"""Records as plain data and tensors, and back, checked against their declared types.

A dataclass says by its annotations what each of its fields is; that is the schema here.
Arrays become tensors under the field's name, all else becomes what JSON knows.
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
    """A value of a declared type as what JSON knows, its arrays put into `tensors`.

    Parameters
    ----------
    value : object
    hint : type
        What it is declared as: a dataclass, list, tuple, dict with keys that are strings or
        integers, array of a dtype or a family of them (``np.unsignedinteger``), int, float,
        bool, str, Any (one of the last four), or one of these or None.
    name : str
        Of its tensors, and for errors.
    tensors : dict of str to ndarray
        Added to.
    leave_out : tuple of str
        Fields of a dataclass that are written elsewhere.

    Raises
    ------
    TypeError
        If the declared type is none of these.
    """
    origin, args = get_origin(hint) or hint, get_args(hint)
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
    raise TypeError(f"{name} is declared as {hint}, which cannot be written into a file")


def record_from_plain(
    data: Any, hint: Any, name: str, tensors: Tensors, leave_out: tuple[str, ...] = ()
) -> Any:
    """The value that :func:`record_to_plain` wrote down; its tensors are taken out.

    Raises
    ------
    ValueError
        If anything is missing, superfluous or of another type.
    """
    origin, args = get_origin(hint) or hint, get_args(hint)
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
        return _parted(data, args[0], name, tensors)
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
    parts = {part.name: part for part in fields(kind) if part.name not in leave_out}
    if type(data) is not dict:
        raise ValueError(f"{name} is not a record")
    unknown = set(data) - set(parts)
    # A field that came later, with a default, is not in older files.
    needed = {
        key
        for key, part in parts.items()
        if part.default is MISSING and part.default_factory is MISSING
    }
    if unknown or needed - set(data):
        odd = min(unknown | (needed - set(data)))
        raise ValueError(f"{name} has {'an unknown field' if unknown else 'no field'} {odd!r}")
    hints = get_type_hints(kind)
    return kind(
        **{
            key: record_from_plain(value, hints[key], f"{name}.{key}", tensors)
            for key, value in data.items()
        }
    )


def _are_arrays(origin: Any, args: tuple[Any, ...]) -> bool:
    return origin is list and get_origin(args[0]) is np.ndarray


def _joined(arrays: list[NDArray[Any]], hint: Any, name: str, tensors: Tensors) -> Any:
    """Many small arrays as one tensor and their shapes: a name of its own would outweigh each."""
    if arrays:
        flat = np.concatenate([np.ravel(array) for array in arrays])
        record_to_plain(flat, hint, name, tensors)
    return [list(np.shape(array)) for array in arrays]


def _parted(shapes: list[Any], hint: Any, name: str, tensors: Tensors) -> list[NDArray[Any]]:
    if not shapes:
        return []
    flat = record_from_plain(None, hint, name, tensors)
    if not all(
        type(shape) is list and all(type(n) is int and n >= 0 for n in shape) for shape in shapes
    ):
        raise ValueError(f"{name} has shapes that are none")
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    if flat.shape != (ends[-1],):
        raise ValueError(f"{name} is not of the length of its parts")
    parts = np.split(flat, ends[:-1])
    return [part.reshape(shape).copy() for part, shape in zip(parts, shapes, strict=True)]


def _check_dtype(array: NDArray[Any], args: tuple[Any, ...], name: str) -> None:
    (scalar,) = get_args(args[1])
    if not np.issubdtype(array.dtype, scalar):
        raise ValueError(f"{name} is an array of {array.dtype}, not of {scalar.__name__}")


def _items(args: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    """The declared type of each item."""
    return args if len(args) > 1 and args[1] is not Ellipsis else (args[0],) * n


def _not_none(args: tuple[Any, ...]) -> Any:
    (kind,) = (arg for arg in args if arg is not type(None))
    return kind
