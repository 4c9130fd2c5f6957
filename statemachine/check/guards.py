"""Rules on guards: which of the transitions on one event can be taken, and whether one always is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from statemachine.check.domain import Domain, Given, Variable, shown
from statemachine.check.enumerate import rows
from statemachine.check.facts import Facts
from statemachine.check.moves import choices, paths
from statemachine.check.rules import Rule
from statemachine.check.solve import Solver, Undecided
from statemachine.errors import Finding
from statemachine.machine.definition import Definition, Edge
from statemachine.machine.expressions import Guard
from statemachine.machine.report import Keys

NEVER = Rule(
    "SM301",
    "guard that never holds",
    "error",
    "Every guard holds for some values of the types that are declared.",
    "A transition that is never taken is a mistake in its guard: the case that it was written for goes elsewhere.",
)
COVERED = Rule(
    "SM302",
    "transition covered by earlier ones",
    "error",
    "Every transition in a list can be taken: its guard holds for some values for which none before it does.",
    "The first transition whose guard holds is taken. One that is written behind all that it asks for never is.",
)
ALWAYS = Rule(
    "SM303",
    "guard that always holds before others",
    "error",
    "Only the last transition in a list always holds.",
    "What stands behind it is never tried, although the guard makes it look as if it were.",
)
GAP = Rule(
    "SM304",
    "guards that leave a gap",
    "error",
    "When a call ends, a time is over or a choice is made, one of the guards holds, whatever the values.",
    "If none does, the run ends in the machine's `otherwise` state, at the latest when such values come up.",
)
OVERLAP = Rule(
    "SM305",
    "guards that overlap",
    "info",
    "Guards of which neither contains the other do not hold for the same values.",
    "Where both hold the order in the file decides, and whoever reads or sorts the list may not see that it does.",
)
UNDECIDED = Rule(
    "SM306",
    "guards that cannot be decided",
    "warning",
    "Of every list of guards it can be decided which transitions are taken.",
    "What cannot be looked into (a Python function, a map, a comprehension) may overlap or leave a gap unseen.",
)
RULES = (NEVER, COVERED, ALWAYS, GAP, OVERLAP, UNDECIDED)


@dataclass(frozen=True, slots=True)
class Choice:
    """The transitions on one event in one state, up to one without a guard.

    Attributes:
        event: The event.
        edges: The transitions whose guards are asked.
        rest: Those behind.
        must: Whether one has to be taken.
    """

    event: str
    edges: tuple[Edge, ...]
    rest: tuple[Edge, ...]
    must: bool


class Answers:
    """Answers questions about the verdicts of the guards in one choice: by trying all values, else by z3.

    Raises:
        Undecided: Neither can answer.
    """

    def __init__(self, choice: Choice, domain: Domain) -> None:
        self.guards: list[Guard] = [e.guard for e in choice.edges if e.guard is not None]
        opaque = next((g for g in self.guards if g.opaque), None)
        if opaque is not None:
            raise Undecided(f"`{opaque.text}` is a Python function, which nothing looks into")
        names = {n: (root, path) for g in self.guards for n, root, path in g.reads}
        self.variables = [domain.variable(name, *place) for name, place in sorted(names.items())]
        self.rows = rows(self.guards, domain, self.variables)
        self.solver = Solver(self.guards, domain, self.variables) if self.rows is None else None

    def find(self, wanted: Mapping[int, bool | None]) -> Given | None:
        """Return values for which guards give the wanted verdicts, by index; None if there are none."""
        if self.solver is not None:
            return self.solver.find(wanted)
        found = (
            given for given, verdicts in self.rows or () if all(verdicts[i] is v for i, v in wanted.items())
        )
        return next(found, None)

    def told(self, given: Given, guards: Iterable[int]) -> tuple[str, ...]:
        """Return values for people: those that some guards read, in one line each."""
        read = {name for index in guards for name, _, _ in self.guards[index].reads}
        return tuple(_told(variable, given) for variable in self.variables if variable.name in read)


def check(definition: Definition) -> Iterator[Finding]:
    """Yield what is wrong with the guards of a machine."""
    yield from _Guards(definition).check()


class _Guards:
    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.paths = paths(definition)
        self.found: dict[tuple[Keys, str], Finding] = {}
        # A transition is met in several states and on several events; what is said of it holds in all of them.
        self.said: dict[int, tuple[Edge, set[str]]] = {}

    def check(self) -> Iterable[Finding]:
        guarded = any(t.when is not None for _, t in self.definition.declaration.transitions())
        listed = any(len(edges) > 1 for edges in self._lists())
        if not guarded and not listed:
            return ()
        facts = Facts(self.definition)
        for state in facts.entering:
            for choice in self._choices(state):
                for edge, what in self._judge(choice, Domain(self.definition, facts, state, choice.event)):
                    self.said.setdefault(id(edge), (edge, set()))[1].add(what)
        for edge, said in self.said.values():
            if said == {"always"}:
                self._always(edge)
            elif said == {"never"}:
                self._never(edge)
            elif said <= {"never", "covered", "behind"} and said != {"behind"}:
                self._covered(edge)
        return self.found.values()

    def _lists(self) -> Iterator[tuple[Edge, ...]]:
        for table in (*self.definition.edges.values(), self.definition.everywhere):
            yield from table.values()

    def _choices(self, state: str) -> Iterator[Choice]:
        for events, candidates, must in choices(self.definition, state):
            last = next((n for n, edge in enumerate(candidates) if edge.guard is None), len(candidates))
            asked, rest = candidates[:last], candidates[last:]
            # What a failure or an event is called matters only to guards that ask.
            asks = any(root in ("failure", "event") for e in asked if e.guard for _, root, _ in e.guard.reads)
            for event in events if asks else events[:1]:
                yield Choice(event, asked, rest, must)

    def _judge(self, choice: Choice, domain: Domain) -> Iterator[tuple[Edge, str]]:
        """Yield what becomes of each transition of a choice, in one word; see :meth:`_taken`.

        The machine's own transitions may be ``shadowed`` by those of a state: that is what they are for.
        """
        for behind in choice.rest[1:]:
            shadowed = self._list(behind)[:-1] != self._list(choice.rest[0])[:-1]
            yield behind, "shadowed" if shadowed else "covered"
        words = ["free"] * len((*choice.edges, *choice.rest[:1]))
        if choice.edges:
            try:
                answers = Answers(choice, domain)
                words = list(self._taken(choice, answers))
                self._gap(choice, answers)
                self._overlaps(choice, answers, words)
            except Undecided as reason:
                self._undecided(choice, str(reason))
                words = ["free"] * len(words)
        yield from zip((*choice.edges, *choice.rest[:1]), words, strict=True)

    def _taken(self, choice: Choice, answers: Answers) -> Iterator[str]:
        """Yield for each transition in turn whether its guard ``never`` holds, it is ``covered`` by those
        before, its guard ``always`` holds though there are others ``behind`` it, or it is ``free``.
        """
        earlier: dict[int, bool | None] = {}
        count = len(choice.edges) + len(choice.rest[:1])
        for index in range(count):
            if index == len(choice.edges):
                yield "free" if answers.find(earlier) else "covered"
            elif answers.find({index: True}) is None:
                yield "never"
            elif answers.find({**earlier, index: True}) is None:
                yield "covered"
            elif index + 1 < count and all(
                answers.find({**earlier, index: v}) is None for v in (False, None)
            ):
                yield "always"
                yield from ["behind"] * (count - index - 1)
                return
            else:
                yield "free"
            earlier[index] = False

    def _gap(self, choice: Choice, answers: Answers) -> None:
        if choice.rest or not choice.must:
            return
        given = answers.find(dict.fromkeys(range(len(choice.edges)), False))
        if given is None:
            return
        path = self._list(choice.edges[-1])
        otherwise = self.definition.declaration.otherwise
        message = (
            f"no guard on `{choice.event}` holds for some values, and the run ends in `{otherwise}` then"
        )
        advice = f"add a last transition without a guard, such as {{to: {otherwise}}}"
        witness = answers.told(given, range(len(choice.edges)))
        self._add(GAP.at(self.definition, path, message, "REFUTED", key=True, witness=witness, advice=advice))

    def _overlaps(self, choice: Choice, answers: Answers, words: list[str]) -> None:
        for later, edge in enumerate(choice.edges):
            for earlier, other in enumerate(choice.edges[:later]):
                if words[later] != "free" or self._list(edge) != self._list(other):
                    continue  # the more specific name comes first: that is an order everybody sees
                both = answers.find({earlier: True, later: True})
                if both is None or None in (
                    answers.find({earlier: True, later: False}),
                    answers.find({earlier: False, later: True}),
                ):
                    continue
                message = (
                    f"this guard and the one that leads to `{other.target}` hold for the same values; "
                    f"the order decides, for `{other.target}`"
                )
                witness = answers.told(both, (earlier, later))
                advice = (
                    f"exclude in this guard what the other takes, or silence {OVERLAP.code} with the reason"
                )
                self._add(
                    OVERLAP.at(
                        self.definition,
                        self._when(edge),
                        message,
                        "REFUTED",
                        offset=0,
                        witness=witness,
                        advice=advice,
                    )
                )

    def _always(self, edge: Edge) -> None:
        message = "this guard always holds here, so what stands behind it in the list is never tried"
        advice = "remove the guard and what is behind it, or put right what it asks"
        self._add(ALWAYS.at(self.definition, self._when(edge), message, "PROVED", offset=0, advice=advice))

    def _never(self, edge: Edge) -> None:
        message = f"this guard never holds, so the transition to `{edge.target}` is never taken"
        advice = "put the guard right, or remove the transition"
        self._add(NEVER.at(self.definition, self._when(edge), message, "PROVED", offset=0, advice=advice))

    def _covered(self, edge: Edge) -> None:
        message = f"the transition to `{edge.target}` is never taken: those before it take all that it could"
        path = self._when(edge) if edge.guard is not None else self.paths[id(edge)]
        advice = "put it before them, or remove it"
        self._add(COVERED.at(self.definition, path, message, "PROVED", offset=0, advice=advice))

    def _undecided(self, choice: Choice, reason: str) -> None:
        path = self._when(choice.edges[0])
        message = (
            f"it cannot be decided whether the guards on `{choice.event}` overlap or leave a gap: {reason}"
        )
        advice = "write it as a comparison of typed fields, let a tool compute it into one, or silence it"
        self._add(UNDECIDED.at(self.definition, path, message, "UNKNOWN", offset=0, advice=advice))

    def _add(self, finding: Finding) -> None:
        self.found.setdefault((finding.path, finding.code), finding)

    def _when(self, edge: Edge) -> Keys:
        return (*self.paths[id(edge)], "when")

    def _list(self, edge: Edge) -> Keys:
        return self.paths[id(edge)][:-1]


def _told(variable: Variable, given: Given) -> str:
    return shown(variable, given.read(variable.root, variable.path))
