"""Inside what scikit-learn, skorch and Dask put around an estimator."""

from __future__ import annotations

import os

import joblib
import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_validate,
    learning_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch.callbacks import Checkpoint, EarlyStopping, EpochScoring, LRScheduler
from user_nets import (
    classes_table,
    classifier,
    plain_classifier,
    regressor,
    values_table,
)

from sklearn_mabprune import MABPrunedClassifierCV, MABPrunedRegressorCV

BUDGETS = [0, 0.3, 0.6]
FOLDS = StratifiedKFold(2)


def by_hand(model, X, y, folds=FOLDS, **fit_params):
    """Accuracy on each fold's rows, without any of scikit-learn's machinery."""
    scores = []
    for train, test in folds.split(X, y):
        params = {name: value[train] for name, value in fit_params.items()}
        fitted = clone(model).fit(X[train], y[train], **params)
        scores.append(np.mean(fitted.predict(X[test]) == y[test]))
    return scores


# -------------------------------------------------------------------------- model selection


def test_searches_find_what_a_loop_finds():
    X, y = classes_table()
    table = {budget: by_hand(classifier(pruning_budget=budget), X, y) for budget in BUDGETS}
    grid = GridSearchCV(classifier(), {"pruning_budget": BUDGETS}, cv=FOLDS).fit(X, y)
    for k in range(2):
        np.testing.assert_array_equal(
            grid.cv_results_[f"split{k}_test_score"], [table[budget][k] for budget in BUDGETS]
        )
    best = max(BUDGETS, key=lambda budget: np.mean(table[budget]))
    assert grid.best_params_ == {"pruning_budget": best}
    expected = classifier(pruning_budget=best).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(grid.predict_proba(X), expected)

    drawn = RandomizedSearchCV(
        classifier(), {"pruning_budget": BUDGETS}, n_iter=2, cv=FOLDS, random_state=0
    ).fit(X, y)
    for params, score in zip(
        drawn.cv_results_["params"], drawn.cv_results_["mean_test_score"], strict=True
    ):
        assert score == np.mean(table[params["pruning_budget"]])

    found = cross_validate(classifier(pruning_budget=0.3), X, y, cv=FOLDS, return_estimator=True)
    np.testing.assert_array_equal(found["test_score"], table[0.3])
    assert all(sum(m.hidden_layer_sizes_) == 14 for m in found["estimator"])


def test_halving_keeps_the_better_half_and_gives_it_more_rows():
    X, y = classes_table(160)
    search = HalvingGridSearchCV(
        classifier(), {"pruning_budget": [0, 0.3, 0.6, 0.9]}, cv=FOLDS, factor=2, min_resources=80,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    assert search.n_resources_ == [80, 160]
    assert search.n_candidates_ == [4, 2]
    last = search.cv_results_["iter"] == 1
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        if last[list(search.cv_results_["params"]).index(params)]:
            assert score == np.mean(by_hand(classifier(**params), X, y))
    assert search.n_features_in_ == 6


def test_a_dask_cluster_of_processes_changes_nothing(tmp_path):
    from dask.distributed import Client, LocalCluster

    X, y = classes_table()
    search = GridSearchCV(classifier(), {"pruning_budget": [0.3, 0.6]}, cv=FOLDS, n_jobs=-1)
    alone = clone(search).set_params(n_jobs=None).fit(X, y)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        # Where a fit runs is not in its results: ask.
        workers = {worker["pid"] for worker in client.run(_about).values()}
        assert os.getpid() not in workers
        with joblib.parallel_config(backend="dask"):
            search.fit(X, y)
    assert client.status == "closed"
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], alone.cv_results_[name])
    np.testing.assert_array_equal(search.predict_proba(X), alone.predict_proba(X))


def _about():
    torch.set_num_threads(1)
    return {"pid": os.getpid()}


def test_learning_curve_scores_prefixes():
    X, y = classes_table()
    sizes, _, scores = learning_curve(classifier(), X, y, train_sizes=[30, 60], cv=FOLDS)
    assert sizes.tolist() == [30, 60]
    for k, (train, test) in enumerate(FOLDS.split(X, y)):
        for size, score in zip(sizes, scores[:, k], strict=True):
            model = classifier().fit(X[train[:size]], y[train[:size]])
            assert score == model.score(X[test], y[test])


# -------------------------------------------------------------------- around one or several


def test_calibration_of_a_fitted_model_and_of_folds():
    X, y = classes_table(240)
    model = classifier().fit(X[:120], y[:120])
    over = CalibratedClassifierCV(FrozenEstimator(model)).fit(X[120:], y[120:])
    inner = over.calibrated_classifiers_[0].estimator
    np.testing.assert_array_equal(inner.predict_proba(X), model.predict_proba(X))
    assert over.predict_proba(X).shape == (240, 3)
    assert not np.allclose(over.predict_proba(X), model.predict_proba(X))
    folds = CalibratedClassifierCV(classifier(), cv=FOLDS).fit(X, y)
    assert len(folds.calibrated_classifiers_) == 2
    np.testing.assert_allclose(folds.predict_proba(X).sum(axis=1), 1)
    assert folds.score(X, y) > 0.5


