"""Class docstrings of the estimators: every parameter and fitted attribute, no gap left."""

from __future__ import annotations

import inspect
import re

import pytest
from user_nets import classes_table, classifier, regressor, values_table

from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MABPrunedRegressorCV,
    MLPNetClassifier,
    MLPNetRegressor,
)
from sklearn_mabprune.estimators.docstrings import ENTRIES, documented

ESTIMATORS = [
    MABPrunedClassifier,
    MABPrunedRegressor,
    MABPrunedClassifierCV,
    MABPrunedRegressorCV,
]
every = pytest.mark.parametrize("made", ESTIMATORS)
ENTRY = re.compile(r"^(\w+) : (.+)$", re.MULTILINE)


def section(made, name):
    """Names and types of a section, in its order."""
    text = inspect.getdoc(made)
    after = text.split(f"\n{name}\n{'-' * len(name)}\n")[1]
    return dict(ENTRY.findall(re.split(r"\n\w[\w ]*\n-{3,}\n", after)[0]))


@every
def test_parameters_are_those_of_the_constructor(made):
    parameters = inspect.signature(made).parameters
    described = section(made, "Parameters")
    assert list(described) == list(parameters)
    for name, parameter in parameters.items():
        default = described[name].split("default=")[1].replace('"', "'")
        assert default == repr(parameter.default), name


@pytest.mark.parametrize("made", [*ESTIMATORS, MLPNetClassifier, MLPNetRegressor])
def test_every_name_is_filled_in(made):
    assert not re.search(r"^\s*\{\w+\}\s*$", made.__doc__, re.MULTILINE)
    assert max(map(len, made.__doc__.splitlines())) <= 100


def test_every_entry_is_used():
    text = "\n".join(inspect.getdoc(made) for made in ESTIMATORS)
    for name, entry in ENTRIES.items():
        assert all(line.strip() in text for line in entry.splitlines()), name


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_attributes_are_those_of_a_fit(kind):
    X, y = classes_table() if kind == "classifier" else values_table()
    plain = (classifier if kind == "classifier" else regressor)().fit(X, y)
    searched = MABPrunedClassifierCV if kind == "classifier" else MABPrunedRegressorCV
    search = searched(plain, budgets=(0.5,), cv=2).fit(X, y)
    # Names of columns are there where X has some, a teacher where it is kept; y_ndim_ is for the
    # inside.
    fitted = {n for n in vars(plain) if n.endswith("_") and not n.startswith("_")} - {"y_ndim_"}
    fitted |= {"n_iter_", "loss_curve_", "validation_scores_"}  # read from the net
    assert set(section(type(plain), "Attributes")) == fitted | {"feature_names_in_", "teacher_"}
    own = {n for n in vars(search) if n.endswith("_") and not n.startswith("_")}
    assert set(section(searched, "Attributes")) == own | fitted | {"feature_names_in_"}


def test_an_unknown_name_is_an_error():
    with pytest.raises(KeyError, match="colour"):

        @documented
        class Painted:
            """A class.

            {colour}
            """


def test_entries_are_indented_as_their_line():
    @documented
    class Made:
        """A class.

        {n_jobs}
            {step}
        {"a": 1} is left alone.
        """

    lines = inspect.getdoc(Made).splitlines()
    assert lines[2] == ENTRIES["n_jobs"].splitlines()[0]
    assert "    " + ENTRIES["step"].splitlines()[0] in lines
    assert lines[-1] == '{"a": 1} is left alone.'


def test_without_docstrings_nothing_is_filled_in():
    class Bare:
        pass

    assert documented(Bare) is Bare
    assert Bare.__doc__ is None


@pytest.mark.parametrize("made", ESTIMATORS[:2])
def test_the_trust_in_a_cache_is_told(made):
    told = inspect.getdoc(made).split("\nmemory : ")[1].split("\n\n")[0]
    assert "unpickled: only you should be able to write to it" in " ".join(told.split())
