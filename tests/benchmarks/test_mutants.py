"""The program that breaks invariants: what counts as killed, and what it leaves behind."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

import benchmarks.mutants.runs
from benchmarks.mutants.__main__ import main, run_all, show_list
from benchmarks.mutants.runs import ROOT, copy_repository, try_mutant
from benchmarks.mutants.table import Mutant, MutantError, read_tables

PACKAGE = """
def double(x):
    return 2 * x


def half(x):
    return x / 2
"""

TESTS = """
from sklearn_mabprune import double, half


def test_double():
    assert double(3) == 6


def test_half():
    assert half(3) > 0
"""

KILLED = Mutant(
    name="double",
    invariant="double(x) is 2 x.",
    change="It is 3 x.",
    file="sklearn_mabprune/__init__.py",
    old="2 * x",
    new="3 * x",
    tests=("tests/test_toy.py::test_half", "tests/test_toy.py::test_double"),
)
MUTANTS = {
    "killed": KILLED,
    "survives": replace(KILLED, name="half", old="x / 2", new="x / 3"),
    "no end": replace(
        KILLED, name="endless", old="    return 2 * x", new="    while x:\n        pass"
    ),
    "no name": replace(KILLED, name="unknown", new="two * x"),
    "no import": replace(KILLED, name="import", old="def half", new="def third"),
}


@pytest.fixture(autouse=True)
def nothing_heavy(monkeypatch):
    """These tests need no torch."""
    monkeypatch.setattr(benchmarks.mutants.runs, "PRELOADED", [])


@pytest.fixture
def repository(tmp_path):
    """A package of the same name as the one that is installed, and its tests."""
    root = tmp_path / "repository"
    for name, text in (("sklearn_mabprune/__init__.py", PACKAGE), ("tests/test_toy.py", TESTS)):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


def contents(root):
    """Text of every module and test."""
    return {path: path.read_text() for path in root.rglob("*.py")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "limit", "code", "line"),
    [
        ("killed", 60, 0, "test_toy::test_double"),
        ("survives", 60, 1, "SURVIVED"),
        ("no end", 3, 0, "no end after 3 s"),
        ("no name", 60, 1, "NameError"),
        ("no import", 60, 1, "cannot import name 'half'"),
    ],
)
def test_verdicts(kind, limit, code, line, repository, capsys):
    before = contents(repository)
    assert run_all([MUTANTS[kind]], repository, limit) == code
    printed = capsys.readouterr().out.splitlines()
    word = {"survives": "SURVIVED", "no name": "BROKEN", "no import": "BROKEN"}.get(kind, "killed")
    assert len(printed) == 3
    assert printed[1].split()[:2] == [word, MUTANTS[kind].name]
    assert line in printed[1]
    assert f"1 {word}" in printed[2]
    assert contents(repository) == before, "only the copy is changed"


@pytest.mark.slow
def test_one_after_the_other_in_one_copy(repository, tmp_path):
    """The second of two changes of one file, of the same size, is not hidden by the first."""
    copy = tmp_path / "copy"
    copy_repository(repository, copy)
    before = contents(copy)
    verdicts = [try_mutant(copy, MUTANTS[kind], 60).verdict for kind in ("killed", "survives")]
    assert verdicts == ["failed", "passed"]
    assert contents(copy) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"old": "3 * y"}, "occurs 0 times"),
        ({"old": "return"}, "occurs 2 times"),
        ({"new": "2 *"}, "would not be Python"),
        ({"file": "sklearn_mabprune/gone.py"}, "there is no file"),
        ({"tests": ("tests/test_toy.py::test_gone",)}, "there is no test .*::test_gone"),
    ],
)
def test_what_is_no_mutant_is_refused(changes, message, repository):
    with pytest.raises(MutantError, match=message):
        run_all([replace(KILLED, **changes)], repository)


@pytest.mark.slow
def test_tests_that_fail_without_a_mutant_are_refused(repository):
    tests = repository / "tests" / "test_toy.py"
    tests.write_text(tests.read_text() + "    assert double(2) == 5\n")
    with pytest.raises(MutantError, match=r"Without any mutant .*test_toy::test_half"):
        run_all([KILLED], repository)


def test_the_list_says_what_does_not_apply(repository, capsys):
    assert show_list([KILLED], repository) == 0
    assert KILLED.invariant in capsys.readouterr().out
    assert show_list([KILLED, replace(KILLED, old="y")], repository) == 1
    assert "DOES NOT APPLY" in capsys.readouterr().out
    for test in ("tests/test_toy.py::test_third", "tests/test_gone.py::test_half"):
        assert show_list([replace(KILLED, tests=(*KILLED.tests, test))], repository) == 1
        assert f"there is no test {test}" in capsys.readouterr().out


def test_every_mutant_of_the_tables_applies():
    """Code that moves takes its mutants along: one whose text is gone breaks nothing."""
    faults = []
    for mutant in read_tables().values():
        try:
            mutant.check(ROOT)
        except MutantError as error:
            faults.append(str(error))
    assert not faults, "\n".join(faults)


def test_tables_are_read(tmp_path):
    """Every mutant says what it means, so that it can be found again when code has moved."""
    known = read_tables()
    assert len(known) >= 30
    for mutant in known.values():
        assert mutant.tests
        assert mutant.old != mutant.new
        assert all(text.endswith(".") for text in (mutant.invariant, mutant.change))
    lines = ["[one]", 'invariant = "a."', 'change = "b."', 'file = "c"', 'old = "d"', 'new = "e"']
    (tmp_path / "a.toml").write_text("\n".join(lines))
    with pytest.raises(MutantError, match=r"one in a\.toml cannot be read"):
        read_tables(tmp_path)
    (tmp_path / "a.toml").write_text("\n".join([*lines, 'tests = ["f"]']))
    assert read_tables(tmp_path)["one"].tests == ("f",)
    (tmp_path / "b.toml").write_text("\n".join([*lines, 'tests = ["f"]']))
    with pytest.raises(MutantError, match="one is in two tables"):
        read_tables(tmp_path)


def test_unknown_names(capsys):
    assert main(["--only", "nothing-of-this-name"]) == 1
    assert "no mutant nothing-of-this-name" in capsys.readouterr().err
