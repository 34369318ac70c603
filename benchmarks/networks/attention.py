"""Heads of attention and units of feed-forward blocks removed without fine-tuning.

Each network is trained once for each seed, and half of its heads, or of the units of its
feed-forward blocks, are removed by every method; accuracy is that on unseen samples.  Rows are
appended to a CSV file, and what is there is not measured again::

    python -m benchmarks.networks.attention                     # scikit-learn's digits
    python -m benchmarks.networks.attention --data FOLDER --nets sms letters
    python -m benchmarks.networks.attention --table             # of what was measured so far

FOLDER holds ``text/sms_spam.csv.gz`` and ``classification/letter.csv.gz``, both with a column
``target``.
"""

from __future__ import annotations

import re
import time
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn import functional as F

from sklearn_mabprune import MABPrunedClassifier

from ..shared.intervals import interval
from ..shared.results import Results
from .options import parser_of, trained_aloud

#: Words that have numbers of their own, and words of a message that are read.
N_WORDS, N_READ = 2000, 32

METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "zero": {"ablation": "zero"},
    "taylor": {"policy": "taylor"},
    "UCB1, zero": {"policy": "ucb1", "ablation": "zero"},
    "random": {"policy": "random"},
}

#: What is removed: the parameter `layers`.
KINDS = {"heads": "heads", "feed-forward": "neurons"}


class Encoder(nn.Module):
    """torch's encoder over rows of pixels, or over words with padding (code 0)."""

    def __init__(
        self, n_inputs: int = 8, n_tokens: int = 8, n_outputs: int = 10, codes: bool = False
    ):
        super().__init__()
        self.tokens: Any = nn.Embedding(n_inputs, 32) if codes else nn.Linear(n_inputs, 32)
        self.places = nn.Parameter(torch.randn(n_tokens, 32) / 10)
        layer = nn.TransformerEncoderLayer(32, 8, 64, dropout=0.1, batch_first=True)
        self.encoder, self.leave = nn.TransformerEncoder(layer, 2), nn.Linear(32, n_outputs)
        self.codes = codes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = x == 0 if self.codes else torch.zeros_like(x[..., 0], dtype=torch.bool)
        h = self.encoder(self.tokens(x) + self.places, src_key_padding_mask=padding)
        there = (~padding).to(h.dtype)[..., None]
        return self.leave((h * there).sum(1) / there.sum(1).clamp_min(1))


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each normalised first and added."""

    def __init__(self, width: int, n_heads: int, hidden: int):
        super().__init__()
        self.n_heads, self.head_dim = n_heads, width // n_heads
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.out, self.again = nn.Linear(width, width), nn.LayerNorm(width)
        self.wide, self.back = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = x.size(0), x.size(1), 3, self.n_heads, self.head_dim
        q, k, v = self.qkv(self.norm(x)).view(shape).permute(2, 0, 3, 1, 4).unbind(0)
        heads = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(heads.transpose(1, 2).flatten(2))
        value, gate = self.wide(self.again(x)).chunk(2, -1)
        return x + self.back(value * F.relu(gate))


class Features(nn.Module):
    """A transformer over the features of a table, as FT-Transformer."""

    def __init__(self, n_features: int = 16, n_outputs: int = 26, width: int = 32):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_features, width) / width**0.5)
        self.bias = nn.Parameter(torch.randn(n_features, width) / width**0.5)
        self.first = nn.Parameter(torch.randn(1, 1, width) / width**0.5)
        self.blocks = nn.Sequential(*(Block(width, 8, 48) for _ in range(2)))
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(width, n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x[..., None] * self.weight + self.bias
        tokens = torch.cat([self.first.expand(x.size(0), 1, -1), tokens], 1)
        return self.leave(F.relu(self.norm(self.blocks(tokens)[:, 0])))


#: Module, its arguments, epochs.
NETS: dict[str, tuple[Any, dict[str, Any], int]] = {
    "digits": (Encoder, {}, 30),
    "sms": (Encoder, {"n_inputs": N_WORDS, "n_tokens": N_READ, "n_outputs": 2, "codes": True}, 6),
    "letters": (Features, {}, 20),
}


def read(name: str, folder: Path | None) -> tuple[Any, Any]:
    """Samples as a network takes them, and classes."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return (X / 16).astype(np.float32).reshape(-1, 8, 8), y
    if folder is None:
        raise SystemExit(f"{name} is not inside scikit-learn: name its folder with --data.")
    path = "text/sms_spam.csv.gz" if name == "sms" else "classification/letter.csv.gz"
    table = pd.read_csv(folder / path)
    y = pd.factorize(table.pop("target"), sort=True)[0]
    if name == "sms":
        return _codes(table["text"]), y
    X = table.to_numpy(np.float32)[:8000]
    return (X - X.mean(0)) / X.std(0), y[:8000]


