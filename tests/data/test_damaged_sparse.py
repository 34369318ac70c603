"""Sparse matrices whose index arrays lead outside: refused before SciPy reads memory with them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from refusals import refused
from scipy import sparse
from user_nets import classes_table, classifier

from sklearn_mabprune.data.sparse import is_consistent

DAMAGES = {
    "column beyond the last": ("indices", 3, 10**6),
    "column below the first": ("indices", 3, -1),
    "end beyond the values": ("indptr", -1, 10**6),
    "start after the next": ("indptr", 5, 10**5),
    "start before the last": ("indptr", 5, 0),
    "first start": ("indptr", 0, 2),
}


def damaged(name, form="csr"):
    X = sparse.csr_matrix(classes_table()[0]).asformat(form)
    part, where, value = DAMAGES[name]
    changed = getattr(X, part).copy()
    changed[where] = value
    setattr(X, part, changed)
    return X


@cache
def fitted(kind):
    X, y = classes_table()
    return classifier(pruning_budget=0).fit(sparse.csr_matrix(X) if kind == "sparse" else X, y)


@pytest.mark.parametrize("name", DAMAGES)
def test_refused_in_fit_validation_and_prediction(name):
    X, y = classes_table()
    message = "sparse matrix in format csr whose index arrays lead outside .* Build it anew"
    refused(classifier(), message, damaged(name), y)
    refused(classifier(), f"X_val cannot be used: .*{message}", X, y, X_val=damaged(name), y_val=y)
    for kind in ("dense", "sparse"):
        with pytest.raises(ValueError, match=message):
            fitted(kind).predict(damaged(name))


@pytest.mark.parametrize("form", ["csc", "bsr"])
@pytest.mark.parametrize("name", ["column beyond the last", "end beyond the values"])
def test_other_compressed_formats(form, name):
    with pytest.raises(ValueError, match=f"sparse matrix in format {form} whose"):
        fitted("sparse").predict(damaged(name, form))


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo", "lil", "dok"])
def test_whole_ones_are_read(form):
    X, _ = classes_table()
    whole = sparse.csr_matrix(np.where(np.abs(X) > 1, X, 0.0)).asformat(form)
    assert is_consistent(whole)
    assert is_consistent(sparse.csr_matrix((0, 3)))
    np.testing.assert_array_equal(
        fitted("sparse").predict(whole), fitted("sparse").predict(whole.toarray())
    )
