"""Tests run in a copy of the repository, with or without a mutant in it."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.mutants.table import Mutant

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "sklearn_mabprune"

#: Errors which say that the new text is not code, not that a test has noticed what it does.
_NO_CODE = ("ImportError", "ModuleNotFoundError", "NameError", "SyntaxError", "IndentationError")

#: What tests import first, and nothing of this repository.
PRELOADED = ["scipy.stats", "torch", "torch._dynamo", "sklearn.ensemble", "skorch", "pandas"]


@dataclass(frozen=True)
class Outcome:
    """What a run of tests showed.

    Parameters
    ----------
    verdict : {"passed", "failed", "broken", "timeout"}
    seconds : float
    first : str
        The first test that failed, or what is broken.
    """

    verdict: str
    seconds: float
    first: str = ""


def copy_repository(source: Path, target: Path) -> None:
    """Copy every file that git knows, or would take in, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in sorted(set(filter(None, listed.stdout.split("\0")))):
        # What git knows may have been deleted or moved since.
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def run_tests(folder: Path, tests: Sequence[str], limit: float, *options: str) -> Outcome:
    """Run these tests in a copy of the repository, with these further options of pytest.

    As ``python -m pytest`` in that folder, in a process of its own: a fork of one that has
    imported torch and scikit-learn, which take longer than the tests of most mutants.
    """
    report, output = folder.parent / "report.xml", folder.parent / "output.txt"
    report.unlink(missing_ok=True)
    fixed = ["-q", "--no-cov", "-p", "no:cacheprovider", f"--junitxml={report}"]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    arguments = (str(folder), [*fixed, *options, *tests], str(output))
    process = context.Process(target=_run_pytest, args=arguments)
    started = time.perf_counter()
    process.start()
    process.join(limit)
    seconds = time.perf_counter() - started
    if process.exitcode is None:
        process.kill()
        process.join()
        return Outcome("timeout", seconds, f"no end after {limit:g} s")
    if process.exitcode == 0:
        return Outcome("passed", seconds)
    if process.exitcode != 1 or not report.exists():
        lines = output.read_text().strip().splitlines() or [""]
        told = [line for line in lines if line.startswith("E  ")] or lines
        what = f"pytest exits with {process.exitcode}: {told[-1].removeprefix('E').strip()}"
        return Outcome("broken", seconds, what)
    return Outcome(*_first_failure(report, seconds))


def _run_pytest(folder: str, arguments: list[str], output: str) -> None:
    """Be ``python -m pytest`` in a folder, with the output in a file."""
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.chdir(folder)
    # Tests start processes of their own.
    os.environ["PYTHONPATH"] = folder
    sys.path[:] = [folder, *(path for path in sys.path if not _is_source(path))]
    for name in [name for name in sys.modules if name.split(".")[0] in (PACKAGE, "benchmarks")]:
        del sys.modules[name]
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not Path(found.origin or "").is_relative_to(folder):
        sys.exit(f"tests would import {found}, which is not the copy in {folder}")
    sys.exit(int(pytest.main(arguments)))


def _is_source(path: str) -> bool:
    """Whether this is a folder of the repository, and not of an environment inside it."""
    here = Path(path).resolve()
    return here.is_relative_to(ROOT) and not here.is_relative_to(sys.prefix)


def _first_failure(report: Path, seconds: float) -> tuple[str, float, str]:
    """Verdict, seconds and the failing test of a report in JUnit's format."""
    for case in ElementTree.parse(report).iter("testcase"):
        for found in (*case.iter("failure"), *case.iter("error")):
            where = case.get("classname", "").removeprefix("tests.")
            test = f"{where}::{case.get('name')}"
            message = found.get("message", "")
            reason = message.removeprefix('failed on setup with "')
            if message == "collection failure" or reason.startswith(_NO_CODE):
                return "broken", seconds, f"{test}: {message.splitlines()[0]}"
            return "failed", seconds, test
    return "broken", seconds, "pytest failed without a failing test"


def try_mutant(folder: Path, mutant: Mutant, limit: float) -> Outcome:
    """Change the copy, run the mutant's tests, and put the file back."""
    path = folder / mutant.file
    original = path.read_bytes()
    changed = mutant.applied(original.decode())
    try:
        _write(path, changed.encode())
        return run_tests(folder, mutant.tests, limit, "-x")
    finally:
        _write(path, original)


def _write(path: Path, content: bytes) -> None:
    """Write a module; Python takes a compiled one of the same second and size for the same."""
    path.write_bytes(content)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
