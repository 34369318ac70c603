"""Break one invariant of the package at a time, in a copy, and see whether its tests notice.

A mutant replaces a text that occurs exactly once in a file of the package.  Its tests are named
beside it, in the tables of this folder, and so is the invariant: when code moves, or is written
anew, `file`, `old`, `new` and `tests` are changed so that the same invariant is broken again.

    python -m benchmarks.mutants
    python -m benchmarks.mutants --only reward-sign fold-slopes-sign
    python -m benchmarks.mutants --list

Exits with 1 if a mutant survives, or is none: its text is not found once, its tests fail without
it, or it cannot be imported.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.mutants.runs import ROOT, Outcome, copy_repository, run_tests, try_mutant
from benchmarks.mutants.table import Mutant, MutantError, read_tables

#: Seconds for the tests of a mutant: one that makes a loop endless is noticed too.
LIMIT = 120.0
#: Seconds for all tests together, without any mutant.
LIMIT_OF_ALL = 1800.0

# Results depend on the number of threads.
_ENVIRONMENT = {
    "SCIPY_ARRAY_API": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def check_all(folder: Path, mutants: Sequence[Mutant], limit: float) -> Outcome:
    """Refuse mutants that do not apply, and tests that fail without them; the tests' run."""
    for mutant in mutants:
        mutant.check(folder)
    tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    outcome = run_tests(folder, tests, limit)
    if outcome.verdict != "passed":
        raise MutantError(f"Without any mutant the tests end with: {outcome.first}")
    return outcome


def show_list(mutants: Sequence[Mutant], root: Path) -> int:
    """Print every mutant; 1 if one does not apply to the repository as it is now."""
    faults = 0
    for mutant in mutants:
        print(f"{mutant.name}  ({mutant.file})")
        print(f"    invariant: {mutant.invariant}")
        print(f"    mutant:    {mutant.change}")
        try:
            mutant.check(root)
        except MutantError as error:
            faults += 1
            print(f"    DOES NOT APPLY: {error}")
    print(f"{len(mutants)} mutants, {faults} of them do not apply")
    return int(faults > 0)


def run_all(
    mutants: Sequence[Mutant],
    root: Path = ROOT,
    limit: float = LIMIT,
    limit_of_all: float = LIMIT_OF_ALL,
) -> int:
    """Try all mutants and print a line each; 0 if every one is killed, 1 if not."""
    words = {"failed": "killed", "timeout": "killed", "passed": "SURVIVED", "broken": "BROKEN"}
    counts = dict.fromkeys(("killed", "SURVIVED", "BROKEN"), 0)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name).resolve() / "copy"
        copy_repository(root, folder)
        outcome = check_all(folder, mutants, limit_of_all)
        print(f"without mutants  {outcome.seconds:6.1f} s  all tests pass", flush=True)
        width = max(len(mutant.name) for mutant in mutants)
        for mutant in mutants:
            outcome = try_mutant(folder, mutant, limit)
            word = words[outcome.verdict]
            counts[word] += 1
            line = f"{word:8s}  {mutant.name:{width}s}  {outcome.seconds:5.1f} s  {outcome.first}"
            print(line.rstrip(), flush=True)
    seconds = time.perf_counter() - started
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    print(f"{len(mutants)} mutants: {told}; {seconds:.0f} s in all")
    return int(counts["killed"] < len(mutants))


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", nargs="+", metavar="ID", help="these mutants")
    parser.add_argument("--list", action="store_true", help="print them, and whether they apply")
    options = parser.parse_args(arguments)
    os.environ.update(_ENVIRONMENT)
    try:
        known = read_tables()
        unknown = sorted(set(options.only or ()) - set(known))
        if unknown:
            raise MutantError(f"There is no mutant {', '.join(unknown)}.")
        mutants = [known[name] for name in options.only or known]
        return show_list(mutants, ROOT) if options.list else run_all(mutants)
    except MutantError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
