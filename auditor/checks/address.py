"""PTR and iprev of one address: two rounds of questions at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.checks.forward import MAX_NAMES, confirm, unconfirmed
from auditor.checks.ptr import ptr_fact
from auditor.resolve.answer import Question
from auditor.wire.codes import AAAA, PTR, A
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from auditor.checks.facts import IprevFact, PtrFact, Steps
    from auditor.checks.ptr import Wildcards

__all__ = ["check_address"]


def check_address(
    address: str, version: int, wildcards: Wildcards
) -> Steps[tuple[PtrFact, IprevFact]]:
    """Look up an address's names, then the addresses of the first ten of them.

    `address` is canonical text, `version` 4 or 6.
    """
    reverse = reverse_name(address)
    (answer,) = yield (Question(reverse, PTR),)
    ptr = ptr_fact(answer)
    if not ptr.names:
        return ptr, unconfirmed(ptr)
    names = ptr.names[:MAX_NAMES]
    rdtype = A if version == 4 else AAAA  # noqa: PLR2004 - IP versions
    questions = [Question(name, rdtype) for name in names]
    probe = wildcards.question(reverse)
    if probe is not None:
        questions.append(probe)
    answers = yield questions
    if probe is not None:
        wildcards.learn(probe, answers[-1])
        answers = answers[:-1]
    owner = wildcards.owner(reverse, ptr.names)
    if owner:
        ptr = ptr._replace(wildcard=owner)
    return ptr, confirm(address, names, answers)
