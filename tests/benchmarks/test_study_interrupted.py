"""The study when it is stopped: no unfinished network becomes a result, no worker goes on alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from builders import make_graph, make_samples
from interrupting import ctrl_c
from user_nets import classes_table, classifier, small_classifier

from benchmarks.shared.whole import whole_fit, whole_path
from benchmarks.study import cells
from benchmarks.study.cells import run
from benchmarks.study.files import Place
from sklearn_mabprune import PruningWarning
from sklearn_mabprune.ablation.activations import Activations
from sklearn_mabprune.policies import Uniform
from sklearn_mabprune.pruning.budget import Budget
from sklearn_mabprune.pruning.path import PathOptions, Surroundings


class Pressed(Uniform):
    """A policy whose second round Ctrl-C ends."""

    def select(self, n):
        if self.live_.sum() < 12:
            ctrl_c()
        return super().select(n)


@pytest.mark.usefixtures("sigint")
def test_a_network_that_ctrl_c_left_unfinished_is_no_result():
    graph = make_graph(hidden=(8, 4))
    with pytest.raises(KeyboardInterrupt):
        whole_path(
            Activations(graph, make_samples()),
            Pressed(),
            Budget.of(0.5, "neurons", graph.sizes, graph.cost, 1),
            PathOptions(step=2),
            Surroundings(score=lambda pruned: 0.0),
            0,
        )
    X, y = classes_table()
    net = small_classifier(module__hidden_layer_sizes=(8, 4))
    with pytest.warns(PruningWarning, match="interrupted"):
        model = classifier(net, policy=Pressed(), step=2).fit(X, y)
    with pytest.raises(KeyboardInterrupt):
        whole_fit(model)
    assert whole_fit(classifier(pruning_budget=0).fit(X, y))


_RUN = """
import signal, sys, time
from benchmarks.study.workers import run_all

def work(path):
    while True:
        with open(path, "a") as file:
            file.write(".")
        time.sleep(0.02)

if __name__ == "__main__":
    # A suite in the background ignores Ctrl-C, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for _ in run_all(work, [(path,) for path in sys.argv[1:]], 2):
        pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them(sent, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_RUN)
    # One more than there are workers: what waits is not begun.
    files = [tmp_path / str(k) for k in range(3)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, str(script), *map(str, files)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        patience = time.monotonic() + 60
        while not (files[0].exists() and files[1].exists()) and time.monotonic() < patience:
            time.sleep(0.02)
        process.send_signal(sent)
        assert process.wait(60) != 0
    patience, sizes = time.monotonic() + 60, None
    while time.monotonic() < patience and sizes != (sizes := [f.stat().st_size for f in files[:2]]):
        time.sleep(1.0)
    assert sizes == [f.stat().st_size for f in files[:2]]
    assert not files[2].exists()


def test_a_cell_that_another_run_is_at_is_waited_for(tmp_path, monkeypatch):
    place, calls = Place("three classes", 0, (12, 6), None, tmp_path), []

    def measured(place, parts):
        calls.append(1)
        time.sleep(0.2)

    monkeypatch.setattr(cells, "_measure", measured)
    runs = [threading.Thread(target=run, args=(place, [])) for _ in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert calls == [1]
