"""Where in the user's code something happens: class, function, file and line."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

_TORCH = str(Path(torch.__file__).parent)
_PACKAGE = str(Path(__file__).parents[1])
_OTHERS = ("torch.", f"{__name__.partition('.')[0]}.")
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


def where(stack_trace: str | None, modules: Sequence[tuple[str, Any]] = ()) -> str:
    """The last line outside torch: "in Net.forward (net.py:12)"; empty: not known.

    Parameters
    ----------
    stack_trace : str or None
        As Python prints it.
    modules : sequence of (name, class)
        Modules that were running, the outermost first.
    """
    frames = [
        frame
        for frame in _FRAME.finditer(stack_trace or "")
        if not frame["file"].startswith((_TORCH, _PACKAGE))
    ]
    if not frames:
        return ""
    last = frames[-1]
    # The classes of torch's modules, and of ours in their places, are not those of the lines.
    classes = [_full_name(own) for _, own in modules]
    own = [name for name in classes if not name.startswith(_OTHERS)]
    owner = f"{own[-1].split('.')[-1]}." if own and last["function"] == "forward" else ""
    return f"in {owner}{last['function']} ({Path(last['file']).name}:{last['line']})"


def _full_name(own: Any) -> str:
    """A class with its module, or what names it."""
    return f"{own.__module__}.{own.__qualname__}" if isinstance(own, type) else str(own)


def where_defined(module: nn.Module) -> str:
    """The line where a module's ``forward`` begins: "Net.forward (net.py:10)"."""
    forward = inspect.unwrap(type(module).forward)
    code = getattr(forward, "__code__", None)
    name = f"{type(module).__name__}.forward"
    return f"{name} ({Path(code.co_filename).name}:{code.co_firstlineno})" if code else name


def where_raised(error: BaseException) -> str:
    """The last line outside torch that an error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    return where("\n".join(traceback.format_list(frames)))
