"""Tables of the report, in Markdown; each is of whatever has been measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd

from benchmarks.report.data import (
    BUDGETS,
    RIVALS,
    SCRATCH,
    SCRATCH_EVERYWHERE,
    TASKS,
    VIEWS,
    Study,
    Where,
    label,
    together,
)
from benchmarks.report.goals import ROPE, p_text, percent, plus_minus, signed
from benchmarks.report.rank_tests import (
    DECIMALS,
    bayesian_signed_rank,
    critical_difference,
    friedman,
    wilcoxon,
    wilcoxon_holm,
)
from benchmarks.shared.intervals import mean_and_interval

TUNINGS = {False: "without fine-tuning", True: "with fine-tuning"}
FLOORED = "R2 floored at 0"
#: How many data sets `worst` shows.
WORST = 5

MODELS = {
    "mlp": "our network, unpruned",
    "default 50": "pruned by 50 %",
    "default 75": "pruned by 75 %",
    "default 90": "pruned by 90 %",
    "sklearn_mlp": "scikit-learn's MLP, its defaults",
    "sklearn_mlp_same": "scikit-learn's MLP, same sizes",
    "hgb": "HistGradientBoosting",
}
MEASURED = ["n_bytes", "ms_row", "ms_single"]

Lines = Iterator[str]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def losses(study: Study, part: str, methods: Sequence[str], view: str = "neurons") -> Lines:
    """Loss against the unpruned network, and the fraction of parameters that is kept."""
    blocks = []
    for task, tuned in product(TASKS, TUNINGS):
        columns = [_lost(study, methods, Where(task, b, tuned, part, view)) for b in BUDGETS]
        rows = [
            (label(method), *(text for column in columns for text in column.get(method, ("", ""))))
            for method in methods
            if any(method in column for column in columns)
        ]
        if rows:
            rows.append(
                ("*data sets*", *(text for column in columns for text in column.get("", ("", ""))))
            )
            heads = [t for b in BUDGETS for t in (f"{percent(b)} of {VIEWS[view]}", "kept")]
            blocks.append(f"{_title(task, floored=True)}, {TUNINGS[tuned]}:\n")
            blocks.append(table(("method", *heads), rows))
    if blocks:
        yield (
            "Tables: methods, one per row; for each fraction removed the accuracy loss (percentage "
            "points) or R2 loss x 100 against the unpruned network, mean over data sets ± half a "
            "95 % interval (median), and the mean fraction of the parameters that is kept. Every "
            "R2 below 0 counts as 0 here, for all methods.\n"
        )
        yield from blocks


def _title(task: str, floored: bool) -> str:
    """The task, and whether negative R2 counts as 0."""
    floor = f" ({FLOORED})" if floored and task == "regression" else ""
    return task.capitalize() + floor


def _lost(study: Study, methods: Sequence[str], where: Where) -> dict[str, tuple[str, str]]:
    """Loss and parameters kept by each method; the number of data sets under no name."""
    scores = together(study, methods, where, floor=where.task == "regression")
    sizes = together(study, methods, where, "parameters")
    if scores is None or sizes is None:
        return {}
    found = {"": (str(len(scores)), "")}
    for method in scores.names[1:]:
        lost = scores["unpruned"] - scores[method]
        mean, half = mean_and_interval(lost)
        kept = 100 * (sizes[method] / sizes["unpruned"]).mean()
        text = f"{mean:.2f}{plus_minus(half)} ({np.median(lost):.2f})"
        found[method] = (text, f"{kept:.0f} %")
    return found


def ranks(study: Study, methods: Sequence[str], part: str = "main") -> Lines:
    """Mean ranks, and whether methods differ at all."""
    for task in TASKS:
        for tuned, how in TUNINGS.items():
            tests = {}
            for removed in BUDGETS:
                where = Where(task, removed, tuned, part)
                names = study.there(methods, where)
                # Methods of "main" alone are no comparison of another part.
                if len(names) >= 3 and set(names) & set(study.methods(part)):
                    pair = study.paired(names, where)
                    if len(pair) >= 2:
                        tests[removed] = friedman(pair.values, names)
            if not tests:
                continue
            yield (
                f"{task.capitalize()}, {how}: mean ranks over data sets, one method per row, 1 is "
                "best.\n"
            )
            found = {
                removed: dict(zip(test.names, test.mean_ranks, strict=True))
                for removed, test in tests.items()
            }
            rows = [
                (label(method), *(_number(found[removed].get(method)) for removed in tests))
                for method in methods
                if any(method in ranks for ranks in found.values())
            ]
            last = list(tests.values())
            cd = [critical_difference(test.n_sets, len(test.names)) for test in last]
            rows += [
                ("*data sets*", *(str(test.n_sets) for test in last)),
                ("*Friedman*", *(f"{test.chi2:.1f}, {p_text(test.p)}" for test in last)),
                ("*Iman-Davenport*", *(f"{test.f:.1f}, {p_text(test.f_p)}" for test in last)),
                ("*critical difference*", *(f"{value:.2f}" for value in cd)),
            ]
            yield table(("method", *(f"{percent(removed)} removed" for removed in tests)), rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def against_default(
    study: Study, part: str, methods: Sequence[str], view: str = "neurons"
) -> Lines:
    """The default against each method: wins, mean difference, Wilcoxon-Holm, Bayesian."""
    blocks = []
    others = [name for name in methods if name != "default"]
    for task, tuned in product(TASKS, TUNINGS):
        columns = [
            _compared(study, others, Where(task, removed, tuned, part, view)) for removed in BUDGETS
        ]
        rows = [
            (label(method), *(column.get(method, "") for column in columns))
            for method in others
            if any(method in column for column in columns)
        ]
        if rows:
            heads = [f"{percent(removed)} of {VIEWS[view]}" for removed in BUDGETS]
            blocks.append(f"{_title(task, floored=False)}, {TUNINGS[tuned]}:\n")
            blocks.append(table(("default compared with", *heads), rows))
    if blocks:
        yield (
            "Tables: methods, one per row. For each fraction removed: data sets on which the "
            "default is better/equal/worse; its mean score minus that of the method, in percentage "
            "points or R2 x 100 (R2 floored at 0); p of the two-sided Wilcoxon test with Holm's "
            "correction over the column; probabilities that the default is "
            "better/equivalent/worse by the Bayesian signed-rank test, equivalent within "
            f"{ROPE:g} percentage point.\n"
        )
        yield from blocks


def _compared(study: Study, others: Sequence[str], where: Where) -> dict[str, str]:
    """One column of `against_default`, by method."""
    names = study.there(["default", *others], where)
    pair = study.paired(names, where) if len(names) >= 2 and names[0] == "default" else None
    if pair is None or len(pair) < 2:
        return {}
    floored = study.paired(names, where, floor=where.task == "regression")
    found = {}
    for c in wilcoxon_holm(pair.values, names, reference="default"):
        bayes = bayesian_signed_rank(pair["default"], pair[c.second], rope=ROPE)
        mean = (floored["default"] - floored[c.second]).mean()
        found[c.second] = (
            f"{c.wins}/{c.ties}/{c.losses}, {mean:+.2f}, {p_text(c.p_holm)}, "
            f"{bayes.better:.2f}/{bayes.equivalent:.2f}/{bayes.worse:.2f}"
        )
    return found


def scratch(study: Study, view: str = "neurons") -> Lines:
    """The default, fine-tuned, against the same architecture trained from random weights."""
    rows = []
    for task in TASKS:
        for method in SCRATCH:
            for removed in BUDGETS:
                where = Where(task, removed, tuned=True, view=view)
                names = study.there(("default", method), where)
                pair = study.paired(names, where) if len(names) == 2 else None
                if pair is None or len(pair) < 2:
                    continue
                floored = study.paired(names, where, floor=task == "regression")
                (c,) = wilcoxon_holm(pair.values, names, reference="default")
                first, second = pair["default"], pair[method]
                epochs = study.paired(names, where, column="epochs")
                rows.append(
                    (
                        task,
                        label(method),
                        percent(removed),
                        f"{c.wins}/{c.ties}/{c.losses}",
                        signed(*mean_and_interval(floored["default"] - floored[method])),
                        p_text(wilcoxon(first, second, "greater")),
                        p_text(wilcoxon(first, second, "less")),
                        p_text(c.p),
                        f"{epochs['default'].mean():.0f} / {epochs[method].mean():.0f}",
                    )
                )
    if not rows:
        return
    yield (
        "Table: comparisons of the fine-tuned default with training from random weights, one per "
        "row: data sets on which it is better/equal/worse (w/t/l), its mean score minus the other "
        "in percentage points or R2 x 100 ± half a 95 % interval (R2 floored at 0), p of Wilcoxon "
        "tests that it is better, worse and different, and epochs of its fine-tuning / of the "
        "training from random weights.\n"
    )
    heads = (
        "task",
        "compared with",
        f"{VIEWS[view]} removed",
        "w/t/l",
        "difference",
        "better",
        "worse",
        "different",
    )
    yield table((*heads, "epochs"), rows)


def worst(study: Study) -> Lines:
    """Data sets with the largest loss of the fine-tuned default."""
    for task in TASKS:
        rows = []
        for removed in BUDGETS:
            where = Where(task, removed, tuned=True)
            names = study.there(("unpruned", "default", *RIVALS, *SCRATCH_EVERYWHERE), where)
            if not {"unpruned", "default"} < set(names):
                continue
            pair = study.paired(names, where)
            others = [name for name in names if name not in ("unpruned", "default")]
            lost = np.round(pair["unpruned"] - pair["default"], DECIMALS)
            for k in np.argsort(-lost, kind="stable")[:WORST]:
                best = max(others, key=lambda name, k=k, pair=pair: pair[name][k])
                rows.append(
                    (
                        percent(removed),
                        pair.sets[k],
                        f"{pair['unpruned'][k]:.2f}",
                        f"{pair['default'][k]:.2f}",
                        f"{lost[k]:.2f}",
                        f"{pair[best][k]:.2f} ({label(best)})",
                    )
                )
        if rows:
            yield (
                f"{task.capitalize()}, with fine-tuning: the data sets with the largest loss, one "
                "per row; scores x 100.\n"
            )
            heads = ("removed", "data set", "unpruned", "default", "loss", "best other")
            yield table(heads, rows)


def costs(study: Study) -> Lines:
    """Seconds and epochs of each method at 75 %."""
    for task in TASKS:
        plain, tuned = (Where(task, 0.75, how) for how in (False, True))
        methods = ("default", *RIVALS, *SCRATCH_EVERYWHERE)
        pruning, training, epochs, macs = (
            together(study, methods, where, column)
            for where, column in (
                (plain, "seconds"), (tuned, "seconds"), (tuned, "epochs"), (tuned, "macs"),
            )
        )  # fmt: skip
        if training is None or epochs is None or macs is None:
            continue
        rows = []
        for name in training.names[1:]:
            known = pruning is not None and name in pruning.names
            rows.append(
                (
                    label(name),
                    f"{np.median(pruning[name]):.1f}" if known else "",
                    f"{np.median(training[name]):.1f}",
                    f"{epochs[name].mean():.0f}",
                    f"{macs[name].mean():,.0f}",
                )
            )
        first = epochs["unpruned"].mean()
        yield (
            f"{task.capitalize()}, 75 % of units removed, one method per row. The initial training "
            f"took {first:.0f} epochs; the unpruned network has {macs['unpruned'].mean():,.0f} "
            "MACs per sample.\n"
        )
        heads = ("method", "seconds of pruning, median", "of fine-tuning or training", "epochs")
        yield table((*heads, "MACs per sample"), rows)


def context_table(context: pd.DataFrame) -> Lines:
    """Our network, pruned and not, compared with scikit-learn's models."""
    for task in TASKS:
        rows = context[context["task"] == task]
        scores = rows.pivot_table(index=["set", "seed"], columns="model", values="score").dropna()
        if not len(scores):
            continue
        kept = rows.set_index(["set", "seed"]).loc[scores.index]
        floored = scores.clip(lower=0.0) if task == "regression" else scores
        means = floored.groupby(level="set").mean()
        reference = means.get("mlp")
        lines = []
        for model in dict.fromkeys(rows["model"]):
            own = kept[kept["model"] == model].groupby(level="set")[MEASURED].mean()
            lead = ""
            if reference is not None and model != "mlp":
                lead = signed(*mean_and_interval(means[model] - reference))
            lines.append(
                (
                    MODELS.get(model, model),
                    f"{means[model].mean():.2f}",
                    lead,
                    f"{own['n_bytes'].median() / 1024:,.0f}",
                    f"{own['ms_row'].median():.4f}",
                    f"{own['ms_single'].median():.2f}",
                )
            )
        yield (
            f"{_title(task, floored=True)}, {len(means)} data sets, one model per row: mean of "
            "scores x 100, median of sizes and times.\n"
        )
        heads = (
            "model",
            "score",
            "minus unpruned",
            "KiB on disk",
            "ms per sample",
            "ms for one sample",
        )
        yield table(heads, lines)
