"""Modules of public packages, as they make them: torchvision, rtdl, tabm, torch itself."""

from __future__ import annotations

import importlib
import re
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.networks.nets.entry import Entry

#: Names of classification models of torchvision, and the height of a small image for each.
TORCHVISION = {
    "squeezenet1_0": 64, "squeezenet1_1": 64, "resnet18": 32, "mobilenet_v2": 32,
    "mobilenet_v3_small": 32, "shufflenet_v2_x0_5": 32, "mnasnet0_5": 32, "regnet_x_400mf": 32,
    "regnet_y_400mf": 32, "efficientnet_b0": 32, "resnet50": 32, "resnext50_32x4d": 32,
    "mobilenet_v3_large": 32, "shufflenet_v2_x1_0": 32, "googlenet": 64, "alexnet": 64,
    "convnext_tiny": 32, "swin_t": 32, "vit_b_32": 64, "efficientnet_v2_s": 32,
    "inception_v3": 80, "wide_resnet50_2": 32, "vgg11": 32, "vgg11_bn": 32, "densenet121": 32,
}  # fmt: skip


def torchvision_module(name: str) -> nn.Module:
    """A model of torchvision with untrained weights."""
    models = _torchvision().models
    size = {"image_size": 64} if name.startswith("vit") else {}
    plain = {"aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    model: nn.Module = getattr(models, name)(weights=None, num_classes=10, **plain, **size)
    return model


def _torchvision() -> Any:
    """The package; a build for another device lacks operators, which no classifier uses."""
    while True:
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{missing[1]}(Tensor x) -> Tensor")
            _LIBRARIES.append(library)


_LIBRARIES: list[Any] = []


def _rtdl(kind: str) -> nn.Module:
    package = importlib.import_module("rtdl_revisiting_models")
    if kind == "MLP":
        module = package.MLP(d_in=8, d_out=3, n_blocks=3, d_block=64, dropout=0.1)
    elif kind == "ResNet":
        module = package.ResNet(
            d_in=8, d_out=3, n_blocks=2, d_block=32, d_hidden=None, d_hidden_multiplier=2.0,
            dropout1=0.1, dropout2=0.0,
        )  # fmt: skip
    else:
        module = package.FTTransformer(
            n_cont_features=8, cat_cardinalities=[], d_out=3, n_blocks=2, d_block=32,
            attention_n_heads=4, attention_dropout=0.1, ffn_d_hidden=None,
            ffn_d_hidden_multiplier=4 / 3, ffn_dropout=0.1, residual_dropout=0.0,
        )  # fmt: skip
        return _OnNumbers(module)
    return module


class _OnNumbers(nn.Module):
    """A module that takes numbers and categories, given numbers alone."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x, None)


def _embedded(kind: str) -> nn.Module:
    """Embeddings of numbers in front of an MLP, as the package's page shows."""
    package = importlib.import_module("rtdl_num_embeddings")
    made = {
        "linear": lambda: package.LinearEmbeddings(8, 6),
        "linear, ReLU": lambda: package.LinearReLUEmbeddings(8, 6),
        "periodic": lambda: package.PeriodicEmbeddings(8, 6, lite=False),
        "periodic, lite": lambda: package.PeriodicEmbeddings(8, 6, lite=True),
        "piecewise linear": lambda: package.PiecewiseLinearEmbeddings(
            package.compute_bins(torch.randn(100, 8), n_bins=5), 6, activation=True, version="B"
        ),
    }[kind]()
    return nn.Sequential(
        made, nn.Flatten(), nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(),
        nn.Linear(32, 3),
    )  # fmt: skip


def _tabm(kind: str) -> nn.Module:
    package = importlib.import_module("tabm")
    start = None if kind == "tabm-packed" else "random-signs"
    return _MeanOfMembers(
        package.TabM(
            n_num_features=8, cat_cardinalities=[], d_out=3, n_blocks=2, d_block=32, dropout=0.1,
            k=4, arch_type=kind, start_scaling_init=start,
        )
    )  # fmt: skip


class _MeanOfMembers(nn.Module):
    """The mean over the members of an ensemble, as TabM predicts."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x).mean(1)


def _encoder(norm_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(
        32, 4, 64, batch_first=True, norm_first=norm_first, activation="gelu"
    )
    return nn.Sequential(
        nn.Linear(6, 32), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(),
        nn.Linear(32 * 5, 3),
    )  # fmt: skip


ENTRIES = [
    *(
        Entry(f"rtdl {kind}", "rtdl_revisiting_models", partial(_rtdl, kind), (8,))
        for kind in ("MLP", "ResNet", "FTTransformer")
    ),
    *(
        Entry(f"rtdl {kind} embeddings", "rtdl_num_embeddings", partial(_embedded, kind), (8,))
        for kind in ("linear", "linear, ReLU", "periodic", "periodic, lite", "piecewise linear")
    ),
    *(
        Entry(kind, "tabm", partial(_tabm, kind), (8,))
        for kind in ("tabm", "tabm-mini", "tabm-packed")
    ),
    Entry("torch encoder", "torch", partial(_encoder, False), (5, 6)),
    Entry("torch encoder, norm first", "torch", partial(_encoder, True), (5, 6)),
    *(
        Entry(f"torchvision {name}", "torchvision", partial(torchvision_module, name),
              (3, size, size))
        for name, size in TORCHVISION.items()
    ),
]  # fmt: skip
