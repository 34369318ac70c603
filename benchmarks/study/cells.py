"""What is measured on one cell of the study: a data set, a seed and hidden layers."""

from __future__ import annotations

import csv
import fcntl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import torch
from threadpoolctl import threadpool_limits

from benchmarks.shared.data_sets import load
from benchmarks.shared.prepared import Prepared
from benchmarks.study.context import context_rows
from benchmarks.study.files import COLUMNS, CONTEXT, Place, write_rows, write_whole
from benchmarks.study.measuring import default_rows, pruned_rows, tuned_default_rows, unpruned_rows
from benchmarks.study.methods import MAIN, OURS, POLICIES, RIVALS, TUNINGS, Cell

SIZES = ((128, 64), (256, 128, 64))
#: Training rows of larger sets are a random sample of so many.
MOST_ROWS = 2000


def units(cell: Cell, place: Place, parts: list[str]) -> Iterator[tuple[Path, dict, Any]]:
    """File, facts and rows of everything that is measured on a cell, the default first.

    Equal parameters, and everything beside the main methods, are for the smaller networks of
    the first seed.
    """
    first = place.sizes == SIZES[0] and place.seed == 0

    def unit(part: str, view: str, method: str, rows: Any) -> tuple[Path, dict, Any]:
        facts = {"part": part, "view": view, "method": method}
        return place.file(part, view, method), facts, rows

    def as_long(view: str) -> dict[float, int]:
        """Epochs that the default was fine-tuned for: all others get as many."""
        with place.file("main", view, "default").open(newline="") as file:
            rows = list(csv.DictReader(file, COLUMNS))
        ours = [row for row in rows if row["method"] == "default" and row["tuned"] == "1"]
        return {float(row["removed"]): int(row["epochs"]) for row in ours}

    scratch = ("scratch", "scratch_cosine") if first else ("scratch",)
    views = {"neurons": scratch} | ({"parameters": ()} if "parameters" in parts and first else {})
    for view, anew in views.items():
        yield unit("main", view, "unpruned", lambda: unpruned_rows(cell))
        way = partial(default_rows, cell, MAIN["default"], view, scratch=anew)
        yield unit("main", view, "default", way)
        for name in [name for name in MAIN if name != "default"]:
            way = partial(pruned_rows, cell, MAIN[name], view, as_long(view))
            yield unit("main", view, name, way)
    others = {"rivals": RIVALS, "ours": OURS, "policies": POLICIES} if first else {}
    for part, methods in others.items():
        for name, method in methods.items() if part in parts else ():
            epochs = None if part == "policies" else as_long("neurons")
            yield unit(part, "neurons", name, partial(pruned_rows, cell, method, "neurons", epochs))
    for name, tuning in TUNINGS.items() if first and "ours" in parts else ():
        way = partial(tuned_default_rows, cell, as_long("neurons"), **tuning)
        yield unit("ours", "neurons", name, way)


def run(place: Place, parts: list[str]) -> str:
    """Measure what a cell lacks; in a process of its own, on one thread.

    Another run that is at this cell is waited for, and its results are kept.
    """
    torch.set_num_threads(1)
    place.folder.mkdir(parents=True, exist_ok=True)
    done = place.folder / f"{place.key}.{'+'.join(parts)}.done"
    with (place.folder / f"{place.key}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            with threadpool_limits(1):
                _measure(place, parts)
            done.touch()
    return place.key


def _measure(place: Place, parts: list[str]) -> None:
    """The files of a cell that are not there yet."""
    data = load(place.name, place.data)
    kept = place.folder / f"{place.key}.network"
    if kept.exists():
        ready = joblib.load(kept)
    else:
        ready = Prepared.of(data, place.seed, place.sizes, test=True, most=MOST_ROWS)
        write_whole(kept, lambda file: joblib.dump(ready, file))
    facts = {
        "set": place.name,
        "task": data.task,
        "seed": place.seed,
        "sizes": "-".join(map(str, place.sizes)),
    }
    for file, what, rows in units(Cell(ready, place.seed), place, parts):
        if not file.exists():
            write_rows(file, [{**facts, **what, **row} for row in rows()], COLUMNS)
    file = place.folder / f"{place.key}.context"
    if "context" in parts and place.sizes == SIZES[0] and not file.exists():
        rows = context_rows(data, place.seed, place.sizes, MOST_ROWS, ours=place.seed == 0)
        write_rows(file, [{**facts, **row} for row in rows], CONTEXT)
    kept.unlink(missing_ok=True)
