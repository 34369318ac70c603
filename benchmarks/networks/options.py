"""Command lines and messages that the benchmarks of networks share."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..shared.results import RESULTS


def parser_of(
    description: str, nets: Iterable[str], methods: Iterable[str], default: list[str], name: str
) -> argparse.ArgumentParser:
    """Options of every benchmark that trains networks once and prunes them by several methods.

    Parameters
    ----------
    description : str
        Docstring of the benchmark, of which the first line is shown.
    nets, methods : iterable of str
        What may be chosen.
    default : list of str
        Networks when none are given.
    name : str
        File of the rows.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--nets", nargs="+", choices=list(nets), default=default)
    parser.add_argument("--methods", nargs="+", choices=list(methods), default=list(methods))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS / name)
    parser.add_argument("--table", action="store_true", help="measure nothing")
    return parser


def trained_aloud(name: str, seed: int, train: Callable[[], Any]) -> Any:
    """A trained net; its seconds are printed."""
    started = time.perf_counter()
    net = train()
    print(f"{name}, seed {seed}: {time.perf_counter() - started:.0f} s of training", flush=True)
    return net
