"""The budget by cross-validation: one training a fold, scores as of fits of their own."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import accuracy_score, get_scorer, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import NotFittedError
from user_nets import (
    QUICK,
    WeightedClassifier,
    classes_table,
    classifier,
    labels_table,
    plain_classifier,
    regressor,
    same_state,
    small_classifier,
    small_regressor,
    state,
    values_table,
)

import sklearn_mabprune.estimators.base
import sklearn_mabprune.pruning.path
import sklearn_mabprune.pruning.rankers
from sklearn_mabprune import (
    MABPrunedClassifier,
    MABPrunedClassifierCV,
    MABPrunedRegressor,
    MABPrunedRegressorCV,
    MLPNetClassifier,
    PruningWarning,
    load,
    pipeline_to_onnx,
)
from sklearn_mabprune.estimators.cv_scores import check_budgets, choose
from sklearn_mabprune.policies import UCB1

GRID = (0, 0.3, 11, 0.8)


def chooser(net=None, **params):
    """A classifier whose fit takes a few tenths of a second."""
    params = {**QUICK, "budgets": GRID, "cv": 2, **params}
    return MABPrunedClassifierCV(net or small_classifier(), **params)


def value_chooser(net=None, **params):
    params = {**QUICK, "budgets": GRID, "cv": 2, **params}
    return MABPrunedRegressorCV(net or small_regressor(), **params)


KINDS = {
    "classifier": (chooser, classifier, classes_table, StratifiedKFold(2), "accuracy"),
    "regressor": (value_chooser, regressor, values_table, KFold(2), "r2"),
}
both = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("several", [False, True])
def test_sparse_rows_and_several_labels(several):
    X, y = labels_table() if several else classes_table()
    rows = sparse.csr_matrix(np.where(np.abs(X) > 0.7, X, 0))
    thin, full = chooser(cv=KFold(2)).fit(rows, y), chooser(cv=KFold(2)).fit(rows.toarray(), y)
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_allclose(thin.cv_results_[name], full.cv_results_[name], atol=0.02)
    assert thin.multilabel_ == several
    assert thin.predict(rows).shape == y.shape
    assert thin.score(rows, y) == accuracy_score(y, thin.predict(rows.toarray()))


def sizes(model):
    return sum(model.hidden_layer_sizes_)


# --------------------------------------------------------------------------------- the table


@both
def test_scores_are_those_of_fits_of_their_own(kind):
    make, plain, table, cv, scoring = KINDS[kind]
    X, y = table()
    model = make(pull_batch_size=30).fit(X, y)
    results = model.cv_results_
    wanted, neurons, parameters, macs = np.empty((4, 2, len(GRID)))
    for fold, (train, test) in enumerate(cv.split(X, y)):
        for k, budget in enumerate(GRID):
            one = plain(pull_batch_size=30, pruning_budget=budget).fit(X[train], y[train])
            wanted[fold, k] = get_scorer(scoring)(one, X[test], y[test])
            neurons[fold, k] = sizes(one)
            parameters[fold, k] = one.pruning_path_.n_parameters[-1]
            macs[fold, k] = one.pruning_path_.n_macs[-1]
    for fold in range(2):
        np.testing.assert_array_equal(results[f"split{fold}_test_score"], wanted[fold])
    np.testing.assert_array_equal(results["mean_test_score"], wanted.mean(axis=0))
    np.testing.assert_array_equal(results["std_test_score"], wanted.std(axis=0))
    np.testing.assert_array_equal(results["mean_n_neurons"], neurons.mean(axis=0))
    np.testing.assert_array_equal(results["mean_n_parameters"], parameters.mean(axis=0))
    np.testing.assert_array_equal(results["mean_n_macs"], macs.mean(axis=0))
    best = int(np.argmax(wanted.mean(axis=0)))
    assert model.best_score_ == wanted.mean(axis=0)[best]
    # The network is that of one fit on all rows.
    refitted = plain(pull_batch_size=30, pruning_budget=model.best_budget_).fit(X, y)
    assert same_state(state(model.estimator_), state(refitted.estimator_))
    np.testing.assert_array_equal(model.predict(X), refitted.predict(X))
    assert model.score(X, y) == refitted.score(X, y)


def test_the_table_is_laid_out_as_in_a_grid_search():
    X, y = classes_table()
    found = chooser().fit(X, y)
    grid = GridSearchCV(classifier(), {"pruning_budget": list(GRID)}, cv=2, refit=False).fit(X, y)
    timed = {name for name in grid.cv_results_ if "time" in name}
    sized = {"mean_n_neurons", "mean_n_parameters", "mean_n_macs"}
    assert set(found.cv_results_) == set(grid.cv_results_) - timed | sized
    for name in set(grid.cv_results_) - timed:
        wanted = grid.cv_results_[name]
        assert type(found.cv_results_[name]) is type(wanted)
        if isinstance(wanted, np.ndarray) and name != "param_pruning_budget":
            assert found.cv_results_[name].dtype == wanted.dtype
        assert list(found.cv_results_[name]) == list(wanted), name
    assert len(pd.DataFrame(found.cv_results_)) == len(GRID)
    assert found.best_budget_ == GRID[found.best_index_]


@pytest.fixture
def trainings(monkeypatch):
    """Rows of each initial training."""
    seen = []
    original = sklearn_mabprune.estimators.base.train

    def train(net, data, *args, **kwargs):
        seen.append(len(data))
        return original(net, data, *args, **kwargs)

    monkeypatch.setattr(sklearn_mabprune.estimators.base, "train", train)
    return seen


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("budgets", [(0.5,), (0, 3, 17, 0.5, 0.1, 0.35)])
def test_one_training_a_fold(trainings, budgets, refit):
    X, y = classes_table()
    chooser(budgets=budgets, refit=refit, cv=3, validation_fraction=0.2).fit(X, y)
    assert len(trainings) == 3 + refit
    assert set(trainings[:3]) <= set(range(62, 67))


@pytest.mark.parametrize("budgets", [(0, 0.25, 0.5, 0.75), (27, 18, 9, 0)])
def test_one_path_a_fold(budgets, monkeypatch):
    X, y = classes_table()
    rounds = []
    original = sklearn_mabprune.pruning.rankers.RoundPulls
    monkeypatch.setattr(
        sklearn_mabprune.pruning.rankers, "RoundPulls", lambda *a: rounds.append(0) or original(*a)
    )
    net = small_classifier(module__hidden_layer_sizes=(20, 16))
    split = [(np.arange(60), np.arange(60, 120))]
    chooser(net, budgets=budgets, cv=split, step=1, refit=False).fit(X, y)
    # The longest, and for each other one at most what lies between two kept networks.
    assert 27 <= len(rounds) <= 27 + 2 * 4


def test_memory_of_the_cache_keeps_one_network_a_fold(tmp_path):
    X, y = classes_table()
    model = chooser(memory=str(tmp_path))
    model.fit(X, y)
    assert len(list(tmp_path.rglob("output.pkl"))) == 2 + 1
    again = clone(model).set_params(rule="one_std_error").fit(X, y)
    assert len(list(tmp_path.rglob("output.pkl"))) == 2 + 1
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_score"], model.cv_results_["mean_test_score"]
    )


@both
def test_two_workers_find_the_same(kind):
    make, _, table, _, _ = KINDS[kind]
    X, y = table()
    one, two = make().fit(X, y), make(n_jobs=2).fit(X, y)
    for name, value in one.cv_results_.items():
        np.testing.assert_array_equal(two.cv_results_[name], value)
    np.testing.assert_array_equal(two.predict(X), one.predict(X))


# --------------------------------------------------------------------------------- the choice


def results(scores, neurons, macs=None):
    scores = np.asarray(scores, dtype=float)
    return {
        **{f"split{k}_test_score": each for k, each in enumerate(scores)},
        "mean_test_score": scores.mean(axis=0),
        "mean_n_neurons": np.asarray(neurons, dtype=float),
        "mean_n_macs": np.asarray(neurons if macs is None else macs, dtype=float),
    }


def test_rules_on_constructed_scores():
    # Means .90, .92, .91, .88; at the best one a standard error of .02 / sqrt(4) = .01.
    spread = np.array([-1, 1, -1, 1])[:, None] * 0.01 * np.sqrt(3)
    found = results(np.array([0.9, 0.92, 0.911, 0.88]) + spread, [100, 75, 50, 10])
    assert choose(found, "best", "neurons") == 1
    assert choose(found, "one_std_error", "neurons") == 2
    # A little further away it is one standard error too far.
    found = results(np.array([0.9, 0.92, 0.909, 0.88]) + spread, [100, 75, 50, 10])
    assert choose(found, "one_std_error", "neurons") == 1
    # The order of the grid does not matter, and sizes count in the unit of the budget.
    found = results(np.array([0.88, 0.912, 0.92, 0.911]) + spread, [10, 50, 75, 51], [1, 9, 8, 7])
    assert choose(found, "one_std_error", "neurons") == 1
    assert choose(found, "one_std_error", "macs") == 3


def test_the_standard_error_is_that_of_the_best():
    """Its own folds agree, whatever the others' do."""
    scores = np.array([[0.90, 0.9, 0.5], [0.90, 0.8, 0.9], [0.90, 0.9, 1.0]])
    assert choose(results(scores, [9, 5, 1]), "one_std_error", "neurons") == 0


