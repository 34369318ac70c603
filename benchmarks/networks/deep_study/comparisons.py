"""Scores of methods over networks, the goals of the study, and what the paper claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...report.rank_tests import Comparison, Floats, friedman, holm, mean_ranks, wilcoxon_holm
from ...shared.intervals import interval
from .methods import DEFAULT, POLICIES, PUBLISHED, UNPRUNED
from .settings import Network, Settings

Row = dict[str, str]
ALPHA = 0.05
#: Largest mean losses in points at half of the units, without fine-tuning: of all networks, and of
#: those that are pruned in one part.
MOST_LOST = {"": 1.0, "LSTM": 2.0, "feed-forward": 0.5, "heads": 1.0}
#: Most seconds of a prune to half of the units, in seconds of a training epoch.
MOST_EPOCHS = 3.0


@dataclass(frozen=True)
class Scores:
    """Mean accuracies over the seeds, in points.

    Parameters
    ----------
    networks, methods : tuple of str
    values : ndarray of shape (n_networks, n_methods)
    """

    networks: tuple[str, ...]
    methods: tuple[str, ...]
    values: Floats

    def of(self, method: str) -> Floats:
        """Scores of one method, (n_networks,)."""
        return self.values[:, self.methods.index(method)]

    def lost(self, method: str) -> Floats:
        """Points that a method loses of the unpruned networks."""
        return self.of(UNPRUNED) - self.of(method)


@dataclass(frozen=True)
class Goal:
    """A goal with the figure that decides it; `met` is None where nothing was measured."""

    text: str
    figure: str
    met: bool | None


class Study:
    """Rows of the study with its settings.

    Parameters
    ----------
    rows : sequence of dict
    settings : Settings
    """

    def __init__(self, rows: Sequence[Row], settings: Settings):
        self.settings = settings
        self.rows = [row for row in rows if row["net"] in settings.networks]
        found: dict[tuple[str, str, float, bool], dict[str, Row]] = {}
        for row in self.rows:
            if row["failed"] == "":
                key = row["net"], row["method"], float(row["budget"]), int(row["epochs"]) > 0
                found.setdefault(key, {})[row["seed"]] = row
        self._found = found

    def tested(self) -> list[str]:
        """Networks of the tests: each trained network once."""
        return [n.name for n in self.settings.networks.values() if n.trained_as == n.name]

    def parts(self, part: str) -> list[Network]:
        """Networks that take part in a goal of their own."""
        return [n for n in self.settings.networks.values() if n.part == part]

    def scores(
        self,
        methods: Sequence[str],
        budget: float = 0.5,
        tuned: bool = False,
        networks: Sequence[str] | None = None,
    ) -> Scores:
        """Scores of those networks that all the methods were measured on, with the same seeds.

        Parameters
        ----------
        methods : sequence of str
            `UNPRUNED` is added.
        budget : float, default=.5
        tuned : bool, default=False
        networks : sequence of str, optional
            Those of the tests when not given.
        """
        names, values = [], []
        for name in self.tested() if networks is None else networks:
            cells = [self._found.get((name, m, budget, tuned), {}) for m in methods]
            seeds = set.intersection(*(set(cell) for cell in cells))
            if not seeds:
                continue
            chosen = [[cell[seed] for seed in sorted(seeds)] for cell in cells]
            unpruned = np.mean([float(row["unpruned"]) for row in chosen[0]])
            own = [np.mean([float(row["accuracy"]) for row in rows]) for rows in chosen]
            names.append(name)
            values.append([100 * unpruned, *(100 * mean for mean in own)])
        shape = len(names), len(methods) + 1
        array = np.array(values, dtype=float).reshape(shape)
        return Scores(tuple(names), (UNPRUNED, *methods), array)

    def row(self, name: str, method: str, budget: float, tuned: bool) -> list[Row]:
        """The rows of all seeds."""
        return list(self._found.get((name, method, budget, tuned), {}).values())


def goals(study: Study) -> Iterator[Goal]:
    """Every goal of the study."""
    five = study.scores([DEFAULT, *PUBLISHED])
    text = f"half of the units, no fine-tuning: the default loses at most {MOST_LOST['']:g} point"
    if len(five.networks):
        mean = five.lost(DEFAULT).mean()
        beside = "; ".join(
            f"{name}: {five.lost(name).mean():.2f}" for name in ("paper, UCB1", "Taylor")
        )
        figure = f"{interval(five.lost(DEFAULT), 2)} ({beside})"
        yield Goal(text, figure, bool(mean <= MOST_LOST[""]))
    else:
        yield Goal(text, "", None)
    for comparison in against(five, DEFAULT, PUBLISHED):
        yield Goal(
            f"half of the units, no fine-tuning: better than {comparison.second}",
            f"{comparison.mean_difference:+.2f}, {wins(comparison)}, {p_text(comparison.p_holm)}",
            comparison.better and comparison.p_holm < ALPHA,
        )
    for part in ("LSTM", "feed-forward", "heads"):
        scores = study.scores([DEFAULT], networks=[n.name for n in study.parts(part)])
        text = f"half of the units ({part}), no fine-tuning: at most {MOST_LOST[part]:g} lost"
        losses = scores.lost(DEFAULT)
        figure = ", ".join(
            f"{name}: {loss:.2f}" for name, loss in zip(scores.networks, losses, strict=True)
        )
        met = bool(losses.mean() <= MOST_LOST[part]) if len(losses) else None
        yield Goal(text, f"{losses.mean():.2f} ({figure})" if len(losses) else "", met)
    yield _seconds(study)


def _seconds(study: Study) -> Goal:
    epochs = epochs_of_a_prune(study)
    text = f"a prune to half of the units takes at most {MOST_EPOCHS:g} training epochs' seconds"
    if not epochs:
        return Goal(text, "", None)
    within = sum(ratio <= MOST_EPOCHS for ratio in epochs.values())
    worst = max(epochs, key=epochs.__getitem__)
    figure = (
        f"{within} of {len(epochs)} networks; median {np.median(list(epochs.values())):.1f}, "
        f"{worst} {epochs[worst]:.0f}"
    )
    return Goal(text, figure, within == len(epochs))


def epochs_of_a_prune(study: Study) -> dict[str, float]:
    """Seconds of the default's path to half of the units, in seconds of a training epoch."""
    found = {}
    for name in study.settings.networks:
        rows = study.row(name, DEFAULT, 0.5, False)
        if rows:
            found[name] = float(
                np.median([float(r["seconds"]) / float(r["epoch_seconds"]) for r in rows])
            )
    return found


