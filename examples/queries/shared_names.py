"""The host names that stand behind more than one address, those with the most first.

python examples/queries/shared_names.py tonight.parquet

Such a name is a wildcard, a cluster that wants names of its own, or somebody else's. A host with
one IPv4 and one IPv6 address is none of these, so they are counted apart. With polars;
`confirmed` counts the addresses that the name leads back to.
"""

from __future__ import annotations

import sys

import polars as pl

SHOWN = 5


def shared(path: str) -> pl.DataFrame:
    """Return name, family, addresses and confirmed, the most shared first."""
    name = pl.col("names").struct
    return (
        pl.scan_parquet(path)
        .filter(pl.col("kind") == "ip")
        .select(
            "target",
            family=pl.when(pl.col("target").str.contains(":")).then(6).otherwise(4),
            names=pl.col("iprev").struct.field("names"),
        )
        .explode("names")
        .select("target", "family", name.field("name"), name.field("confirms"))
        .drop_nulls("name")
        .group_by("name", "family")
        .agg(addresses=pl.col("target").n_unique(), confirmed=pl.col("confirms").sum())
        .filter(pl.col("addresses") > 1)
        .sort(["addresses", "name", "family"], descending=[True, False, False])
        .collect()
    )


if __name__ == "__main__":
    for name, family, addresses, confirmed in shared(sys.argv[1]).head(SHOWN).iter_rows():
        print(f"{name:<24} {addresses:>6} IPv{family} addresses, {confirmed} confirmed")
