"""The report, its table, notebooks and frames."""

from __future__ import annotations

import pickle
import re
import sys
import warnings
from dataclasses import asdict, replace
from html.parser import HTMLParser
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import user_nets
from sklearn import config_context
from user_nets import classes_table, classifier, fitted, small_classifier

from sklearn_mabprune import PruningReport, PruningWarning
from sklearn_mabprune.export.c.network import network_size
from sklearn_mabprune.reports.inputs import InputsReport
from sklearn_mabprune.reports.notes import beyond_tolerance
from sklearn_mabprune.reports.report import Measured, slower


def some_report(**changes):
    before = Measured((128, 64), 10_000, 9_000, 40_000, 0.05, 1.0, 0.97, 0.1)
    after = Measured((30, 18), 2_500, 1_800, 10_000, 0.04, 0.25, 0.96, 0.125)
    values = {
        "before": before, "after": after, "score_name": "accuracy", "loss_name": "log-loss",
        "n_validation": 150, "batch_size": 1000, "n_pulls": 1234, "n_evaluations": 567_890,
        "n_backward": 0,
        "n_rounds": 48, "n_fine_tune_epochs": 10, "confidence": float("nan"),
        "seconds_training": 1.5,
        "seconds_pruning": 0.75, "seconds_fine_tuning": 0.25,
    }  # fmt: skip
    return PruningReport(**{**values, **changes})


def test_prints_as_a_table():
    expected = """\
144 of 192 hidden neurons removed (75.0%)

                       before   after
hidden layers          128-64   30-18       -75.0%
parameters             10,000   2,500       -75.0%
MACs per sample         9,000   1,800       -80.0%
bytes of weights       40,000  10,000       -75.0%
µs for one sample        50.0    40.0  1.2x faster
µs for 1,000 samples    1,000     250  4.0x faster
accuracy (validation)  0.9700  0.9600      -0.0100
log-loss (validation)  0.1000  0.1250      +0.0250

48 rounds, 1,234 pulls (567,890 neuron-sample evaluations), 10 epochs of fine-tuning, \
150 validation samples
seconds: training 1.50, pruning 0.75, fine-tuning 0.25"""
    report = some_report()
    assert str(report) == repr(report) == expected
    more = some_report(unused_features=("age", 7), remarks=("first", "second"))
    assert str(more) == (
        expected + "\nunused input features: age, 7\nWarning: first\nWarning: second"
    )


def test_one_of_a_thing_is_no_plural():
    before, after = (
        Measured((2, 3), 9, 9, 9, 0.05, 1.0, 0.9, 0.1),
        Measured((1, 2), 8, 8, 8, 0.04, 0.25, 0.9, 0.1),
    )
    report = some_report(
        before=before, after=after, n_rounds=1, n_pulls=1, n_evaluations=1, n_fine_tune_epochs=1,
        n_validation=1, batch_size=1, n_backward=1, groups=("a", "b"), unit_kinds=("head",) * 2,
        kept_whole={"b": "is one head"}, seconds_training=0.0,
        inputs=InputsReport(3, 3, 8, 0.5, 0.25, float("nan"), 100, 1.0),
    )  # fmt: skip
    text = str(report)
    for line in (
        "1 of 2 heads removed (50.0%)",
        "µs for 1 sample ",
        "1 round, 1 pull (1 neuron-sample evaluation), 1 epoch of fine-tuning, ",
        ", 1 validation sample\n",
        "a: 2 -> 1 head\n",
        "estimates: backward passes of 1 sample",
        "seconds: training done before, pruning",
        "with 8 functions of each feature 0.25, 1.00 seconds",
    ):
        assert line in text
    assert "nan" not in text
    one = Measured((1,), 9, 9, 9, 0.05, 1.0, 0.9, 0.1)
    assert str(some_report(before=one, after=one)).startswith("0 of 1 hidden neuron removed")
    told = beyond_tolerance(0.5, 0.0, 1, 2.0, 0.5)[0]
    assert "the score on 1 validation sample fell from 2.0000 to 0.5000. Lower" in told


def test_as_nested_dicts():
    report = some_report(unused_features=("age",))
    found = report.to_dict()
    assert found["before"]["hidden_layer_sizes"] == (128, 64)
    assert found["after"]["ms_batch"] == 0.25
    assert found["unused_features"] == ("age",)
    assert set(found) == set(PruningReport.__dataclass_fields__)
    assert (
        PruningReport(
            **{**found, "before": Measured(**found["before"]), "after": Measured(**found["after"])}
        )
        == report
    )


def cells(html):
    """The table of an HTML page as lists of texts."""

    class Reader(HTMLParser):
        rows: ClassVar[list] = []
        inside = False

        def handle_starttag(self, tag, attrs):
            if tag == "tr":
                self.rows.append([])
            self.inside = tag in ("td", "th")
            if self.inside:
                self.rows[-1].append("")

        def handle_data(self, data):
            if self.inside:
                self.rows[-1][-1] += data

        def handle_endtag(self, tag):
            self.inside = False

    Reader.rows = []
    Reader().feed(html)
    return Reader.rows


