"""PowerDNS with its zones in a database (SQLite): it takes changes over its API, and TSIG keys."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support.data import installed, missing
from support.processes import Recipe

if TYPE_CHECKING:
    from support.processes import Place

__all__ = ["API_ADDRESS", "API_KEY", "powerdns_database"]

#: Where the API listens, at the port of the server, which is taken on 127.0.0.1.
API_ADDRESS: Final = "127.0.0.2"
API_KEY: Final = "a-test's-own"
_PACKAGE: Final = "pdns-backend-sqlite3"
_SCHEMA: Final = Path("/usr/share", _PACKAGE, "schema", "schema.sqlite3.sql")


def powerdns_database(key: tuple[str, str] = ("", "")) -> Recipe:
    """Return the recipe; `key`: name and secret (HMAC-SHA-256) that transfers are signed with."""

    def configure(place: Place) -> list[str]:
        if not _SCHEMA.is_file():
            missing(f"the SQLite backend of PowerDNS is not installed: apt-get install {_PACKAGE}")
        database = place.folder / "zones.sqlite"
        (place.folder / "pdns.conf").write_text(
            f"""launch=gsqlite3
gsqlite3-database={database}
local-address={",".join(place.addresses)}
local-port={place.port}
socket-dir={place.folder}
security-poll-suffix=
daemon=no
guardian=no
disable-axfr=no
allow-axfr-ips=
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
webserver=yes
webserver-address={API_ADDRESS}
webserver-port={place.port}
webserver-allow-from=127.0.0.0/8
api=yes
api-key={API_KEY}
"""
        )
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(_SCHEMA.read_text())
        load = [installed("pdnsutil", "pdns-server"), f"--config-dir={place.folder}", "load-zone"]
        for origin, path in place.zones.items():
            subprocess.run([*load, origin, path], check=True, capture_output=True)
        with closing(sqlite3.connect(database)) as connection, connection:
            # As import-tsig-key and activate-tsig-key of pdnsutil do.
            connection.execute("insert into tsigkeys values (1, ?, 'hmac-sha256', ?)", key)
            connection.execute(
                "insert into domainmetadata (domain_id, kind, content) "
                "select id, 'TSIG-ALLOW-AXFR', ? from domains",
                key[:1],
            )
        return ["pdns_server", f"--config-dir={place.folder}"]

    return Recipe("powerdns", "pdns_server", f"pdns-server {_PACKAGE}", configure)
