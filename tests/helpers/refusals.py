"""What tests of error messages share."""

from __future__ import annotations

import pytest
from skorch import NeuralNetClassifier
from user_nets import classes_table


def refused(model, message, *data, error=ValueError, **kwargs):
    """Fit is refused with this message, and leaves nothing behind."""
    with pytest.raises(error, match=message):
        model.fit(*(data or classes_table()), **kwargs)
    assert not [name for name in vars(model) if name.endswith("_")]


class Untrained(NeuralNetClassifier):
    """A net that must not be trained."""

    def on_train_begin(self, *args, **kwargs):
        raise AssertionError("trained")
