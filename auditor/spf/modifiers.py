"""RFC 7208 §6: the modifiers of a policy, taken out of it and checked."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from auditor.spf.macros import SpfSyntaxError, domain_spec, macro_string

__all__ = ["Parted", "without_modifiers"]

_MAX_KEPT: Final = 2048  # characters: what a hostile zone can make long is not kept

_VISIBLE: Final = re.compile(r"[ -~]*")
_MODIFIER: Final = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)


class Parted(NamedTuple):
    """A policy of the mechanisms alone, and the domain-specs of its two known modifiers."""

    mechanisms: str
    redirect: str | None
    exp: str | None


def without_modifiers(policy: str) -> Parted:
    """Take the modifiers out of a policy: in any case, in any place (§4.6.1).

    Raises SpfSyntaxError for `redirect` or `exp` given twice or without a domain-spec, and
    for an unknown modifier that is no macro-string; unknown ones are dropped. A policy has
    no characters but space and the visible ones of ASCII (§12).
    """
    return _kept(policy) if len(policy) <= _MAX_KEPT else _parse(policy)


@lru_cache(maxsize=512)
def _kept(policy: str) -> Parted:
    return _parse(policy)


def _parse(policy: str) -> Parted:
    if not _VISIBLE.fullmatch(policy):
        raise SpfSyntaxError("a control character in the SPF record")
    version, *terms = policy.split(" ")
    mechanisms = [version]
    known: dict[str, str] = {}
    for term in terms:
        match = _MODIFIER.fullmatch(term)
        if match is None:
            mechanisms.append(term)
            continue
        name = match[1].lower()
        try:
            if name not in {"redirect", "exp"}:
                macro_string(match[2])
                continue
            domain_spec(match[2])
        except SpfSyntaxError as error:
            raise SpfSyntaxError(f"{error}: {term}") from error
        if name in known:
            raise SpfSyntaxError(f"{name}= more than once: {term}")
        known[name] = match[2]
    return Parted(" ".join(mechanisms), known.get("redirect"), known.get("exp"))
