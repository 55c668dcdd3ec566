"""Whom to write to: for each customer, how many addresses fail, and through what.

python examples/queries/customers.py tonight-findings.parquet

`customer` is a column of the list that was scanned (examples/fleet/targets.csv), so it is a
label of each record. With pandas, on the flat table (auditor convert --flat): one row a finding.
"""

from __future__ import annotations

import sys

import pandas as pd

LABEL = "customer"
NOBODY = "(nobody)"


def letters(path: str) -> pd.DataFrame:
    """Return customer, the number of each verdict, and codes; the most failing first."""
    rows = pd.read_parquet(path, columns=["target", "verdict", "code", "severity", "labels"])
    rows[LABEL] = [dict(labels).get(LABEL) or NOBODY for labels in rows["labels"]]
    targets = rows.drop_duplicates(["target", LABEL])
    table = pd.crosstab(targets[LABEL], targets["verdict"])
    table = table.reindex(columns=["pass", "warn", "unknown", "fail"], fill_value=0)
    bad = rows[rows["severity"].isin(["error", "warning"])]
    codes = bad.groupby(LABEL)["code"].agg(lambda found: " ".join(sorted(set(found))))
    table["codes"] = codes.reindex(table.index, fill_value="")
    return table.reset_index().sort_values(["fail", LABEL], ascending=[False, True])


if __name__ == "__main__":
    for name, good, warn, unknown, fail, codes in letters(sys.argv[1]).itertuples(index=False):
        counts = f"{good:>4} pass{warn:>4} warn{unknown:>4} unknown{fail:>4} fail"
        print(f"{name:<20}{counts}  {codes}".rstrip())