def against(scores: Scores, first: str, others: Sequence[str]) -> list[Comparison]:
    """One method beside others; none where there are too few networks."""
    if len(scores.networks) < 2:
        return []
    names = [first, *others]
    values = np.column_stack([scores.of(name) for name in names])
    return wilcoxon_holm(values, names, reference=first)


def claims(study: Study) -> Iterator[tuple[str, str, str]]:
    """What the paper claims, what is found at half of the units, and whether that agrees.

    Of those policies that were measured on as many networks as the default.
    """
    n_networks = len(study.scores([DEFAULT]).networks)
    policies = [p for p in POLICIES if len(study.scores([p]).networks) == n_networks]
    scores = study.scores([*policies, "magnitude", "activation variation"])
    if len(scores.networks) < 2 or not policies:
        return
    yield _ranks(scores, policies)
    for other, what in (
        (UNPRUNED, "than the unpruned network"),
        ("magnitude", "than pruning by magnitude"),
        ("activation variation", "than greedy pruning by activation variation"),
    ):
        found = _policies_beside(scores, policies, other)
        better, worse = (
            sum(c.better is sign and c.p_holm < ALPHA for c in found) for sign in (True, False)
        )
        yield (
            f"several policies are significantly better {what}",
            f"of {len(found)} measured {better} better, {worse} worse; {found[0].first[7:]} "
            f"{found[0].mean_difference:+.1f} points, {wins(found[0])}, {p_text(found[0].p_holm)}",
            "yes" if better > 1 else "no" if not better else "not measured",
        )


def _ranks(scores: Scores, policies: list[str]) -> tuple[str, str, str]:
    claim = "UCB1 and Thompson sampling have the best mean ranks of the six policies"
    n_networks = f"{len(scores.networks)} networks"
    if len(policies) < len(POLICIES):
        measured = ", ".join(name.removeprefix("paper, ") for name in policies)
        return claim, f"on all {n_networks} only {measured}", "not measured"
    own = np.column_stack([scores.of(name) for name in policies])
    ranks = dict(zip(policies, mean_ranks(own), strict=True))
    order = sorted(ranks, key=ranks.__getitem__)
    p = friedman(own, policies).f_p
    found = ", ".join(f"{name.removeprefix('paper, ')} {ranks[name]:.2f}" for name in order)
    holds = {*order[:2]} == {"paper, UCB1", "paper, Thompson"} and p < ALPHA
    return claim, f"{found}; Iman-Davenport {p_text(p)}; {n_networks}", "yes" if holds else "no"


def _policies_beside(scores: Scores, policies: list[str], other: str) -> list[Comparison]:
    """Each policy beside one other method, with Holm's correction over the policies."""
    found = [
        wilcoxon_holm(np.column_stack([scores.of(name), scores.of(other)]), [name, other])[0]
        for name in policies
    ]
    adjusted = holm([comparison.p for comparison in found])
    return [replace(c, p_holm=float(p)) for c, p in zip(found, adjusted, strict=True)]


def wins(comparison: Comparison) -> str:
    """Networks won, tied and lost."""
    return f"{comparison.wins} / {comparison.ties} / {comparison.losses}"


def p_text(p: float) -> str:
    """A p-value."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)
