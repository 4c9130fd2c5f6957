"""One step in the making: what an outcome changes, and where the run goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from statemachine.errors import InvalidExpression
from statemachine.kernel.events import AGAIN, NOTHING, Entry, Step
from statemachine.kernel.receipt import Candidate, Receipt, Verdict
from statemachine.kernel.snapshot import Immediate, PendingCall, Snapshot, Source, Timer
from statemachine.kernel.table import Cursor
from statemachine.machine import types
from statemachine.machine.definition import REFUSED, Definition, Edge
from statemachine.machine.duration import spell
from statemachine.machine.expressions import Expression
from statemachine.machine.model import State, Tool
from statemachine.machine.outcome import Failure


class Mover:
    """One step in the making; everything it changes is its own."""

    def __init__(self, definition: Definition, snapshot: Snapshot, now: float, entries: list[Entry]) -> None:
        self.definition = definition
        self.before = snapshot
        self.now = now
        self.entries = entries
        self.call: PendingCall | None = None
        self.target: str | None = None
        self.instead = ""
        self.status = snapshot.status
        self.state = snapshot.state
        self.entered = snapshot.entered
        self.context = snapshot.context
        self.sources = snapshot.sources
        self.attempts = snapshot.attempts
        self.steps = snapshot.steps
        self.calls = snapshot.calls
        self.cost = snapshot.cost
        self.pending = snapshot.pending
        self.failure = snapshot.failure
        self.because = snapshot.because
        self.cancelled = snapshot.cancelled
        self.output = snapshot.output

    # What a call's outcome changes.

    def spend(self, cost: Mapping[str, float] | None) -> None:
        if cost:
            self.cost = {**self.cost, **{u: self.cost.get(u, 0) + amount for u, amount in cost.items()}}

    def save(self, output: Any) -> Failure | None:
        """Write the output where the state saves it; return a failure if it cannot be or is not enough."""
        action = self.definition.actions[self.state]
        values = {}
        for name, path, check in action.saves:
            value = output
            for part in path:
                value = value.get(part) if isinstance(value, Mapping) else None
            if check:
                adapter = types.adapter(self.definition.types[name])
                try:
                    value = adapter.dump_python(adapter.validate_python(value), mode="json")
                except ValidationError as error:
                    wanted = self.definition.declaration.context[name].type
                    return Failure(
                        "contract", f"the output is no {wanted} for `{name}`: {error.errors()[0]['msg']}"
                    )
            values[name] = value
        if action.sufficient is not None:
            verdict, read, why = action.sufficient.decide(self.cursor(NOTHING, output))
            if verdict is not True:
                why = why or f"{action.sufficient.text} is false ({_shown(read)})"
                return Failure("data_error", f"the answer is not sufficient: {why}")
        if values:
            self.context = {**self.context, **values}
            source = Source(self.state, self.now)
            self.sources = {**self.sources, **dict.fromkeys(values, source)}
        return None

    def fail(self, tool: str, failure: Failure, retries: int) -> None:
        again = f" (after {retries} retries)" if retries else ""
        self.failure = {
            "class": failure.failure,
            "message": failure.message + again,
            "tool": tool,
            "state": self.state,
        }
        self.because = f"{tool} failed in {self.state} ({failure.failure}): {failure.message}{again}"

    # Where the run goes.

    def cursor(self, event: Mapping[str, Any], output: Any = None) -> Cursor:
        cursor = Cursor(self.definition, self.before, self.now, event, output)
        cursor.context, cursor.sources, cursor.failure = self.context, self.sources, self.failure
        return cursor

    def route(
        self, name: str, event: Mapping[str, Any], output: Any = None, *, required: bool = True
    ) -> Step:
        """Take the transition that the event calls for.

        A ``required`` event always leads somewhere: to the machine's ``otherwise`` state if no transition
        takes it. Any other is refused then, and the run stays as it was.
        """
        cursor = self.cursor(event, output)
        edge = cursor.select(name)
        if edge is None and cursor.error:
            self._note_guard_error(cursor)
            edge = cursor.select(REFUSED)
        tried = tuple(cursor.candidates)
        if edge is None:
            verdict: Verdict = "guard_error" if cursor.error else "denied" if tried else "unknown"
            if not required:
                return Step(
                    self.before, Receipt(name, verdict, self.before.state, None, tried, "", self.attempts), ()
                )
            self._unanswered(name, verdict)
            edge, self.instead = Edge(self.definition.declaration.otherwise, None, name, ()), "otherwise"
        limit = self._limit(edge)
        if limit is not None:
            return self._limited(name, limit, tried)
        self.enter(edge, name, tried)
        return self.step(name, "taken", tried)

    def _note_guard_error(self, cursor: Cursor) -> None:
        failed = cursor.candidates[-1]
        message = f"guard `{failed.guard}` failed to evaluate: {failed.error}"
        self.failure = {"class": "guard", "message": message, "tool": "", "state": self.state}
        self.because = f"{message} (in {self.state})"
        cursor.failure = self.failure

    def _unanswered(self, name: str, verdict: Verdict) -> None:
        if name == REFUSED and not self.because:
            self.because = f"an expression failed to evaluate in {self.state}"
        elif name.startswith("limit."):
            self.because = self._limit_reason(name)
        elif verdict == "denied":
            self.because = f"every guard on `{name}` in {self.state} said no"
        elif verdict == "unknown" and not name.startswith("failed"):
            self.because = f"no transition takes `{name}` in {self.state}"

    def _limit(self, edge: Edge) -> str | None:
        """Return the limit that forbids the transition; ending the run is never forbidden."""
        declared = self.definition.declaration
        target = declared.states[self._arrival(edge)[0]]
        if target.final is not None:
            return None
        limits = declared.limits
        if self.steps >= limits.steps:
            return "limit.steps"
        if limits.elapsed is not None and self.now - self.before.started >= limits.elapsed:
            return "limit.elapsed"
        if limits.calls is not None and target.do is not None and self.calls >= limits.calls:
            return "limit.calls"
        return next(
            (f"limit.cost.{u}" for u, most in limits.cost.items() if self.cost.get(u, 0) > most), None
        )

    def _limit_reason(self, limit: str) -> str:
        limits = self.definition.declaration.limits
        _, kind, unit = (*limit.split("."), "")[:3]
        if unit:
            most = f"a cost of {limits.cost[unit]:g} {unit}"
        elif kind == "elapsed":
            most = spell(limits.elapsed or 0)
        else:
            most = f"{getattr(limits, kind)} {kind}"
        last = f"; last failure: {self.because}" if self.because else ""
        return f"the run reached its limit of {most}{last}"

    def _limited(self, name: str, limit: str, tried: tuple[Candidate, ...] = ()) -> Step:
        self.because, self.instead = self._limit_reason(limit), limit
        cursor = self.cursor({"name": limit})
        edge = cursor.select(limit) or Edge(self.definition.declaration.otherwise, None, limit, ())
        tried += tuple(cursor.candidates)
        self.enter(edge, limit, tried)
        return self.step(name, "taken", tried)

    def _arrival(self, edge: Edge) -> tuple[str, list[str]]:
        """Return the state that a transition arrives in, and the exhausted states that it was sent on from."""
        states, attempts, target = self.definition.declaration.states, self.attempts, edge.target
        passed: list[str] = []
        if edge.resets:
            attempts = {n: c for n, c in attempts.items() if n not in edge.resets}
        while True:
            state = states[target]
            if state.attempts is None or attempts.get(target, 0) < state.attempts:
                return target, passed
            assert state.exhausted is not None
            passed.append(target)
            target = state.exhausted

    def enter(self, edge: Edge, event: str, tried: tuple[Candidate, ...] = ()) -> None:
        """Take a transition: count the attempt, set up what the new state waits for."""
        target, passed = self._arrival(edge)
        states = self.definition.declaration.states
        if edge.resets:
            self.attempts = {n: c for n, c in self.attempts.items() if n not in edge.resets}
        if passed:
            self.instead = "exhausted"
            last = f"; last: {self.because}" if self.because else ""
            self.because = (
                f"{passed[0]} was entered {states[passed[0]].attempts} times, as often as it may{last}"
            )
        state = states[target]
        body: dict[str, Any] = {"event": event, "from": self.state if event else None, "to": target}
        if state.attempts is not None:
            self.attempts = {**self.attempts, target: self.attempts.get(target, 0) + 1}
            body["attempt"] = self.attempts[target]
        if self.instead:
            body["instead"] = self.instead
        if edge.resets:
            body["resets"] = list(edge.resets)
        if tried and (len(tried) > 1 or tried[0].guard is not None):
            body["tried"] = [c.as_data() for c in tried]
        self.entries.append(("transition", body))
        self.state = self.target = target
        self.steps += 1
        self.entered = self.now
        self._arrive(state)

    def _arrive(self, state: State) -> None:
        kind = state.kind
        self.status = "running"
        if kind == "call":
            self._intend()
        elif kind == "wait":
            n = self.attempts.get(self.state, 1)
            assert state.wait is not None
            self._wait(Timer(self.now + state.wait.seconds(n)))
        elif kind == "choice":
            self.pending = Immediate("always")
        elif kind == "event":
            self.pending, self.status = None, "waiting"
        else:
            self.finish()

    def _wait(self, timer: Timer) -> None:
        self.pending, self.status = timer, "waiting"
        self.entries.append(("timer_set", {"due": timer.due}))

    def _intend(self) -> None:
        action = self.definition.actions[self.state]
        cursor = self.cursor(NOTHING)
        cursor.attempts = self.attempts
        try:
            given = {name: expression.value(cursor) for name, expression in action.arguments.items()}
        except InvalidExpression as error:
            message = f"the input of {action.tool} cannot be computed: {error}"
            self.failure = {"class": "guard", "message": message, "tool": action.tool, "state": self.state}
            self.because = f"{message} (in {self.state})"
            self.pending = Immediate(REFUSED)
            return
        given = {name: value for name, value in given.items() if value is not None}
        seq = self.before.seq + len(self.entries) + 1
        call = PendingCall(f"{self.before.run}:{seq}", seq, action.tool, given, 1, "sent", self.now)
        self._send(call)

    def _send(self, call: PendingCall) -> None:
        self.pending = self.call = call
        self.status = "running"
        self.calls += 1
        self.entries.append(
            (
                "call_intended",
                {"key": call.key, "tool": call.tool, "input": dict(call.input), "attempt": call.attempt},
            )
        )

    def call_again(self, call: PendingCall) -> Step:
        """Make a call once more, under its key."""
        limit = self.definition.declaration.limits.calls
        if limit is not None and self.calls >= limit:
            return self._limited(AGAIN, "limit.calls")
        self._send(replace(call, attempt=call.attempt + 1, phase="sent", due=self.now))
        return self.step(AGAIN, "retry", ())

    def back_off(self, call: PendingCall, failure: Failure, wait: float, used: int) -> Step:
        retries = {**call.retries, failure.failure: used}
        self.pending = replace(call, phase="backoff", due=self.now + wait, retries=retries)
        self.status = "waiting"
        self.entries.append(
            ("timer_set", {"due": self.now + wait, "key": call.key, "after": failure.failure})
        )
        return self.step(f"failed.{failure.failure}", "retry", ())

    def doubt(self, call: PendingCall, tool: Tool, *, probe: bool = True) -> Step:
        """The call may have happened: ask the world if it can be asked, else a person."""
        asks = probe and tool.probe is not None
        self.pending = replace(call, phase="probe" if asks else "doubt")
        self.status = "running" if asks else "waiting"
        self.because = f"it is not known whether {call.tool} happened (key {call.key})"
        self.entries.append(("call_in_doubt", {"key": call.key, "asks": tool.probe if asks else "a person"}))
        return self.step("failed.in_doubt", "noted", ())

    def cancel(self) -> Step:
        cursor = self.cursor({"name": "cancelled"})
        edge = cursor.select("cancelled")
        self.cancelled = True
        self.because = "cancelled"
        tried = tuple(cursor.candidates)
        if edge is not None:
            self.enter(edge, "cancelled", tried)
        else:
            self.finish()
        return self.step("cancelled", "taken", tried)

    def finish(self) -> None:
        """End the run where it is."""
        declared = self.definition.declaration.states[self.state]
        self.pending = None
        self.status = declared.final or "cancelled"
        if self.cancelled and self.status == "failed":
            self.status = "cancelled"
        cursor = self.cursor(NOTHING)
        cursor.attempts = self.attempts
        reason = self.definition.reasons.get(self.state)
        self.output = {n: _or_none(e, cursor) for n, e in self.definition.outputs[self.state].items()}
        if self.status == "succeeded":
            self.because = ""
        if reason is not None:
            self.because = str(_or_none(reason, cursor) or self.because)
        self.entries.append(
            (
                "run_finished",
                {"status": self.status, "state": self.state, "reason": self.because, "output": self.output},
            )
        )

    def step(self, event: str, verdict: Verdict, tried: tuple[Candidate, ...]) -> Step:
        """Return the step that was made."""
        receipt = Receipt(event, verdict, self.before.state, self.target, tried, self.instead, self.attempts)
        if not self.entries:
            return Step(self.before, receipt, ())
        snapshot = Snapshot(
            self.before.run,
            self.before.digest,
            self.before.seq + len(self.entries),
            self.status,
            self.state,
            self.before.started,
            self.entered,
            self.context,
            self.sources,
            self.attempts,
            self.steps,
            self.calls,
            self.cost,
            self.pending,
            self.failure,
            self.because,
            self.cancelled,
            self.output,
        )
        return Step(snapshot, receipt, tuple(self.entries), self.call)


def _or_none(expression: Expression, cursor: Cursor) -> Any:
    try:
        return expression.value(cursor)
    except InvalidExpression:
        return None


def _shown(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in values.items()) or "it read nothing"
