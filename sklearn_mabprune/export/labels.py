"""Class labels as data that other languages have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def labels_as_data(classes: NDArray[Any], form: str) -> NDArray[Any]:
    """Class labels as int64, or as strings in an array of objects.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    form : str
        What they are exported to, such as "ONNX", for messages.

    Raises
    ------
    ValueError
        If class labels are neither numbers nor strings, or are integers beyond int64.
    """
    if classes.dtype.kind in "iufb":
        # Class labels of a float dtype are integers: scikit-learn refuses others.
        limits = np.iinfo(np.int64)
        beyond = [label for label in classes.tolist() if not limits.min <= label <= limits.max]
        if beyond:
            raise ValueError(
                f"The class label {beyond[0]} is beyond int64 ({limits.min} to {limits.max}), in "
                f"which {form} keeps labels. Fit on strings, y.astype(str), or encode the labels "
                "with LabelEncoder."
            )
        return classes.astype(np.int64)
    if all(isinstance(label, str) for label in classes.tolist()):
        return classes.astype(object)
    raise ValueError(
        f"Class labels must be numbers or strings to be exported to {form}, got "
        f"{classes[:5].tolist()}. Encode them, for example with LabelEncoder, and fit again."
    )
