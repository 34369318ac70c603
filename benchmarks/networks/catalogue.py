"""What is found in the networks of a catalogue, and whether the smaller ones are right.

    python -m benchmarks.networks.catalogue               # all of them, about ten minutes
    python -m benchmarks.networks.catalogue --only rtdl   # those whose names begin so
    python -m benchmarks.networks.catalogue --table       # the rows that are there, as Markdown

Half of the units of every group are drawn and removed from networks with untrained weights; the
smaller module is compared with the network in which what reads those units is zero.  Rows of
packages that are not installed say so.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.networks.nets import by_hand, keras_examples, public, skorch_docs
from benchmarks.networks.nets.entry import Entry
from benchmarks.networks.peer import torch_pruning
from sklearn_mabprune.exceptions import UnsupportedModuleError
from sklearn_mabprune.graph.module_network import ModuleNetwork
from sklearn_mabprune.graph.recovery import recover_network
from sklearn_mabprune.graph.verification import difference

ENTRIES = [
    *skorch_docs.ENTRIES, *keras_examples.ENTRIES, *by_hand.ENTRIES, *public.ENTRIES,
]  # fmt: skip
RESULTS = Path(__file__).parents[1] / "results" / "catalogue.csv"
COLUMNS = (
    "name", "source", "result", "groups", "units", "streams", "others", "kept_whole", "macs_left",
    "parameters_left", "difference", "seconds", "peer", "peer_parameters_left",
)  # fmt: skip

#: A network loses half of its units if it keeps at most so many layers whole besides its output
#: and its residual streams.
MOST_OTHERS = 1
_OUTPUT, _STREAM = "is the network's output", "residual stream"


def main() -> int:
    """Run modules, or print the table; 1 if a network is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.networks.catalogue", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--only", nargs="+", help="modules whose names begin with one of these")
    parser.add_argument("--missing", action="store_true", help="only modules without a row")
    parser.add_argument("--table", action="store_true", help="print the rows that are there")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = _read()
    for entry in [] if args.table else ENTRIES:
        wanted = args.only is None or any(entry.name.startswith(name) for name in args.only)
        if wanted and not (args.missing and entry.name in rows):
            rows[entry.name] = row_of(entry)
            _write(rows)
            print(_line(rows[entry.name]), flush=True)
    known = [rows[entry.name] for entry in ENTRIES if entry.name in rows]
    print("\n".join([*table(known), "", summary(known)]))
    return int(any(row["result"] == "wrong" for row in known))


def row_of(entry: Entry) -> dict[str, Any]:
    """One row: what is found in a module, and what the peer makes of it."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"name": entry.name, "source": entry.source}
    torch.manual_seed(0)
    try:
        module, x = entry.make().eval(), entry.samples(9)
    except ImportError as error:
        return row | {"result": "absent", "kept_whole": str(error)}
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
    row["seconds"] = f"{time.process_time() - start:.1f}"
    peer = torch_pruning(module, x, outputs)
    return row | {"peer": peer.result, "peer_parameters_left": f"{peer.parameters_left:.3f}"}


def _found(network: ModuleNetwork, x: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    masks = [rng.permutation(size) < (size + 1) // 2 for size in network.sizes]
    masked = network.masked(masks)
    gap = difference(masked, x)
    reasons = {name: why for name, why in network.kept_whole.items() if _OUTPUT not in why}
    streams = [name for name, why in reasons.items() if why.startswith(_STREAM)]
    others = {name: why for name, why in reasons.items() if name not in streams}
    (parameters, macs), (all_parameters, all_macs) = masked.cost(), network.cost()
    return {
        "result": "pruned" if gap <= 1e-5 else "wrong",
        "groups": len(network.groups),
        "units": sum(network.sizes),
        "streams": len(streams),
        "others": len(others),
        "kept_whole": "; ".join(f"{name}: {why}" for name, why in others.items())[:600],
        "macs_left": f"{macs / all_macs:.3f}",
        "parameters_left": f"{parameters / all_parameters:.3f}",
        "difference": f"{gap:.0e}",
    }


def loses_half(row: dict[str, Any]) -> bool:
    """Whether half of the units outside output and residual streams go, to one group."""
    return row["result"] == "pruned" and int(row["others"]) <= MOST_OTHERS


def summary(rows: list[dict[str, Any]]) -> str:
    """How many networks of each outcome."""
    present = [row for row in rows if row["result"] != "absent"]
    vision = [row for row in present if row["source"] == "torchvision"]
    return (
        f"{len(present)} networks ({len(rows) - len(present)} more absent): "
        f"{sum(row['result'] == 'wrong' for row in present)} wrong, "
        f"{sum(row['result'] == 'refused' for row in present)} refused, "
        f"{sum(map(loses_half, present))} lose half of their units outside output and residual "
        f"streams, to one group. Torch-Pruning: {_reached(present)} smaller with equal outputs. "
        f"torchvision, {len(vision)} models: {sum(r['result'] == 'pruned' for r in vision)}, and "
        f"{_reached(vision)} by Torch-Pruning."
    )


def _reached(rows: list[dict[str, Any]]) -> int:
    return sum(row["peer"] == "equal" for row in rows)


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows in Markdown."""
    names = ["network", "groups", "units", "streams", "others", "MACs", "difference", "s", "peer"]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = [
            row["name"], row["groups"] or row["result"], row["units"], row["streams"],
            row["others"], row["macs_left"], row["difference"], row["seconds"],
            row["peer"].split(":")[0],
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return lines


def _line(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={row[name]}" for name in COLUMNS if row[name] != "")[:400]


def _read() -> dict[str, dict[str, Any]]:
    if not RESULTS.exists():
        return {}
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _write(rows: dict[str, dict[str, Any]]) -> None:
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[entry.name] for entry in ENTRIES if entry.name in rows)


if __name__ == "__main__":
    sys.exit(main())