def test_equal_scores_go_to_the_smaller_network():
    scores = np.full((3, 4), 0.9)
    assert choose(results(scores, [9, 5, 1, 7]), "best", "neurons") == 2
    # Equal but for the order of a sum.
    scores[:, 0] += 1e-15
    assert choose(results(scores, [9, 5, 1, 7]), "best", "neurons") == 2
    # One size, two scores: a grid may say the same twice in other words.
    scores = np.array([[0.9, 0.8, 0.85], [0.9, 1.0, 0.96]])
    assert choose(results(scores, [9, 5, 5]), "one_std_error", "neurons") == 2


def test_one_fold_has_no_standard_error():
    assert choose(results([[0.9, 0.91, 0.8]], [9, 5, 1]), "one_std_error", "neurons") == 1


def test_budgets_without_a_score_are_not_chosen():
    scores = np.array([[0.9, np.nan, 0.5], [0.9, 1.0, 0.5]])
    assert choose(results(scores, [9, 5, 1]), "best", "neurons") == 0


@both
def test_the_rule_decides_on_the_size(kind):
    make, _, table, _, _ = KINDS[kind]
    X, y = table(200)
    best = make(rule="best", cv=4).fit(X, y)
    small = make(rule="one_std_error", cv=4).fit(X, y)
    np.testing.assert_array_equal(
        best.cv_results_["mean_test_score"], small.cv_results_["mean_test_score"]
    )
    assert sizes(small) <= sizes(best)
    scores = [best.cv_results_[f"split{k}_test_score"][best.best_index_] for k in range(4)]
    error = np.std(scores, ddof=1) / np.sqrt(4)
    left = best.cv_results_["mean_n_neurons"]
    good = best.cv_results_["mean_test_score"] >= best.best_score_ - error
    assert left[small.best_index_] == left[good].min()


