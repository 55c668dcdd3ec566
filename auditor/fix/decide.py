"""Decides which changes fix the findings of records. No names or values are invented.

A PTR record is planned only with a known name: from the table of names, from the only name in own
zones that has the address, or the HELO or MX name of the host. It is planned together with the
address record that confirms it, or not at all. Whatever is uncertain is left to people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from auditor.checks.address import without_origin
from auditor.checks.follow_up import FollowUpFacts, follow_up
from auditor.findings.advice_address import is_host_name, needed_records
from auditor.findings.catalogue import entry
from auditor.fix.changes import OWN, Change, Plan, Responsible, Undecided
from auditor.fix.holders import holders_of
from auditor.fix.policies import replace_policy, result_refusing, rewrite
from auditor.fix.zone_data import rrset_at
from auditor.quoting import printable
from auditor.resolve.answer import Question, make_answer
from auditor.resolve.steps import answer_steps_at_once
from auditor.wire.codes import AAAA, CNAME, NODATA, NOERROR, PTR, SETTLED, SOA, TXT, A
from auditor.wire.names import parent_of
from auditor.wire.reverse import is_reverse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.findings.advice_address import NeededRecords
    from auditor.fix.holders import Holder
    from auditor.fix.zone_data import ZoneData
    from auditor.resolve.answer import Answer, Rdata
    from auditor.resolve.zones.zone import Zone

__all__ = ["Planner", "ZoneParty"]

#: Findings about names that are no host names: a person has to choose the right name.
_NO_HOST_NAMES: Final = frozenset({"PTR_INVALID_NAME", "PTR_IN_ARPA", "PTR_UNKNOWN_TLD"})
#: Findings about the number of PTR names.
_OF_SEVERAL: Final = frozenset({"PTR_MULTIPLE", "PTR_TOO_MANY"})
_DEFAULT_TTL_S: Final = 3600
_MAX_SENTENCE: Final = 2048  # characters
_MAX_LISTED: Final = 4  # names in a sentence


class ZoneParty(NamedTuple):
    """Who runs a zone of others, according to zone facts."""

    party: str
    contact: str


class _PtrChange(NamedTuple):
    """A change of PTR records: the names removed, and the findings that it fixes."""

    change: Change
    removed: Sequence[str]
    why: tuple[str, ...]


class Planner:
    """Makes a plan from the records of a scan, one by one.

    `names`: the PTR names that addresses are to have. `parties`: who runs zones that are not
    loaded.
    """

    def __init__(
        self, zones: ZoneData, names: Mapping[str, str], parties: Mapping[str, ZoneParty]
    ) -> None:
        self._zones = zones
        self._names = names
        self._parties = parties
        self._changes: dict[tuple[str, int], Change] = {}
        self._undecided: dict[Undecided, None] = {}
        #: Own zones that the parent zone denies, with that zone.
        self.undelegated: dict[str, str] = {}
        #: The PTR names planned for addresses, by the first record that needs one.
        self._hosts: dict[str, str] = {}
        #: Domains with findings about their policies: targets and codes.
        self._policies: dict[str, list[tuple[str, str]]] = {}
        #: Names of targets, mail hosts and addresses, whose other records are audited, too.
        self._audited: set[str] = set()
        #: Addresses that are to be added only after the PTR record in a zone of others.
        self._early: dict[tuple[str, int], str] = {}

    def note_record(self, record: Mapping[str, Any]) -> None:
        """Take a record."""
        facts = record["domain"]
        if facts is not None:
            self._audited.add(record["target"])
            self._audited.update(host["name"] for host in facts["mx"]["hosts"])
        if record["ptr"]:
            self._audited.update(record["ptr"]["names"])
        if not record["findings"] or record["kind"] == "invalid":
            return
        helo = record["helo"]
        expected = self._names.get(record["target"], "")
        known = answer_steps_at_once(
            follow_up(record, helo["name"] if helo else "", expected), self._zones.answer
        )
        if helo is not None and helo["status"] in SETTLED:
            known = known._replace(
                addresses={helo["name"]: tuple(helo["addresses"]), **known.addresses}
            )
        for holder in holders_of(record):
            self._fix_address(record, holder, known)
        for finding in record["findings"]:
            if finding["code"] == "DELEGATION_MISSING" and record["ptr"]:
                self.undelegated[finding["subject"]] = record["ptr"]["zone"] or ""
            if finding["code"].startswith("SPF_"):
                problems = self._policies.setdefault(finding["subject"], [])
                problems.append((record["target"], finding["code"]))

    def plan(self) -> Plan:
        """Return the plan for all records."""
        for domain, problems in self._policies.items():
            self._fix_policy(domain, problems)
        for change in self._changes.values():
            if change.rdtype == PTR:
                self._leave_refused(change)
        changes = dict(self._changes)
        audited = {self._end_of(Question(name, A)) for name in self._audited}
        for key, target in self._early.items():
            if key[0] in audited and key in changes:
                change = changes.pop(key)
                self._leave(
                    target,
                    f"{key[0]} has other uses: add the {change.type} record when the PTR record of "
                    f"{target} is there",
                )
        kept = [change for change in changes.values() if change.edits]
        kept.sort(key=lambda change: (change.responsible.zone, change.owner, change.rdtype))
        return Plan(kept, list(self._undecided))

    # --- addresses -------------------------------------------------------------------------

    def _fix_address(self, record: Mapping[str, Any], holder: Holder, known: FollowUpFacts) -> None:
        """Plan the PTR record of an address, and the address record of its name."""
        address = holder.address
        expected = self._names.get(address, "")
        needed = self._needed_records(record, holder, known._replace(expected=expected))
        if needed is None or not needed.is_global or not needed.owner:
            return
        asked = {name for code, name in holder.found if code == "PTR_UNEXPECTED"}
        asked |= {expected} - {""}
        is_other = asked and needed.host not in {known.aliases.get(name, name) for name in asked}
        if is_other or not needed.host:
            if is_other:
                listed = _listed(sorted(asked))
                self._leave(address, f"is to have {listed}, which is no public host name")
            elif holder.codes & _NO_HOST_NAMES:
                listed = _listed(holder.ptr["names"])
                self._leave(address, f"no host name is known for it; its PTR records have {listed}")
            return
        if "PTR_WILDCARD" in holder.codes and needed.host in holder.ptr["names"]:
            return  # an address of a pool: it would have the same name still
        ptr = self._ptr(needed, holder, is_sure=needed.host in asked)
        if ptr is None:
            return
        if needed.lacks_address and not self._add_address(
            needed, ptr.why, is_asked=needed.host == expected
        ):
            is_fixed = "PTR_DOT_MISSING" in holder.codes and not needed.others
            if not is_fixed or needed.host in known.addresses:
                return
            ptr = ptr._replace(why=tuple(code for code in ptr.why if code.startswith("PTR_")))
        chosen = self._hosts.setdefault(address, needed.host)
        if chosen != needed.host:
            self._leave(
                address, f"might be {chosen} or {needed.host}: --names says which is its PTR name"
            )
            return
        for name in ptr.removed:
            ptr.change.edit("delete", name, ptr.why, address)
        ptr.change.edit("add", needed.host, ptr.why, address)

    def _needed_records(
        self, record: Mapping[str, Any], holder: Holder, known: FollowUpFacts
    ) -> NeededRecords | None:
        """Return the name for an address, and which of its records exist already."""
        code = min(holder.codes)
        if not known.expected and "PTR_DOT_MISSING" in holder.codes:
            owner = holder.ptr["owner"] or ""
            meant = {without_origin(name, owner) for name in holder.ptr["names"]} - {""}
            # Not a name that lacks the address, in a zone that cannot be changed here.
            known = known._replace(
                expected=min(
                    (
                        name
                        for name in meant
                        if holder.address in known.addresses.get(name, (holder.address,))
                        or self._zones.own_zone_of(name) is not None
                    ),
                    default="",
                )
            )
        needed = needed_records(record, code, holder.address, known)
        if needed is None or known.expected or (needed.host and not needed.lacks_address):
            return needed
        names = [
            name
            for name in self._zones.names_of(holder.address)
            if is_host_name(name, holder.address)
        ]
        if len(names) == 1:
            return needed_records(record, code, holder.address, known._replace(expected=names[0]))
        if names and not needed.host:
            self._leave(
                holder.address,
                f"several names have it: {_listed(names)}; --names says which is its PTR name",
            )
        return needed

    def _ptr(self, needed: NeededRecords, holder: Holder, *, is_sure: bool) -> _PtrChange | None:
        """Return the change of the PTR records of an address; None if they are not changed.

        `is_sure`: the table of names gives the name, so that all others can go.
        """
        address, host, owner = holder.address, needed.host, needed.owner
        change = self._change(owner, PTR, tuple(holder.ptr["names"]))
        if change is None:
            self._leave(
                address,
                f"{owner} is made by a wildcard or $GENERATE, an alias or a DNAME: not changed",
            )
            return None
        unconfirmed = {
            name["name"]
            for name in holder.forward
            if name["status"] in SETTLED and not name["confirms"]
        }
        others = [cast("str", name) for name in change.before if name != host]
        is_replaced = needed.lacks_ptr or is_sure
        removed = [name for name in others if is_replaced or name in unconfirmed]
        kept = [name for name in others if name not in removed]
        if kept:
            listed = _listed([host, *kept])
            self._leave(address, f"has several PTR names, {listed}: --names says which one stays")
        why = {
            code
            for code, subject in holder.found
            if subject not in kept and not (kept and code in _OF_SEVERAL)
        }
        return _PtrChange(change, removed, tuple(sorted(why)))

    def _add_address(self, needed: NeededRecords, why: tuple[str, ...], *, is_asked: bool) -> bool:
        """Plan the address record of a name; tell whether the name certainly has it then.

        `is_asked`: the table of names gives the address this name.
        """
        address, host = needed.address, needed.host
        rdtype = AAAA if ":" in address else A
        if needed.others and not is_asked:
            listed = _listed(needed.others)
            self._leave(address, f"{host} has {listed}: give it {address} if that is the same host")
            return False
        change = self._change(host, rdtype, needed.others)
        if change is None:
            self._leave(address, f"{host} is an alias, or has its records from a wildcard")
            return False
        change.edit("add", address, why, address)
        if change.responsible.party != OWN:
            return False
        if needed.lacks_ptr and self._zones.own_zone_of(needed.owner) is None:
            self._early[host, rdtype] = address
        return True

    # --- policies --------------------------------------------------------------------------

    def _fix_policy(self, domain: str, problems: Sequence[tuple[str, str]]) -> None:
        """Plan the corrected policy of a domain, if the correction is certain.

        `problems`: targets, with the codes of their findings about it.
        """
        rewritten = rewrite(domain, {code for _, code in problems}, self._answer)
        if rewritten is None or self._zones.own_zone_of(rewritten.owner) is None:
            return
        target = problems[0][0]
        if rewritten.new_problems:
            listed = ", ".join(sorted(rewritten.new_problems))
            self._leave(
                target, f"the policy of {domain} might be {rewritten.text!r}, which has {listed}"
            )
            return
        change = self._change(rewritten.owner, TXT, ())
        if change is not None:
            replace_policy(change, rewritten, target)

    def _leave_refused(self, change: Change) -> None:
        """Leave a PTR name to people if the SPF policy of the name does not pass the address.

        Unless the table of names gives it, or the present name has such a policy as well.
        """
        for edit in change.edits:
            address, host = edit.target, cast("str", edit.value)
            is_asked = self._names.get(address) == host
            is_refused = any(entry(code).severity == "error" for code in edit.why)
            if edit.op == "delete" or is_asked or is_refused:
                continue
            result = result_refusing(address, host, self._answer)
            if result:
                self._leave(
                    address,
                    f"its PTR name might be {host}, whose SPF policy gives it {result}: change "
                    "that first",
                )
                change.edits.clear()
                return

    def _end_of(self, question: Question) -> str:
        """Return the name at the end of the aliases of a question."""
        return self._zones.answer(question).canonical or question.name

    def _answer(self, question: Question) -> Answer:
        """Answer from the zones with the changes planned so far."""
        answer = self._zones.answer(question)
        change = self._changes.get((answer.canonical or question.name, question.rdtype))
        if change is None or not change.edits or change.responsible.party != OWN:
            return answer
        after = make_answer(NOERROR if change.after else NODATA, change.after)
        return after._replace(chain=answer.chain, canonical=answer.canonical)

    # --- changes ---------------------------------------------------------------------------

    def _change(self, owner: str, rdtype: int, published: tuple[Rdata, ...]) -> Change | None:
        """Return the change of a record set, to be extended; None if it must not be changed.

        `published`: its records according to the scan, if the zone is not loaded.
        """
        known = self._changes.get((owner, rdtype))
        if known is not None:
            return known
        zone = self._zones.own_zone_of(owner)
        if zone is None:
            responsible, before, ttl = self._party(owner), published, _DEFAULT_TTL_S
        else:
            if not _is_free(zone, owner, rdtype):
                return None
            responsible = Responsible(OWN, zone.origin, self._zones.contact_of(zone))
            rrset = rrset_at(zone, owner, rdtype)
            before = rrset[1] if rrset else ()
            ttl = rrset[0] if rrset else zone.nodes[zone.origin][SOA][0]
        change = self._changes[owner, rdtype] = Change(owner, rdtype, before, ttl, responsible)
        return change

    def contact_of(self, zone: str) -> str:
        """Return the mail address of a zone, "" if it is not known."""
        responsible = self._party(zone)
        return responsible.contact if responsible.zone == zone else ""

    def _party(self, owner: str) -> Responsible:
        """Return who runs the zone of a name in a zone of others."""
        loaded = self._zones.zone_of(owner)
        name = owner
        while name not in self._parties and name != ".":
            name = parent_of(name)
        if name in self._parties and (loaded is None or len(name) >= len(loaded.origin)):
            party = self._parties[name]
            return Responsible(party.party, name, party.contact)
        party_name = "isp" if is_reverse(owner) else "customer"
        if loaded is None:
            return Responsible(party_name)
        return Responsible(party_name, loaded.origin, self._zones.contact_of(loaded))

    def _leave(self, target: str, why: str) -> None:
        self._undecided[Undecided(target, printable(why, _MAX_SENTENCE))] = None


def _is_free(zone: Zone, owner: str, rdtype: int) -> bool:
    """Tell whether records of a type may be added at a name without its other records vanishing.

    Not at an alias or DNAME, nor where the present records come from `$GENERATE` or a wildcard
    (RFC 4592 §2.2.1), unless they are only those that are replaced.
    """
    node = zone.nodes.get(owner)
    if zone.rules and zone.rules.node(owner) is not None:
        return False
    if node is not None:
        return CNAME not in node
    existing = zone.find(owner)
    return existing is None or (isinstance(existing, dict) and existing.keys() == {PTR} == {rdtype})


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MAX_LISTED
    shown = ", ".join(names[:_MAX_LISTED])
    return f"{shown} and {more} more" if more > 0 else shown
