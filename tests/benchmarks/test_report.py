"""The report of the study: its figures are those that a hand computes from a small result."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.__main__ import CONTEXT_COLUMNS, read_context, write
from benchmarks.report.again import again
from benchmarks.report.data import COLUMNS, LONGER, RIVALS, Study, Where, label, together
from benchmarks.report.goals import outcomes
from benchmarks.report.sections import unseen_goals
from benchmarks.report.tables import losses, ranks, worst

EIGHT = tuple("abcdefgh")
NO_CONTEXT = pd.DataFrame({name: [] for name in CONTEXT_COLUMNS})


def rows(method, removed, tuned, scores, **changes):
    """A row a set, all scores of one method."""
    facts = {
        "part": "main", "task": "classification", "seed": 0, "sizes": "128-64", "view": "neurons",
        "neurons": 192 * (1 - removed), "parameters": 1000 * (1 - removed), "macs": 900,
        "epochs": 10, "seconds": 1.0,
    }  # fmt: skip
    own = {"method": method, "removed": removed, "tuned": int(tuned)}
    return [
        {**facts, **own, "set": name, "score": score, **changes}
        for name, score in zip(EIGHT, scores, strict=False)
    ]


def study(*parts):
    return Study(pd.DataFrame([row for part in parts for row in part], columns=COLUMNS))


def goal(found, start, task="classification"):
    (outcome,) = (o for o in found if o.goal.startswith(start) and o.task == task)
    return outcome.figure, outcome.met


UNPRUNED = np.array([90.0, 80, 70, 60, 85, 75, 65, 95])
PLAIN = rows("unpruned", 0.0, False, UNPRUNED)
#: 0.25 on average.
LOST = np.array([0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4])
DEFAULT = rows("default", 0.5, True, UNPRUNED - LOST)


def test_mean_loss():
    """Against the network as trained: what training on does for it is beside the point."""
    longer = rows("unpruned", 0.0, True, UNPRUNED + 5)
    later = rows("default", 0.75, True, UNPRUNED - 2 * LOST - 0.1)
    found = outcomes(study(PLAIN, longer, DEFAULT, later), NO_CONTEXT)
    # Deviation .1195, a t of 2.365 with 7 degrees of freedom, eight sets.
    assert goal(found, "loss of at most 0.3") == ("0.25 ± 0.10", True)
    assert goal(found, "loss of at most 0.5") == ("0.60 ± 0.20", False)
    assert goal(found, "loss of at most 3") == ("", None)
    assert goal(found, "equivalent or better at 50 %") == ("1.000", True)


def test_worse_of_the_two_means_counts():
    """A collapsed network counts in full where that is worse for us, and 0 where not."""
    change = {"task": "regression"}
    plain = rows("unpruned", 0.0, False, [50, 50, -1000, 50], **change)
    ours = rows("default", 0.5, True, [50, 50, -100, 49], **change)
    found = outcomes(study(plain, ours), NO_CONTEXT)
    assert goal(found, "loss of at most 0.3", "regression")[0].startswith("0.25 ")
    plain = rows("unpruned", 0.0, False, [50, 50, 50, 50], **change)
    found = outcomes(study(plain, ours), NO_CONTEXT)
    assert goal(found, "loss of at most 0.3", "regression")[0].startswith("37.75 ")


def test_rivals_all_beaten():
    """Eight wins of eight: p = 2 / 2^8, times six by Holm."""
    others = [
        rows(name, 0.5, True, UNPRUNED - 1 - LOST - k / 8 * np.arange(8))
        for k, name in enumerate(RIVALS)
    ]
    found = outcomes(study(PLAIN, DEFAULT, *others), NO_CONTEXT)
    figure, met = goal(found, "better than each published method at 50 %, with fine")
    assert figure.startswith("6 of 6, largest p = .047")
    assert met is True
    assert goal(found, "better than each published method at 50 %, without") == ("", None)
    # All but one of them measured: the goal is not yet decided.
    found = outcomes(study(PLAIN, DEFAULT, *others[1:]), NO_CONTEXT)
    figure, met = goal(found, "better than each published method at 50 %, with fine")
    assert figure.startswith("5 of 5, largest p = .039")
    assert met is None


def test_a_rival_that_wins_decides():
    better = rows("taylor", 0.5, True, UNPRUNED + 1)
    worse = rows("random", 0.5, True, UNPRUNED - 1 - LOST)
    found = outcomes(study(PLAIN, DEFAULT, better, worse), NO_CONTEXT)
    figure = "1 of 2, not Taylor (p = .016)"
    assert goal(found, "better than each published method at 50 %, with fine") == (figure, False)


def test_mean_ranks():
    """Ranks 1, 2, 3, 3 among three: the best of the others shares the mean rank 2."""
    plain = rows("unpruned", 0.0, False, [99, 99, 99, 99])
    ours = rows("default", 0.5, True, [100, 98, 97, 97])
    other = rows("random", 0.5, True, [97, 97, 98, 98])
    found = outcomes(study(plain, ours, other), NO_CONTEXT)
    figure, met = goal(found, "best mean rank after the unpruned's at 50 %, with fine")
    assert figure == "2.25; best of the others 2.50 (random removal)"
    assert met is None  # scratch and others are not there
    text = "".join(ranks(study(plain, ours, other), ("unpruned", "default", "random")))
    assert "| unpruned | 1.25 |" in text
    assert "| *data sets* | 4 |" in text


@pytest.mark.slow
@pytest.mark.parametrize("method", ["scratch", "scratch_cosine_short"])
def test_scratch(method):
    """One-sided, one test: eight wins of eight are p = 1 / 2^8."""
    worse = rows(method, 0.75, True, UNPRUNED - 2 - LOST)
    ours = rows("default", 0.75, True, UNPRUNED)
    even = rows(method, 0.5, True, UNPRUNED - LOST + [0.1, -0.1] * 4)
    found = outcomes(study(PLAIN, DEFAULT, ours, worse, even), NO_CONTEXT)
    assert goal(found, f"better than {label(method)}, at 75 %") == ("+2.25 ± 0.10, p = .004", True)
    figure, met = goal(found, f"no worse than {label(method)}, at 50 %")
    assert figure.endswith("of being worse, 1.000 equivalent or better")
    assert met is True
    # Two points below on every set.
    above = rows(method, 0.5, True, UNPRUNED - LOST + 2)
    found = outcomes(study(PLAIN, DEFAULT, above), NO_CONTEXT)
    figure, met = goal(found, f"no worse than {label(method)}, at 50 %")
    assert figure.startswith("-2.00 ± 0.00, p = .004 of being worse, 0.00")
    assert met is False


def test_network_beside_sklearn():
    """A mean over seeds, then over sets, of pairs that are there."""
    scores = [
        ("a", 0, "mlp", 0), ("a", 0, "sklearn_mlp", 88), ("a", 1, "sklearn_mlp", 80),
        ("b", 0, "sklearn_mlp", 69),
    ]  # fmt: skip
    first = rows("unpruned", 0.0, False, [90, 70, 10])
    second = rows("unpruned", 0.0, False, [80], seed=1)
    wider = rows("unpruned", 0.0, False, [50, 50], sizes="256-128-64")
    context = pd.DataFrame(scores, columns=["set", "seed", "model", "score"])
    context = context.assign(task="classification")
    found = outcomes(study(first, second, wider), context)
    figure, met = goal(found, "unpruned, no worse on average than scikit-learn's MLP, defaults")
    assert figure == "+1.00 ± 0.00"
    assert met is True
    assert goal(found, "unpruned, no worse on average than scikit-learn's MLP, same")[1] is None


def test_the_unit_is_the_set_over_common_networks():
    """Set "a" has two networks of which both methods have one; "b" has none in common."""
    plain = rows("unpruned", 0.0, False, [90, 80]) + rows("unpruned", 0.0, False, [70], seed=1)
    ours = rows("default", 0.5, True, [89]) + rows("default", 0.5, True, [66, 79], seed=1)
    given = study(plain, ours, rows("random", 0.5, True, [60], seed=1))
    where = Where("classification", 0.5, True)
    pair = given.paired(("unpruned", "default"), where)
    assert (pair.sets, pair.n_networks) == (("a",), 2)
    assert pair.values.tolist() == [[80.0, 77.5]]
    pair = together(given, ("default", "random", "taylor"), where)
    assert pair.names == ("unpruned", "default", "random")
    assert pair.values.tolist() == [[70.0, 66.0, 60.0]]


def test_floor_comes_before_the_mean():
    plain = rows("unpruned", 0.0, False, [50], task="regression")
    plain += rows("unpruned", 0.0, False, [60], task="regression", seed=1)
    ours = rows("default", 0.5, True, [-900], task="regression")
    ours += rows("default", 0.5, True, [40], task="regression", seed=1)
    where = Where("regression", 0.5, True)
    given = study(plain, ours)
    assert given.paired(("default",), where)["default"] == [-430.0]
    assert given.paired(("default",), where, floor=True)["default"] == [20.0]
    text = "".join(losses(given, "main", ("default", LONGER)))
    assert "| default | 35.00 (35.00) | 50 % |" in text
    assert "R2 floored at 0" in text


def test_a_rival_in_our_machine_is_not_the_published_one():
    published = rows("magnitude", 0.5, True, UNPRUNED - 9)
    ours = rows("magnitude", 0.9, True, UNPRUNED - 1, part="rivals")
    given = study(PLAIN, DEFAULT, published, ours)
    assert len(given.measured("magnitude", Where("classification", 0.5, True))) == 8
    assert not len(given.measured("magnitude", Where("classification", 0.5, True, "rivals")))
    assert len(given.measured("default", Where("classification", 0.5, True, "rivals"))) == 8


def test_worst_sets_come_with_the_best_rival():
    scores = UNPRUNED - LOST
    scratch = scores.copy()
    scratch[3] += 0.3
    given = study(
        PLAIN,
        DEFAULT,
        rows("random", 0.5, True, scores - 3),
        rows("scratch", 0.5, True, scratch),
    )
    lines = "".join(worst(given)).splitlines()
    best = f"59.90 ({label('scratch')})"
    assert lines[3] == f"| 50 % | d | 60.00 | 59.60 | 0.40 | {best} |"
    assert len(lines) == 3 + 5


def test_errors():
    with pytest.raises(ValueError, match=r"rows lack the columns \['epochs'\]"):
        Study(pd.DataFrame(PLAIN).drop(columns="epochs"))
    with pytest.raises(ValueError, match=r"1 measurements are there twice, .*'set': 'c'"):
        Study(pd.DataFrame([*PLAIN, PLAIN[2]]))
    with pytest.raises(ValueError, match=r"sizes='64' has no rows; there are {'128-64'}"):
        Study(pd.DataFrame(PLAIN), "64")


def test_context_without_a_column(tmp_path):
    (tmp_path / "context.csv").write_text("set,task,seed,model,score\n")
    with pytest.raises(ValueError, match=r"lacks the columns \['n_bytes', 'ms_row', 'ms_single'"):
        read_context(tmp_path / "context.csv")


@pytest.fixture
def results(tmp_path):
    """Part of a study: one set has lost a score, the other size is on one set."""
    given = [
        *PLAIN,
        *rows("unpruned", 0.0, True, UNPRUNED),
        *rows("default", 0.5, False, UNPRUNED - 2 * LOST),
        *DEFAULT,
        *rows("magnitude", 0.5, True, UNPRUNED - 4),
        *rows("magnitude", 0.5, True, UNPRUNED - 3, part="rivals"),
        *rows("scratch", 0.5, True, [*UNPRUNED[:7] - 1, np.nan]),
        *rows("unpruned", 0.0, False, [91], sizes="256-128-64"),
    ]
    folder = tmp_path / "results"
    folder.mkdir()
    pd.DataFrame(given).to_csv(folder / "study.csv.gz", index=False)
    context = [("a", "classification", 0, name, 90, 2048, 0.5, 1) for name in ("mlp", "hgb")]
    context = pd.DataFrame(context, columns=list(CONTEXT_COLUMNS))
    context.to_csv(folder / "study_context.csv", index=False)
    facts = {
        "command": "python -m benchmarks.study --data FOLDER", "commit": "abc",
        "python": "3.11", "libraries": {"torch": "2"}, "most_rows": 4000,
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(facts))
    return folder


def test_goals_without_the_sets_that_settings_were_chosen_on():
    """One of them loses forty points, the others a quarter on average."""
    chosen = [{**PLAIN[0], "set": "vehicle"}]
    ours = [{**chosen[0], "method": "default", "removed": 0.5, "tuned": 1, "score": 50.0}]
    given = study(PLAIN, DEFAULT, chosen, ours)
    assert goal(outcomes(given, NO_CONTEXT), "loss of at most 0.3")[1] is False
    text = "".join(unseen_goals(given, NO_CONTEXT, ()))
    assert "compared on training samples of vehicle. Without" in text
    assert "| 0.25 ± 0.10: met |" in text


def test_goals_of_networks_that_were_measured_again(tmp_path):
    """Two points are lost at first, less on the first seed, and .25 at the later state."""
    worse = rows("default", 0.5, True, UNPRUNED - 1)
    other = [{**row, "seed": 1} for row in (*PLAIN, *rows("default", 0.5, True, UNPRUNED - 3))]
    text = "".join(again(study(PLAIN, worse, other), study(PLAIN, DEFAULT)))
    assert "8 networks, of 8 data sets" in text
    lost = "2.00 ± 0.00: **not met** | 1.00 ± 0.00: **not met** | 0.25 ± 0.10: met"
    assert f"| loss of at most 0.3 at 50 %, with fine-tuning | classification | {lost} |" in text
    assert "not measured" not in text
    assert not "".join(again(study(PLAIN, worse), Study.read(tmp_path / "nothing.csv")))


@pytest.mark.slow
def test_page(results, tmp_path):
    docs = tmp_path / "docs"
    (docs / "_static").mkdir(parents=True)
    stale = docs / "_static" / "evidence_old.svg"
    stale.touch()
    page = write(results, docs).read_text(encoding="utf-8")
    assert not stale.exists()
    assert "`python -m benchmarks.study --data FOLDER`, at commit abc" in page
    assert "**Partial**: 9 of 144 networks on 8 of 24 classification data sets and 0 of 72" in page
    assert "1 results have no finite score" in page
    assert "| 0.25 ± 0.10: met so far | not measured |" in page
    assert "| HistGradientBoosting | 90.00 | +0.00 | 2 | 0.5000 | 1.00 |" in page
    # the default against magnitude inside our machine: 3 - .25 points better
    assert "| magnitude | 8/0/0, +2.75, p = .008, 1.00/0.00/0.00 |  |  |" in page
    starts = re.findall(r"^<!-- (\w+) -->$", page, flags=re.M)
    assert starts == re.findall(r"^<!-- end of (\w+) -->$", page, flags=re.M)
    figures = re.findall(r"\]\(_static/(\S+)\)", page)
    written = {file.name: file.read_bytes() for file in (docs / "_static").iterdir()}
    assert sorted(figures) == sorted(written)
    # The same results give the same files.
    assert write(results, docs).read_text(encoding="utf-8") == page
    assert written == {file.name: file.read_bytes() for file in (docs / "_static").iterdir()}


@pytest.mark.slow
def test_page_of_one_size(results, tmp_path):
    page = write(results, tmp_path, sizes="128-64").read_text(encoding="utf-8")
    assert "**Partial**: 8 of 72 networks" in page


def test_page_without_results(tmp_path):
    page = write(tmp_path, tmp_path).read_text(encoding="utf-8")
    assert "No results yet." in page
    assert "0 met, 0 not met, 62 not measured in full." in page
    assert not list(tmp_path.glob("_static/*"))
