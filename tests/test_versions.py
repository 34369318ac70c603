"""Versions and metadata: what is declared is what is installed, tested and described."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {normal(package): version for package, version in found.items()}


def bounds(requirements):
    return {normal(p): v for p, v in (requirement.split(">=") for requirement in requirements)}


def padded(version):
    return [*map(int, version.split(".")), 0, 0][:3]


OLDEST, NEWEST = pins("constraints-oldest.txt"), pins("constraints.txt")


def test_lower_bounds_are_the_oldest_versions_that_are_run():
    declared = bounds(PROJECT["dependencies"])
    assert OLDEST.pop("torch") == NEWEST["torch"]  # an older one where it can be had
    for name in declared.keys() - {"torch"}:
        assert padded(declared[name]) == padded(OLDEST[name]), name
    for name, version in bounds(PROJECT["optional-dependencies"]["oldest"]).items():
        assert padded(OLDEST[name]) >= padded(version), name


@pytest.mark.parametrize("extra", ["", *PROJECT["optional-dependencies"]])
def test_everything_that_is_declared_has_an_exact_version(extra):
    named = PROJECT["optional-dependencies"].get(extra, PROJECT["dependencies"])
    assert not bounds(named).keys() - NEWEST.keys()


def test_the_page_of_dependencies_has_these_versions():
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w-]+) \| (\d[\d.]*) \| [\d.]+ \|$", page, re.MULTILINE))
    latest = dict(re.findall(r"^\| ([\w-]+) \| [\d.]+ \| (\d[\d.]*) \|$", page, re.MULTILINE))
    declared = bounds(PROJECT["dependencies"])
    for name, version in rows.items():
        package = {"pytorch": "torch"}.get(normal(name), normal(name))
        if package == "python":
            assert PROJECT["requires-python"] == f">={version}"
            continue
        assert padded(version) == padded(declared.pop(package)), name
        assert latest[name] == NEWEST[package], name
    assert not declared


def packages_of_extras(page):
    """Packages in the rows of each extra; an empty cell means the extra above."""
    named, extra = {}, ""
    for cell, packages in re.findall(r"^\| (\w*) ?\| ([\w, -]+) \| .* \|$", page, re.MULTILINE):
        extra = cell or extra
        named.setdefault(extra, set()).update(normal(name) for name in packages.split(", "))
    return named


def test_the_page_of_dependencies_has_the_packages_of_each_extra():
    named = packages_of_extras((ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8"))
    for extra, requirements in PROJECT["optional-dependencies"].items():
        assert named[extra] == bounds(requirements).keys(), extra


def test_what_an_index_shows():
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} <= PROJECT["urls"].keys()
    versions = [c for c in PROJECT["classifiers"] if c.startswith("Programming Language :: Python")]
    # Those that were run: the page of dependencies says how.
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    run = {"3.11", *re.findall(r"(3\.\d\d)", re.search(r"with (Python .*?),", page).group(1))}
    assert {c.rsplit(" ", 1)[-1] for c in versions} - {"3"} == run
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    sentence = re.search(
        r"Requires Python (\S+), scikit-learn (\S+), skorch (\S+), PyTorch", readme
    )
    declared = bounds(PROJECT["dependencies"])
    assert sentence is not None
    assert sentence.groups() == ("3.11", declared["scikit-learn"], declared["skorch"])
