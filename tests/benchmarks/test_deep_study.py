"""The study of deep networks: its questions, its settings, and what it makes of rows."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from benchmarks.networks.deep_study import page, settings
from benchmarks.networks.deep_study.comparisons import Study, claims, goals
from benchmarks.networks.deep_study.methods import (
    DEFAULT,
    METHODS,
    PEER,
    POLICIES,
    TUNED,
    methods_of,
)
from benchmarks.networks.deep_study.questions import NUMBERS, as_numbers, generate, solve
from benchmarks.networks.deep_study.samples import READERS, at, split
from benchmarks.shared.pages import DOCS, with_part
from benchmarks.shared.results import RESULTS

SETTINGS = settings.read()


def test_a_solver_that_reads_the_words_gives_the_answers_of_the_generator():
    stories, questions, answers = generate(300, 6, 1)
    found = [solve(story, question) for story, question in zip(stories, questions, strict=True)]
    assert found == answers
    assert len(set(answers)) == 6
    X, y = as_numbers(stories, questions, answers)
    words = {number: word for word, number in NUMBERS.items()}
    assert [words[k] for k in X["story"][0].ravel()] == [w for s in stories[0] for w in s]
    assert len(np.unique(y)) == 6


@pytest.mark.parametrize("name", [n for n, w in SETTINGS.networks.items() if w.trained_as == n])
def test_networks_read_their_samples_without_a_folder(name):
    network = SETTINGS.networks[name]
    X, y, _, y_val, _, y_test = split(network.samples, None, 200, 100, 0)
    assert len(y) == 180
    assert len(y_val) == 20
    assert len(y_test) == 100
    x = {k: torch.as_tensor(v[:2]) for k, v in X.items()} if isinstance(X, dict) else None
    module = network.kind(**network.arguments)
    outputs = module(**x) if x else module(torch.as_tensor(at(X, slice(2))))
    assert outputs.shape[0] == 2
    assert outputs.shape[1] > max(y.max(), y_test.max())


def test_settings_are_those_of_the_study():
    networks = SETTINGS.networks
    assert len([n for n in networks.values() if n.trained_as == n.name]) >= 10
    assert {network.samples for network in networks.values()} == set(READERS)
    heads = networks["letters_features_heads"]
    assert (heads.trained_as, heads.layers) == ("letters_features", "heads")
    assert heads.epochs == networks["letters_features"].epochs
    assert set(methods_of(networks["mnist_cnn"], METHODS)) == set(METHODS)
    left_out = set(METHODS) - set(methods_of(heads, METHODS))
    assert left_out == {*POLICIES, PEER} - {"paper, UCB1"}
    quick = SETTINGS.quick()
    assert quick.seeds == 1
    assert quick.networks["mnist_cnn"].epochs == networks["mnist_cnn"].epochs // 3


def made(lost):
    """Rows in which methods lose these points of .9, more of them the more is removed."""
    rows = []
    for k, name in enumerate(SETTINGS.networks):
        for seed in range(2):
            for method, points in lost.items():
                for budget in SETTINGS.budgets:
                    accuracy = 0.9 - points * (1 + 0.01 * k) * 2 * budget / 100
                    rows.append({
                        "net": name, "seed": str(seed), "method": method, "budget": str(budget),
                        "epochs": "0", "accuracy": str(accuracy), "unpruned": "0.9",
                        "seconds": str(2.0 + 20 * (name == "mnist_cnn")), "epoch_seconds": "1.0",
                        "failed": "",
                    })  # fmt: skip
    return rows


def test_goals_come_from_the_rows():
    lost = dict.fromkeys(METHODS, 20.0) | {DEFAULT: 0.45}
    found = {goal.text: goal for goal in goals(Study(made(lost), SETTINGS))}
    met = [goal.met for goal in found.values()]
    # The seconds of one network, and half a point that transformers may lose.
    assert [goal.text for goal in found.values() if not goal.met] == [
        "half of the units (feed-forward), no fine-tuning: at most 0.5 lost",
        "a prune to half of the units takes at most 3 training epochs' seconds",
    ]
    assert len(met) == 10
    assert "mnist_cnn 22" in list(found.values())[-1].figure
    rows = [row for row in made(lost) if row["method"] != "Taylor"]
    assert next(goals(Study(rows, SETTINGS))).met is None


def test_scores_are_of_the_seeds_that_all_methods_have():
    rows = made({DEFAULT: 1.0, "random": 2.0})
    for row in rows:
        if row["method"] == DEFAULT and row["seed"] == "1":
            row["accuracy"] = "0.0"
    rows = [row for row in rows if row["method"] == DEFAULT or row["seed"] == "0"]
    scores = Study(rows, SETTINGS).scores([DEFAULT, "random"], networks=["reviews_mlp"])
    assert scores.lost(DEFAULT) == pytest.approx([1.0])
    failed = [dict(row, failed="nothing was removed") for row in rows]
    assert Study(failed, SETTINGS).scores([DEFAULT]).networks == ()


def test_claims_name_what_holds():
    ranks = {name: 5.0 + k for k, name in enumerate(POLICIES)}
    lost = ranks | {DEFAULT: 2.0, "magnitude": 30.0, "activation variation": 1.0}
    found = list(claims(Study(made(lost), SETTINGS)))
    assert [holds for *_, holds in found] == ["yes", "no", "yes", "no"]
    one = {k: v for k, v in lost.items() if k not in POLICIES or k == "paper, UCB1"}
    found = list(claims(Study(made(one), SETTINGS)))
    assert [holds for *_, holds in found] == ["not measured", "no", "not measured", "no"]


def test_the_page_holds_the_committed_rows():
    with (RESULTS / "deep_study.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    keys = [tuple(row[k] for k in ("net", "seed", "method", "budget", "epochs")) for row in rows]
    assert len(keys) == len(set(keys))
    assert {row["method"] for row in rows if int(row["epochs"])} <= set(TUNED)
    text = (DOCS / "deep_study.md").read_text(encoding="utf-8")
    study = Study(rows, SETTINGS)
    # The statistical tests take seconds where there are ties.
    for mark in ("extent", "losses", "networks", "peer"):
        assert with_part(text, mark, list(page.PARTS[mark](study))) == text
