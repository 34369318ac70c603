"""What a pickle of an estimator keeps, and how it opens."""

from __future__ import annotations

import copy
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator

from ..exceptions import ModelFileError, NotKeptError
from ..reports.path_outline import outline_of, path_of_outline
from ..training.packing import pack_net, unpack_net, untrained

#: Version of what ``__getstate__`` returns.
PICKLE_FORMAT = 2

# Attributes that follow from the path, the sizes and the report.
_DERIVED = ("neuron_ranking_", "neuron_support_", "n_pulls_")

# Attributes that are there only with keep_path="always".
_LEFT_OUT = ("policy_", "n_iter_", "loss_curve_", "validation_scores_")


class CopiedWhole:
    """Mixin of classes whose pickles leave something out, but copies in memory do not."""

    def __copy__(self) -> Any:
        new = object.__new__(type(self))
        vars(new).update(vars(self))
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        new = object.__new__(type(self))
        memo[id(self)] = new
        vars(new).update(copy.deepcopy(vars(self), memo))
        return new


class Pickles(CopiedWhole, BaseEstimator):
    """Mixin of estimators whose pickles are as small as their networks.

    Of a fitted estimator a pickle holds all attributes but these:

    ==================  ===================================  ===================================
    attribute           by default                           with ``keep_path="always"``
    ==================  ===================================  ===================================
    ``estimator_``      parameters and weights of the net    and its history
    ``pruning_path_``   sizes and the order of removal       all of it
    ``policy_``         nothing                              all of it
    ``estimator``       without training, where the          as it is
                        parameter is a net that is trained
    ``teacher``         unfitted                             unfitted
    ``neuron_...``      follow from the path                 follow from the path
    ==================  ===================================  ===================================

    ``copy`` and ``deepcopy`` copy everything.
    """

    keep_path: str

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self), _pickle_format=PICKLE_FORMAT)
        if "estimator_" not in state:
            return state
        whole = self.keep_path == "always"
        for name in _DERIVED:
            del state[name]
        state["estimator_"] = pack_net(state["estimator_"], with_history=whole)
        if not (whole and hasattr(state["pruning_path_"], "networks")):
            state["pruning_path_"] = outline_of(state["pruning_path_"])
        if not whole:
            state.pop("policy_", None)
            state["estimator"] = without_training(state["estimator"])
        state["teacher"] = _unfitted(state["teacher"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        found = state.pop("_pickle_format", 1)
        if found != PICKLE_FORMAT:
            raise ModelFileError(
                f"This pickle of {type(self).__name__} cannot be opened: it has the format "
                f"{found!r} of another version of sklearn_mabprune, and this version reads format "
                f"{PICKLE_FORMAT}. Open it with the version that wrote it, or fit again."
            )
        if "estimator_" in state:
            path = state["pruning_path_"]
            if isinstance(path, dict):
                state["pruning_path_"] = path = path_of_outline(**path)
            state["estimator_"] = unpack_net(state["estimator_"])
            ranking = path.ranking(path.step_of(state["hidden_layer_sizes_"]))
            state["neuron_ranking_"] = ranking
            state["neuron_support_"] = [part == 1 for part in ranking]
            state["n_pulls_"] = state["pruning_report_"].n_pulls
        self.__dict__.update(state)

    def __getattr__(self, name: str) -> Any:
        if name in _LEFT_OUT and "estimator_" in vars(self):
            raise NotKeptError.of(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class PicklesOfSearch(CopiedWhole):
    """Mixin of searches: pickles hold `estimator` as those of the best one hold theirs."""

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        best = state.get("best_estimator_")
        if best is not None and best.keep_path != "always":
            state["estimator"] = without_training(state["estimator"])
        return state


def without_training(estimator: Any) -> Any:
    """A parameter `estimator`, with a net that is not trained in place of one that is."""
    if isinstance(estimator, FrozenEstimator):
        return FrozenEstimator(untrained(estimator.estimator))
    if isinstance(estimator, Pickles):
        given = estimator.get_params(deep=False)
        return clone(estimator).set_params(
            estimator=without_training(given["estimator"]), teacher=_unfitted(given["teacher"])
        )
    return untrained(estimator)


def _unfitted(teacher: Any) -> Any:
    """A parameter `teacher`, without what a fitted one has learned."""
    if teacher is None or isinstance(teacher, str):
        return teacher
    if isinstance(teacher, FrozenEstimator):
        return FrozenEstimator(clone(teacher.estimator))
    return clone(teacher)
