"""What a sweep of IPv4's reverse space would cost, from measured figures and stated guesses.

    python examples/cluster/sweep.py --hours 24 --named 0.33

Figures that were measured are options, with the command that measures them in their help.
"""

from __future__ import annotations

import argparse
from ipaddress import ip_network

#: Addresses that nobody can have (IANA IPv4 Special-Purpose Address Registry, multicast, and
#: 240.0.0.0/4).
NOBODYS = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
)


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="The cost of a sweep of IPv4's reverse space.")

    def number(name: str, default: float, about: str) -> None:
        parser.add_argument(
            name, type=float, default=default, metavar="N", help=f"{about} (default: %(default)g)"
        )

    number("--hours", 24, "how long it may take")
    number("--named", 1 / 3, "share of addresses that have a PTR record: a guess")
    number("--late", 0.1, "share of lookups in zones that answer late or never: a guess")
    number("--latency", 0.1, "seconds that a resolver takes for the others: a guess")
    number("--patience", 10, "seconds until a late lookup is given up: --timeout times --tries")
    number("--cpu", 16, "µs of CPU a lookup, scan and all: python -m benchmarks.shards")
    number("--cold", 11_000, "lookups a second of one Unbound, cold: python -m benchmarks b")
    number("--octets", 469, "octets of a record with a name: python -m benchmarks.shards")
    number("--packed", 40, "octets of a record in a part: a guess, 9 for names made up by rule")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    given = arguments()
    seconds = given.hours * 3600
    addresses = 2**32 - sum(ip_network(net).num_addresses for net in NOBODYS)
    # PTR for each; A and TXT for those with a name, and a question that unmasks wildcards
    # for every /24 with names in it.
    lookups = addresses * (1 + 2 * given.named) + addresses / 256
    rate = lookups / seconds
    cpu = lookups * given.cpu / 1e6
    waiting = (1 - given.late) * given.latency + given.late * given.patience
    rows = [
        ("addresses", f"{addresses:,}"),
        ("lookups", f"{lookups:,.0f}"),
        ("lookups a second", f"{rate:,.0f}"),
        ("lookups under way at a time", f"{rate * waiting:,.0f}"),
        ("CPU hours of workers", f"{cpu / 3600:,.1f}"),
        ("cores of workers, kept busy", f"{cpu / seconds:.1f}"),
        ("cores of resolvers, nothing cached", f"{rate / given.cold:.1f}"),
        ("records as plain text, TB", f"{addresses * given.octets / 1e12:.2f}"),
        ("records in parts, TB", f"{addresses * given.packed / 1e12:.2f}"),
        ("written a second, MB", f"{addresses * given.packed / seconds / 1e6:.1f}"),
    ]
    for label, figure in rows:
        print(f"{label:<36}{figure:>16}")


if __name__ == "__main__":
    main()
