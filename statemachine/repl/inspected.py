"""A run that is looked at, as it is or as it was at any record: nothing is called, and nothing moves it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from statemachine.clock import Clock, SystemClock
from statemachine.errors import EventRefused, InvalidInput
from statemachine.host.explain import CallAccount, Explanation
from statemachine.host.explain import explain as account
from statemachine.host.history import History
from statemachine.host.pinned import pinned
from statemachine.host.view import RunView, restore, view_of
from statemachine.journal import decode
from statemachine.journal.replay import Written
from statemachine.kernel import EDIT, FORK, Candidate, Snapshot, Step
from statemachine.machine.definition import Definition
from statemachine.machine.references import suggest
from statemachine.repl.expressions import value_of
from statemachine.repl.looking import Offer, leaving, offers, why_not
from statemachine.repl.path import Stretch, path
from statemachine.store import Store, StoredRun

Why = Literal["step", "call", "until", "breakpoint", "ended", "waits", "interrupted", "present", "start"]


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a run stopped.

    Attributes:
        why: ``step`` (a transition was taken), ``call`` (a call is about to be made), ``until``, ``breakpoint``,
            ``ended``, ``waits`` (for what only others can give), ``interrupted``, ``present`` (the recording is
            over) or ``start`` (there is nothing before).
        what: More about it, for people.
        steps: Steps that were taken on the way.
        state: The state that the run is in.
        seq: Its last record.
    """

    why: Why
    what: str
    steps: int
    state: str
    seq: int


class Inspected(ABC):
    """A run that is looked at; what is asked of it is answered as of where :meth:`back` and :meth:`goto` went.

    In a notebook it shows itself as the picture of its way.

    Args:
        clock: What tells the time.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._definition: Definition | None = None
        self._history: History | None = None
        self._past: Step | None = None
        self._run = ""

    @property
    @abstractmethod
    def store(self) -> Store:
        """Where the run lies."""

    def _show(self, stored: StoredRun) -> None:
        self._definition, self._run = pinned(self.store, stored.machine), stored.id
        self._history = History(self.store, self._definition, stored.id)
        self._past = None

    # Where it is

    @property
    def run(self) -> str:
        """The run's id."""
        return self._run

    @property
    def definition(self) -> Definition:
        """The run's machine; in the past, the version that the run was on then."""
        if self._definition is None:
            raise EventRefused(
                "no run is open; `Debugger.start` makes one, `Debugger.open` opens a stored one"
            )
        if self._past is not None and self._past.snapshot.digest != self._definition.digest:
            return pinned(self.store, self._past.snapshot.digest)
        return self._definition

    @property
    def history(self) -> History:
        """The run's recorded steps."""
        assert self.definition is not None
        assert self._history is not None
        return self._history

    @property
    def past(self) -> bool:
        """Whether what is shown is the past."""
        return self._past is not None

    @property
    def snapshot(self) -> Snapshot:
        """The run as it is, or was where :meth:`back` or :meth:`goto` went."""
        if self._past is not None:
            return self._past.snapshot
        return restore(self.store, self.store.load(self.run))

    @property
    def last(self) -> Step | None:
        """The step that led to :attr:`snapshot`; its receipt says why."""
        return self._past or self.history.at(self.snapshot.seq)

    @property
    def now(self) -> float:
        """The time that expressions are evaluated at: in the past, that of the record."""
        return self._past.at if self._past is not None else self._clock.now()

    def view(self) -> RunView:
        """Return how the run stands at present."""
        stored = self.store.load(self.run)
        return view_of(stored, restore(self.store, stored), self.store.name)

    # Going back

    def back(self, steps: int = 1) -> Stop:
        """Go back so many steps; nothing is called, and the run stays as it is."""
        here, gone = self.last, 0
        while gone < steps and here is not None and (before := self.history.before(here)) is not None:
            here = before
            gone += _stops(here)
        if here is not None and here is not self.last:
            self._past = here
        return self._stop("step" if gone == steps else "start", "", gone)

    def goto(self, seq: int | None = None) -> Stop:
        """Go to the step that a record belongs to, or back to the present.

        Raises:
            EventRefused: There is no such record.
        """
        if seq is None:
            self._past = None
            return self._stop("present", "", 0)
        self._past = self._unless_present(self.history.at(seq))
        return self._stop("step" if self.past else "present", "", 0)

    def _unless_present(self, made: Step) -> Step | None:
        return None if made.snapshot.seq >= self._newest() else made

    def _newest(self) -> int:
        return self.store.load(self.run).seq

    def _stop(self, why: Why, what: str, steps: int) -> Stop:
        snapshot = self.snapshot
        return Stop(why, what, steps, snapshot.state, snapshot.seq)

    # Asking

    def where(self) -> list[Stretch]:
        """Return the path, each loop as one stretch."""
        return list(path(self.store, self.run, self.snapshot.seq))

    def why_not(self, state: str) -> tuple[list[Candidate], list[tuple[str, str]]]:
        """Return why the run is not in a state: the transitions there with their verdicts, and all ways there.

        Raises:
            InvalidInput: The machine has no such state.
        """
        known, last = self.definition.declaration.states, self.last
        if state not in known:
            raise InvalidInput(f"the machine has no state `{state}`{suggest(state, known)}")
        assert last is not None
        return why_not(self.definition, last.receipt, self.snapshot, self.now, state)

    def guards(self) -> list[Candidate]:
        """Return every transition of the state, with what its guard gives now."""
        return leaving(self.definition, self.snapshot, self.now)

    def events(self) -> list[Offer]:
        """Return what can be sent, and what each event would do."""
        return offers(self.definition, self.snapshot, self.now)

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the language of guards.

        Raises:
            InvalidExpression: It is misspelt or ill-typed, or cannot be evaluated.
        """
        return value_of(self.definition, self.snapshot, self.now, expression)

    def diff(self, before: int, after: int | None = None) -> dict[str, list[Any]]:
        """Return the context's fields that differ between two records, with both values; None where unknown.

        Raises:
            EventRefused: There is no such record.
        """
        old = self.history.at(before).snapshot.context
        new = (self.snapshot if after is None else self.history.at(after).snapshot).context
        return {
            name: [old.get(name), new.get(name)] for name in {**old, **new} if old.get(name) != new.get(name)
        }

    def journal(self, most: int = 20) -> list[Written]:
        """Return the last records: sequence number, time, kind, body."""
        store, seq = self.store, self.snapshot.seq
        records = list(store.records(self.run, max(0, seq - most), seq))
        bodies: list[Any] = [decode(record.body, store.blob) for record in records]
        return [(r.seq, r.at, r.kind, body) for r, body in zip(records, bodies, strict=True)]

    def calls(self) -> list[CallAccount]:
        """Return the calls that were made."""
        return [call for call in account(self.store, self.run).calls if call.seq <= self.snapshot.seq]

    def explain(self) -> Explanation:
        """Return what the run has done by now, and what to do."""
        return account(self.store, self.run)

    def draw(self, format: str = "svg") -> bytes:
        """Return the run's way on its machine, in one of ``statemachine.diagrams.FORMATS``."""
        from statemachine.diagrams import render_run
        from statemachine.host.trail import trail_of

        trail = trail_of(self.store, self.run, until=self.snapshot.seq)
        return render_run(self.definition.declaration, trail, format)

    def _repr_svg_(self) -> str:
        """Return the picture, which notebooks show."""
        return self.draw().decode()


def _stops(made: Step) -> bool:
    """Return whether going back stops after a step: where a state was entered, or something done by hand."""
    return made.receipt.target is not None or made.receipt.event in (EDIT, FORK, "queue")