# ----------------------------------------------------------------- what else a search may need


def test_scoring_decides_and_scores():
    X, y = classes_table(200)
    net = small_classifier(max_epochs=40)
    model = chooser(net, scoring="neg_log_loss").fit(X, y)
    assert (model.cv_results_["mean_test_score"] < 0).all()
    assert model.score(X, y) == get_scorer("neg_log_loss")(model, X, y)
    assert model.pruning_report_.score_name == "neg_log_loss"

    def by_size(estimator, X, y):
        return -sum(estimator.hidden_layer_sizes_) if hasattr(estimator, "pruning_path_") else 0.0

    assert chooser(scoring=by_size).fit(X, y).best_budget_ == 0.8


def weighted(**params):
    return chooser(plain_classifier(WeightedClassifier), budgets=(0, 0.5), **params)


def test_weights_in_training_and_in_scores():
    X, y = classes_table()
    weights = np.random.default_rng(0).integers(0, 4, len(y)).astype(float)
    model = weighted().fit(X, y, sample_weight=weights)
    for fold, (train, test) in enumerate(StratifiedKFold(2).split(X, y)):
        one = classifier(plain_classifier(WeightedClassifier))
        one.fit(X[train], y[train], sample_weight=weights[train])
        wanted = accuracy_score(y[test], one.predict(X[test]), sample_weight=weights[test])
        assert model.cv_results_[f"split{fold}_test_score"][1] == wanted
    score = accuracy_score(y, model.predict(X), sample_weight=weights)
    assert model.score(X, y, sample_weight=weights) == score


