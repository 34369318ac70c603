"""Networks after the paper's table of deep learning, pruned by the paper's method and others.

Each network is trained once for each seed and kept in a file; every method prunes the same trained
network, and is scored on samples that took no part.  Rows are appended to a CSV file as they are
measured, and what is there is not measured again, so that the program can be stopped at any time::

    python -m benchmarks.networks.deep_study --data FOLDER
    python -m benchmarks.networks.deep_study --quick          # some methods, in five minutes
    python -m benchmarks.networks.deep_study --write-page     # of what was measured so far

``settings.toml`` has sizes, samples and epochs, ``samples.py`` says what FOLDER holds.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...shared.results import Results
from ..options import parser_of, trained_aloud
from . import page
from .comparisons import Study
from .measuring import rows_of, trained
from .methods import METHODS, QUICK, TUNED, methods_of
from .samples import split
from .settings import Settings, read

KEYS = ("net", "seed", "method", "budget", "epochs")


def measure(
    settings: Settings,
    results: Results,
    nets: list[str],
    methods: list[str],
    tuned: tuple[str, ...],
    data: Path | None,
    networks: Path,
) -> None:
    """Measure what is missing, a seed of all networks after the other."""
    for seed in range(settings.seeds):
        for name in nets:
            network = settings.networks[name]
            last = (max(settings.budgets), max(1, round(settings.fine_tuning * network.epochs)))
            missing = [
                method
                for method in methods_of(network, methods)
                if (name, seed, method, last[0], last[1] if method in tuned else 0) not in results
            ]
            if not missing:
                continue
            samples = split(network.samples, data, network.n_train, network.n_test, seed)
            train = partial(trained, network, samples, seed, networks)
            net = trained_aloud(name, seed, train)
            for method in missing:
                rows = list(rows_of(net, network, method, samples, seed, settings, method in tuned))
                results.add(
                    row
                    for row in rows
                    if (name, seed, method, row["budget"], row["epochs"]) not in results
                )
                scores = ", ".join(f"{row['accuracy']:.3f}" for row in rows)
                print(
                    f"  {method}: {scores} (unpruned {rows[0]['unpruned']:.3f}), "
                    f"{rows[0]['seconds']:.1f} s",
                    flush=True,
                )


def main() -> None:
    """Measure what is missing, and write the page."""
    settings = read()
    parser = parser_of(
        __doc__, settings.networks, METHODS, list(settings.networks), "deep_study.csv"
    )
    parser.add_argument("--networks", type=Path, default=Path("deep_networks"),
                        help="folder of the trained networks")  # fmt: skip
    parser.add_argument("--untuned", action="store_true", help="without fine-tuning")
    parser.add_argument("--quick", action="store_true", help="smaller, in five minutes")
    parser.add_argument("--write-page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.quick:
        _quick(settings.quick(), options.nets, options.data)
        return
    results = Results(options.results, KEYS)
    if not (options.write_page or options.table):
        tuned = () if options.untuned else TUNED
        several = replace(settings, seeds=options.seeds)
        how = options.nets, options.methods, tuned, options.data, options.networks
        measure(several, results, *how)
    study = Study(results.rows, settings)
    if options.write_page:
        page.write(study)
    _show(study)


def _quick(settings: Settings, nets: list[str], data: Path | None) -> None:
    """Smaller networks, without a file of rows."""
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder) / "deep_study.csv", KEYS)
        measure(settings, results, nets, list(QUICK), (), data, Path(folder))
    _show(Study(results.rows, settings))


def _show(study: Study) -> None:
    print("\n".join(line for lines in page.PARTS.values() for line in lines(study)))


if __name__ == "__main__":
    main()
