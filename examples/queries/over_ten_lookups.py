"""The domains whose SPF policies need so many DNS lookups that receivers give up on them.

python examples/queries/over_ten_lookups.py tonight.parquet

Ten are allowed; nine and ten are shown too, for the next include breaks them. With polars,
lazily: of a file of any size, only the columns that are looked at are read.
"""

from __future__ import annotations

import sys

import polars as pl

LIMIT = 10  # RFC 7208 section 4.6.4
NEAR = 9


def costly(path: str) -> pl.DataFrame:
    """Return domain, lookups, voids and whether that is too many, the worst first."""
    spf = pl.col("domain").struct.field("spf").struct
    return (
        pl.scan_parquet(path)
        .filter(pl.col("kind") == "domain")
        .select(
            pl.col("target").alias("domain"),
            spf.field("lookups").alias("lookups"),
            spf.field("voids").alias("voids"),
        )
        .filter(pl.col("lookups") >= NEAR)
        .with_columns(too_many=pl.col("lookups") > LIMIT)
        .sort(["lookups", "domain"], descending=[True, False])
        .collect()
    )


if __name__ == "__main__":
    for domain, lookups, voids, too_many in costly(sys.argv[1]).iter_rows():
        print(f"{domain:<32}{lookups:>4} lookups{voids:>4} void{'  too many' * too_many}")
