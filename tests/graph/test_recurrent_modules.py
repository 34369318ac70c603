"""Recurrent modules whose layers have different numbers of units, and what is refused."""

from __future__ import annotations

import pickle

import pytest
import torch
from module_net import Net, head, lin
from test_module_network import close
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.overrides import TorchFunctionMode

from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph.narrowing import narrow
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.graph.recurrent_modules import States, UnevenGRU, UnevenLSTM

KINDS = {nn.LSTM: UnevenLSTM, nn.GRU: UnevenGRU}
#: Places that stay, by layer and direction, of 4 units.
STAY = ([0, 2], [1, 2, 3], [3], [0, 1, 2, 3])
ENDS = ("l0", "l0_reverse", "l1", "l1_reverse")


def uneven(kind, with_states=False, **params):
    """A module of two layers and both directions, all of its weights, and a smaller one."""
    torch.manual_seed(0)
    large = nn.Sequential(kind(3, 4, 2, bidirectional=True, **params)).double()
    n_gates = large[0].weight_ih_l0.shape[0] // 4
    tensors = {}
    for number, (end, stay) in enumerate(zip(ENDS, STAY, strict=True)):
        rows = (0, [4 * gate + unit for gate in range(n_gates) for unit in stay])
        before = [*STAY[0], *(4 + unit for unit in STAY[1])]
        tensors[f"0.weight_ih_{end}"] = [rows] if number < 2 else [rows, (1, before)]
        tensors[f"0.weight_hh_{end}"] = [rows, (1, stay)]
        tensors[f"0.bias_ih_{end}"] = tensors[f"0.bias_hh_{end}"] = [rows]
    small = pickle.loads(pickle.dumps(large))
    states = ["0"] if with_states else []
    narrow(small, {"tensors": tensors, "attributes": {}, "with_states": states})
    return large[0].requires_grad_(False), small[0].requires_grad_(False)


def masked(module):
    """The large module, in which nothing reads the units that go."""
    for number, (end, stay) in enumerate(zip(ENDS, STAY, strict=True)):
        gone = [unit for unit in range(4) if unit not in stay]
        getattr(module, f"weight_hh_{end}")[:, gone] = 0
        if number < 2:
            places = [4 * number + unit for unit in gone]
            for reader in ENDS[2:]:
                getattr(module, f"weight_ih_{reader}")[:, places] = 0
    return module


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_outputs_and_states_are_those_of_the_masked_module(kind, batch_first):
    large, small = uneven(kind, True, batch_first=batch_first)
    assert type(small) is KINDS[kind]
    assert "[2, 3, 1, 4]" in repr(small)
    assert small.hidden_sizes == [len(stay) for stay in STAY]
    x, h = torch.randn(5, 6, 3).double(), torch.randn(4, 6, 4).double()
    if batch_first:
        x = x.transpose(0, 1)
    given = (h, h.flip(0)) if kind is nn.LSTM else h
    places = [*STAY[2], *(4 + unit for unit in STAY[3])]
    for hx in (None, given):
        wanted, ends = masked(large)(x, hx)
        got, own = small(x, hx)
        close(got, wanted[..., places])
        pairs = zip(ends, own, strict=True) if kind is nn.LSTM else [(ends, own)]
        for state, found in pairs:
            assert isinstance(found, States)
            for k, stay in enumerate(STAY):
                close(found[k], state[k][:, stay])
                close(found[k - 4, 1:, 0], state[k][1:, stay[0]])
            assert len(found[1:]) == 3
    again, _ = pickle.loads(pickle.dumps(small))(x, given)
    close(again, got)


@pytest.mark.parametrize("kind", KINDS)
def test_one_sample_dropout_and_own_states(kind):
    _, small = uneven(kind, dropout=0.5)
    x = torch.randn(5, 3).double()
    got, ends = small.eval()(x)
    many, own = small(x[:, None])
    close(got, many[:, 0])
    close(small(x[:, None], own)[0], small(x, ends)[0][:, None])
    small.train()
    assert not torch.equal(small(x)[0], small(x)[0])


def test_layers_that_keep_as_many_units_are_plain_modules_of_torch():
    network = recover_network(
        Net(lambda s, x: s.c(s.r(x)[0][:, -1]), c=head(6),
            r=nn.GRU(3, 3, batch_first=True, bidirectional=True)),
        torch.randn(4, 5, 3),
    )  # fmt: skip
    masks = [[True, False, True]] * 2
    assert type(network.masked(masks).narrowed().r) is nn.GRU
    masks = [[True, False, True], [True] * 3]
    assert type(network.masked(masks).narrowed().r) is UnevenGRU


class _Called(TorchFunctionMode):
    """Names of the functions of torch that are called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.append(function.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("params", [{"bidirectional": True}, {"bias": False}])
def test_layers_without_gradients_are_torchs_own_and_return_what_steps_do(params):
    def forward(s, x):
        first = torch.stack([s.a(x[:, 0])] * len(s.r.all_weights))
        hidden, ends = s.r(x, (first, 2 * first))
        return s.c(torch.cat([hidden[:, 1], ends[0][-1], ends[1][0]], 1))

    n_directions = 1 + params.get("bidirectional", False)
    module = Net(forward, a=lin(3, 4), r=nn.LSTM(3, 4, batch_first=True, **params),
                 c=head(8 + 4 * n_directions))  # fmt: skip
    x = torch.randn(4, 5, 3)
    network = recover_network(module, x)
    operations = network.program.operations
    every = [o.value for o in operations if not o.packet.endswith("_steps")]
    known = network.known(x)
    steps = network.run(known, every)
    with torch.no_grad(), _Called() as called:
        whole = network.run(known, every)
    assert called.names.count("lstm") == n_directions
    for number in every:
        torch.testing.assert_close(whole[number], steps[number], rtol=1e-5, atol=1e-6)
    # Gates that are known are no product with the inputs.
    gates = {o.args[0].number: 2 * steps[o.args[0].number] for o in operations
             if o.packet == "offsets"}  # fmt: skip
    with torch.no_grad(), _Called() as called:
        moved = network.run({**known, **gates})
    assert "lstm" not in called.names
    torch.testing.assert_close(moved, network.run({**known, **gates}))
    assert not torch.allclose(moved, steps[network.output])


def packed(s, x):
    lengths = (x[..., 0] != 0).sum(1).cpu()
    given = pack_padded_sequence(s.a(x), lengths, batch_first=True, enforce_sorted=False)
    return s.c(s.r(given)[1][-1])


def test_packed_sequences_are_refused_by_name():
    module = Net(packed, a=lin(3, 4), r=nn.GRU(4, 5, batch_first=True), c=head(5))
    with pytest.raises(
        UnsupportedModuleError,
        match=r"GRU 'r' is given a packed sequence.*padded tensor: leave out pack_padded_sequence",
    ):
        recover_network(module, torch.ones(6, 4, 3))
    _, small = uneven(nn.LSTM)
    given = pack_padded_sequence(torch.ones(4, 2, 3).double(), [4, 2])
    with pytest.raises(TypeError, match="UnevenLSTM takes padded tensors"):
        small(given)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_macs_are_those_of_all_sequences_of_a_sample(kind, gates):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.row, self.last = kind(4, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x):
            steps, _ = self.row(x.flatten(0, 1))
            return self.last(steps[:, -1].view(x.size(0), -1, steps.size(-1)).mean(1))

    network = recover_network(Rows(), torch.randn(7, 3, 11, 4))
    assert network.cost()[1] == 3 * 11 * gates * 5 * (4 + 5) + 5 * 3
