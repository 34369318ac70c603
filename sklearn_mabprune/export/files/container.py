"""Reading and writing of safetensors files with tensors, a JSON description and a checksum.

A safetensors file contains named arrays and a dict of strings; its reader checks sizes and
offsets.  Here the dict contains the name and version of the format, the description as JSON,
and a SHA-256 checksum of description and tensors, which detects any change.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...exceptions import ModelFileError
from ...utils.files import NotAFileError, open_regular, write_whole

FORMAT, FORMAT_VERSION = "sklearn_mabprune", 2

#: Bytes of the header that safetensors accepts.
_LONGEST_HEADER = 100_000_000

#: Second bytes of pickles, the first of which is 0x80.
_PICKLE_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")

#: Characters of a file's text that a message shows.
_LONGEST_TEXT = 1000

_DTYPES = {"BOOL", "U8", "U16", "U32", "U64", "I64", "F32", "F64"}

#: Names of those that tensors of torch may have.
ARRAY_DTYPES = ("float32", "float64", "int64", "uint8", "bool")

Tensors = dict[str, NDArray[Any]]


def write_file(path: Any, content: dict[str, Any], tensors: Tensors) -> None:
    """Write a description and tensors to a file: the same bytes for the same content.

    Parameters
    ----------
    path : str or path-like
        File to write.
    content : dict
        The description, which JSON can represent.
    tensors : dict of str to ndarray
        Arrays in C order, of dtype bool, float32, float64, int64 or an unsigned integer.

    Raises
    ------
    OSError
        If the file cannot be written; a file that was there is unchanged then.
    """
    # Imported where it is used: the package does not load it.
    from safetensors.numpy import save

    text = json.dumps(content, allow_nan=False)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "content": text,
        "sha256": _digest(text, tensors),
    }
    write_whole(path, _in_order(save(tensors, metadata)))


def _in_order(data: bytes) -> bytes:
    """Safetensors with the strings of its header sorted: safetensors writes them in any order."""
    first = 8 + int.from_bytes(data[:8], "little")
    parts = json.loads(data[8:first])
    parts["__metadata__"] = dict(sorted(parts["__metadata__"].items()))
    header = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
    # Tensors begin at a multiple of eight bytes, as safetensors has it.
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[first:]


def read_file(path: Any) -> tuple[dict[str, Any], Tensors]:
    """Read the description and the tensors of a file.

    Parameters
    ----------
    path : str or path-like
        File to read.

    Returns
    -------
    content : dict
        The description.
    tensors : dict of str to ndarray
        The arrays by name.

    Raises
    ------
    OSError
        If the file does not exist or cannot be opened.
    ModelFileError
        If it is not a regular file, or not a complete one of this format and version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    path = Path(path)
    try:
        # Read once, not mapped: a mapped file that another process makes shorter ends this one.
        with open_regular(path) as file:
            metadata, head, n_left = _read_header(path, file)
            data = head + file.read(n_left)
        # This also checks that all tensors lie inside the file and do not overlap.
        tensors = {
            name: np.require(array, requirements="W") for name, array in load_tensors(data).items()
        }
    except NotAFileError as error:
        raise unreadable(path, str(error), "Pass the path of a file that save() wrote.") from error
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise unreadable(path, f"it is not a complete safetensors file ({error})") from error
    text = metadata.get("content", "")
    if metadata.get("sha256") != _digest(text, tensors):
        raise unreadable(path, "its checksum is wrong: the file was changed or damaged")
    try:
        content = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise unreadable(path, f"its description cannot be read ({error})") from error
    if type(content) is not dict:
        raise unreadable(path, "its description is not a JSON object")
    return content, tensors


def unreadable(
    path: Any,
    reason: str,
    remedy: str = "Use another copy of the file, or save the estimator again.",
) -> ModelFileError:
    """The error for a file that cannot be loaded.

    Parameters
    ----------
    path : str or path-like
        The file.
    reason : str
        Why it cannot be loaded.
    remedy : str
        What the user can do.
    """
    return ModelFileError(f"{path} cannot be loaded: {shown(reason.rstrip('.'))}. {remedy}")


def shown(text: str) -> str:
    """Text from a file for a message: without control characters, and not too long."""
    if len(text) > _LONGEST_TEXT:
        text = text[:_LONGEST_TEXT] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _check_version(path: Path, metadata: dict[str, str]) -> None:
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise unreadable(
            path,
            f"it has version {str(version)[:20]!r} of the file format, but this version of "
            f"sklearn_mabprune reads version {FORMAT_VERSION}",
            "Load it with the version of sklearn_mabprune that wrote it, or save the estimator "
            "again with this one.",
        )


def _read_header(path: Path, file: BinaryIO) -> tuple[dict[str, str], bytes, int]:
    """Read the beginning of a file, and check that the file has the length that it announces.

    Returns
    -------
    metadata : dict of str to str
        The strings of the header.
    head : bytes
        What was read.
    n_left : int
        Number of bytes that follow.
    """
    size = os.fstat(file.fileno()).st_size
    first = file.read(8)
    n_header = int.from_bytes(first, "little")
    if size < 8 or n_header > min(size - 8, _LONGEST_HEADER):
        if first[:1] == b"\x80" and first[1:2] in _PICKLE_PROTOCOLS:
            raise unreadable(
                path,
                "it is a pickle, not a file of save()",
                "Open it by pickle.load or joblib.load, if you trust who wrote it: a pickle can "
                "run any code.",
            )
        raise ValueError(f"it has {size} bytes, and announces a header of {n_header}")
    header = file.read(n_header)
    try:
        parts = json.loads(header)
    except RecursionError as error:
        raise ValueError("its header is nested too deeply") from error
    if type(parts) is not dict:
        raise ValueError("its header is not a JSON object")
    metadata = parts.pop("__metadata__", {})
    if type(metadata) is not dict or not all(type(text) is str for text in metadata.values()):
        raise ValueError("its metadata are not strings")
    if metadata.get("format") != FORMAT:
        raise unreadable(path, "it was not written by save() of sklearn_mabprune")
    _check_version(path, metadata)
    for name, part in parts.items():
        if part["dtype"] not in _DTYPES:
            raise unreadable(
                path, f"its tensor {name[:80]!r} has the unsupported dtype {part['dtype']!s:.20}"
            )
    n_left = max((part["data_offsets"][1] for part in parts.values()), default=0)
    if size != 8 + n_header + n_left:
        raise ValueError(f"it has {size} bytes, and should have {8 + n_header + n_left}")
    return metadata, n_header.to_bytes(8, "little") + header, n_left


def _digest(text: str, tensors: Tensors) -> str:
    """SHA-256 checksum of the description and of names, dtypes, shapes and values of tensors."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _no_constant(name: str) -> Any:
    """Refuse NaN and infinities, which Python's JSON reader accepts by default."""
    raise ValueError(f"{name} is not a number")
