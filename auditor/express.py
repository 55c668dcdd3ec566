"""The short way of most addresses: a block at a time, without an object for each step.

An address with one PTR name that points back, or with no name at all, whose HELO name has no
policy or one of the plain kind, or whose given identities have policies with known ranges:
nine targets in ten. Their rounds of questions and their records are made here in plain loops,
with the same judgement and to the same octet as `audit` makes them; a test holds the two
together. Whatever is out of the ordinary, from the first sign on, is left to `audit`, with
the answers it already has.
"""

from __future__ import annotations

from itertools import compress, repeat
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import orjson

from auditor.alike import CLEAN, UNTOLD, Scales, Shared, told_of
from auditor.checks.spf import number_of
from auditor.findings.judge import judge_name, judge_spf, perhaps_judged
from auditor.output.lines import confirmed_lines, helo_facts, nameless_line
from auditor.resolve.answer import Answer, Question
from auditor.ways import Ways, ask, begin, is_common
from auditor.wire.codes import NODATA, NOERROR, NXDOMAIN, PTR, TXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.alike import Alike, Told
    from auditor.checks.facts import SpfFact
    from auditor.checks.helos import Helos
    from auditor.checks.ptr import Wildcards
    from auditor.checks.spf import Identity, Policies
    from auditor.findings.ruling import Ruling
    from auditor.targets.target import Block, Target
    from auditor.ways import Area

__all__ = ["Express", "Left", "Rounds"]

_NEW: Final = tuple.__new__
_ABSENT: Final = frozenset({NXDOMAIN, NODATA})

_PASSED: Final = ("pass", "")


class Left(NamedTuple):
    """A target that goes the long way: its place in the block, and what is known of it.

    `known`: the questions that it has asked one at a time, with their answers, in order.
    """

    place: int
    target: Target
    known: tuple[tuple[Question, Answer], ...]


class Express:
    """Makes the rounds of a run's blocks.

    `given`: the identities that the settings give, their policies' ranges known to
    `policies`; without any, the PTR name is the HELO identity. `spf`: whether SPF is checked.
    """

    def __init__(
        self,
        ruling: Ruling,
        wildcards: Wildcards,
        policies: Policies,
        given: Sequence[Identity],
        *,
        spf: bool,
    ) -> None:
        self.wildcards = wildcards
        self.names_are_asked = spf and not given
        self.weighed = Scales(ruling)
        #: Of each given identity its kind, and its policy's ranges by IP version.
        self._given = [
            (identity.kind, {version: policies.table(identity, version) for version in (4, 6)})
            for identity in (given if spf else ())
        ]
        self._shown: dict[int, tuple[SpfFact, str]] = {}
        self._shared = {version: Shared(version) for version in (0, 4, 6)}

    def given_facts(self, target: Target, found: list[tuple[str, str]]) -> str | None:
        """Return the facts of the given identities as JSON, adding to `found`.

        None if ranges do not give them all. Facts are the ranges' own, a few for a million
        addresses, so their JSON is kept.
        """
        if not self._given:
            return ""
        version = target.version
        number = number_of(target.text, version)
        shown = ""
        for kind, tables in self._given:
            table = tables[version]
            fact = table.fact(number, kind) if table is not None else None
            if fact is None:
                return None
            kept = self._shown.get(id(fact))
            if kept is None:
                # The fact is kept as well, so that no other one ever has its id.
                kept = self._shown[id(fact)] = (fact, orjson.dumps(fact._asdict()).decode())
            shown = f"{shown},{kept[1]}" if shown else kept[1]
            if fact.result != "pass":
                judge_spf(fact, given=True, found=found)
        return shown

    def shared(self, addresses: Sequence[str]) -> Shared:
        """Return what policies say of all alike, for clients with these addresses."""
        together = "".join(addresses)
        if ":" not in together:
            return self._shared[4]
        # SPF takes an IPv4-mapped address for an IPv4 one.
        return self._shared[0 if "." in together else 6]

    def begin(self, block: Block) -> Rounds:
        """Return a block's rounds, the first questions ready."""
        return Rounds(self, block)


