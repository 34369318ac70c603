"""Fine-tuning: its loss by hand, its learning rate, and that validation never gets worse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pairwise import pairwise
from torch import nn
from torch.nn import functional as F
from user_nets import (
    QUICK,
    classes_table,
    quick_start,
    recording,
    same_state,
    small_classifier,
    small_regressor,
    state,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifier
from sklearn_mabprune.data.losses import SampleLoss
from sklearn_mabprune.training.conversion import samples_of
from sklearn_mabprune.training.fine_tuning import (
    FineTuning,
    _recovered,
    fine_tune,
    validation_loss,
    validation_losses,
)
from sklearn_mabprune.training.initial import Data, train


def options(epochs=1, lr="auto", distillation=0.0, temperature=2.0):
    return FineTuning.of(epochs, 0, lr, distillation, temperature)


def trained(kind="classes", n_rows=60, weights=None, **params):
    """A net after a few epochs, its training rows, and others to validate on."""
    X, y = classes_table() if kind == "classes" else values_table()
    net = small_classifier(**params) if kind == "classes" else small_regressor(**params)
    y = y if kind == "classes" else y[:, None]
    data = Data(X[:n_rows], y[:n_rows], weights, 3 if kind == "classes" else 1)
    validation = Data(X[n_rows:], y[n_rows:], None, data.n_outputs)
    net, _ = train(net, data, validation, seed=0)
    return net, samples_of(net, data), samples_of(net, validation)


def loss_on(net, rows):
    net.module_.eval()
    with torch.no_grad():
        return float(rows.loss(net.module_(rows.x), rows.targets).mean())


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------------- the loss, by hand


@pairwise(kind=["classes", "values"], weighted=[False, True], share=[0.0, 0.3, 1.0])
def test_one_step_follows_the_gradient_made_by_hand(kind, weighted, share):
    temperature, lr = 3.0, 1e-3
    w = np.random.default_rng(1).uniform(0.5, 2.0, 60) if weighted else np.ones(60)
    net, rows, validation = trained(
        kind, weights=w if weighted else None, optimizer=torch.optim.SGD, batch_size=-1,
        module__hidden_layer_sizes=(5,), module__activation="tanh",
    )  # fmt: skip
    before = state(net)
    n_outputs = len(before["2.bias"])
    teacher = np.random.default_rng(2).normal(size=(60, n_outputs))

    x, t = rows.x.numpy(), rows.targets.numpy()
    hidden = np.tanh(x @ before["0.weight"].T + before["0.bias"])
    z = hidden @ before["2.weight"].T + before["2.bias"]
    if kind == "classes":
        from_labels = softmax(z) - np.eye(n_outputs)[t]
        # The divergence times T^2 has T times the difference of probabilities as gradient.
        from_teacher = temperature * (softmax(z / temperature) - softmax(teacher / temperature))
    else:
        from_labels, from_teacher = 2 * (z - t) / n_outputs, 2 * (z - teacher) / n_outputs
    dz = w[:, None] / 60 * ((1 - share) * from_labels + share * from_teacher)
    dh = dz @ before["2.weight"] * (1 - hidden**2)
    gradient = {
        "2.weight": dz.T @ hidden, "2.bias": dz.sum(axis=0),
        "0.weight": dh.T @ x, "0.bias": dh.sum(axis=0),
    }  # fmt: skip
    stepped = {name: before[name] - lr * each for name, each in gradient.items()}

    old_loss = loss_on(net, validation)
    put(net, stepped)
    new_loss = loss_on(net, validation)
    put(net, before)
    # Kept is what validates better: here the step, whichever way it went.
    improves = _with_loss(
        validation, validation.loss if new_loss < old_loss else _turned(validation)
    )
    fine_tune(
        net, rows, improves, torch.tensor(teacher), options(1, lr, share, temperature), seed=0
    )
    after = state(net)
    for name, value in stepped.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-9, atol=1e-12)


def put(net, weights):
    for name, value in weights.items():
        net.module_.state_dict()[name].copy_(torch.tensor(value))


def _with_loss(rows, loss):
    return type(rows)(rows.x, rows.targets, rows.weights, loss)


def _turned(rows):
    return lambda outputs, targets: -rows.loss(outputs, targets)


def test_distance_of_probabilities_is_that_of_logits():
    z, teacher = torch.tensor(np.random.default_rng(0).normal(size=(2, 7, 4)))
    from_logits = SampleLoss(nn.CrossEntropyLoss()).distance(z, teacher, 2.5)
    from_probabilities = SampleLoss(nn.NLLLoss()).distance(z.softmax(1), teacher.softmax(1), 2.5)
    torch.testing.assert_close(from_logits, from_probabilities)
    p, q = (F.softmax(t / 2.5, dim=1) for t in (teacher, z))
    torch.testing.assert_close(from_logits, 2.5**2 * (p * (p / q).log()).sum(1))
    assert float(SampleLoss(nn.CrossEntropyLoss()).distance(z, z, 2.5).abs().max()) < 1e-12


def test_without_a_teacher_only_labels_count():
    results = []
    for share in (0.0, 0.7):
        net, rows, _ = trained(lr=1e-3)
        fine_tune(net, rows, rows, None, options(3, distillation=share), seed=0)
        results.append(state(net))
    assert same_state(*results)


def test_a_teacher_draws_the_network_towards_itself():
    net, rows, _ = trained(max_epochs=1)
    teacher = torch.tensor(np.random.default_rng(0).normal(size=(60, 3)))

    def distance():
        net.module_.eval()
        with torch.no_grad():
            return float(rows.loss.distance(net.module_(rows.x), teacher, 2.0).mean())

    # Validated on what the teacher says, so that the result is kept.
    labels = teacher.argmax(dim=1)
    towards = type(rows)(rows.x, labels, rows.weights, rows.loss)
    before = distance()
    fine_tune(net, rows, towards, teacher, options(40, 0.02, distillation=1.0), seed=0)
    assert distance() < 0.8 * before


# --------------------------------------------------------------------------- learning rate


@pytest.mark.parametrize(
    ("optimizer", "lr", "start"),
    [
        (torch.optim.SGD, 0.004, 0.004),
        (torch.optim.SGD, "auto", 0.01),
        (torch.optim.Adam, "auto", 0.1),
    ],
)
def test_rate_falls_along_a_cosine_with_every_step(optimizer, lr, start):
    rates, epochs = [], []
    net, rows, validation = trained(optimizer=recording(optimizer, rates), batch_size=16)
    rates.clear()
    fine_tune(net, rows, validation, None, options(5, lr), seed=0, on_epoch=epochs.append)
    assert epochs == [1, 2, 3, 4, 5]
    n_steps = len(rates)
    assert n_steps == 5 * 4
    wanted = [start * (1 + np.cos(np.pi * k / n_steps)) / 2 for k in range(n_steps)]
    assert rates == pytest.approx(wanted, abs=1e-15)
    # For whoever trains on, the net's own rate counts.
    assert net.optimizer_.param_groups[0]["lr"] == 0.01
    assert not net.optimizer_.state_dict()["state"]


# ----------------------------------------------------------------------------- validation


@pytest.mark.parametrize("lr", [1e-4, 1e-2, 1.0, 1e3, 1e200])
@pytest.mark.parametrize("kind", ["classes", "values"])
def test_validation_loss_never_rises(kind, lr):
    net, rows, validation = trained(kind)
    # Summed as fine-tuning sums it: a mean taken another way differs in its last bit on some
    # processors, and where the network is left as it was nothing may differ.
    before, weights = validation_loss(net.module_, validation), state(net)
    assert before == pytest.approx(loss_on(net, validation), rel=1e-9)
    found = fine_tune(net, rows, validation, None, options(4, lr), seed=0)
    assert found <= before
    assert loss_on(net, validation) == pytest.approx(found, rel=1e-9)
    if lr >= 1e3:
        assert same_state(state(net), weights), "a ruined network is not kept"


def test_validation_rows_count_by_weight():
    net, rows, validation = trained(max_epochs=3)
    w = torch.rand(len(validation), dtype=torch.float64)
    weighted = type(validation)(validation.x, validation.targets, w, validation.loss)
    found = fine_tune(net, rows, weighted, None, options(2), seed=0)
    net.module_.eval()
    with torch.no_grad():
        each = validation.loss(net.module_(validation.x), validation.targets)
    assert found == pytest.approx(float(each @ w / w.sum()))


def test_no_epochs_change_nothing():
    net, rows, validation = trained()
    weights = state(net)
    fine_tune(net, rows, validation, None, options(0), seed=0)
    assert same_state(state(net), weights)


def test_it_learns_what_it_can():
    net, rows, _ = trained(max_epochs=1)
    before = loss_on(net, rows)
    fine_tune(net, rows, rows, None, options(30, 0.02), seed=0)
    assert loss_on(net, rows) < 0.7 * before
    assert not net.module_.training


# ------------------------------------------------------------------------------ randomness


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_seed_decides_and_global_states_stay(dropout):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    results = []
    for seed in (0, 0, 1):
        net, rows, _ = trained(max_epochs=1, batch_size=16, module__dropout=dropout)
        fine_tune(net, rows, rows, None, options(5, 0.01), seed=seed)
        results.append(state(net))
    assert torch.equal(torch.get_rng_state(), before)
    assert same_state(results[0], results[1])
    assert not same_state(results[0], results[2])


# --------------------------------------------------------------------- inside an estimator


@pytest.mark.parametrize("make", [small_classifier, quick_start], ids=["ours", "quick start"])
def test_epochs_of_an_estimator(make):
    X, y = classes_table()
    for asked, done in ((3, 3), (0, 0), ("auto", -(-make().max_epochs // 4))):
        model = MABPrunedClassifier(make(), fine_tune_epochs=asked, **QUICK).fit(X, y)
        assert model.pruning_report_.n_fine_tune_epochs == done
        tuned = np.isfinite(model.pruning_path_.score_fine_tuned)
        assert tuned.tolist() == [False] * (len(tuned) - 1) + [done > 0]


def test_the_teacher_is_the_unpruned_network():
    X, y = classes_table()
    table = {"X_val": X, "y_val": y}
    params = {**QUICK, "pruning_budget": 0.7, "fine_tune_epochs": 40, "fine_tune_lr": 0.02}
    net = small_classifier(max_epochs=40)
    whole = MABPrunedClassifier(net, **{**params, "pruning_budget": 0}).fit(X, y, **table)

    def distance(share):
        model = MABPrunedClassifier(net, distillation=share, **params).fit(X, y, **table)
        p, q = whole.predict_proba(X), model.predict_proba(X)
        return float((p * np.log(p / q)).sum(axis=1).mean())

    assert distance(1.0) < 0.9 * distance(0.0)


# --------------------------------------------------------------------------------- cycles


def test_cycles_as_users_write_them():
    read = [FineTuning.of(epochs, 10, 0.1, 0.5, 2.0).cycles for epochs in ("auto", 7, 0)]
    assert read == [(3, 5, 10), (7,), ()]


def epochs_taken(wanted, cycles=(1, 2, 4)):
    net, rows, validation = trained(max_epochs=1)
    numbers = []
    fine_tune(
        net, rows, validation, None, FineTuning(cycles, 0.01, 0.0, 2.0), 0, numbers.append, wanted
    )
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


def test_another_cycle_only_follows_while_validation_asks_for_it():
    _, _, validation = trained(max_epochs=1)
    n = len(validation)
    out_of_reach, easy = torch.full((n,), -9.0).double(), torch.full((n,), 9.0).double()
    assert epochs_taken(out_of_reach) == 7
    assert epochs_taken(easy) == 1
    assert epochs_taken(None) == 7
    # What one cycle does not reach and two do.
    net, rows, _ = trained(max_epochs=1)
    fine_tune(
        net, rows, validation, None, FineTuning((1, 2), 0.01, 0.0, 2.0), 0, wanted=out_of_reach
    )
    assert epochs_taken(validation_losses(net.module_, validation)) == 3


def test_recovered_within_a_standard_error_of_the_paired_difference():
    net, _, validation = trained(weights=None)
    rng = np.random.default_rng(0)
    w = torch.tensor(rng.uniform(0.5, 2.0, len(validation)))
    rows = type(validation)(validation.x, validation.targets, w, validation.loss)
    losses = validation_losses(net.module_, rows).numpy()
    noise = rng.normal(size=len(rows))
    share = w.numpy() / w.numpy().sum()
    noise -= share @ noise
    error = np.sqrt(np.sum(share**2 * noise**2))
    for shift, enough in ((0.98 * error, True), (1.02 * error, False), (-1.0, True)):
        wanted = torch.tensor(losses - noise - shift)
        assert _recovered(net.module_, rows, wanted) is enough


def test_a_weight_says_the_same_as_copies():
    """On either side of the standard error, which counts copies as one row."""
    net, _, validation = trained(weights=None)
    rng = np.random.default_rng(0)
    times = rng.integers(1, 4, len(validation))
    copies = np.repeat(np.arange(len(times)), times)
    weighted = type(validation)(
        validation.x, validation.targets, torch.tensor(times / times.mean()), validation.loss
    )
    repeated = validation.at(torch.tensor(copies))
    noise = rng.normal(size=len(times))
    losses = validation_losses(net.module_, validation).numpy()
    mean = np.average(noise, weights=times)
    error = np.sqrt(np.sum((times / times.sum()) ** 2 * (noise - mean) ** 2))
    for shift, enough in ((0.98 * error, True), (1.02 * error, False)):
        wanted = torch.tensor(losses - noise + mean - shift)
        assert _recovered(net.module_, weighted, wanted) is enough
        assert _recovered(net.module_, repeated, wanted[copies]) is enough


def test_a_cycle_that_makes_it_worse_is_taken_back():
    """The second cycle starts from the weights that validated best."""
    for seed in range(3):
        net, rows, validation = trained(max_epochs=1)
        out_of_reach = torch.full((len(validation),), -9.0).double()
        losses = []
        for cycles in ((2,), (2, 2), (2, 2, 2)):
            net, rows, validation = trained(max_epochs=1)
            way = FineTuning(cycles, 0.3, 0.0, 2.0)
            losses.append(fine_tune(net, rows, validation, None, way, seed, wanted=out_of_reach))
            assert losses[-1] == pytest.approx(loss_on(net, validation), rel=1e-6)
        assert losses == sorted(losses, reverse=True)


def test_an_estimator_goes_on_until_its_validation_rows_have_recovered():
    X, y = classes_table()
    counts = {}
    for budget in (0.2, 0.85):
        model = MABPrunedClassifier(
            small_classifier(max_epochs=8), **{**QUICK, "pruning_budget": budget}
        ).fit(X, y)
        counts[budget] = model.pruning_report_.n_fine_tune_epochs
    assert set(counts.values()) <= {2, 6, 14}
    assert counts[0.2] == 2
    assert counts[0.85] > 2
