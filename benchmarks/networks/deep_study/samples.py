"""Samples of the study: from a folder of data sets, or made of what is inside scikit-learn.

FOLDER holds ``image/mnist_10k.npz`` and ``image/cifar10_2500.npz`` with the arrays ``X_train``,
``y_train``, ``X_test`` and ``y_test``; ``text/sms_spam.csv.gz`` and
``text/movie_review_polarity.csv.gz`` with the columns text and target; and
``classification/letter.csv.gz`` with the column target.  Without FOLDER images are scikit-learn's
digits, and texts and tables are drawn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits, make_classification
from sklearn.model_selection import train_test_split

from .questions import as_numbers, generate

#: Words that networks know; 0 is padding, 1 a word that is not known.
N_WORDS = 2000
#: X and y that networks may be trained on, and X and y that they are scored on.
Pools = tuple[Any, NDArray[np.int64], Any, NDArray[np.int64]]


def at(X: Any, places: Any) -> Any:
    """Some of the samples, of an array or of inputs by name."""
    if isinstance(X, dict):
        return {name: values[places] for name, values in X.items()}
    return X[places]


def split(samples: str, folder: Path | None, n_train: int, n_test: int, seed: int) -> Any:
    """X and y of training, validation and test samples; the test samples are those of every seed.

    Parameters
    ----------
    samples : str
        A key of `READERS`.
    folder : Path or None
    n_train, n_test : int
        At most so many samples; a tenth of the training samples are for validation.
    seed : int
        Of the choice of training and validation samples.
    """
    X, y, X_test, y_test = READERS[samples](folder)
    places, tested = np.arange(len(y)), np.arange(len(y_test))
    if n_train < len(y):
        places, _ = train_test_split(places, train_size=n_train, random_state=seed, stratify=y)
    if n_test < len(y_test):
        tested, _ = train_test_split(tested, train_size=n_test, random_state=0, stratify=y_test)
    train, val = train_test_split(places, test_size=0.1, random_state=seed, stratify=y[places])
    return at(X, train), y[train], at(X, val), y[val], at(X_test, tested), y_test[tested]


def _apart(X: Any, y: Any) -> Pools:
    """Three tenths of the samples for the scores."""
    train, test = train_test_split(np.arange(len(y)), test_size=0.3, random_state=0, stratify=y)
    return at(X, train), y[train], at(X, test), y[test]


def mnist(folder: Path | None) -> Pools:
    """Images of 14 x 14 pixels, means of four each; without FOLDER digits of 8 x 8, doubled."""
    if folder is None:
        images, y = load_digits(return_X_y=True)
        doubled = images.reshape(-1, 8, 8).repeat(2, 1).repeat(2, 2)[:, 1:15, 1:15]
        return _apart((doubled[:, None] / 16).astype(np.float32), y.astype(np.int64))
    return _images(folder / "image" / "mnist_10k.npz", 28)


def cifar(folder: Path | None) -> Pools:
    """Images of 16 x 16 pixels in three colours; without FOLDER digits in shades of one colour."""
    if folder is None:
        images, y = load_digits(return_X_y=True)
        doubled = images.reshape(-1, 1, 8, 8).repeat(2, 2).repeat(2, 3) / 16
        shades = doubled * np.array([1.0, 0.7, 0.4]).reshape(1, 3, 1, 1)
        return _apart(shades.astype(np.float32), y.astype(np.int64))
    return _images(folder / "image" / "cifar10_2500.npz", 32)


def _images(file: Path, size: int) -> Pools:
    arrays = np.load(file)

    def halved(values: NDArray[Any]) -> NDArray[np.float32]:
        values = values.reshape(len(values), size // 2, 2, size // 2, 2, -1).mean(axis=(2, 4))
        return np.ascontiguousarray((values / 255).astype(np.float32).transpose(0, 3, 1, 2))

    X, X_test = halved(arrays["X_train"]), halved(arrays["X_test"])
    return X, arrays["y_train"].astype(np.int64), X_test, arrays["y_test"].astype(np.int64)


def rows(folder: Path | None) -> Pools:
    """Images of `mnist` as sequences of their rows."""
    X, y, X_test, y_test = mnist(folder)
    return X[:, 0], y, X_test[:, 0], y_test


def pairs(folder: Path | None) -> Pools:
    """Two images by name, and whether they are of the same class, as half of them are."""
    X, y, X_test, y_test = mnist(folder)
    return *_paired(X, y, 12000, 0), *_paired(X_test, y_test, 3000, 1)


def _paired(X: Any, y: Any, n_pairs: int, seed: int) -> tuple[dict[str, Any], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    left, right = rng.integers(len(y), size=(2, n_pairs))
    for place in np.flatnonzero(rng.random(n_pairs) < 0.5):
        right[place] = rng.choice(np.flatnonzero(y == y[left[place]]))
    flat = X.reshape(len(X), -1)
    return {"left": flat[left], "right": flat[right]}, (y[left] == y[right]).astype(np.int64)


def sms(folder: Path | None) -> Pools:
    """The first 32 words of messages, and whether they are spam."""
    return _coded("sms_spam", folder, 32)


def reviews(folder: Path | None) -> Pools:
    """The last 100 words of film reviews, and whether they are positive."""
    return _coded("movie_review_polarity", folder, 100)


def review_ends(folder: Path | None) -> Pools:
    """The last 48 words of film reviews, and whether they are positive."""
    return _coded("movie_review_polarity", folder, 48)


def review_words(folder: Path | None) -> Pools:
    """Which of the 1,000 most frequent words a film review has."""
    texts, texts_test, y, y_test = _texts("movie_review_polarity", folder)
    words = {word: k for k, word in enumerate(_frequent(texts, 1000))}

    def found(texts: list[list[str]]) -> NDArray[np.float32]:
        X = np.zeros((len(texts), len(words)), dtype=np.float32)
        for row, text in zip(X, texts, strict=True):
            row[[words[word] for word in text if word in words]] = 1
        return X

    return found(texts), y, found(texts_test), y_test


def _coded(name: str, folder: Path | None, length: int) -> Pools:
    texts, texts_test, y, y_test = _texts(name, folder)
    words = {word: k for k, word in enumerate(_frequent(texts, N_WORDS - 2), start=2)}

    def coded(texts: list[list[str]]) -> NDArray[np.int64]:
        X = np.zeros((len(texts), length), dtype=np.int64)
        for row, text in zip(X, texts, strict=True):
            # The judgement stands at the end of a review; messages are short.
            numbers = [words.get(word, 1) for word in text[-length:]] or [1]
            row[: len(numbers)] = numbers
        return X

    return coded(texts), y, coded(texts_test), y_test


def _frequent(texts: list[list[str]], n_words: int) -> list[str]:
    counts = Counter(word for text in texts for word in text)
    return [word for word, _ in counts.most_common(n_words)]


def _texts(name: str, folder: Path | None) -> Any:
    """Words of texts to train on and of others, and their classes."""
    if folder is None:
        texts, y = _drawn_texts()
    else:
        table = pd.read_csv(folder / "text" / f"{name}.csv.gz")
        texts = [re.findall(r"[a-z']+|[0-9]+|[!?£$]", text.lower()) for text in table["text"]]
        y = np.unique(table["target"], return_inverse=True)[1]
    return train_test_split(texts, y.astype(np.int64), test_size=0.3, random_state=0, stratify=y)


@cache
def _drawn_texts(n_texts: int = 3000) -> tuple[list[list[str]], NDArray[np.int64]]:
    """Texts in which some words are more frequent than in those of the other class."""
    rng = np.random.default_rng(0)
    frequency = 1.0 / np.arange(1, 1501)
    favour = rng.gamma(0.3, 3.0, size=(2, len(frequency)))
    y = rng.integers(2, size=n_texts)
    chances = [frequency * (0.7 + f) for f in favour]
    texts = [
        [f"w{k}" for k in rng.choice(1500, rng.integers(15, 60), p=c / c.sum())]
        for c in (chances[label] for label in y)
    ]
    return texts, y


def letters(folder: Path | None) -> Pools:
    """Features of printed letters, standardised; without FOLDER drawn classes."""
    if folder is None:
        X, y = make_classification(6000, 16, n_informative=12, n_classes=10, random_state=0)
    else:
        table = pd.read_csv(folder / "classification" / "letter.csv.gz")
        y = pd.factorize(table.pop("target"), sort=True)[0]
        X = table.to_numpy(float)
    X, y, X_test, y_test = _apart(X.astype(np.float32), y.astype(np.int64))
    mean, spread = X.mean(0), X.std(0)
    return (X - mean) / spread, y, (X_test - mean) / spread, y_test


def questions(_: Path | None) -> Pools:
    """Stories of six sentences with a question; the answer is one of six places."""
    X, y = as_numbers(*generate(6000, 6, 0))
    return _apart(X, y)


READERS: dict[str, Callable[[Path | None], Pools]] = {
    read.__name__: read
    for read in (
        mnist,
        cifar,
        rows,
        pairs,
        sms,
        reviews,
        review_ends,
        review_words,
        letters,
        questions,
    )
}
