"""A device that is not there: its tensors are held by CPU tensors, and it counts waits of the host.

Registering it changes torch for the whole process: it is for a process of its own, where
``import pretend_device`` makes ``device="card"`` known.  As on CUDA, an operator whose tensors are
on different devices is refused (numbers of no dimension on the CPU are not).  Two things differ:
``torch.inference_mode`` is ``torch.no_grad``, since views of tensors of a Python class cannot be
made in it, and products with vectors go through products of matrices, since torch removes the
added dimension in place, which a Python class does not see.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

import sklearn_mabprune

PACKAGE = Path(sklearn_mabprune.__file__).parent

#: Operators for which the host waits until the device has computed their values.
WAITS = {
    "aten._local_scalar_dense.default": "item",
    "aten.nonzero.default": "nonzero",
    "aten.equal.default": "equal",
    "aten.is_nonzero.default": "item",
    "aten.masked_select.default": "nonzero",
    "aten._linalg_check_errors.default": "item",
}
#: Operators that may read tensors of two devices.
_COPIES = ("aten._to_copy", "aten.copy_", "aten.lift_fresh")
#: Functions that make a tensor.  Others go through `empty`, but these resize what they are given.
_FACTORIES = ("eye", "eye.m", "arange", "arange.start", "arange.start_step", "linspace", "randperm",
              "randperm.generator", "full", "range")  # fmt: skip

#: Waits of the host so far, by kind and place: ("item", "pruning/pulls.py:pull").
waits: Counter[tuple[str, str]] = Counter()


class _Module:
    """What torch asks the module of a device for."""

    is_available = staticmethod(lambda: True)
    current_device = staticmethod(lambda: 0)
    device_count = staticmethod(lambda: 1)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed_all = staticmethod(lambda seed: None)
    get_rng_state = staticmethod(lambda device=0: torch.zeros(1, dtype=torch.uint8))
    set_rng_state = staticmethod(lambda state, device=0: None)
    get_amp_supported_dtype = staticmethod(list)

    class device:  # noqa: N801 - the name that torch looks up
        """A context in which the device is the present one, as it always is."""

        def __init__(self, *args: Any):
            pass

        def __enter__(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            pass


_setup_privateuseone_for_python_backend("card", _Module())


class Card(torch.Tensor):
    """A tensor of the device: `raw` holds its values."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor, requires_grad: bool = False) -> Card:
        made = torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(),
            dtype=raw.dtype, device=torch.device("card", 0), requires_grad=requires_grad,
            dispatch_layout=False,
        )  # fmt: skip
        made.raw = raw
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        products = torch.Tensor.matmul, torch.matmul, torch.Tensor.__matmul__
        if func in products or func is torch.Tensor.__rmatmul__:
            first, second = args[:2] if func in products else args[1::-1]
            if first.dim() == 1 and second.dim() == 2:
                return torch.mm(first[None], second)[0]
            if first.dim() == 2 and second.dim() == 1:
                return torch.mm(first, second[:, None])[:, 0]
        return torch._C._disabled_torch_function_impl(func, types, args, kwargs or {})

    def untyped_storage(self):
        """Memory of the values, to be compared with that of others."""
        return self.raw.untyped_storage()

    def __reduce_ex__(self, protocol):
        # There is no storage of this device that could be made.
        return _opened, (self.raw.detach(), self.requires_grad, getattr(self, "_is_param", False))

    def __repr__(self):
        return f"Card({self.raw})"


def _opened(raw: torch.Tensor, requires_grad: bool, is_parameter: bool) -> Card:
    """A tensor of the device out of a pickle."""
    made = Card(raw, requires_grad)
    made._is_param = is_parameter
    return made


torch.serialization.add_safe_globals([_opened])
_to = torch.UntypedStorage.to


def _storage_to(self, *, device, non_blocking=False):
    """Storages of pickles stay on the CPU: the tensors that are made of them are of the device."""
    if torch.device(device).type == "card":
        return self
    return _to(self, device=device, non_blocking=non_blocking)


torch.UntypedStorage.to = _storage_to


def _place() -> str:
    """File and function of the package that is being run."""
    frame = inspect.currentframe()
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if PACKAGE in file.parents:
            return f"{file.relative_to(PACKAGE).as_posix()}:{frame.f_code.co_qualname}"
        frame = frame.f_back
    return "elsewhere"


def _mapped(change: Callable[[torch.Tensor], Any], value: Any) -> Any:
    """Arguments or results of an operator, with their tensors changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)([_mapped(change, each) for each in value])
    return value


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    """An operator on the tensors that hold the values."""
    name, given = str(func), []

    def raw(tensor: torch.Tensor) -> torch.Tensor:
        given.append(tensor)
        return tensor.raw if isinstance(tensor, Card) else tensor

    raw_args = _mapped(raw, args)
    raw_kwargs = {key: _mapped(raw, value) for key, value in kwargs.items()}
    if not name.startswith(_COPIES):
        mixed = [t for t in given if not isinstance(t, Card) and t.dim()]
        if mixed:
            raise RuntimeError(f"{name}: tensors of {mixed[0].shape} on the CPU, others on a card")
    here = any(isinstance(t, Card) for t in given)
    if "device" in kwargs and kwargs["device"] is not None:
        here = torch.device(kwargs["device"]).type == "card"
        raw_kwargs["device"] = "cpu"
        if not here:
            waits["copy", _place()] += 1
    masks = [t for t in given[1:] if t.dtype == torch.bool] if "aten.index" in name else []
    if masks and not name.startswith("aten.index_"):
        waits["nonzero", _place()] += 1
    if name in WAITS:
        waits[WAITS[name], _place()] += 1
    if name.startswith("aten.copy_") and not isinstance(args[0], Card):
        waits["copy", _place()] += 1
    out = func(*raw_args, **raw_kwargs)
    if not here:
        return out
    # What is changed in place, or written to, is handed back itself.
    known = {id(t.raw): t for t in given if isinstance(t, Card)} if func._schema.is_mutable else {}

    def wrapped(value: torch.Tensor) -> torch.Tensor:
        same = known.get(id(value))
        return same if same is not None and same.size() == value.size() else Card(value)

    return _mapped(wrapped, out)


# The libraries must not be collected: what they register would be gone.
_everything = torch.library.Library("_", "IMPL")
_everything.fallback(lambda func, *args, **kwargs: _run(func, args, kwargs), "PrivateUse1")
_aten = torch.library.Library("aten", "IMPL")


def _factory(name: str) -> None:
    base, _, overload = name.partition(".")
    make = getattr(getattr(torch.ops.aten, base), overload or "default")

    def made(*args: Any, **kwargs: Any) -> Card:
        return Card(make(*args, **{**kwargs, "device": "cpu", "pin_memory": False}))

    _aten.impl(name, made, "PrivateUse1")


for _name in _FACTORIES:
    _factory(_name)


def _empty(size, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return Card(torch.empty(size, dtype=dtype))


def _empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return Card(torch.empty_strided(size, stride, dtype=dtype))


_aten.impl("empty.memory_format", _empty, "PrivateUse1")
_aten.impl("empty_strided", _empty_strided, "PrivateUse1")


class _NoGrad(torch.no_grad):
    """torch.inference_mode without what tensors of a Python class cannot do."""

    def __new__(cls, mode=True):
        return object.__new__(cls) if mode else torch.enable_grad()

    def __init__(self, mode=True):
        super().__init__()


torch.inference_mode = _NoGrad
