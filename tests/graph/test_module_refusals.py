"""Modules that cannot be read are refused in a sentence that names the line; others are not."""

from __future__ import annotations

import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph.graph import Graph
from sklearn_mabprune.graph.module_network import ModuleNetwork
from sklearn_mabprune.graph.recovery import network_of, recover_network

HERE = r"test_module_refusals.py:\d+"


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.register_buffer("count", torch.zeros(()))


class Branches(Base):
    def forward(self, x):
        h = F.relu(self.first(x))
        if h.sum() > 3:
            h = 2 * h
        return self.last(h)


class Item(Base):
    def forward(self, x):
        return self.last(F.relu(self.first(x)) * int(x.max().item()))


class ChangesInput(Base):
    def forward(self, x):
        x[:, 0] = 0
        return self.last(F.relu(self.first(x)))


class ChangesView(Base):
    def forward(self, x):
        h = x.view(-1, 6)
        h.mul_(2)
        return self.last(F.relu(self.first(h)))


class NotFinite(Base):
    def forward(self, x):
        return self.last(torch.log(self.first(x) - 100))


class TwoOutputs(Base):
    def forward(self, x):
        h = self.first(x)
        return self.last(h), h


class AuxiliaryHead(Base):
    """A head that training mode has besides."""

    def forward(self, x):
        h = F.relu(self.first(x))
        return (self.last(h), h) if self.training else self.last(h)


class OtherColumns(Base):
    def forward(self, x):
        h = F.relu(self.first(x))
        return torch.cat([self.last(h), h], 1) if self.training else self.last(h)


class OneForAll(Base):
    def forward(self, x):
        return self.last(F.relu(self.first(x))).mean()


class Locked(Base):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, x):
        return self.last(F.relu(self.first(x)))


class Noisy(Base):
    def forward(self, x):
        h = self.first(x)
        return self.last(F.relu(h + torch.randn_like(h)))


class Counts(Base):
    def forward(self, x):
        self.count.add_(1)
        return self.last(F.relu(self.first(x)))


class ThroughNumPy(Base):
    def forward(self, x):
        return self.last(torch.from_numpy(F.relu(self.first(x)).detach().numpy()))


class OtherWidth(Base):
    def forward(self, x):
        return self.last(F.relu(self.first(x[:, :4])))


class Autocast(Base):
    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = F.relu(self.first(x))
        return self.last(h.float())


class OverUnits(Base):
    def forward(self, x):
        return self.last(self.first(x).softmax(-1))


class Remembers(Base):
    """A value of the samples, written into a tensor that does not come from them."""

    def forward(self, x):
        largest = torch.zeros(1)
        largest[0] = x.max()
        h = F.relu(self.first(x))
        return self.last(h if largest[0] > -1e9 else 2 * h)


class Walks(Base):
    def forward(self, x):
        h = F.relu(self.first(x))
        return self.last(h if all(row.sum() > -1e9 for row in x) else 2 * h)


class WeightAsNumber(Base):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.last(F.relu(self.first(x)) * float(self.scale))


class NothingButPadding(Base):
    """A softmax over units, all of which are masked."""

    def forward(self, x):
        h = F.relu(self.first(x))
        scores = h.masked_fill(x[:, :1] < 9, -torch.inf)
        return self.last(h * scores.softmax(-1))


class NotFiniteByNumber(NotFinite):
    """Its program is that of two samples."""

    def forward(self, x):
        return super().forward(x) + torch.zeros(len(x), 1)


