"""What two fits leave behind, compared in everything but times."""

from __future__ import annotations

import numpy as np
from user_nets import same_state, state

TIMES = ("seconds_training", "seconds_pruning", "seconds_fine_tuning")


def plain(value):
    """Generators and networks as what can be compared."""
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return plain(vars(value)) if hasattr(value, "__dict__") else value


def numbers(report):
    """A report without what depends on the clock."""
    found = report.to_dict()
    # Values that objects share are a part of the pickle.
    for name in (*TIMES, "n_bytes_pickle"):
        found.pop(name)
    for network in ("before", "after"):
        found[network].pop("ms_sample")
        found[network].pop("ms_batch")
    return found


def assert_same_fit(found, wanted, X):
    """Everything that a fit leaves behind, but for times."""
    assert found.get_params(deep=False).keys() == wanted.get_params(deep=False).keys()
    assert found.pruning_budget == wanted.pruning_budget
    ours, theirs = (
        {k for k in vars(m) if k.endswith("_") and k[0] != "_"} for m in (found, wanted)
    )
    assert ours == theirs
    assert same_state(state(found.estimator_), state(wanted.estimator_))
    predict = "predict_proba" if hasattr(found, "predict_proba") else "predict"
    np.testing.assert_array_equal(getattr(found, predict)(X), getattr(wanted, predict)(X))
    for name in ("neuron_support_", "neuron_ranking_"):
        np.testing.assert_equal(getattr(found, name), getattr(wanted, name))
    for name in ("hidden_layer_sizes_", "n_pulls_", "validation_fraction_", "n_features_in_"):
        assert getattr(found, name) == getattr(wanted, name)
        assert type(getattr(found, name)) is type(getattr(wanted, name))
    np.testing.assert_equal(plain(found.policy_), plain(wanted.policy_))
    path, expected = plain(found.pruning_path_), plain(wanted.pruning_path_)
    resume, complete = path.pop("resume"), expected.pop("resume")
    path.pop("seconds")
    expected.pop("seconds")
    # Of rounds that were known, estimates are there where the first path kept them.
    estimates, complete_estimates = path.pop("estimates"), expected.pop("estimates")
    assert max(estimates, default=0) == max(complete_estimates, default=0)
    for number, kept in estimates.items():
        np.testing.assert_array_equal(kept, complete_estimates[number])
    np.testing.assert_equal(path, expected)
    # Where the longer path kept nothing, neither does the shorter one.
    for number, kept in resume.pop("states").items():
        np.testing.assert_equal(kept, complete["states"][number])
    complete.pop("states")
    np.testing.assert_equal(resume, complete)
    np.testing.assert_equal(numbers(found.pruning_report_), numbers(wanted.pruning_report_))