class Rounds:
    """The rounds of one block: ask `questions`, give their answers to `step`, again and again.

    `lines` and `left` hold what has come of it since the last step; `alike` counts the
    lines by all that a tally wants to know. No more questions: the block is through.
    """

    __slots__ = ("_express", "_helos", "_round", "_ways", "alike", "left", "lines", "questions")

    def __init__(self, express: Express, block: Block) -> None:
        self._express = express
        self.lines: list[tuple[int, bytes]] = []
        self.alike: dict[Alike, int] = {}
        #: Addresses by their places in `_ways`, each with the answer about its policy.
        self._helos: Helos[tuple[int, Answer]] | None = None
        # A number and not a method: a method of its own would keep the object alive.
        self._round = 0
        self._ways = begin(block)
        others = enumerate(block) if len(self._ways.places) < len(block) else ()
        self.left = [Left(place, target, ()) for place, target in others if not is_common(target)]
        self.questions = ask(self._ways.reverses, repeat(PTR))

    def step(self, answers: Sequence[Answer | None]) -> None:
        """Take the answers to `questions`, None for those that are late."""
        self.lines = []
        self.left = []
        self.alike = {}
        self._round += 1
        if self._round == 1:
            self._after_ptr(answers)
        elif self._round == 2:  # noqa: PLR2004 - the second of three
            self._after_forward(answers)
        elif self._round == 3:  # noqa: PLR2004 - the last one for most
            self._after_policy(answers)
        elif self._helos is not None:
            for question, answer in zip(self.questions, answers, strict=False):
                self._helos.learn(question, answer)
            self._finish_policies(self._helos)

    def _after_ptr(self, answers: Sequence[Answer | None]) -> None:
        """Tell addresses with one name from those with none; ask for the names' addresses."""
        ways = self._ways
        named = [
            answer is not None and answer[0] == NOERROR and len(answer[1]) == 1 and not answer[2]
            for answer in answers
        ]
        if not all(named):
            for at, answer in enumerate(answers):
                if not named[at] and (answer is None or not self._nameless(at, answer)):
                    self._leave(at, answer)
            ways = ways.those(named)
            answers = list(compress(answers, named))
        ptrs = cast("Sequence[Answer]", answers)
        names = cast("list[str]", [answer[1][0] for answer in ptrs])
        self._ways = ways._replace(ptrs=ptrs, names=names)
        known = self._express.wildcards.names
        parents = dict.fromkeys([area.parent for area in dict.fromkeys(ways.areas)])
        self.questions = ask(names, ways.rdtypes)
        self.questions += [Question(f"*.{one}", PTR) for one in parents if one not in known]

    def _after_forward(self, answers: Sequence[Answer | None]) -> None:
        """Keep the addresses whose name points back; ask for their HELO name's policy."""
        express, ways = self._express, self._ways
        size = len(ways.names)
        wildcards = express.wildcards
        for question, answer in zip(self.questions[size:], answers[size:], strict=True):
            if answer is not None:
                wildcards.learn(question, answer)
        answers = answers[:size]
        confirmed = [
            answer is not None and answer[1] == address and not answer[2]
            for answer, address in zip(answers, zip(ways.texts, strict=True), strict=True)
        ]
        confirmed = self._plainly_named(confirmed)
        if not all(confirmed):
            for at, answer in enumerate(answers):
                if not confirmed[at]:
                    self._leave(at, answer)
            ways = ways.those(confirmed)
            answers = list(compress(answers, confirmed))
        self._ways = ways = ways._replace(forwards=cast("Sequence[Answer]", answers))
        if express.names_are_asked:
            self.questions = ask(ways.names, repeat(TXT))
            return
        self.questions = []
        self._held_against_given()

    def _plainly_named(self, confirmed: list[bool]) -> list[bool]:
        """Return which of them have a name without escapes that no wildcard has made up.

        Where it has not been heard of the wildcard yet, it may have.
        """
        ways = self._ways
        known = self._express.wildcards.names
        if any(known.get(area.parent) != () for area in dict.fromkeys(ways.areas)):
            confirmed = [
                one and known.get(area.parent, ptr.records) != ptr.records
                for one, area, ptr in zip(confirmed, ways.areas, ways.ptrs, strict=True)
            ]
        together = "".join(ways.names)
        if "\\" in together or '"' in together:
            confirmed = [
                one and "\\" not in name and '"' not in name
                for one, name in zip(confirmed, ways.names, strict=True)
            ]
        return confirmed

    def _held_against_given(self) -> None:
        """Finish those of whom ranges tell the facts of all given identities."""
        ways = self._ways
        shown: list[str | None] = []
        founds: list[list[tuple[str, str]]] = []
        for target in ways.targets:
            found: list[tuple[str, str]] = []
            shown.append(self._express.given_facts(target, found))
            founds.append(found)
        told = [one is not None for one in shown]
        if not all(told):
            for at, one in enumerate(told):
                if not one:
                    self._leave(at, None)
            ways = ways.those(told)
            founds = list(compress(founds, told))
        spf = [one for one in shown if one is not None]
        self._confirm(ways, spf, perhaps_judged(ways.names, ways.texts), founds)

    def _after_policy(self, answers: Sequence[Answer | None]) -> None:
        """Finish those without a policy, and those whose policy can be evaluated at once."""
        ways, self.questions = self._ways, []
        doubts = perhaps_judged(ways.names, ways.texts)
        told = [
            UNTOLD if answer is not None and answer[0] in _ABSENT else None for answer in answers
        ]
        if None in told:
            self._tell_alike(told, answers, doubts)
        if None not in told:
            self._confirm_told(ways, cast("list[Told]", told), doubts)
            return
        done = [one is not None for one in told]
        if any(done):
            self._confirm_told(
                ways.those(done), [one for one in told if one], list(compress(doubts, done))
            )
        published = []
        for at, answer in enumerate(answers):
            if answer is None:
                self._leave(at, None)
            elif not done[at]:
                published.append((at, answer))
        if published:
            self._evaluate(published)

    def _tell_alike(
        self, told: list[Told | None], answers: Sequence[Answer | None], doubts: Sequence[bool]
    ) -> None:
        """Put into `told` what policies say of all alike, unless the first says no such thing."""
        shared = self._express.shared(self._ways.texts)
        first = next((answer[1] for answer in answers if answer is not None and answer[1]), ())
        if first and shared[first] is not None:
            # A name that is in no doubt is a host name, and that of a domain.
            told[:] = [
                shared[answer[1]]
                if answer is not None and answer[1] and not doubt and one is None
                else one
                for one, answer, doubt in zip(told, answers, doubts, strict=True)
            ]

    def _evaluate(self, published: list[tuple[int, Answer]]) -> None:
        """Begin with policies, or TXT records that may be some."""
        from auditor.checks.helos import Helos  # noqa: PLC0415 - loads what most need not

        ways = self._ways
        helos: Helos[tuple[int, Answer]] = Helos()
        for one in published:
            at, answer = one
            name = ways.names[at]
            helos.add(one, ways.texts[at], name, answer)
            # What the forward check has asked is what policies ask about first.
            helos.learn(_NEW(Question, (name, ways.rdtypes[at])), ways.forwards[at])
        self._helos = helos
        self._finish_policies(helos)

    def _finish_policies(self, helos: Helos[tuple[int, Answer]]) -> None:
        """Finish those whose policies say what they say; the others wait, or are left."""
        done = helos.evaluate()
        places = [at for (at, _), fact in done if fact is not None]
        for (at, answer), fact in done:
            if fact is None:
                self._leave(at, answer)
        if places:
            ways = self._ways.at(places)
            told = [told_of(fact) for _, fact in done if fact is not None]
            self._confirm_told(ways, told, perhaps_judged(ways.names, ways.texts))
        self.questions = helos.questions

    def _leave(self, at: int, answer: Answer | None) -> None:
        """Leave a target to the long way, with what it has asked one question at a time.

        `answer`: to what it has asked last, if there is one.
        """
        ways = self._ways
        name = ways.names[at] if ways.names else ""
        asked = ((ways.reverses[at], PTR), (name, ways.rdtypes[at]), (name, TXT))
        got = [column[at] for column in (ways.ptrs, ways.forwards) if column]
        if answer is not None:
            got.append(answer)
        known = tuple([(Question(*one), each) for one, each in zip(asked, got, strict=False)])
        self.left.append(Left(ways.places[at], ways.targets[at], known))

    def _nameless(self, at: int, ptr: Answer) -> bool:
        """Finish an address without a name; False if it has one, or wants the long way."""
        status, _, chain, _, _, _ = ptr
        if status not in _ABSENT or chain:
            return False
        ways = self._ways
        address = ways.texts[at]
        found = [("PTR_MISSING", address)]
        spf = self._express.given_facts(ways.targets[at], found)
        if spf is None:
            return False
        verdict = self._count(found, ways.areas[at], address, status)
        line = nameless_line(address, status, spf, ways.labels[at], verdict)
        self.lines.append((ways.places[at], line))
        return True

    def _confirm_told(self, ways: Ways, told: list[Told], doubts: list[bool]) -> None:
        """Finish addresses whose name points back; `told`: of their HELO names' policies."""
        outcomes, codes = zip(*told, strict=True)
        founds = None
        if any(codes):
            founds = [
                [(code, name)] if code else [] for code, name in zip(codes, ways.names, strict=True)
            ]
        self._confirm(ways, helo_facts(ways.names, outcomes), doubts, founds)

    def _confirm(
        self,
        ways: Ways,
        spf: Sequence[str],
        doubts: list[bool],
        founds: list[list[tuple[str, str]]] | None,
    ) -> None:
        """Finish addresses whose name points back; `founds`: about their SPF facts `spf`.

        `doubts`: whose names have to be looked at one by one.
        """
        verdicts: Iterable[tuple[str, str]] = repeat(_PASSED)
        clean = len(ways.names)
        if any(doubts) or founds or not all(area.is_global for area in dict.fromkeys(ways.areas)):
            verdicts = []
            for at, (name, address, area) in enumerate(
                zip(ways.names, ways.texts, ways.areas, strict=True)
            ):
                found = founds[at] if founds else []
                if doubts[at]:
                    judge_name(name, address, found)
                if found or not area.is_global:
                    verdicts.append(self._count(found, area, address, NOERROR))
                    clean -= 1
                else:
                    verdicts.append(_PASSED)
        if clean:
            self.alike[CLEAN] = self.alike.get(CLEAN, 0) + clean
        lines = confirmed_lines(ways.texts, ways.names, spf, ways.labels, verdicts)
        self.lines += zip(ways.places, lines, strict=True)

    def _count(
        self, found: list[tuple[str, str]], area: Area, address: str, status: str
    ) -> tuple[str, str]:
        """Weigh the findings and count the record; return the verdict and the findings' JSON."""
        if not area.is_global:
            found.append(("TARGET_NOT_GLOBAL", address))
        verdict, codes, listed = self._express.weighed(found)
        alike = (verdict, codes, status)
        self.alike[alike] = self.alike.get(alike, 0) + 1
        return verdict, listed
