"""The same seed gives the same neurons and predictions, wherever and beside whatever it runs."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from user_nets import (
    classes_table,
    classifier,
    plain_classifier,
    plain_regressor,
    quick_start,
    regressor,
    small_classifier,
    small_regressor,
    unit_values_table,
    values_table,
)

from sklearn_mabprune.utils.randomness import draw_seeds, global_generators

CASES = {
    "ours": lambda: classifier(),
    "ours, many blocks": lambda: classifier(pull_batch_size=16, policy="thompson"),
    "ours, dropout": lambda: classifier(small_classifier(module__dropout=0.3)),
    "ours, float32": lambda: classifier(small_classifier(dtype="float32"), policy="uniform"),
    "random": lambda: classifier(policy="random"),
    "quick start": lambda: classifier(quick_start()),
    "shuffled": lambda: classifier(plain_classifier(iterator_train__shuffle=True, batch_size=16)),
    "values": lambda: regressor(small_regressor(module__batch_norm=True)),
    "values, user's": lambda: regressor(plain_regressor()),
}


def signature(case, seed=0):
    """What was removed, and what is predicted, to the bit."""
    if case.startswith("values"):
        X, y = values_table() if case == "values" else unit_values_table()
    else:
        X, y = classes_table()
    model = CASES[case]().set_params(random_state=seed).fit(X, y)
    found = model.predict(X) if case.startswith("values") else model.predict_proba(X)
    removed = [arms.tolist() for arms in model.pruning_path_.removed]
    return removed, hashlib.sha256(np.ascontiguousarray(found).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def expected():
    return {case: signature(case) for case in CASES}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_another_fit(case, expected):
    assert signature(case) == expected[case]
    assert signature(case, seed=1) != expected[case]


@pytest.mark.slow
def test_another_process(expected, tmp_path):
    """The same fits, and a pickle that predicts the same."""
    X, y = classes_table()
    model = classifier().fit(X, y)
    file = tmp_path / "model.pickle"
    file.write_bytes(pickle.dumps(model))
    code = (
        "import json, pickle, sys, torch; torch.set_num_threads(1); "
        "from pathlib import Path; from user_nets import classes_table; "
        "model = pickle.loads(Path(sys.argv[1]).read_bytes()); "
        "proba = model.predict_proba(classes_table()[0]).tolist(); "
        "import test_determinism as t; "
        "found = {case: t.signature(case) for case in t.CASES}; "
        "sys.stdout.write(json.dumps([found, proba]))"
    )
    here = Path(__file__).resolve().parent
    tests = here.parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        cwd=here, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1",
             "PYTHONPATH": os.pathsep.join(map(str, [tests.parent, here, tests / "helpers"]))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, proba = json.loads(done.stdout)
    assert proba == model.predict_proba(X).tolist()
    assert found == {case: list(each) for case, each in expected.items()}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_beside_other_fits(backend, expected):
    # Dropout and users' modules draw from torch's global generator, which threads share.
    cases = list(CASES) * (2 if backend == "threading" else 1)
    found = joblib.Parallel(n_jobs=2, backend=backend)(
        joblib.delayed(signature)(case) for case in cases
    )
    for case, each in zip(cases, found, strict=True):
        assert each == expected[case], case


# ------------------------------------------------------------------------- global states


def global_states():
    numpy_state = np.random.get_state()  # noqa: NPY002 - the state that must not move
    return (
        torch.get_rng_state().tolist(),
        numpy_state[1].tolist(),
        numpy_state[2:],
        random.getstate(),
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("case", CASES)
def test_global_states_are_left_as_found(case, seed):
    X, y = values_table() if case == "values" else unit_values_table()
    if not case.startswith("values"):
        X, y = classes_table()
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    before = global_states()
    model = CASES[case]().set_params(random_state=seed).fit(X, y)
    assert global_states() == before
    model.predict(X)
    model.score(X, y)
    model.to_torch()
    assert global_states() == before


@pytest.mark.parametrize("case", ["ours, dropout", "quick start", "shuffled", "random"])
def test_global_states_decide_nothing(case, expected):
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert signature(case) == expected[case]


def test_failures_put_the_states_back():
    X, y = classes_table()
    model = classifier(quick_start(lr=1e30))
    before = global_states()
    with pytest.raises(ValueError, match="diverges"):
        model.fit(X, y)
    assert global_states() == before


def test_global_generators_are_one_fits_at_a_time():
    order = []

    def draw(name, other):
        with global_generators(5):
            order.append(name)
            other.wait(0.2)
            order.append((name, torch.rand(1).item(), np.random.rand()))  # noqa: NPY002

    never = threading.Event()
    threads = [threading.Thread(target=draw, args=(name, never)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, drawn_first, second, drawn_second = order
    assert drawn_first[0] == first != second == drawn_second[0]
    assert drawn_first[1:] == drawn_second[1:]


def test_generators_of_other_devices_are_not_seeded(monkeypatch):
    """`torch.manual_seed` seeds those of CUDA as well, where nothing would put them back."""
    seeds = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    X, y = classes_table()
    CASES["ours, dropout"]().fit(X, y)
    assert not seeds


# ------------------------------------------------------------------------------ random_state


def test_no_seed_is_another_network_each_time():
    assert signature("ours", seed=None) != signature("ours", seed=None)


def test_random_state_instances():
    one, other = (signature("ours", seed=np.random.RandomState(4)) for _ in range(2))
    assert one == other
    state = np.random.RandomState(4)
    assert signature("ours", seed=state) == one
    assert signature("ours", seed=state) != one, "an instance goes on, as everywhere"


def test_seeds_are_far_apart():
    many = [seed for k in range(50) for seed in draw_seeds(k, 5)]
    assert len(set(many)) == 250
    assert 0 <= min(many) <= max(many) < 2**31
    assert draw_seeds(3, 5) == draw_seeds(3, 5)
    assert draw_seeds(3, 2) == draw_seeds(3, 5)[:2]
    assert draw_seeds(None, 5) != draw_seeds(None, 5)


# --------------------------------------------------------------------------- budgets, parts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "blocks"),
    [("ucb1", "auto"), ("thompson", 24), ("uniform", "auto"), ("exhaustive", 24),
     ("magnitude", "auto"), ("random", 24)],
)  # fmt: skip
def test_a_smaller_budget_is_a_beginning_of_the_path(policy, blocks):
    X, y = classes_table(240)
    paths = {}
    for budget in (0.5, 0.75):
        model = classifier(
            small_classifier(module__hidden_layer_sizes=(24, 16)),
            policy=policy, pull_batch_size=blocks, pruning_budget=budget, step=0.05,
        )  # fmt: skip
        paths[budget] = model.fit(X, y).pruning_path_
    short, long = paths[0.5], paths[0.75]
    assert len(short) < len(long)
    for k in range(len(short)):
        np.testing.assert_array_equal(short.removed[k], long.removed[k])
        np.testing.assert_array_equal(short.loss_increase[k], long.loss_increase[k])
    for name in ("n_neurons", "n_macs", "loss", "score", "n_pulls", "n_evaluations"):
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name)[: len(short)])


def test_what_happens_after_the_path_does_not_change_it():
    X, y = classes_table()
    expected = classifier().fit(X, y)
    for changed in ({"fine_tune_epochs": 0}, {"distillation": 0.0}, {"keep_path": "never"},
                    {"verbose": 0, "tolerance": 5.0}):  # fmt: skip
        model = classifier(**changed).fit(X, y)
        for one, other in zip(model.neuron_ranking_, expected.neuron_ranking_, strict=True):
            np.testing.assert_array_equal(one, other)