def test_votes_and_stacks_are_made_of_the_same_models():
    X, y = classes_table()
    y = np.array(["a", "b", "c"])[y]
    parts = [("half", classifier()), ("most", classifier(pruning_budget=0.8))]
    probabilities = [model.fit(X, y).predict_proba(X) for _, model in parts]
    voting = VotingClassifier(parts, voting="soft").fit(X, y)
    np.testing.assert_allclose(voting.predict_proba(X), np.mean(probabilities, axis=0))
    assert set(voting.predict(X)) <= {"a", "b", "c"}
    stack = StackingClassifier(parts, LogisticRegression(), cv=FOLDS).fit(X, y)
    np.testing.assert_allclose(stack.transform(X), np.hstack(probabilities))
    assert stack.score(X, y) > 0.5


def test_bagging_fits_each_model_to_its_rows():
    X, y = classes_table()
    bag = BaggingClassifier(classifier(), n_estimators=2, random_state=0).fit(X, y)
    for model, rows in zip(bag.estimators_, bag.estimators_samples_, strict=True):
        assert len(set(rows)) < 100
        again = clone(model).fit(X, y, sample_weight=np.bincount(rows, minlength=len(X)))
        np.testing.assert_allclose(model.predict_proba(X), again.predict_proba(X), rtol=1e-6)
    mean = np.mean([model.predict_proba(X) for model in bag.estimators_], axis=0)
    np.testing.assert_allclose(bag.predict_proba(X), mean)


def test_transformed_targets():
    X, y = values_table()
    model = TransformedTargetRegressor(regressor(), func=np.log, inverse_func=np.exp).fit(X, y)
    expected = np.exp(regressor().fit(X, np.log(y)).predict(X))
    np.testing.assert_allclose(model.predict(X), expected)


def test_permuting_a_feature_costs_what_it_is_worth():
    X, y = classes_table()
    X = np.column_stack([X, np.zeros(len(X))])
    model = classifier(pruning_budget=0.2).fit(X, y)
    found = permutation_importance(model, X, y, n_repeats=3, random_state=0)
    assert found.importances_mean[6] == 0
    assert found.importances_mean.max() > 0.02


# ------------------------------------------------------------------------- metadata routing


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_requests_are_those_of_fit_and_score():
    requests = classifier().get_metadata_routing()
    assert set(requests.fit.requests) == {"sample_weight", "X_val", "y_val"}
    assert set(requests.score.requests) == {"sample_weight"}
    asked = classifier().set_fit_request(sample_weight=True, X_val="rows")
    assert clone(asked).get_metadata_routing().fit.requests["X_val"] == "rows"


@pytest.mark.usefixtures("routing")
def test_weights_reach_the_fits_and_scores_of_a_grid():
    X, y = classes_table()
    w = np.random.default_rng(0).uniform(0.1, 4.0, len(X))
    model = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
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


# ---------------------------------------------------------------- callbacks of a user's net


CALLBACKS = [
    ("stop", EarlyStopping(patience=4, load_best=True)),
    ("rate", LRScheduler(policy="StepLR", step_size=3, gamma=0.9, event_name="event_lr")),
    ("score", EpochScoring("f1_macro", name="valid_f1", lower_is_better=False)),
]


def rows_and_net(callbacks):
    X, y = classes_table(200)
    X = X.astype(np.float32)
    net = plain_classifier(
        max_epochs=40, optimizer=torch.optim.Adam, lr=0.1, callbacks=list(callbacks)
    )
    return net, (X[:120], y[:120]), {"X_val": X[120:], "y_val": y[120:]}