def test_groups():
    X, y = classes_table()
    groups = np.arange(len(y)) % 3
    model = chooser(cv=GroupKFold(3), budgets=(0, 0.5)).fit(X, y, groups=groups)
    by_hand = chooser(cv=list(LeaveOneGroupOut().split(X, y, groups)), budgets=(0, 0.5)).fit(X, y)
    ours, theirs = (
        {tuple(m.cv_results_[f"split{k}_test_score"]) for k in range(3)} for m in (model, by_hand)
    )
    assert ours == theirs
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        model.fit(X, y, colours=groups)


def test_metadata_routing():
    X, y = classes_table()
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    groups = np.arange(len(y)) % 3
    plain = weighted(cv=GroupKFold(3)).fit(X, y, sample_weight=weights, groups=groups)
    scorer = make_scorer(accuracy_score)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = weighted(cv=GroupKFold(3), scoring=scorer.set_score_request(sample_weight=True))
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False),
                             asked.set_fit_request(sample_weight=True))  # fmt: skip
        asked.fit(X, y, sample_weight=weights, groups=groups)
        silent = weighted(cv=GroupKFold(3), scoring=scorer.set_score_request(sample_weight=False))
        silent.fit(X, y, sample_weight=weights, groups=groups)
        fitted = clone(pipe).fit(X, y, sample_weight=weights, groups=groups)
        assert fitted[-1].best_budget_ in (0, 0.5)
    same, other = asked.cv_results_["mean_test_score"], silent.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(same, plain.cv_results_["mean_test_score"])
    assert not np.array_equal(same, other)


def test_in_a_pipeline_a_grid_and_a_cross_validation():
    X, codes = classes_table()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    y = np.array(["no", "perhaps", "yes"])[codes]
    pipe = make_pipeline(
        StandardScaler().set_output(transform="pandas"), chooser(budgets=(0, 0.5), cv=2)
    )
    search = GridSearchCV(
        pipe, {"mabprunedclassifiercv__estimator__lr": [0.01, 0.03]}, cv=2, error_score="raise"
    ).fit(frame, y)
    best = search.best_estimator_[-1]
    assert list(best.feature_names_in_) == list("abcdef")
    assert set(best.predict(search.best_estimator_[0].transform(frame))) <= set(y)
    assert np.isfinite(cross_val_score(pipe, frame, y, cv=2, error_score="raise")).all()


