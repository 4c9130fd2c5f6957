"""A run as it was: going back, and playing the recording; answers come from the journal, nothing is called."""

from __future__ import annotations

from collections.abc import Callable

from statemachine.kernel import (
    EDIT,
    FORK,
    INTEND,
    Immediate,
    Step,
)
from statemachine.repl.opened import Opened, Stop, Why


class Recorded(Opened):
    """A run that is open, with its past."""

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
        present = self.runtime.store.load(self.run).seq if self._driver is None else self._driver.snapshot.seq
        return None if made.snapshot.seq >= present else made

    def _play(self, done: Callable[[Step], Why | None], at_calls: bool) -> Stop:
        """Go on in the recording: answers come from the journal, and nothing is called."""
        steps = 0
        assert self._past is not None
        self.breakpoints.watch(self.definition, self._past.snapshot, self._past.at)
        while self._past is not None:
            made = self.history.after(self._past)
            assert made is not None
            steps += 1
            if self.observer is not None:
                self.observer(self.definition, made, made.at)
            self._past = self._unless_present(made)
            hit = self.breakpoints.after(self.definition, made)
            tool = self._calls(made)
            if hit is None and tool is not None:
                hit = self.breakpoints.before(self.definition, made.snapshot, tool, made.at)
            why = done(made) or ("call" if at_calls and tool is not None else None)
            if (hit or why) and self._past is not None:
                return self._stop(
                    "breakpoint" if hit else why or "step", f"{hit.number}: {hit}" if hit else "", steps
                )
        return self._stop("present", "", steps)

    def _calls(self, made: Step) -> str | None:
        """Return the tool that a run was about to call after a recorded step."""
        if made.snapshot.pending == Immediate(INTEND):
            return self.definition.actions[made.snapshot.state].tool
        return made.call.tool if made.call is not None and made.receipt.event != INTEND else None


def _stops(made: Step) -> bool:
    """Return whether going back stops after a step: where a state was entered, or something done by hand."""
    return made.receipt.target is not None or made.receipt.event in (EDIT, FORK, "queue")
