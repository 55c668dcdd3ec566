"""Looks up the policies of domains, blocks of domains at a time, with one resolver."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

from auditor.resolve.steps import answer_steps
from auditor.run.scan import open_resolver, until_failure
from auditor.senders.policies import PolicyReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.senders.policies import DomainPolicy
    from auditor.settings import Settings

__all__ = ["look_up_policies"]

_BLOCK_DOMAINS: Final = 256
#: Blocks under way: one waits for its slowest answer while others continue.
_BLOCKS_AT_ONCE: Final = 8


async def look_up_policies(
    settings: Settings, domains: Sequence[str], note: Callable[[int], None] | None = None
) -> list[DomainPolicy]:
    """Return what the policies of canonical domains authorise, in the order given.

    `note` is called with the number of domains done. Raises AuditorError when the last server
    fails.
    """
    reader = PolicyReader()
    remaining = iter(domains)
    policies: dict[str, DomainPolicy] = {}

    async def work() -> None:
        while block := list(islice(remaining, _BLOCK_DOMAINS)):
            facts = await answer_steps(reader.read_policies(block), resolver.resolve_many)
            policies.update((fact.domain, fact) for fact in facts)
            if note is not None:
                note(len(policies))

    async with open_resolver(settings) as resolver:
        workers = asyncio.gather(*(work() for _ in range(_BLOCKS_AT_ONCE)))
        await until_failure(resolver, workers)
    return [policies[domain] for domain in domains]
