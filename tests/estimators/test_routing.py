"""What pipelines and searches pass on: weights, validation rows, and frames between steps."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from user_nets import classes_table, classifier

FOLDS = StratifiedKFold(2)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_requests_are_those_of_fit_and_score():
    requests = classifier().get_metadata_routing()
    assert set(requests.fit.requests) == {"sample_weight", "X_val", "y_val", "groups"}
    assert set(requests.score.requests) == {"sample_weight"}
    asked = classifier().set_fit_request(sample_weight=True, X_val="rows")
    assert clone(asked).get_metadata_routing().fit.requests["X_val"] == "rows"


@pytest.mark.usefixtures("routing")
def test_weights_reach_the_fits_and_scores_of_a_grid():
    X, y = classes_table()
    w = np.random.default_rng(0).uniform(0.1, 4.0, len(X))
    model = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
    if hasattr(pipe, "set_score_request"):  # a consumer itself, before scikit-learn 1.8
        pipe.set_score_request(sample_weight=True)
    grid = GridSearchCV(pipe, {"mabprunedclassifier__pruning_budget": [0.3, 0.6]}, cv=FOLDS)
    grid.fit(X, y, sample_weight=w)
    for k, (train, test) in enumerate(FOLDS.split(X, y)):
        for j, budget in enumerate([0.3, 0.6]):
            scaler = StandardScaler().fit(X[train])
            fitted = classifier(pruning_budget=budget).fit(
                scaler.transform(X[train]), y[train], w[train]
            )
            expected = accuracy_score(
                y[test],
                fitted.predict(scaler.transform(X[test])),
                sample_weight=w[test],
            )
            assert grid.cv_results_[f"split{k}_test_score"][j] == pytest.approx(expected)


@pytest.mark.usefixtures("routing")
def test_weights_that_nobody_asked_for_are_refused():
    X, y = classes_table()
    grid = GridSearchCV(make_pipeline(classifier()), {}, cv=2, error_score="raise")
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
        grid.fit(X, y, sample_weight=np.ones(len(X)))


@pytest.mark.usefixtures("routing")
def test_a_pipeline_transforms_validation_rows_as_it_does_others():
    X, y = classes_table(200)
    X = 50 + 10 * X
    model = classifier().set_fit_request(X_val=True, y_val=True)
    pipe = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
    pipe.fit(X[:120], y[:120], X_val=X[120:], y_val=y[120:])
    scaler = StandardScaler().fit(X[:120])
    rows = {"X_val": scaler.transform(X[120:]), "y_val": y[120:]}
    expected = classifier().fit(scaler.transform(X[:120]), y[:120], **rows)
    np.testing.assert_array_equal(
        pipe.predict_proba(X), expected.predict_proba(scaler.transform(X))
    )
    assert pipe[-1].pruning_report_.after.score == pipe.score(X[120:], y[120:])


# ----------------------------------------------------------------- frames in and out of steps


def test_frames_go_through_pipelines_that_put_out_frames():
    import pandas as pd

    X, y = classes_table()
    frame = pd.DataFrame(X.astype(np.float32), columns=list("abcdef"))
    frame["g"] = np.where(X[:, 0] > 0, "up", "down")
    prepare = make_column_transformer(
        (StandardScaler(), list("abcdef")), (OneHotEncoder(sparse_output=False), ["g"])
    )
    model = make_pipeline(prepare, classifier()).set_output(transform="pandas").fit(frame, y)
    names = ["standardscaler__a", "onehotencoder__g_down", "onehotencoder__g_up"]
    assert set(names) <= set(model[-1].feature_names_in_)
    np.testing.assert_array_equal(
        model.predict_proba(frame), model.predict_proba(frame[[*"gfedcba"]])
    )
    plain = clone(model).set_output(transform="default").fit(frame, y)
    np.testing.assert_array_equal(plain.predict_proba(frame), model.predict_proba(frame))
    assert not hasattr(plain[-1], "feature_names_in_")
