"""What is found in the networks of a catalogue, and whether the smaller ones are right.

    python -m benchmarks.networks.catalogue               # all of them, about ten minutes
    python -m benchmarks.networks.catalogue --only rtdl   # those whose names begin so
    python -m benchmarks.networks.catalogue --table       # the rows that are there, as Markdown
    python -m benchmarks.networks.catalogue --write-page  # the same, into docs/catalogue.md

Half of the units of every group are drawn and removed from networks with untrained weights; the
smaller module is compared with the network in which what reads those units is zero.  Rows of
packages that are not installed say so.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.metadata
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.networks.nets import by_hand, keras_examples, public, sequences, skorch_docs
from benchmarks.networks.nets.entry import Entry
from benchmarks.networks.peer import as_float64, torch_pruning
from benchmarks.shared.pages import DOCS, write_part
from benchmarks.shared.results import RESULTS
from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph.module_network import ModuleNetwork
from sklearn_mabprune.graph.program import called
from sklearn_mabprune.graph.recovery import recover_network

ENTRIES = [
    *skorch_docs.ENTRIES, *sequences.ENTRIES, *keras_examples.ENTRIES, *by_hand.ENTRIES,
    *public.ENTRIES,
]  # fmt: skip
COLUMNS = (
    "name", "source", "result", "groups", "units", "streams", "others", "kept_whole", "macs_left",
    "parameters_left", "difference", "seconds", "peer", "peer_parameters_left", "versions",
)  # fmt: skip

#: A network loses half of its units if it keeps at most so many layers whole besides its output
#: and its residual streams.
MOST_OTHERS = 1
PAGE = DOCS / "catalogue.md"
_OUTPUT, _STREAM = "is the network's output", "residual stream"


def main() -> int:
    """Run modules, or print the table; 1 if a network is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks.catalogue", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--only", nargs="+", help="modules whose names begin with one of these")
    parser.add_argument("--missing", action="store_true", help="only modules without a row")
    parser.add_argument("--table", action="store_true", help="print the rows that are there")
    parser.add_argument("--write-page", action="store_true", help="put them into the page")
    parser.add_argument("--results", type=Path, default=RESULTS / "catalogue.csv")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = _read(args.results)
    for entry in [] if args.table or args.write_page else ENTRIES:
        wanted = args.only is None or any(entry.name.startswith(name) for name in args.only)
        if wanted and not (args.missing and entry.name in rows):
            rows[entry.name] = row_of(entry)
            _write(args.results, rows)
            print(_line(rows[entry.name]), flush=True)
    known = [rows[entry.name] for entry in ENTRIES if entry.name in rows]
    if args.write_page:
        for mark, lines in parts(known).items():
            write_part(PAGE, mark, lines)
    print("\n".join(line for lines in parts(known).values() for line in [*lines, ""]))
    return int(any(row["result"] == "wrong" for row in known))