REFUSED = {
    NotFiniteByNumber: rf"infinity or NaN .* first from .* in NotFinite\w*.forward \({HERE}\)",
    NothingButPadding: r"first from softmax in NothingButPadding.forward .* nothing but padding, s",
    WeightAsNumber: rf"WeightAsNumber.forward \({HERE}\), run with other weights,.* as a number",
    Remembers: rf"Remembers.forward branches on values in forward \({HERE}\)",
    Walks: rf"branches on values in .* \({HERE}\)",
    Branches: rf"Branches.forward branches on values in forward \({HERE}\): other samples may",
    Item: rf"Item.forward branches on values in forward \({HERE}\)",
    ChangesInput: rf"its input in place: fill_ in ChangesInput.forward \({HERE}\). Copy it first",
    ChangesView: rf"its input in place: mul_ in ChangesView.forward \({HERE}\). Copy it first",
    NotFinite: rf"infinity or NaN .* mode, first from log in NotFinite.forward \({HERE}\)",
    TwoOutputs: rf"TwoOutputs.forward \({HERE}\) must return one tensor .* got a tuple of 2",
    AuxiliaryHead: rf"AuxiliaryHead.forward \({HERE}\) returns a tuple of 2 in training mode, and",
    OtherColumns: r"returns a tensor of shape \(9, \d+\) for 9 samples in training mode",
    OneForAll: r"must return one tensor .* got a tensor of shape \(\) for 9 samples",
    Locked: r"Locked cannot be copied \(.*\), and only copies are cut. Keep what",
    Noisy: rf"Noisy.forward \({HERE}\) returns other outputs each time .* self.training",
    Counts: rf"Counts.forward \({HERE}\) changes its buffer 'count' in evaluation mode",
    ThroughNumPy: rf"The operators of ThroughNumPy.forward cannot be read in forward \({HERE}\)",
    OtherWidth: rf"in layer 'first' \(Linear\) in forward \({HERE}\): RuntimeError: mat1",
    Autocast: rf"Autocast.forward \({HERE}\) runs wrap_with_autocast, which cannot be read",
    OverUnits: rf"no units that can be removed.*'first': softmax in OverUnits.forward \({HERE}\) m",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_name_and_line(kind, capfd):
    x = torch.randn(20, 6)
    before = x.clone()
    with pytest.raises(UnsupportedModuleError, match=REFUSED[kind]):
        recover_network(kind(), x)
    assert torch.equal(x, before)
    assert capfd.readouterr().err == ""


class Scripted(Base):
    def __init__(self):
        super().__init__()
        self.last = torch.jit.script(self.last)

    def forward(self, x):
        return self.last(F.relu(self.first(x)))


SCRIPTED = {
    "a layer": (Scripted, r"Layer 'last' of Scripted was compiled by torch.jit.*Pass the module"),
    "the whole": (lambda: torch.jit.script(nn.Sequential(nn.Linear(6, 3))), "The module was comp"),
}


@pytest.mark.parametrize("kind", SCRIPTED)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_refused(kind):
    make, message = SCRIPTED[kind]
    with pytest.raises(UnsupportedModuleError, match=message):
        network_of(make(), torch.randn(20, 6))


class Length(Base):
    """The number of samples is a number in Python, which ``torch.export`` takes for constant."""

    def forward(self, x):
        return self.last(F.relu(self.first(x)).view(len(x), -1))


class OnlyOne(Base):
    def forward(self, x):
        h = F.relu(self.first(x))
        return self.last(h[None, 0] if len(x) == 1 else h)


class MaskedInPlace(Base):
    def forward(self, x):
        h = self.first(x)
        h[h < 0] = 0
        return self.last(h)


class ViewOfChanged(Base):
    """A view of a value that is changed afterwards sees the change."""

    def forward(self, x):
        h = self.first(x)
        view = h.view(h.size(0), 1, -1)
        h.relu_()
        return self.last(view.flatten(1))


class Hooked(Base):
    def __init__(self):
        super().__init__()
        self.first.register_forward_hook(lambda module, given, result: 2 * result)

    def forward(self, x):
        return self.last(F.relu(self.first(x)))


class WithoutGradient(Base):
    def forward(self, x):
        with torch.no_grad():
            h = F.relu(self.first(x))
        return self.last(h)


class Flagged(Base):
    """A branch on a buffer, and on a number of it."""

    def forward(self, x):
        h = F.relu(self.first(x))
        h = 2 * h if self.count < 1 else h
        return self.last(h + float(self.count + 1))


class Checks(Base):
    """Branches that raise an error if they go the other way."""

    def forward(self, x):
        assert x.abs().max() < 1e6, "too large"
        if torch.isnan(x).any():
            raise ValueError("missing values")
        return self.last(F.relu(self.first(x)))


NOT_REFUSED = [Length, OnlyOne, MaskedInPlace, ViewOfChanged, Hooked, WithoutGradient]


@pytest.mark.parametrize("kind", [*NOT_REFUSED, Flagged, Checks])
def test_not_refused(kind):
    module, x = kind(), torch.randn(20, 6)
    network = recover_network(module, x)
    assert network.sizes == (8,)
    with torch.no_grad():
        assert torch.allclose(network.forward(x[:3]), module(x[:3]), atol=1e-6)
        smaller = network.masked([[True, False] * 4]).narrowed()
        masked = network.masked([[True, False] * 4]).forward(x)
        assert torch.allclose(smaller(x), masked, atol=1e-6)


def test_compiled_modules_are_read_without_what_compiles_them():
    module, x = (
        nn.Sequential(torch.compile(Length(), backend="eager"), nn.Tanh()),
        torch.randn(20, 6),
    )
    network = recover_network(torch.compile(module, backend="eager"), x)
    assert [group.name for group in network.groups] == ["0.first"]
    assert type(network.narrowed()[0]) is Length


def test_lazy_modules_are_read_once_they_have_weights():
    module, x = nn.Sequential(nn.LazyLinear(8), nn.GLU(), nn.LazyLinear(3)), torch.randn(20, 6)
    module(x)
    assert recover_network(module, x).sizes == (4,)


def test_half_precision_networks_are_read():
    module, x = MaskedInPlace().bfloat16(), torch.randn(20, 6).bfloat16()
    network = recover_network(module, x)
    assert (network.sizes, network.dtype) == ((8,), torch.bfloat16)


def test_chains_stay_chains():
    chain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    assert isinstance(network_of(chain, torch.randn(20, 6)), Graph)
    assert isinstance(network_of(Length(), torch.randn(20, 6)), ModuleNetwork)
    with pytest.raises(UnsupportedModuleError, match="1 Linear layers"):
        network_of(chain[:1], torch.randn(20, 6))
    with pytest.raises(UnsupportedModuleError, match="in layer 'first'"):
        network_of(OtherWidth(), torch.randn(20, 6))
