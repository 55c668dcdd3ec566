"""Draw how many addresses of each /28 pass, warn or fail (polars and altair).

    python examples/failing_prefixes.py RESULTS.ndjson CHART.html

Cell by cell it is a notebook.
"""

from __future__ import annotations

import sys
from ipaddress import ip_network

import altair as alt
import polars as pl


def prefix_of(address: str) -> str:
    """Return the /28 or /64 of an address."""
    return str(ip_network((address, 64 if ":" in address else 28), strict=False))


# %% Load: one record a line, every key always present.
results, chart_file = sys.argv[1:]
records = pl.read_ndjson(results)

# %% Count verdicts by prefix.
counts = (
    records.filter(pl.col("kind") == "ip")
    .with_columns(prefix=pl.col("target").map_elements(prefix_of, return_dtype=pl.String))
    .group_by("prefix", "verdict")
    .len("addresses")
    .sort("prefix", "verdict")
)
worst = counts.filter(verdict="fail").sort("addresses", "prefix", descending=[True, False])
for prefix, _, addresses in worst.head(3).iter_rows():
    print(f"{prefix:<20} {addresses:>3} fail")

# %% Draw.
colours = alt.Scale(
    domain=["pass", "warn", "unknown", "fail"], range=["#2a7", "#ec3", "#999", "#d33"]
)
chart = (
    alt.Chart(counts)
    .mark_bar()
    .encode(
        x="addresses:Q",
        y=alt.Y("prefix:N", sort=None),
        color=alt.Color("verdict:N", scale=colours),
    )
)
chart.save(chart_file)