def row_of(entry: Entry) -> dict[str, Any]:
    """One row: what is found in a module, and what the peer makes of it."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"name": entry.name, "source": entry.source}
    torch.manual_seed(0)
    try:
        module, x = entry.make(), entry.samples(9)
    except ImportError as error:
        return row | {"result": "absent", "kept_whole": str(error)}
    settle(module, x)
    start = time.process_time()
    try:
        network = recover_network(module, x)
    except UnsupportedModuleError as error:
        row |= {"result": "refused", "kept_whole": str(error).replace("\n", " ")}
        outputs = [name for name, part in module.named_modules() if type(part) is torch.nn.Linear]
        outputs = outputs[-1:]
    else:
        row |= _found(network, x)
        whole = network.kept_whole.items()
        outputs = [name for name, reason in whole if _OUTPUT in reason]
    row["versions"] = versions()
    row["seconds"] = f"{time.process_time() - start:.1f}"
    peer = torch_pruning(module, x, outputs)
    return row | {"peer": peer.result, "peer_parameters_left": f"{peer.parameters_left:.3f}"}


def versions() -> str:
    """Of the packages that decide a row."""
    found = []
    for name in ("torch", "torchvision", "torch-pruning"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name).split('+')[0]}")
    return ", ".join(found)


def settle(module: torch.nn.Module, x: Any) -> None:
    """Give batch norms the statistics of samples: outputs of deep networks are 1e-13 else.

    Weights that start at zero, as of an output layer, are drawn: all outputs are zero else.
    """
    for parameter in module.parameters():
        if parameter.dim() > 1 and not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.02)
    norms = [part for part in module.modules() if hasattr(part, "running_mean")]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        if norms:
            called(module.train(), x)
    module.eval()


def _gap(masked: ModuleNetwork, x: Any) -> float:
    """Largest difference between the smaller module and the masked network, in float64.

    Relative to the largest output.
    """
    masked, x = masked.to(torch.float64), as_float64(x)
    with torch.no_grad():
        wanted, got = masked.forward(x), called(masked.narrowed().eval(), x)
    if got.reshape(wanted.shape[0], -1).shape != wanted.reshape(wanted.shape[0], -1).shape:
        return float("inf")
    return float((got.reshape(wanted.shape) - wanted).abs().max() / wanted.abs().max())


def _found(network: ModuleNetwork, x: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    masks = [rng.permutation(size) < (size + 1) // 2 for size in network.sizes]
    masked = network.masked(masks)
    gap = _gap(masked, x)
    reasons = {name: why for name, why in network.kept_whole.items() if _OUTPUT not in why}
    streams = [name for name, why in reasons.items() if why.startswith(_STREAM)]
    others = {name: why for name, why in reasons.items() if name not in streams}
    (parameters, macs), (all_parameters, all_macs) = masked.cost(), network.cost()
    return {
        "result": "pruned" if gap <= 1e-9 else "wrong",
        "groups": len(network.groups),
        "units": sum(network.sizes),
        "streams": len(streams),
        "others": len(others),
        "kept_whole": _listed([f"{name}: {why}" for name, why in others.items()]),
        "macs_left": f"{macs / all_macs:.3f}",
        "parameters_left": f"{parameters / all_parameters:.3f}",
        "difference": f"{gap:.0e}",
    }


def _listed(parts: list[str], most: int = 3) -> str:
    more = [f"and {len(parts) - most} more"] if len(parts) > most else []
    return "; ".join([*parts[:most], *more])


def loses_half(row: dict[str, Any]) -> bool:
    """Whether half of the units outside output and residual streams go, to one group."""
    return row["result"] == "pruned" and int(row["others"]) <= MOST_OTHERS


def summary(rows: list[dict[str, Any]]) -> str:
    """How many networks of each outcome."""
    present = [row for row in rows if row["result"] != "absent"]
    vision = [row for row in present if row["source"] == "torchvision"]
    known = {row["name"] for row in rows}
    missing = ", ".join(entry.name for entry in ENTRIES if entry.name not in known)
    absent = f" ({len(rows) - len(present)} more absent)" if len(rows) > len(present) else ""
    return (
        f"{len(present)} networks{absent}: "
        f"{sum(row['result'] == 'wrong' for row in present)} wrong, "
        f"{sum(row['result'] == 'refused' for row in present)} refused, "
        f"{sum(map(loses_half, present))} lose half of their units outside output and residual "
        f"streams, to one group. Torch-Pruning: {_reached(present)} smaller with equal outputs, "
        f"{_peer(present, 'other outputs')} with other outputs, {_peer(present, 'fails')} fail, "
        f"{_peer(present, 'nothing removed')} unchanged. "
        f"torchvision, {len(vision)} models: {sum(r['result'] == 'pruned' for r in vision)}, and "
        f"{_reached(vision)} by Torch-Pruning. "
        f"Measured with {'; '.join(sorted({row['versions'] for row in present}))}."
        + (f" Not measured yet: {missing}." if missing else "")
    )


def _reached(rows: list[dict[str, Any]]) -> int:
    return sum(row["peer"] == "equal" for row in rows)


def _peer(rows: list[dict[str, Any]], outcome: str) -> int:
    return sum(row["peer"].startswith(outcome) for row in rows)


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows in Markdown."""
    names = [
        "network", "source", "groups", "units", "streams", "others", "MACs left", "difference",
        "seconds", "Torch-Pruning",
    ]  # fmt: skip
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [
            row["name"], row["source"], row["groups"] or row["result"], row["units"],
            row["streams"], row["others"], row["macs_left"], row["difference"], row["seconds"],
            ": ".join(row["peer"].split(": ")[:2]),
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return lines


def reasons(rows: list[dict[str, Any]]) -> list[str]:
    """Why networks are refused, or keep layers whole besides their output and their streams."""
    lines = ["| network | why |", "|---|---|"]
    for row in rows:
        if row["kept_whole"] and row["result"] != "absent":
            lines.append(f"| {row['name']} | {row['kept_whole'].replace('|', '/')} |")
    return lines


def parts(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """What stands on the page, by mark."""
    return {"summary": [summary(rows)], "table": table(rows), "reasons": reasons(rows)}


def _line(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={row[name]}" for name in COLUMNS if row[name] != "")[:400]


def _read(file: Path) -> dict[str, dict[str, Any]]:
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        return {row["name"]: row for row in csv.DictReader(lines)}


def _write(file: Path, rows: dict[str, dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[entry.name] for entry in ENTRIES if entry.name in rows)


if __name__ == "__main__":
    sys.exit(main())