def test_early_stopping_and_schedules_of_a_users_net_are_honoured():
    net, rows, held_out = rows_and_net(CALLBACKS)
    unpruned = classifier(net, pruning_budget=0).fit(*rows, **held_out)
    history = unpruned.estimator_.history
    losses = history[:, "valid_loss"]
    # Four epochs without a better loss ended it, and the best weights came back.
    assert len(losses) == int(np.argmin(losses)) + 5 < 40
    with torch.no_grad():
        outputs = unpruned.estimator_.module_(torch.tensor(held_out["X_val"]))
    found = torch.nn.functional.cross_entropy(outputs, torch.tensor(held_out["y_val"]))
    assert float(found) == pytest.approx(min(losses), rel=1e-5)
    # The learning rate was the schedule's, and scores were taken.
    # The last epoch was stopped before it had one.
    expected = 0.1 * 0.9 ** (np.arange(len(losses) - 1) // 3)
    np.testing.assert_allclose(history[:, "event_lr"], expected, rtol=1e-6)
    assert all(0 <= value <= 1 for value in history[:, "valid_f1"])

    # Pruned and fine-tuned it is another network, by the fine-tuning's own schedule, which
    # neither stops it early nor adds to the history of the training.
    pruned = classifier(net, pruning_budget=0.5, fine_tune_epochs=7).fit(*rows, **held_out)
    assert pruned.pruning_report_.n_fine_tune_epochs == 7
    assert pruned.estimator_.history[:, "valid_loss"] == losses
    assert pruned.pruning_report_.before == unpruned.pruning_report_.before.__class__(
        **{
            **vars(unpruned.pruning_report_.before),
            "ms_sample": pruned.pruning_report_.before.ms_sample,
            "ms_batch": pruned.pruning_report_.before.ms_batch,
        }
    )
    # Trained on by hand, the small net has its callbacks again.
    pruned.estimator_.set_params(max_epochs=3).partial_fit(*rows)
    assert len(pruned.estimator_.history) == len(losses) + 3
    # The schedule goes on counting epochs.
    assert pruned.estimator_.history[-3:, "event_lr"] == pytest.approx([0.1, 0.09, 0.09])


def test_checkpoints_of_a_users_net_are_of_its_training(tmp_path, monkeypatch):
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "saved"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    save = Checkpoint(dirname=folder, load_best=True, monitor="valid_loss_best")
    net, rows, held_out = rows_and_net([CALLBACKS[0], ("save", save)])
    pruned = classifier(net, pruning_budget=0.5).fit(*rows, **held_out)
    stopped, _, _ = rows_and_net(CALLBACKS[:1])
    expected = classifier(stopped, pruning_budget=0.5).fit(*rows, **held_out)
    # skorch ends a loaded history at the best epoch.
    losses = expected.estimator_.history[:, "valid_loss"]
    best = int(np.argmin(losses)) + 1
    assert pruned.estimator_.history[:, "valid_loss"] == losses[:best]
    # Fine-tuning touched neither the file nor what is in it: the network as it was trained.
    assert {path.name for path in folder.iterdir()} == {
        "params.pt", "optimizer.pt", "criterion.pt", "history.json",
    }  # fmt: skip
    assert list(elsewhere.iterdir()) == []
    again = clone(net).set_params(callbacks=None).initialize()
    again.load_params(checkpoint=Checkpoint(dirname=folder))
    unpruned = classifier(FrozenEstimator(again), pruning_budget=0).fit(*rows, **held_out)
    before = pruned.pruning_report_.before
    assert unpruned.pruning_report_.before.loss == pytest.approx(before.loss, rel=1e-6)
    assert before.loss == pytest.approx(expected.pruning_report_.before.loss, rel=1e-6)
    assert sum(pruned.hidden_layer_sizes_) == 9


# ------------------------------------------------------- the budget chosen inside of them


def by_folds(search=MABPrunedClassifierCV, pruned=classifier):
    """Chooses between two budgets in a tenth of a second."""
    return search(pruned(step=0.5, fine_tune_epochs=1), budgets=(0, 0.5), cv=2)


@pytest.mark.parametrize(
    "made",
    [
        lambda model: CalibratedClassifierCV(model, cv=FOLDS),
        lambda model: VotingClassifier([("a", model), ("b", model)], voting="soft"),
        lambda model: StackingClassifier([("a", model)], cv=FOLDS),
        lambda model: BaggingClassifier(model, n_estimators=2, random_state=0),
        lambda model: HalvingGridSearchCV(
            model, {"rule": ["best", "one_std_error"]}, cv=FOLDS, error_score="raise"
        ),
    ],
    ids=["calibrated", "vote", "stack", "bag", "halving"],
)
def test_a_budget_may_be_chosen_inside_others(made):
    X, y = classes_table()
    model = made(by_folds()).fit(X, y)
    assert model.predict_proba(X).shape == (120, 3)
    assert model.score(X, y) > 0.5
    found = permutation_importance(model, X, y, n_repeats=1, random_state=0)
    assert found.importances_mean.max() > 0


def test_a_budget_may_be_chosen_along_a_learning_curve_and_for_other_targets():
    X, y = classes_table()
    sizes, _, scores = learning_curve(by_folds(), X, y, train_sizes=[30, 60], cv=FOLDS)
    assert sizes.tolist() == [30, 60]
    assert np.isfinite(scores).all()
    X, y = values_table()
    model = TransformedTargetRegressor(
        by_folds(MABPrunedRegressorCV, regressor), transformer=StandardScaler()
    ).fit(X, 100 * y)
    assert model.regressor_.best_budget_ in (0, 0.5)
    assert model.score(X, 100 * y) > 0.2
