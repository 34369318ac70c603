"""C sources, compiled and called from Python."""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_NUMBERS = itertools.count()

#: Everything that these warn of is an error.
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")


def compiler() -> list[str]:
    """The command of a C compiler: that of CC, else cc, gcc or clang, else Zig's.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    named = os.environ.get("CC")
    for name in [named] if named else ["cc", "gcc", "clang"]:
        if shutil.which(name):
            return [name]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise RuntimeError(
        f"No C compiler was found{f' as CC={named}' if named else ''}. Install gcc or clang with "
        "the system's packages, or Zig's with: pip install ziglang."
    )


def run(command: Sequence[Any], **options: Any) -> str:
    """Run a command and return what it prints.

    Raises
    ------
    RuntimeError
        If it fails, or prints something to stderr; the message is what it said.
    """
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if done.returncode or done.stderr:
        shown = " ".join(map(str, command))
        raise RuntimeError(f"{shown} (exit {done.returncode}):\n{done.stdout}{done.stderr}"[:3000])
    return done.stdout


class Library:
    """Headers, compiled into one shared library.

    Parameters
    ----------
    folder : Path
        Receives the sources and the library.
    headers : dict of str to str
        Source of each header by its name, which is the prefix of its functions.
    flags : iterable of str
        Of the compiler.
    """

    def __init__(self, folder: Path, headers: dict[str, str], flags: Iterable[str] = ("-O1",)):
        lines = []
        for name, source in headers.items():
            (folder / f"{name}.h").write_text(source, "ascii")
            lines.append(f'#include "{name}.h"')
            lines += [
                f"{kind} call_{name}_{function}({parameters});\n"
                f"{kind} call_{name}_{function}({parameters}) {{ {body} }}"
                for function, (kind, parameters, body) in _functions(name, source).items()
            ]
        # A library of a known name would not be loaded again.
        stem = f"all{next(_NUMBERS)}"
        source_file, library = folder / f"{stem}.c", folder / f"{stem}.so"
        source_file.write_text("\n".join(lines) + "\n")
        run([*compiler(), *STRICT, *flags, "-shared", "-fPIC", source_file, "-o", library, "-lm"])
        self._library = ctypes.CDLL(str(library))
        self._headers = headers

    def function(self, name: str, function: str, result: Any = None) -> Any:
        """A function of a header, as ctypes calls it."""
        found = self._library[f"call_{name}_{function}"]
        found.restype = result
        return found

    def outputs(self, name: str, X: Any) -> np.ndarray:
        """Probabilities or values for samples that are numbers, (n_samples, n_outputs)."""
        is_classifier = f"{name}_predict_proba(" in self._headers[name]
        call = self.function(name, "predict_proba" if is_classifier else "predict")
        X = np.ascontiguousarray(X, dtype=np.float32)
        found = np.empty(
            (len(X), _defined(self._headers[name], f"{name.upper()}_N_OUTPUTS")), np.float32
        )
        for x, out in zip(X, found, strict=True):
            call(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(out.ctypes.data))
        return found


def _functions(name: str, source: str) -> dict[str, tuple[str, str, str]]:
    """Return type, parameters and body of a call of each public function of a header."""
    both = "const float *x, float *out"
    known = {
        "predict_proba": ("void", both, f"{name}_predict_proba(x, out);"),
        "predict": ("int", "const float *x", f"return {name}_predict(x);"),
        "label": ("const char *", "int k", f"return {name}_label(k);"),
        "code": ("float", "int j, const char *text", f"return {name}_code(j, text);"),
    }
    if f"{name}_predict(const float *x, float *out)" in source:
        known["predict"] = ("void", both, f"{name}_predict(x, out);")
    if "unsigned char *labels" in source:
        known["predict"] = (
            "void", "const float *x, unsigned char *out", f"{name}_predict(x, out);",
        )  # fmt: skip
    if f"long long {name}_label" in source:
        known["label"] = ("long long", "int k", f"return {name}_label(k);")
    return {function: how for function, how in known.items() if f" {name}_{function}(" in source
            or f"*{name}_{function}(" in source}  # fmt: skip


def _defined(source: str, name: str) -> int:
    return int(next(line.split()[2] for line in source.splitlines() if f"define {name} " in line))


def compiled_sizes(folder: Path, header: str, call: str) -> tuple[int, int]:
    """Bytes of code and constants of a header compiled for size on Linux, and of its stack.

    Parameters
    ----------
    folder : Path
    header : str
    call : str
        Expression that predicts a sample ``x`` into ``out``.
    """
    source, target = folder / "sized.c", folder / "sized.o"
    function = "void predict_once(const float *x, float *out)"
    source.write_text(f"{header}\n{function};\n{function}\n{{\n    {call};\n}}\n")
    flags = ("-std=c99", "-Os", "-fno-asynchronous-unwind-tables", "-fstack-usage")
    run([*compiler(), *flags, "-c", source, "-o", target], cwd=folder)
    frames = {
        line.split("\t")[0].rpartition(":")[2]: int(line.split("\t")[1])
        for line in target.with_suffix(".su").read_text().splitlines()
    }
    # The callers of the small functions, none of which calls another one that is left.
    callers = [name for name in frames if "predict" in name]
    below = max((frames[name] for name in frames if name not in callers), default=0)
    return _sections(target.read_bytes()), sum(frames[name] for name in callers) + below


def _sections(data: bytes) -> int:
    """Bytes of the sections of an ELF object of 64 bits that are kept in memory as they are."""
    (start,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<2H", data, 58)
    rows = [struct.unpack_from("<IIQQQQ", data, start + k * size) for k in range(count)]
    progbits, allocated = 1, 2
    return sum(row[5] for row in rows if row[1] == progbits and row[2] & allocated)