def test_notebooks_show_the_same_table():
    report = some_report(unused_features=("age", 7), remarks=("first", "second"))
    html = report._repr_html_()
    assert ElementTree.fromstring(html).tag == "div"  # well-formed
    rows = [re.split(r"  +", line.strip()) for line in str(report).splitlines()]
    table = [row for row in rows if len(row) > 1]
    assert [[cell for cell in row if cell] for row in cells(html)] == table
    for line in str(report).splitlines()[-5:]:
        assert f">{line}</p>" in html
    assert "144 of 192 hidden neurons removed (75.0%)" in html


@pytest.mark.parametrize(
    ("kinds", "units"),
    [
        (("neuron", "neuron"), "hidden neurons"),
        (("channel", "channel"), "channels"),
        (("head", "neuron"), "hidden units"),
        (("channel", "head"), "units"),
    ],
)
def test_the_title_counts_what_was_removed(kinds, units):
    assert f"144 of 192 {units} removed (75.0%)" in str(some_report(unit_kinds=kinds))


def test_the_title_counts_layers_that_are_pruned():
    report = some_report(
        groups=("attention", "feed"), unit_kinds=("head", "neuron"), kept_whole={"feed": "..."}
    )
    before, after = (n.hidden_layer_sizes[0] for n in (report.before, report.after))
    assert str(report).startswith(f"{before - after} of {before} heads removed")


def test_what_a_user_named_is_escaped_in_notebooks():
    evil = "<script>alert('x')</script>"
    html = some_report(unused_features=(evil,), remarks=(evil,), score_name=evil)._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 3


def test_themes_decide_about_colours():
    # Text and background come from the page; only lines have colours of their own.
    style = re.search(r"<style>(.*)</style>", some_report()._repr_html_(), re.DOTALL)[1]
    assert set(re.findall(r"(?<![-\w])color: ([^;]+);", style)) == {"inherit"}
    assert set(re.findall(r"background: ([^;]+);", style)) == {"transparent"}


def test_text_where_scikit_learn_is_to_show_text():
    with config_context(display="text"):
        assert some_report()._repr_html_() is None
    with config_context(display="diagram"):
        assert some_report()._repr_html_().startswith("<div")


def test_a_frame_of_both_networks():
    report = some_report()
    frame = report.to_frame()
    assert frame.index.tolist() == ["before", "after"]
    for name, network in (("before", report.before), ("after", report.after)):
        assert frame.loc[name].to_dict() == asdict(network)
    assert frame["n_parameters"].dtype.kind == "i"
    assert frame["ms_batch"].dtype.kind == "f"


def test_a_frame_of_the_path():
    path = fitted("classifier")[0].pruning_path_
    frame = path.to_frame()
    assert frame.index.name == "step"
    assert len(frame) == len(path)
    assert frame["layer_sizes"].tolist() == path.layer_sizes
    for name in frame.columns.drop("layer_sizes"):
        np.testing.assert_array_equal(frame[name], getattr(path, name))
        assert frame[name].dtype == getattr(path, name).dtype


def test_frames_need_pandas(monkeypatch):
    path = fitted("classifier")[0].pruning_path_
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"PruningReport\.to_frame needs pandas, .* pip install"):
        some_report().to_frame()
    with pytest.raises(ImportError, match=r"PruningPath\.to_frame needs pandas"):
        path.to_frame()


def test_numbers_of_a_fit():
    model, X, _ = fitted("classifier", pruning_budget=0.6, fine_tune_epochs=2)
    report, path = model.pruning_report_, model.pruning_path_
    module = model.estimator_.module_
    assert report.after.n_parameters == sum(p.numel() for p in module.parameters())
    assert report.after.n_bytes == sum(v.nbytes for v in module.state_dict().values())
    assert report.before.n_macs == 6 * 12 + 12 * 8 + 8 * 3 == path.n_macs[0]
    assert report.n_rounds == len(path) - 1 == 6
    assert report.n_evaluations == path.n_evaluations.sum()
    # Few rows: every pull is on all of them.
    n_train = len(X) - report.n_validation
    assert report.n_evaluations == report.n_pulls * n_train
    assert report.batch_size == n_train
    assert report.n_fine_tune_epochs == 2
    times = [report.seconds_training, report.seconds_pruning, report.seconds_fine_tuning]
    assert all(0 < t < 60 for t in times)
    assert path.seconds.sum() <= report.seconds_pruning
    for network in (report.before, report.after):
        assert network.ms_sample > 0
        assert network.ms_batch > 0


def test_budget_of_nothing_is_not_called_slow():
    report = fitted("classifier", pruning_budget=0)[0].pruning_report_
    assert not any("not faster" in text for text in report.warnings)


