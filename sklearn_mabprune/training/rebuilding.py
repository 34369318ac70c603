"""A skorch net around a smaller network: same class, same parameters, same training."""

from __future__ import annotations

import copy
from typing import Any

import torch
from sklearn.base import clone

from ..graph.graph import Chain, PrunedChain, unwrap
from ..utils.compat import drop_parameter
from ..utils.randomness import global_generators
from .initial import renew_optimizer
from .nets import MLP

# What a fit left on the net that a net around a smaller module needs as well.
_FITTED = (
    "classes_inferred_",
    "target_mean_",
    "target_scale_",
    "n_features_in_",
    "n_outputs_",
    "auto_dtype_",
    "multilabel_",
)


def copy_of_net(net: Any) -> Any:
    """A net that shares nothing with a fitted one: weights, optimizer, callbacks, history.

    skorch copies by pickling, which a module of a class made inside a function does not bear.

    Raises
    ------
    TypeError
        If there is something in it that cannot be copied.
    """
    new: Any = object.__new__(type(net))
    try:
        new.__dict__.update(copy.deepcopy(vars(net), {id(net): new}))
    except Exception as error:
        raise TypeError(
            f"The {type(net).__name__} in FrozenEstimator cannot be copied ({error}), and only a "
            "copy of it is pruned. Keep what cannot be copied, such as a lock, an open file or a "
            "generator, out of its module and callbacks."
        ) from error
    return new


def net_around(net: Any, chain: Chain) -> Any:
    """A new net whose module computes what the chain computes.

    Its module is built from explicit sizes, so that ``clone``, ``initialize`` and
    ``load_params`` work, and ``partial_fit`` trains the small network on.

    Parameters
    ----------
    net : skorch net
        Fitted; left as it is.
    chain : Chain
        Left as it is; the new module shares no tensor with it.
    """
    new = clone(net)
    dtype = str(chain.dtype).removeprefix("torch.")
    if net.module is MLP:
        sizes: dict[str, Any] = {
            "module__n_features": chain.n_inputs,
            "module__n_outputs": chain.n_outputs,
            "module__hidden_layer_sizes": chain.hidden_sizes,
            "module__dtype": dtype,
        }
    else:
        # The old module's parameters mean nothing to the new one.
        for name in [name for name in vars(new) if name.startswith("module__")]:
            drop_parameter(new, name)
        sizes = {
            "module": PrunedChain,
            "module__layers": chain.descriptions(),
            "module__dtype": dtype,
        }
    if getattr(net, "multilabel_", False):
        # Found in the data, which a copy of the smaller net has not seen.
        sizes["criterion"] = type(unwrap(net.criterion_))
    new.set_params(**sizes)
    for name in _FITTED:
        if hasattr(net, name):
            setattr(new, name, getattr(net, name))
    with global_generators(0, net.device):
        new.initialize()
    module: Any = unwrap(new.module_)
    chain.copy_to(module)
    new.module_.eval()
    new.history_ = net.history_
    renew_optimizer(new)
    return new


def chain_of(arrays: dict[str, Any], device: Any = "cpu") -> Chain:
    """The chain that ``Chain.to_arrays`` wrote down."""
    # What the layers draw for a start is overwritten.
    with global_generators(0):
        module = PrunedChain(layers=arrays["layers"], dtype=arrays["dtype"]).to(device)
    for layer, state in zip(module, arrays["state"], strict=True):
        layer.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})
    return Chain.from_layers(list(module))
