"""What a module's ``forward`` does besides calling its layers, seen by the operators that run.

Values that agree on some samples prove nothing: ``x.clamp(-4, 4)`` changes none of them, and
dropout as a function changes none in evaluation mode.  An operator that runs outside every layer
is seen all the same.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..utils.compat import dispatch_mode, hooks_of
from .kinds.registry import kind_of

# They change the shape of a value at most; the shapes are compared where a layer reads it.
_RESHAPES = ("view", "_unsafe_view", "reshape", "alias", "squeeze", "unsqueeze")
_RESHAPES_BACKWARD = ("View", "UnsafeView", "Reshape", "Alias", "Squeeze", "Unsqueeze")
_TORCH, _HERE = str(Path(torch.__file__).parent), str(Path(__file__).parent)


def is_plain(module: nn.Module) -> bool:
    """Whether a module runs layers of known kinds one after the other, by its classes alone.

    That is so for layers of exactly known classes, nested in ``nn.Sequential`` or classes that
    run as it does, without hooks and without a ``forward`` put on an object.
    """
    return all(
        (kind_of(part) is not None or _runs_in_sequence(part)) and not _is_changed(part)
        for part in module.modules()
    )


def _runs_in_sequence(part: nn.Module) -> bool:
    own = type(part)
    return isinstance(part, nn.Sequential) and all(
        getattr(own, name) is getattr(nn.Sequential, name)
        for name in ("forward", "__iter__", "__call__")
    )


def _is_changed(part: nn.Module) -> bool:
    """Whether an object may do something else than its class says."""
    return any(hooks_of(part)) or "forward" in vars(part)


def changed(part: nn.Module) -> str | None:
    """What a layer has of its own that a pruned copy of it would not have; None: nothing."""
    if "forward" in vars(part):
        return "has a forward of its own"
    if hooks_of(part)[1]:
        return "has a backward hook"
    return None


def orphans(module: nn.Module) -> list[str]:
    """Names of the parameters that belong to no layer of a known kind."""
    return [
        f"{prefix}.{name}" if prefix else name
        for prefix, part in module.named_modules()
        if kind_of(part) is None
        for name, _ in part.named_parameters(recurse=False)
    ]


class Recorder(dispatch_mode(torch)):  # type: ignore[misc]
    """Context that records the operators which run outside every layer.

    Attributes
    ----------
    found : list of str
        Operators since the last layer, such as "aten.clamp in Net.forward (net.py:12)".
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False
        self._handed: Tensor | None = None
        self._handed_by: Any = None
        self._modes: dict[str, bool] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operator, and note it unless a layer runs it."""
        name = str(func.overloadpacket)
        if not self._inside and name.removeprefix("aten.") not in _RESHAPES:
            self.found.append(name + _line())
        return func(*args, **(kwargs or {}))

    def start(self, x: Tensor) -> Recorder:
        """The context, for a run on these samples."""
        self._modes = _modes(x)
        self._hand_over(x)
        return self

    def enter(self, given: Any) -> list[str]:
        """A layer is called: what was done to its input since the layer before returned it."""
        self._inside = True
        found, self.found = self.found, []
        set_here = [name for name, on in _modes(given).items() if on and not self._modes[name]]
        return found or self._unseen(given) or set_here

    def leave(self, returned: Tensor) -> None:
        """The layer has returned."""
        self._hand_over(returned)
        self._inside = False

    def end(self, outputs: Any) -> list[str]:
        """What was done to the outputs since the last layer returned them."""
        return self.found or self._unseen(outputs)

    def _hand_over(self, value: Tensor) -> None:
        self._handed, self._handed_by = value, value.grad_fn

    def _unseen(self, value: Any) -> list[str]:
        """What no operator shows: the value of an earlier layer, or a gradient of one's own."""
        handed = self._handed
        if not isinstance(value, Tensor) or handed is None or handed.shape != value.shape:
            return []  # shapes are compared later
        if value.untyped_storage().data_ptr() != handed.untyped_storage().data_ptr():
            return ["an earlier value, or one of another source"]
        by = value.grad_fn
        while (
            by is not None
            and by is not self._handed_by
            and by.name().startswith(_RESHAPES_BACKWARD)
        ):
            by = by.next_functions[0][0]
        if by is not self._handed_by:
            return [f"a gradient of its own ({by.name() if by is not None else 'detached'})"]
        return []


def _modes(x: Tensor) -> dict[str, bool]:
    """Modes of torch that change what a layer computes or learns, by what sets them."""
    return {
        "torch.no_grad": not torch.is_grad_enabled(),
        "torch.autocast": torch.is_autocast_enabled(x.device.type),
    }


def _line() -> str:
    """Where the operator that runs now is called, outside torch's files."""
    frame: Any = inspect.currentframe()
    frame = frame.f_back.f_back  # not this function, and not the one that records
    while frame is not None and frame.f_code.co_filename.startswith(_TORCH):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(_HERE):
        return ""
    code = frame.f_code
    owner = frame.f_locals.get("self")
    function = f"{type(owner).__name__}.{code.co_name}" if owner is not None else code.co_name
    return f" in {function} ({Path(code.co_filename).name}:{frame.f_lineno})"
