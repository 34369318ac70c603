"""The mutants that are written down in the tables of this folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

TABLES = Path(__file__).parent


class MutantError(Exception):
    """A mutant, or the tests that it names, cannot be used."""


@dataclass(frozen=True)
class Mutant:
    """One change that breaks one invariant.

    Parameters
    ----------
    name : str
    invariant : str
        What holds without it.
    change : str
        What it does instead.
    file : str
        Path from the root of the repository.
    old, new : str
        A text that occurs exactly once in the file, and what replaces it.
    tests : tuple of str
        What pytest is given: at least one of them must fail.
    """

    name: str
    invariant: str
    change: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The file's text with the change.

        Raises
        ------
        MutantError
            If the old text does not occur exactly once, or the new one is not Python.
        """
        found = text.count(self.old)
        if found != 1:
            raise MutantError(
                f"{self.name}: the text to replace occurs {found} times in {self.file}, not once: "
                f"{self.old!r}"
            )
        changed = text.replace(self.old, self.new)
        try:
            compile(changed, self.file, "exec")
        except SyntaxError as error:
            raise MutantError(f"{self.name}: {self.file} would not be Python: {error}") from error
        return changed

    def check(self, root: Path) -> None:
        """Refuse a mutant that does not apply to a repository, without running any test.

        Raises
        ------
        MutantError
            If its file or a test is not there, or as `applied` does.
        """
        path = root / self.file
        if not path.is_file():
            raise MutantError(f"{self.name}: there is no file {self.file}.")
        self.applied(path.read_text())
        self._check_tests(root)

    def _check_tests(self, root: Path) -> None:
        """Refuse names of tests that are not in a repository, without importing any."""
        for test in self.tests:
            name, _, function = test.partition("::")
            path = root / name
            wanted = f"def {function.partition('[')[0]}(" if function else "def test_"
            if not path.is_file() or wanted not in path.read_text():
                raise MutantError(f"{self.name}: there is no test {test}.")


def read_tables(folder: Path = TABLES) -> dict[str, Mutant]:
    """All mutants by name.

    Raises
    ------
    MutantError
        If two have one name, or one lacks a field or has one too many.
    """
    found: dict[str, Mutant] = {}
    for path in sorted(folder.glob("*.toml")):
        for name, fields in tomllib.loads(path.read_text()).items():
            if name in found:
                raise MutantError(f"{name} is in two tables, one of them {path.name}.")
            try:
                found[name] = Mutant(name, **fields | {"tests": tuple(fields["tests"])})
            except (KeyError, TypeError) as error:
                raise MutantError(f"{name} in {path.name} cannot be read: {error!r}") from error
    return found
