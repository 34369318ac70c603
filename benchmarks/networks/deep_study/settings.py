"""Sizes, samples and epochs of the study, from the committed file ``settings.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from . import modules, transformers

FILE = Path(__file__).with_name("settings.toml")


@dataclass(frozen=True)
class Network:
    """A network of the study.

    Parameters
    ----------
    name : str
    module : str
        A class of `modules` or `transformers`.
    arguments : dict
        Of the class.
    samples : str
        A key of `samples.READERS`.
    n_train, n_test : int
        At most so many samples.
    epochs : int
    learning_rate : float
    layers : object
        The parameter of the estimator: what is pruned; None: everything.
    paper : str
        The paper's name for a network of this kind, "" where its table has none.
    part : str
        Which goal of its own it takes part in, "" in none.
    trained_as : str
        The network whose weights these are; `name` if its own.
    """

    name: str
    module: str
    arguments: dict[str, Any]
    samples: str
    n_train: int
    n_test: int
    epochs: int
    learning_rate: float = 0.001
    layers: Any = None
    paper: str = ""
    part: str = ""
    trained_as: str = ""

    @property
    def kind(self) -> type[nn.Module]:
        """The class of the module."""
        found = getattr(modules, self.module, None) or getattr(transformers, self.module)
        return found  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Parameters
    ----------
    networks : dict of str to Network
    seeds : int
    budgets : tuple of float
        Fractions of the units.
    pruning_samples : int
        `max_pruning_samples` of every method.
    fine_tuning : float
        Epochs of fine-tuning, as a fraction of those of the training.
    """

    networks: dict[str, Network]
    seeds: int
    budgets: tuple[float, ...]
    pruning_samples: int
    fine_tuning: float

    def quick(self) -> Settings:
        """One seed of a third of the epochs and samples."""
        networks = {
            name: replace(
                network,
                epochs=max(2, network.epochs // 3),
                n_train=network.n_train // 3,
                n_test=network.n_test // 2,
            )
            for name, network in self.networks.items()
        }
        return replace(self, networks=networks, seeds=1, pruning_samples=256)


def read() -> Settings:
    """The settings of the file."""
    values = tomllib.loads(FILE.read_text(encoding="utf-8"))
    networks: dict[str, Network] = {}
    for name, own in values["networks"].items():
        other = own.pop("same_as", None)
        if other is None:
            networks[name] = Network(name=name, trained_as=name, **own)
        else:
            networks[name] = replace(networks[other], name=name, paper="", **own)
    study = values["study"]
    return Settings(networks=networks, **{**study, "budgets": tuple(study["budgets"])})