def test_random_states():
    X, y = classes_table()
    # Accuracies of few rows are equal by chance now and then, losses are not.
    options = {"refit": False, "budgets": (0.5,), "scoring": "neg_log_loss"}
    loose = chooser(random_state=None, **options)
    scores = [loose.fit(X, y).cv_results_["mean_test_score"] for _ in range(2)]
    assert not np.array_equal(*scores)
    state = np.random.RandomState(0)
    moving = chooser(random_state=state, **options)
    scores = [moving.fit(X, y).cv_results_["mean_test_score"] for _ in range(2)]
    assert not np.array_equal(*scores)
    moving.set_params(random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(moving.fit(X, y).cv_results_["mean_test_score"], scores[0])


def test_folds_do_not_warn_that_large_budgets_cost():
    X, y = classes_table(200)
    net = small_classifier(max_epochs=40)
    quiet = chooser(net, tolerance=0.0, budgets=(0, 0.9), fine_tune_epochs=0, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet.fit(X, y)
    with pytest.warns(PruningWarning, match="pruning_budget=0.9 costs more than tolerance=0.0"):
        quiet.set_params(budgets=(0.9,), refit=True).fit(X, y)


def test_progress_over_folds(caplog, capsys):
    X, y = classes_table()
    chooser(verbose=2, refit=False).fit(X, y)
    lines = [record.message for record in caplog.records]
    assert [line.split(",")[0] for line in lines[:2]] == [
        "cross-validation: 1 of 2 folds",
        "cross-validation: 2 of 2 folds",
    ]
    # The folds themselves are quiet.
    assert all(line.startswith("cross-validation: ") for line in lines)
    assert capsys.readouterr().out == ""


# ------------------------------------------------------------------------- as a fitted estimator


@both
def test_it_has_what_its_estimator_has(kind):
    make, _, table, _, _ = KINDS[kind]
    X, y = table()
    model = make().fit(X, y)
    best = model.best_estimator_
    assert type(best) is (MABPrunedClassifier if kind == "classifier" else MABPrunedRegressor)
    assert best.pruning_budget == model.best_budget_
    for name in vars(best):
        if name.endswith("_") and not name.startswith("_"):
            assert getattr(model, name) is getattr(best, name)
    sized = model.at_budget(0.7, X, y)
    assert type(sized) is type(best)
    assert sizes(sized) == 6
    np.testing.assert_array_equal(sized.predict(X), best.at_budget(0.7, X, y).predict(X))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.cv_results_.keys() == model.cv_results_.keys()
    new = clone(model)
    assert not [name for name in vars(new) if name.endswith("_")]
    assert new.get_params()["estimator__lr"] == 0.01


@pytest.mark.parametrize(
    ("one", "many"),
    [(MABPrunedClassifier, MABPrunedClassifierCV), (MABPrunedRegressor, MABPrunedRegressorCV)],
)
def test_parameters_are_those_of_the_estimator(one, many):
    ours, theirs = many().get_params(), one().get_params()
    own = {"budgets": (0, 0.25, 0.5, 0.75, 0.9), "cv": None, "rule": "best", "refit": True,
           "n_jobs": None}  # fmt: skip
    theirs.pop("pruning_budget")
    assert ours == theirs | own
    assert set(ours) == set(many._parameter_constraints)
    for name in ours:
        assert f"\n    {name} : " in many.__doc__, f"{name} is not documented"
    assert "pruning_budget :" not in many.__doc__


@both
def test_what_it_gives_away_is_its_estimators(kind, tmp_path):
    make, _, table, _, _ = KINDS[kind]
    X, y = table()
    pipe = make_pipeline(StandardScaler(), make()).fit(X, y)
    model, rows = pipe[-1], pipe[0].transform(X)
    predict = "predict_proba" if kind == "classifier" else "predict"
    np.testing.assert_allclose(
        getattr(model.to_sklearn(), predict)(rows), getattr(model, predict)(rows), atol=1e-9
    )
    assert model.to_onnx() == model.best_estimator_.to_onnx()
    session = onnxruntime.InferenceSession(pipeline_to_onnx(pipe, X).SerializeToString())
    found = session.run(None, {"X": X})[-1]
    np.testing.assert_allclose(np.squeeze(found), getattr(pipe, predict)(X), atol=1e-9)
    with pytest.raises(TypeError, match="Of a search save best_estimator_"):
        model.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
    model.best_estimator_.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))
    assert loaded.pruning_budget == model.best_budget_


def test_without_refit_there_is_nothing_to_predict_with():
    X, y = classes_table()
    model = chooser(refit=False)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.fit(X, y)
    assert model.best_budget_ in GRID
    for ask in (model.predict, model.predict_proba, lambda X: model.at_budget(0.5)):
        with pytest.raises(AttributeError, match="refit=False"):
            ask(X)
    for export in (model.to_torch, model.to_sklearn, model.to_onnx):
        with pytest.raises(NotFittedError, match="refit=False"):
            export()