def _codes(texts: Any) -> Any:
    """The first words of each text by their numbers; 0 pads, 1 is a rare word."""
    words = [re.findall(r"[a-z']+|[0-9]+|[!?£$]", text.lower()) for text in texts]
    known = Counter(word for text in words for word in text).most_common(N_WORDS - 2)
    code = {word: number for number, (word, _) in enumerate(known, start=2)}
    found = np.zeros((len(words), N_READ), dtype=np.int64)
    for row, text in zip(found, words, strict=True):
        numbers = [code.get(word, 1) for word in text[:N_READ]] or [1]
        row[: len(numbers)] = numbers
    return found


def trained(name: str, X: Any, y: Any, seed: int) -> Any:
    """A network trained with Adam, by seed."""
    module, arguments, epochs = NETS[name]
    torch.manual_seed(seed)
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.002,
        batch_size=64,
        max_epochs=epochs,
        train_split=None,
        verbose=0,
        **{f"module__{argument}": value for argument, value in arguments.items()},
    ).fit(X, y)


def measured(net: Any, kind: str, method: str, data: Any, seed: int) -> dict[str, Any]:
    """Scores before and after one method has removed half of one kind of units."""
    X, X_test, y, y_test, X_val, y_val = data
    started = time.perf_counter()
    model = MABPrunedClassifier(
        FrozenEstimator(net),
        layers=KINDS[kind],
        fine_tune_epochs=0,
        tolerance=1.0,
        random_state=seed,
        **METHODS[method],
    ).fit(X, y, X_val=X_val, y_val=y_val)
    report = model.pruning_report_
    return {
        "kind": kind,
        "method": method,
        "accuracy": float(model.score(X_test, y_test)),
        "unpruned": float(np.mean(net.predict(X_test) == y_test)),
        "macs": report.after.n_macs / report.before.n_macs,
        "parameters": report.after.n_parameters / report.before.n_parameters,
        "seconds": time.perf_counter() - started,
        "sizes": "-".join(map(str, model.hidden_layer_sizes_)),
    }


def table(results: Results) -> str:
    """Accuracies, and paired differences to the unpruned network in points."""
    lines = [
        "| network | half of its | method | unpruned | pruned | points from unpruned | MACs left |",
        "|---|---|---|---|---|---|---|",
    ]
    for (net, kind), rows in results.groups("net", "kind"):
        for method in METHODS:
            own = [row for row in rows if row["method"] == method]
            if not own:
                continue
            whole, pruned = (
                np.array([float(row[c]) for row in own]) for c in ("unpruned", "accuracy")
            )
            macs = np.mean([float(row["macs"]) for row in own])
            lines.append(
                f"| {net} | {kind} | {method} | {whole.mean():.3f} | {pruned.mean():.3f} "
                f"| {interval(list(100 * (pruned - whole)), 1)} | {macs:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = parser_of(__doc__, NETS, METHODS, ["digits"], "attention.csv")
    options = parser.parse_args()
    results = Results(options.results, ("net", "seed", "kind", "method"))
    warnings.simplefilter("ignore")
    for name in [] if options.table else options.nets:
        X_all, y_all = read(name, options.data)
        for seed in range(options.seeds):
            missing = [
                (kind, method)
                for kind in KINDS
                for method in options.methods
                if (name, seed, kind, method) not in results
            ]
            if not missing:
                continue
            X, X_test, y, y_test = train_test_split(
                X_all, y_all, test_size=0.3, random_state=seed, stratify=y_all
            )
            X, X_val, y, y_val = train_test_split(
                X, y, test_size=0.1, random_state=seed, stratify=y
            )
            net = trained_aloud(name, seed, partial(trained, name, X, y, seed))
            for kind, method in missing:
                row = measured(net, kind, method, (X, X_test, y, y_test, X_val, y_val), seed)
                results.add([{"net": name, "seed": seed, **row}])
                found = f"{row['accuracy']:.3f} (unpruned {row['unpruned']:.3f}), {row['sizes']}"
                print(f"  {kind}, {method}: {found}, {row['seconds']:.0f} s", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
