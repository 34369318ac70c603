"""Shared documentation of parameters and attributes of the estimators, by name.

A class docstring names an entry on a line of its own, as ``{policy}``, and the decorator
:func:`documented` replaces the line by the entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import dedent, fill

from ..criteria import CRITERIA
from ..policies import POLICIES
from ..utils.docstrings import documented_by


def _listed(names: Iterable[str]) -> str:
    """Comma-separated names, wrapped to the width of the entries."""
    return fill(", ".join(names), 80).replace("\n", "\n" + 12 * " ")


_PARAMETERS = {
    "policy": f"""
        policy : str, Policy or Criterion, default="boundary"
            Selects the units to measure next, and the units to remove.  Policies pull:
            {_listed(POLICIES)}.
            Criteria score weights and pull nothing:
            {_listed(CRITERIA)}.
            Pass an object to tune its parameters as ``policy__...``.
        """,
    "pruning_budget": """
        pruning_budget : float in [0, 1), int or "auto", default=0.5
            How much is removed: a fraction (rounded down) or a count, in `budget_unit`.  0
            removes nothing.  "auto" follows the whole path and keeps the smallest network
            whose fine-tuned validation score is within `tolerance` of the unpruned one's.
        """,
    "budget_unit": """
        budget_unit : {"neurons", "parameters", "macs"}, default="neurons"
            What the budget counts: hidden units, parameters, or MACs per sample
            (multiply-accumulate operations).  For the last two, units are removed until at
            least that much is gone.
        """,
    "pulls_per_neuron": """
        pulls_per_neuron : float, default=10
            Measurement budget: a round may spend ``pulls_per_neuron * step`` pulls, with
            `step` the number of units that it removes.  More pulls help with many classes
            or noisy labels; the time grows in proportion.
        """,
    "pull_batch_size": """
        pull_batch_size : int or "auto", default="auto"
            Samples per pull.  "auto" is 512, or all pruning samples if there are fewer:
            then every pull is exact.
        """,
    "arms_per_pull": """
        arms_per_pull : int or "auto", default="auto"
            Batch size of the bandit (delayed feedback): how many units the policy selects
            before it sees their rewards.  "auto" is a quarter of the round's pulls, at most
            a quarter of the remaining units.  1 is the textbook bandit: slower, rarely
            better.
        """,
    "ablation": """
        ablation : {"least_squares", "mean", "zero"}, default="least_squares"
            What replaces a removed unit: its least-squares prediction from the other units
            of its layer, its mean, or zero (without compensation).  Pulls measure exactly
            this removal.
        """,
    "ridge": """
        ridge : float, default=0.001
            Ridge penalty of least squares, as a fraction of the layer's mean activation
            variance.  Raise it if there are few pruning samples for the width of a layer.
        """,
    "step": """
        step : int, float in (0, 1] or "auto", default="auto"
            Units removed per round: as in RFE a count, or a fraction of all units, at least
            1; "auto" is 14 % in the first round, falling towards 6 % of those that are
            left.  Smaller steps measure more often; 1.0 removes everything after one
            ranking.
        """,
    "discount": """
        discount : float in [0, 1], default=0.9
            Weight of earlier observations after each removal, since removals change the
            loss increase of the other units.  0 starts every round afresh, 1 never forgets.
        """,
    "rank_by": """
        rank_by : {"loss", "loss_per_mac"}, default="loss"
            Rank units by their loss increase, or by loss increase per MAC that their
            removal saves.  The second gives faster networks at the same number of units.
        """,
    "control_variate": """
        control_variate : {"auto", "linear", "fisher"} or None, default="auto"
            Estimate the loss increase of every unit from backward passes before each
            round's pulls.  The estimates replace observations of earlier rounds and reduce
            the variance of pulls, for every policy.  "linear" takes one pass per output, at
            most three for classes, and is nearly exact; "fisher" takes two passes.  None
            means plain pulls.  "auto" is "linear" for the policy "boundary", which needs
            estimates, and None for all others.  Ignored for criteria.
        """,
    "scope": """
        scope : {"global", "layer"}, default="global"
            Compare all hidden units, or remove the same fraction of every hidden layer.
        """,
    "layers": """
        layers : str, list of str or None, default=None
            Hidden layers that are pruned: names, patterns such as ``"encoder.*"``, or kinds of
            units, "neurons", "channels" or "heads".  A fraction as `pruning_budget` then
            counts the units of these layers alone.  None is all of them.  The report of a fit
            lists the names.  "streams" are the units that residual blocks add to, and
            "members" the networks that an ensemble inside the module averages; neither None
            nor a pattern means these.
        """,
    "min_neurons": """
        min_neurons : int or dict of str to int, default=1
            Units that every hidden layer keeps.  A dict says so for layers by name, pattern or
            kind, as in `layers`; of several that match the largest number counts, and
            other layers keep one unit.
        """,
    "fine_tune_epochs": """
        fine_tune_epochs : int or "auto", default="auto"
            Epochs of training after pruning.  "auto" is a quarter of the epochs of the
            initial training; if the validation loss is then more than one standard error
            above the unpruned network's, half as many follow, and then as many again.
        """,
    "fine_tune_lr": """
        fine_tune_lr : float or "auto", default="auto"
            Largest learning rate of fine-tuning: in each of its cycles it falls to 0 along a
            cosine, with every step; for modules of your own that are not chains of layers it
            rises before, in the first fifth of the steps.  "auto" is ten times the net's
            ``lr``, or .01 where that is "auto", for Adam and its variants, since small
            networks tolerate larger steps and have few epochs, and ``lr`` itself for other
            optimizers and for modules of your own that are neither chains nor have batch
            norms.
        """,
    "distillation": """
        distillation : float in [0, 1], default=0.7
            Weight of the fine-tuning loss with respect to the unpruned network's outputs; 0
            learns from y alone.
        """,
    "temperature": """
        temperature : float, default=2.0
            Softens class probabilities in distillation.
        """,
    "teacher": """
        teacher : "auto", estimator, FrozenEstimator or None, default=None
            Model that teaches the network: its predictions for samples that it has not seen
            are mixed into the targets.  "auto" is scikit-learn's HistGradientBoosting, which
            is told which columns of X are one-hot categories.  Any estimator with ``fit``
            and ``predict_proba`` (for a regressor ``predict``) will do; it is cloned.  See
            the page :ref:`teachers`.
        """,
    "teacher_cv": """
        teacher_cv : int, splitter or "unseen", default=5
            Folds in which the teacher labels training samples that it was not fitted on;
            copies of a sample are in one fold.  For samples ordered by time pass a splitter,
            such as TimeSeriesSplit; samples that it never tests keep their targets.  `groups` of
            ``fit`` are in one fold each; without them a splitter that asks for groups, such as
            GroupKFold, is given groups of copies of a sample.  "unseen" says that a
            FrozenEstimator was fitted on other samples than X; without it a frozen teacher
            labels synthetic samples only.
        """,
    "teacher_weight": """
        teacher_weight : float in [0, 1] or "auto", default="auto"
            Fraction of the teacher's labels in the targets of training samples.  "auto"
            trains networks without the teacher on its folds and compares both on samples
            that neither has seen: 0 (the teacher is not used) if the best mixture of their
            predictions is that of the networks alone, or almost; otherwise 0.5, and the
            teacher's labels are averaged with the predictions of these networks.
        """,
    "n_synthetic": """
        n_synthetic : int, float or "auto", default="auto"
            Synthetic samples that the teacher labels: a count, or a multiple of the training
            samples.  Each is a training sample in which features are exchanged with those of
            near neighbours.  "auto" is 4 times the training samples.  Sparse X has none.
        """,
    "keep_teacher": """
        keep_teacher : bool, default=False
            Keep the teacher, fitted on all training samples, as ``teacher_``.
        """,
    "validation_fraction": """
        validation_fraction : float in (0, 1), default=0.1
            Fraction of the samples held out for early stopping, scores and tolerance,
            chosen by their content, so that copies of a sample are on the same side; with
            `groups` whole groups.  Ignored with `X_val`.
        """,
    "tolerance": """
        tolerance : float, default=0.02
            Acceptable loss of validation score, in units of `scoring`: the limit for
            ``pruning_budget="auto"``; a fixed budget warns if it loses more.
        """,
    "max_pruning_samples": """
        max_pruning_samples : int, default=4096
            Maximum number of training samples that pulls and least squares use.  On modules that
            are no chains, losses, pulls and estimates use fewer of them where a sample costs many
            MACs: as many as take 2^33 MACs, but at least 256.
        """,
    "keep_path": """
        keep_path : {"memory", "always", "never"}, default="memory"
            Where ``pruning_path_`` keeps up to a dozen networks, from which ``at_budget``
            starts, and what was measured on the way.  "memory": in the fitted estimator
            alone; pickles, files of ``save`` and estimators that joblib's processes return
            have the pruned network, the report and the order of removal.  "always": there,
            too; may be set before pickling.  "never": no networks at all.
        """,
    "memory": """
        memory : str, path-like, joblib.Memory or None, default=None
            Caches the initial training, as in Pipeline: a grid search over policies and
            budgets then trains once per fold.  Needs an integer `random_state`.  What is in the
            folder is unpickled: only you should be able to write to it.
        """,
    "random_state": """
        random_state : int, RandomState or None, default=None
            Source of all randomness; global states are left alone.  The same seed removes
            the same units for a given number of torch threads.
        """,
    "verbose": """
        verbose : int, default=0
            1 shows a progress bar, on terminals and in notebooks; 2 writes a line per
            round, through the logger ``sklearn_mabprune`` at level INFO, and to stderr if
            that logger has no handler.
        """,
}

_ATTRIBUTES = {
    "classes_": """
        classes_ : ndarray of shape (n_classes,)
            Class labels; column indices where y was a multilabel indicator matrix.
        """,
    "multilabel_": """
        multilabel_ : bool
            Whether y was a multilabel indicator matrix.
        """,
    "estimator_": """
        estimator_ : skorch net
            The pruned, fine-tuned network; ``partial_fit`` continues its training (from a
            pickle or file without its history, and with a new optimizer).  A
            classifier's net takes classes as indices into ``classes_``: pass
            ``np.searchsorted(classes_, y)``.
        """,
    "policy_": """
        policy_ : Policy or Criterion
            The fitted policy.  Not in pickles unless ``keep_path="always"``.
        """,
    "neuron_support_": """
        neuron_support_ : list of ndarray of bool
            For each hidden layer, which of its original units were kept.
        """,
    "neuron_ranking_": """
        neuron_ranking_ : list of ndarray of int
            For each hidden layer 1 for kept units, 2 for those removed last, and so on.
        """,
    "hidden_layer_sizes_": """
        hidden_layer_sizes_ : tuple of int
            Units left in each hidden layer.
        """,
    "pruning_path_": """
        pruning_path_ : PruningPath
            Results of all rounds as arrays, and networks kept along the path.  Pickles have
            its sizes and the order of removal unless ``keep_path="always"``.
        """,
    "pruning_report_": """
        pruning_report_ : PruningReport
            Size, speed and score before and after; prints as a table.
        """,
    "n_pulls_": """
        n_pulls_ : int
            Number of pulls on the whole path.
        """,
    "validation_fraction_": """
        validation_fraction_ : float
            Fraction of samples that were held out for validation; 1 if all samples served
            for both, 0 with `X_val`.
        """,
    "n_iter_": """
        n_iter_ : int
            Number of epochs of the initial training.
        """,
    "loss_curve_": """
        loss_curve_ : list of float
            Training loss of each of these epochs.
        """,
    "validation_scores_": """
        validation_scores_ : list of float
            Negative validation loss of each of these epochs.
        """,
    "teacher_": """
        teacher_ : estimator
            The fitted teacher, if ``keep_teacher``.
        """,
    "n_features_in_": """
        n_features_in_ : int
            Number of features seen in fit.
        """,
    "feature_names_in_": """
        feature_names_in_ : ndarray of str
            Names of features seen in fit; only set if X has string column names.
        """,
}

_SEARCH = {
    "budgets": """
        budgets : array-like of float in [0, 1) or int, default=(0, 0.25, 0.5, 0.75, 0.9)
            The grid: fractions or counts to remove, in the `budget_unit` of the estimator.
            0 is the unpruned network.
        """,
    "cv": """
        cv : int, cross-validation generator or iterable, default=None
            Folds, as everywhere in scikit-learn; None: 5, stratified for classes.
        """,
    "rule": """
        rule : {"best", "one_std_error"}, default="best"
            Which budget is chosen: the one with the highest mean score, or the smallest
            network whose mean score is at most one standard error below that of the best.
            Among equals the smallest network is chosen, in the `budget_unit` of the
            estimator.
        """,
    "refit": """
        refit : bool or str, default=True
            Fit on all samples with the chosen budget; False only sets ``cv_results_`` and
            ``best_budget_``, ``best_index_`` and ``best_score_``.  With several scores the
            name of the one by which the budget is chosen; with False none is.
        """,
    "error_score": """
        error_score : "raise" or float, default=nan
            Score where the fit of a fold or a scorer raises a ValueError.  NaN: the fold is
            left out of the means, with a warning that says why.
        """,
    "return_train_score": """
        return_train_score : bool, default=False
            Score the training samples of each fold, too.
        """,
    "cv_random_state": """
        random_state : int, RandomState or None, default=None
            Takes the place of the estimator's `random_state`, unless None.
        """,
    "n_jobs": """
        n_jobs : int or None, default=None
            Folds computed in parallel, as everywhere in scikit-learn.
        """,
    "cv_verbose": """
        verbose : int, default=0
            Progress over the folds: 1 shows a bar, 2 writes a line per fold.  Fits in the
            folds are quiet; the refit shows what ``estimator__verbose`` says.
        """,
    "cv_results_": """
        cv_results_ : dict
            In the layout of ``GridSearchCV``, one entry per budget: ``params``,
            ``split0_test_score`` and so on, ``mean_test_score``, ``std_test_score``,
            ``rank_test_score``; with `return_train_score` those of the training samples; and
            the mean size of the networks over the folds, ``mean_n_neurons``,
            ``mean_n_parameters`` and ``mean_n_macs``.  ``mean_fit_time`` and ``std_fit_time``
            are the seconds that a fit with this budget takes: a fold trains once for all of
            them.  ``mean_score_time`` and ``std_score_time`` are those of the test samples.
        """,
    "n_splits_": """
        n_splits_ : int
            Number of folds.
        """,
    "refit_time_": """
        refit_time_ : float
            Seconds of the fit on all samples; only set with `refit`.
        """,
    "best_budget_": """
        best_budget_ : float or int
            The chosen budget.
        """,
    "best_index_": """
        best_index_ : int
            Index of the chosen budget in ``cv_results_``.
        """,
    "best_score_": """
        best_score_ : float
            Mean score of the chosen budget over the folds.
        """,
}

#: The text of each entry, by the name that class docstrings have for it.
ENTRIES = {
    name: dedent(text).strip() for name, text in (_PARAMETERS | _ATTRIBUTES | _SEARCH).items()
}

#: Class decorator that fills these entries into a docstring.
documented = documented_by(ENTRIES)
