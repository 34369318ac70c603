"""A file of tensors and JSON, in the safetensors format, that says whether it is whole.

safetensors holds named arrays and a dict of strings, and its reader checks sizes and
offsets.  The dict holds: the name and version of our format, the content as JSON, and a
digest of content and tensors, so that a change anywhere is noticed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...exceptions import ModelFileError
from ...utils.optional import require

FORMAT, FORMAT_VERSION = "sklearn_mabprune", 1

_DTYPES = {"BOOL", "U8", "U16", "U32", "U64", "I64", "F32", "F64"}

Tensors = dict[str, NDArray[Any]]


def write_file(path: Any, content: dict[str, Any], tensors: Tensors) -> None:
    """Write content and tensors.

    Parameters
    ----------
    path : str or path-like
    content : dict
        What JSON knows.
    tensors : dict of str to ndarray
        In C order; of dtype bool, float32, float64, int64 or unsigned.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    """
    safetensors = require("safetensors.numpy", "safetensors")
    text = json.dumps(content, allow_nan=False)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "content": text,
        "sha256": _digest(text, tensors),
    }
    Path(path).write_bytes(safetensors.save(tensors, metadata))


def read_file(path: Any) -> tuple[dict[str, Any], Tensors]:
    """Content and tensors of a file.

    Returns
    -------
    content : dict
    tensors : dict of str to ndarray

    Raises
    ------
    ImportError
        If safetensors is not installed.
    OSError
        If there is no such file, or it cannot be opened.
    ModelFileError
        If it is not a whole file of this format and version.
    """
    safetensors = require("safetensors", "safetensors")
    path = Path(path)
    with path.open("rb"):
        pass
    try:
        # Reads the header; every tensor lies inside the file, none over another.
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise unreadable(path, "it was not written by this library's save()")
            _check_version(path, metadata)
            tensors = {name: _tensor(path, file, name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise unreadable(path, f"it is not a whole safetensors file ({error})") from error
    text = metadata.get("content", "")
    if metadata.get("sha256") != _digest(text, tensors):
        raise unreadable(path, "its checksum is wrong: it was changed or damaged")
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, f"its description cannot be read ({error})") from error
    if type(content) is not dict:
        raise unreadable(path, "its description is not a record")
    return content, tensors


def unreadable(
    path: Any,
    what: str,
    way_out: str = "Take another copy of the file, or save the estimator again.",
) -> ModelFileError:
    """The error for a file with which something is wrong."""
    return ModelFileError(f"{path} cannot be loaded: {what.rstrip('.')}. {way_out}")


def _check_version(path: Path, metadata: dict[str, str]) -> None:
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise unreadable(
            path,
            f"it is in version {str(version)[:20]!r} of the format, and this version of "
            f"sklearn_mabprune reads version {FORMAT_VERSION}",
            "Load it with the version of sklearn_mabprune that wrote it, or save the estimator "
            "again with this one.",
        )


def _tensor(path: Path, file: Any, name: str) -> NDArray[Any]:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in _DTYPES:
        raise unreadable(path, f"its tensor {name[:80]!r} has dtype {dtype}")
    return file.get_tensor(name)


def _digest(text: str, tensors: Tensors) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")
