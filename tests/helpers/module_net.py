"""A module with any layers and any ``forward``, to write modules of the tests in one line."""

from __future__ import annotations

import torch
from torch import nn


class Net(nn.Module):
    """A module with these layers and this ``forward``."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            if isinstance(layer, torch.Tensor) and not isinstance(layer, nn.Parameter):
                self.register_buffer(name, layer)
            else:
                setattr(self, name, layer)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def lin(n_inputs, n_outputs, **kwargs):
    return nn.Linear(n_inputs, n_outputs, **kwargs)


def head(n_inputs):
    return nn.Linear(n_inputs, 2)