def test_a_training_cut_short_is_said():
    for max_epochs, said in ((3, True), (300, False)):
        X, y = classes_table()
        model = classifier(small_classifier(max_epochs=max_epochs, lr=0.02)).fit(X, y)
        warnings = model.pruning_report_.warnings
        assert any(f"max_epochs={max_epochs}" in text for text in warnings) is said


def test_numbers_keep_their_digits():
    tiny = replace(some_report().before, loss=5.02e-13)
    text = str(some_report(before=tiny, after=replace(tiny, loss=4.0e13)))
    assert "5.02e-13" in text
    assert "4e+13" in text


def test_equal_times_are_not_called_faster():
    network = some_report().before
    slow = replace(network, ms_sample=2 * network.ms_sample)
    text = str(some_report(before=network, after=slow))
    assert "2.0x slower" in text
    assert "the same" in text


FITTING = "sklearn_mabprune.estimators.fitting"


@pytest.mark.parametrize(("after", "said"), [(2.0, True), (1.0, True), (0.5, False)])
def test_the_timing_decides_about_the_warning(after, said, monkeypatch):
    monkeypatch.setattr(
        "sklearn_mabprune.estimators.fitting.milliseconds", lambda networks, x: [1.0, after]
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = fitted("classifier")[0].pruning_report_
    assert (report.before.ms_batch, report.after.ms_batch) == (1.0, after)
    slow = [w for w in caught if "not faster" in str(w.message)]
    assert [w.category for w in slow] == [PruningWarning] * said
    assert [w.filename for w in slow] == [user_nets.__file__] * said  # where fit is called
    assert any("not faster" in text for text in report.warnings) is said


def test_the_same_fit_is_a_pickle_of_the_same_length(monkeypatch):
    lengths = []
    for after in (2.0, 0.5):
        monkeypatch.setattr(
            f"{FITTING}.milliseconds", lambda networks, x, after=after: [1.0, after]
        )
        with warnings.catch_warnings(action="ignore"):
            model = fitted("classifier")[0]
        assert ("not faster" in str(model.pruning_report_)) is (after == 2.0)
        lengths.append((len(pickle.dumps(model)), model.pruning_report_.n_bytes_pickle))
    assert lengths[0] == lengths[1]


def test_a_delivered_network_that_lost_nothing_is_not_called_slow(monkeypatch):
    monkeypatch.setattr(
        "sklearn_mabprune.estimators.fitting.milliseconds", lambda networks, x: [1.0, 2.0]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", PruningWarning)
        assert not fitted("classifier", pruning_budget=0)[0].pruning_report_.warnings[1:]


@pytest.mark.parametrize(("sample", "batch"), [(1.0, 0.5), (0.5, 1.0), (0.5, 2.0)])
def test_what_is_faster_for_one_sample_or_for_many_is_not_called_slow(sample, batch):
    before = replace(some_report().before, ms_sample=1.0, ms_batch=1.0)
    after = replace(some_report().after, ms_sample=sample, ms_batch=batch)
    assert slower(before, after, 1000) == []
    assert len(slower(before, replace(after, ms_sample=1.0, ms_batch=1.0), 1000)) == 1


def test_features_that_nothing_uses():
    X, y = classes_table()
    X = np.insert(X, 2, 5.0, axis=1)
    frame = pd.DataFrame(X, columns=["a", "b", "constant", "c", "d", "e", "f"])
    assert classifier().fit(frame, y).pruning_report_.unused_features == ("constant",)
    assert classifier().fit(X, y).pruning_report_.unused_features == (2,)
    assert classifier().fit(np.delete(X, 2, axis=1), y).pruning_report_.unused_features == ()


# --------------------------------------------------------------------- bytes of other forms


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_the_pickle_is_as_large_as_the_report_says(kind):
    model, _, _ = fitted(kind)
    report = model.pruning_report_
    # Its own number stands in the pickle as well.
    assert abs(len(pickle.dumps(model)) - report.n_bytes_pickle) < 50
    kept = model.at_budget(4)
    assert abs(len(pickle.dumps(kept)) - kept.pruning_report_.n_bytes_pickle) < 50
    size = network_size(model)
    assert (report.n_bytes_flash, report.n_bytes_ram) == (size.flash, size.ram)
    assert f"as a pickle {report.n_bytes_pickle:,}, in C about {size.flash:,} of" in str(report)


def test_forms_that_are_not_there():
    X, y = classes_table()
    model = classifier(scoring=lambda *args: 0.5, fine_tune_epochs=0).fit(X, y)
    assert model.pruning_report_.n_bytes_pickle is None
    assert model.pruning_report_.n_bytes_flash > 0
    wide = small_classifier(module__hidden_layer_sizes=(1100, 1100), max_epochs=1)
    model = classifier(wide, pruning_budget=0, policy="magnitude").fit(X, y)
    assert model.pruning_report_.n_bytes_flash is None
    assert model.pruning_report_.n_bytes_pickle > model.pruning_report_.after.n_bytes
    assert "bytes: " not in str(some_report())
