"""Tables and figures of the study for the documentation.

    python -m benchmarks.report [--sizes 128-64] [--name study_quick --docs FOLDER]
    python -m benchmarks.report --published FOLDER

The first reads benchmarks/results/study.csv.gz, study_context.csv and study.json, as far as
they go, and writes docs/evidence_tables.md and docs/_static/evidence_*.svg; nothing in them
is written by hand.  Where there is study_again.csv.gz, networks that were measured again, the goals
on these stand beside.  The second prints the values of published tables beside those computed here.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from benchmarks.report.data import Study
from benchmarks.report.figures import save_all
from benchmarks.report.published import show
from benchmarks.report.sections import NOTHING, sections
from benchmarks.shared.results import RESULTS

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONTEXT_COLUMNS = ("set", "task", "seed", "model", "score", "n_bytes", "ms_row", "ms_single")


def read_context(file: Path) -> pd.DataFrame:
    """Scores, sizes and speed of whole models; without a file, none."""
    if not file.exists():
        return pd.DataFrame({name: pd.Series(dtype=object) for name in CONTEXT_COLUMNS})
    rows = pd.read_csv(file, dtype={"set": str})
    missing = [name for name in CONTEXT_COLUMNS if name not in rows]
    if missing:
        raise ValueError(f"{file} lacks the columns {missing}; it comes from benchmarks.study.")
    return rows


def write(results: Path, docs: Path, name: str = "study", sizes: str | None = None) -> Path:
    """Write the page and its figures.

    Parameters
    ----------
    results : Path
        Folder of what benchmarks.study wrote.
    docs : Path
        Folder that gets evidence_tables.md, and the figures in _static.
    name : str, default="study"
        Which results: "study_quick" are those of ``--quick``.
    sizes : str, default=None
        Only networks with these hidden layers; None: all.

    Returns
    -------
    Path
        The page.
    """
    study = Study.read(results / f"{name}.csv.gz", sizes)
    later = Study.read(results / f"{name}_again.csv.gz", sizes)
    context = read_context(results / f"{name}_context.csv")
    about = results / f"{name}.json"
    facts = json.loads(about.read_text()) if about.exists() else {}
    for old in (docs / "_static").glob("evidence_*.svg"):
        old.unlink()
    figures: dict[str, list[str]] = {}
    for section, text, file in save_all(study, docs / "_static"):
        figures.setdefault(section, []).append(f"![{text}](_static/{file.name})\n")
    parts = ["<!-- Written by python -m benchmarks.report: do not edit. -->\n"]
    for part, (heading, lines) in sections(study, context, facts, sizes, later).items():
        body = [*figures.get(part, []), *lines()] or [NOTHING]
        parts += [f"## {heading}\n", f"<!-- {part} -->\n", *body, f"<!-- end of {part} -->\n"]
    page = docs / "evidence_tables.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    parser.add_argument("--name", default="study", help="or study_quick")
    parser.add_argument("--sizes", help="only networks with these hidden layers, as in 128-64")
    parser.add_argument("--published", type=Path, help="folder of published tables to check")
    options = parser.parse_args()
    if options.published is not None:
        sys.exit(show(options.published))
    print(write(options.results, options.docs, options.name, options.sizes))


if __name__ == "__main__":
    main()
