"""What tests of files share: a fitted estimator's file, and changes of what stands in it."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, settings
from same_values import outputs

from sklearn_mabprune import ModelFileError, load

# Files of a test are written over and over in one folder of its own.
several = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25
)
WAY_OUT = "Use another copy of the file, or save the estimator again."


class Saved:
    """A fitted estimator, its rows, its file in bytes, and what stands in it."""

    def __init__(self, model, X, data, content, tensors):
        self.model, self.X, self.data, self.tensors = model, X, data, tensors
        self.content, self.expected = content, outputs(model, X)

    def same_or_refused(self, path):
        """Either the file holds what was saved, or it is refused."""
        try:
            loaded = load(path)
        except ModelFileError:
            return
        assert np.array_equal(outputs(loaded, self.X), self.expected)
        assert loaded.get_params(deep=False).keys() == self.model.get_params(deep=False).keys()
        assert str(loaded.pruning_report_) == str(self.model.pruning_report_)
        for one, other in zip(loaded.neuron_ranking_, self.model.neuron_ranking_, strict=True):
            assert np.array_equal(one, other)


DELETED = object()


def set_in(content, where, value):
    """Put a value into nested lists and records, or take it out."""
    *path, last = where
    for key in path:
        content = content[key]
    if value is DELETED:
        del content[last]
    else:
        content[last] = value
