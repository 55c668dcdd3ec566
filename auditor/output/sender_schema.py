"""The JSON Schema (2020-12) of a line of `auditor senders --json`."""

from __future__ import annotations

from typing import Any, Final

from auditor.output.schema_parts import list_of, object_of, or_null

__all__ = ["LINE_SCHEMAS", "sender_schema"]

_TEXT: Final = {"type": "string"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_SPF_RESULTS: Final = ["pass", "fail", "softfail", "neutral", "permerror", "temperror"]

_THROUGH: Final = list_of(
    object_of("A term of another policy", domain=_TEXT, term=_TEXT),
    "The terms of included or redirect policies that match, outermost first; empty for none",
)
_TERM: Final = {**_TEXT, "description": "The term of the domain's own policy, as published"}
_WAY: Final = object_of("A way to a term", term=_TERM, through=_THROUGH)
#: The term is null where no term of a policy matches.
_END: Final = {
    "term": {**_MAYBE_TEXT, "description": "The term; null for the end of the policy"},
    "through": list_of(
        object_of("A term of another policy", domain=_TEXT, term=_MAYBE_TEXT),
        "The terms of included or redirect policies that match, outermost first",
    ),
}
_BY_VERSION: Final = {"ipv4": _COUNT, "ipv6": _COUNT}
_SPAN: Final = {
    "range": {**_TEXT, "description": "An address, a prefix, or FIRST-LAST"},
    "first": _TEXT,
    "last": _TEXT,
}
_SOME: Final = object_of(
    "Hosts: how many, and the first of them", count=_COUNT, first=list_of(_TEXT, "Addresses")
)
_NAMES: Final = list_of(_TEXT, "The first of them by name, up to --names")


def _type(name: str) -> dict[str, Any]:
    return {"enum": [name]}


#: The schema of each type of line.
LINE_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "domain": object_of(
        "A domain, and the addresses that it authorises",
        type=_type("domain"),
        domain=_TEXT,
        status={
            "enum": ["policy", "none", "permerror", "temperror"],
            "description": "policy, or the result for every address where there is none",
        },
        explanation={**_MAYBE_TEXT, "description": "The cause of an error"},
        otherwise={
            "enum": [*_SPF_RESULTS, None],
            "description": "The result for most addresses; null: undetermined, or no policy",
        },
        **_BY_VERSION,
        through=list_of(_TEXT, "Policies that it authorises addresses through, sorted"),
        world=list_of(_WAY, "Terms by which it authorises all addresses, or next to all"),
        undetermined=list_of(
            object_of("A term that depends on the client", **_END, why=_TEXT),
            "Terms that depend on more than the address, and may authorise addresses",
        ),
        errors=list_of(
            object_of(
                "An error",
                result={"enum": ["permerror", "temperror"]},
                **_END,
                why=_TEXT,
            ),
            "Errors for addresses that no earlier term matches",
        ),
    ),
    "include": object_of(
        "A policy that domains include or redirect to, and the addresses it authorises for them",
        type=_type("include"),
        include=_TEXT,
        domains={**_COUNT, "description": "Domains that authorise addresses through it"},
        **_BY_VERSION,
        outside=or_null(object_of("Addresses outside --mine; null without", **_BY_VERSION)),
    ),
    "range": object_of(
        "A range that the same domains authorise in the same ways",
        type=_type("range"),
        **_SPAN,
        domains={**_COUNT, "description": "How many domains authorise it"},
        ways=list_of(
            object_of("Domains by their way", **_WAY["properties"], count=_COUNT, domains=_NAMES),
            "The ways, sorted; each domain has one",
        ),
        mine={"type": ["boolean", "null"], "description": "Within --mine; null without"},
        hosts=or_null(
            object_of(
                "Hosts of the results that are in it; null without results",
                audited=_COUNT,
                without_ptr=_SOME,
                generic_ptr=_SOME,
            )
        ),
    ),
    "unauthorised": object_of(
        "Adjacent hosts that no domain authorises",
        type=_type("unauthorised"),
        **_SPAN,
        hosts=_COUNT,
        ptr={
            "enum": ["named", "generic", "missing", "undetermined", "not_audited"],
            "description": "Their kind of PTR; not_audited: listed, but in no results",
        },
    ),
    "totals": object_of(
        "The last line: counts",
        type=_type("totals"),
        domains=object_of(
            "Domains, by status, and those with a list that is not empty",
            **dict.fromkeys(
                (
                    *("all", "policy", "none", "permerror", "temperror"),
                    *("world", "undetermined", "errors"),
                ),
                _COUNT,
            ),
        ),
        otherwise=object_of(
            "Domains by the result of most addresses",
            **dict.fromkeys(("fail", "softfail", "neutral", "pass"), _COUNT),
        ),
        includes=object_of(
            "Lines of that type; `outside`: with addresses outside --mine, null without",
            all=_COUNT,
            outside={"type": ["integer", "null"]},
        ),
        ranges=_COUNT,
        **_BY_VERSION,
        outside=or_null(object_of("Of these, outside --mine; null without", **_BY_VERSION)),
        hosts=or_null(
            object_of("All hosts; null without any", authorised=_COUNT, unauthorised=_COUNT)
        ),
        authorised_hosts=or_null(
            object_of(
                "Hosts of results that are authorised; null without results",
                audited=_COUNT,
                without_ptr=_COUNT,
                generic_ptr=_COUNT,
            )
        ),
    ),
}


def sender_schema() -> dict[str, Any]:
    """Return the schema of a line."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of auditor senders --json",
        "oneOf": list(LINE_SCHEMAS.values()),
    }