def test_keep_path_is_for_the_refit():
    X, y = classes_table()
    model = chooser(keep_path=False).fit(X, y)
    assert not model.pruning_path_.networks
    with pytest.raises(ValueError, match="keep_path=True"):
        model.at_budget(0.5)


def test_a_refit_that_fails_leaves_nothing():
    X, y = classes_table()
    model = chooser(budgets=(0.5,)).fit(X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, y[:-1])
    assert not [name for name in vars(model) if name.endswith("_")]


@pytest.mark.parametrize("call", [2, 9])
@pytest.mark.filterwarnings("ignore:Pruning was interrupted:sklearn_mabprune.PruningWarning")
def test_ctrl_c_in_a_fold_ends_the_search(call, monkeypatch):
    """A fold does not score what a half-finished path has left."""
    X, y = classes_table()
    model = chooser()
    original, calls = sklearn_mabprune.pruning.path.remove_together, []

    def interrupted(*args):
        calls.append(0)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(sklearn_mabprune.pruning.path, "remove_together", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not [name for name in vars(model) if name.endswith("_")]


# ---------------------------------------------------------------------------------- bad input


def test_grids_are_read_as_plain_numbers():
    found = check_budgets(np.array([0.5, 0.0]))
    assert found == [0.5, 0.0]
    assert {type(each) for each in found} == {float}
    assert [type(each) for each in check_budgets(np.arange(3))] == [int] * 3


@pytest.mark.parametrize(
    "budgets", [[], [0.5, 1.0], [-1], [-0.1], [True], ["auto"], [0.5, None], [np.nan], [[1, "a"]]]
)
def test_grids_that_are_none(budgets):
    X, y = classes_table()
    with pytest.raises(ValueError, match=r"budgets=.*(share in \[0, 1\)|at least one)"):
        chooser(budgets=budgets).fit(X, y)


def test_a_budget_twice():
    with pytest.raises(ValueError, match="each one once"):
        check_budgets([0.5, 0.25, 0.5])


def test_wrong_parameters_and_data():
    X, y = classes_table()
    for params, message in (
        ({"rule": "worst"}, "'rule' parameter"),
        ({"budgets": 0.5}, "'budgets' parameter"),
        ({"cv": "three"}, "'cv' parameter"),
        ({"refit": "accuracy"}, "'refit' parameter"),
        ({"n_jobs": 1.5}, "'n_jobs' parameter"),
        ({"step": -1}, "'step' parameter"),
        ({"budgets": (0.5, 19)}, "at most 18 neurons"),
        ({"cv": 80}, "n_splits=80"),
        ({"estimator": StandardScaler()}, "must be a skorch NeuralNetClassifier"),
        ({"policy": "best"}, "policy='best' is unknown"),
    ):
        model = chooser().set_params(**params)
        with pytest.raises((ValueError, TypeError), match=message):
            model.fit(X, y)
        assert not [name for name in vars(model) if name.endswith("_")], params
    with pytest.raises(ValueError, match="1 class"):
        chooser().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="sample_weight"):
        chooser().fit(X, y, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match="policy__exploration cannot be set"):
        chooser().set_params(policy__exploration=1.0)
    assert chooser(policy=UCB1()).set_params(policy__exploration=0.1).policy.exploration == 0.1
    with pytest.raises(ValueError, match=r"MABPrunedClassifierCV\(MLPNetClassifier\(\)\)"):
        MABPrunedClassifierCV().set_params(estimator__lr=0.1)
    assert MABPrunedClassifierCV(MLPNetClassifier()).set_params(estimator__lr=0.1)


@pytest.mark.filterwarnings("ignore:Scoring failed")
def test_no_score_anywhere():
    X, y = classes_table()
    with pytest.raises(ValueError, match=r"No budget has a finite mean score.* Take a scoring"):
        # Of the folds' estimators; their networks have one on their own validation rows.
        chooser(
            scoring=lambda model, X, y: np.nan if isinstance(model, MABPrunedClassifier) else 1.0
        ).fit(X, y)
    with pytest.raises(ValueError, match=r"scoring=.* gives nan on the validation rows"):
        chooser(scoring=lambda model, X, y: np.nan).fit(X, y)
