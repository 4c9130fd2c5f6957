"""Rules on calls: what the contract of a tool lets happen, and whether the machine has an answer to it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from statemachine.check.data import places_in
from statemachine.check.moves import Move, choices
from statemachine.check.paths import TooMany, shortest, visit
from statemachine.check.rules import Rule
from statemachine.errors import Finding
from statemachine.machine.definition import REFUSED, Definition
from statemachine.machine.report import Keys
from statemachine.machine.types import adapter

UNROUTED = Rule(
    "SM401",
    "failure that no transition takes",
    "error",
    "Every class of failure that a state's tool can give leads somewhere: by its own name, `failed` or `*`.",
    "The run ends in the machine's `otherwise` state, without a second try or a diagnosis, the first time the tool fails so.",
)
ENDLESS = Rule(
    "SM402",
    "wait without a timeout",
    "error",
    "A state that waits for an event from outside has a `timeout`.",
    "Nobody answers, and the run waits until its limits end it or for ever; who waits for its result is never told.",
)
UNTAKEN = Rule(
    "SM403",
    "timeout that no transition takes",
    "error",
    "A state with a `timeout` has a transition on `timeout`.",
    "When the time is over the run ends in the machine's `otherwise` state, which no one chose for this case.",
)
REPEATED = Rule(
    "SM404",
    "write that may be made twice",
    "error",
    "A write that is in a loop or is retried is idempotent, or has a `probe` or an `undo`.",
    "It is made again although the first call may have happened: what it changes is changed twice.",
)
SKIPPED = Rule(
    "SM405",
    "failure that leaves a write behind",
    "error",
    "After a write that has an `undo`, every path to a failed outcome passes a state that undoes (`undo: all`).",
    "The run has failed, but half of what it set out to do is done, and nobody takes it back.",
)
IDLE_TOOL = Rule(
    "SM406",
    "tool that nothing uses",
    "warning",
    "Every tool that is declared is called by a state, or probes, refreshes or undoes for another tool.",
    "It is what was left of a change, or what was meant to be called and is not; reviewers approve it for nothing.",
)
IDLE_EVENT = Rule(
    "SM407",
    "event that no state takes",
    "warning",
    "Every event that is declared is taken by a transition of some state, or of the machine.",
    "Whoever sends it is refused in every state.",
)
UNTOLD = Rule(
    "SM408",
    "output that a probe cannot give",
    "warning",
    "A state whose call may have to be asked for by a `probe` saves nothing from it, or into fields that may be null, and "
    "neither `sufficient` nor a guard on `done` reads `output`.",
    "The probe says only that the call happened. Its output is lost: a field cannot be filled, or a guard fails to evaluate, "
    "and a call that did what it should has failed.",
)
RULES = (UNROUTED, ENDLESS, UNTAKEN, REPEATED, SKIPPED, IDLE_TOOL, IDLE_EVENT, UNTOLD)


def check(definition: Definition) -> Iterator[Finding]:
    """Yield what is wrong with how a machine calls, waits and undoes."""
    yield from _unrouted(definition)
    yield from _waits(definition)
    yield from _repeated(definition)
    yield from _skipped(definition)
    yield from _idle(definition)
    yield from _untold(definition)


def _unrouted(definition: Definition) -> Iterator[Finding]:
    otherwise = definition.declaration.otherwise
    for name, state in definition.declaration.states.items():
        lost = [
            event.partition(".")[2]
            for events, candidates, ends in choices(definition, name)
            for event in events
            if ends and not candidates and event.startswith("failed.")
        ]
        if lost:
            what = f"`{state.do}`" if state.do is not None else "undoing"
            message = f"{what} can fail with {', '.join(lost)}, and no transition of `{name}` takes that"
            advice = f"add `failed:` under on:, to the state that answers it, or to `{otherwise}`"
            witness = _ending(
                definition, name, f"{name} --failed.{lost[0]}--> {otherwise} (no transition takes it)"
            )
            path: Keys = ("states", name, "do" if state.do is not None else "undo")
            yield UNROUTED.at(definition, path, message, "REFUTED", witness=witness, advice=advice)


def _ending(definition: Definition, state: str, line: str) -> tuple[str, ...]:
    """Return a shortest run to a state, with one line more; that line alone if none is found."""
    try:
        way = visit(definition, state)
    except TooMany:
        way = None
    return (line,) if way is None or way == (state,) else (*way, line)


def _waits(definition: Definition) -> Iterator[Finding]:
    for name, state in definition.declaration.states.items():
        path: Keys = ("states", name)
        if state.kind == "event" and state.timeout is None:
            taken = [e for e in definition.payloads if definition.candidates(name, e)]
            message = (
                f"`{name}` waits for {' or '.join(taken) or 'nothing that comes'}, with no limit to the time"
            )
            advice = "add `timeout: 1h` and a transition on `timeout`"
            yield ENDLESS.at(
                definition,
                path,
                message,
                "REFUTED",
                key=True,
                witness=_ending(definition, name, f"{name} waits, and nothing is sent"),
                advice=advice,
            )
        if any("timeout" in events and not candidates for events, candidates, _ in choices(definition, name)):
            otherwise = definition.declaration.otherwise
            message = f"no transition of `{name}` takes `timeout`, and the run ends in `{otherwise}` then"
            witness = _ending(definition, name, f"{name} --timeout--> {otherwise} (no transition takes it)")
            advice = "add a transition on `timeout`"
            yield UNTAKEN.at(
                definition, (*path, "timeout"), message, "REFUTED", key=True, witness=witness, advice=advice
            )


def _repeated(definition: Definition) -> Iterator[Finding]:
    declared = definition.declaration
    for name, state in declared.states.items():
        if state.do is None:
            continue
        tool = declared.tools[state.do]
        if tool.repeatable or tool.probe is not None or tool.undo is not None:
            continue
        path: Keys = ("states", name, "do")
        advice = "make it idempotent by the call's key and say so, or declare a `probe` or an `undo`"
        try:
            again = visit(definition, name, again=True)
        except TooMany:
            message = f"whether the run can come back to `{name}`, which writes with `{state.do}`, is too much to follow"
            yield REPEATED.at(definition, path, message, "UNKNOWN", advice=advice)
            continue
        if again is None and not tool.retry:
            continue
        why = "may come back to it" if again else "retries it"
        retried = f"{name} calls {state.do} again after {next(iter(tool.retry), '')}"
        witness = again or _ending(definition, name, retried)
        message = f"`{name}` writes with `{state.do}`, which is not idempotent, and the run {why}"
        yield REPEATED.at(definition, path, message, "REFUTED", witness=witness, advice=advice)


def _skipped(definition: Definition) -> Iterator[Finding]:
    declared = definition.declaration
    writing = {
        name
        for name, state in declared.states.items()
        if state.do is not None and declared.tools[state.do].undo is not None
    }
    undoing = {name for name, state in declared.states.items() if state.undo is not None}

    for name in writing:
        do = declared.states[name].do

        def carry(state: str, move: Move, target: str, done: bool, name: str = name) -> bool:
            finished = state == name and move.events[0] in ("done", "partial")
            return (done or finished) and target not in undoing

        def failed(state: str, done: bool) -> bool:
            return done and declared.states[state].final == "failed"

        path: Keys = ("states", name, "do")
        advice = "lead failures behind it through a state with `undo: all`"
        try:
            witness = shortest(definition, [(declared.initial, False)], carry, failed)
        except TooMany:
            message = f"whether a failure can leave the write of `{do}` behind is too much to follow"
            yield SKIPPED.at(definition, path, message, "UNKNOWN", advice=advice)
            continue
        if witness is not None:
            message = f"the run can fail after `{do}` has written, and nothing undoes that"
            yield SKIPPED.at(definition, path, message, "REFUTED", witness=witness, advice=advice)


def _idle(definition: Definition) -> Iterator[Finding]:
    declared = definition.declaration
    used = {state.do for state in declared.states.values()}
    for tool in declared.tools.values():
        used |= {tool.probe, tool.undo, *(policy.refresh for policy in tool.retry.values())}
    for name in declared.tools.keys() - used:
        message = f"nothing uses the tool `{name}`"
        advice = "call it in a state (do:), or remove it"
        yield IDLE_TOOL.at(definition, ("tools", name), message, "PROVED", key=True, advice=advice)
    for event in declared.events:
        if not any(definition.candidates(name, event) for name in declared.states):
            message = f"no state takes the event `{event}`"
            advice = f"add a transition on `{event}`, or remove the event"
            yield IDLE_EVENT.at(definition, ("events", event), message, "PROVED", key=True, advice=advice)


def _untold(definition: Definition) -> Iterator[Finding]:
    for name, state in definition.declaration.states.items():
        if state.do is None:
            continue
        tool = definition.declaration.tools[state.do]
        if tool.repeatable or tool.probe is None:
            continue
        lost = _needing_output(definition, name)
        if lost is None:
            continue
        path, what, failure = lost
        message = f"`{tool.probe}` can say that `{state.do}` happened, but not what it gave{what}"
        taken = definition.candidates(name, failure)
        target = taken[0].target if taken else definition.declaration.otherwise
        line = f"{name} --{failure}--> {target} (in doubt; {tool.probe} says that it happened)"
        witness = _ending(definition, name, line)
        advice = "read what it gave in a state of its own"
        advice += ", let the field be `… | None`" if path[-1] == "save" else ""
        advice += ", or make the tool idempotent"
        yield UNTOLD.at(definition, path, message, "REFUTED", witness=witness, advice=advice)


def _needing_output(definition: Definition, state: str) -> tuple[Keys, str, str] | None:
    """Return what of a state first needs its call's output, if anything: where it stands, in words, what fails."""
    fields = [field for field, *_ in definition.actions[state].saves if not _nullable(definition, field)]
    if fields:
        return ("states", state, "save"), f" for {', '.join(f'`{f}`' for f in fields)}", "failed.contract"
    for place in places_in(definition, state):
        if place.event == "done" and any(root == "output" for _, root, _ in place.expression.reads):
            failure = "failed.data_error" if place.path[-1] == "sufficient" else REFUSED
            return place.path, f", and {place.what} reads that", failure
    return None


def _nullable(definition: Definition, field: str) -> bool:
    """Return whether a field may hold null, which stands for an output that nobody knows."""
    try:
        adapter(definition.types[field]).validate_python(None)
    except ValidationError:
        return False
    return True
