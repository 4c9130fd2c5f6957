"""A run is moved to another version of its machine, or stays as it is with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statemachine.journal.replay import replay
from statemachine.kernel import DECIDED, Event, PendingApproval, PendingCall, Snapshot, due, step
from statemachine.kernel.migrating import move
from statemachine.machine.definition import Definition
from statemachine.machine.model import Declaration
from statemachine.machine.resolve import resolve
from tests.journal.test_replay import journal
from tests.kernel.driving import FOLDER, GOOD, Run, define
from tests.kernel.strategies import answers, declarations, moves

STATES = """
read: {do: look, save: {answer: output, size: output.size}, on: {done: nap, failed: fail}}
nap: {attempts: 3, exhausted: fail, wait: 1m, on: {elapsed: act}}
act: {do: mail, with: {n: size}, on: {done: ask, failed: nap}}
ask: {on: {go: end}}
"""
check = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def version(states: str = STATES, **parts: Any) -> Definition:
    """Return a version of the machine; the second unless another is asked for."""
    return define(states, **{"version": "2", "events": {"go": {}}, **parts})


def acting() -> Run:
    """Return a run of the first version, in the middle of a write and with one attempt used."""
    run = Run(version(version="1"))
    run.finish(GOOD)
    run.wait()
    assert (run.call.tool, run.attempts) == ("mail", {"nap": 1})
    return run


def moved(run: Run, new: Definition) -> Run:
    """Move a run and return it, as a run of the new version."""
    found = move(run.definition, new, run.last.snapshot, run.now, "ann")
    assert found.problems == ()
    assert found.step is not None
    run.definition, run.last = new, found.step
    run.steps.append(found.step)
    return run


def problems(run: Run, new: Definition) -> str:
    """Return why a run cannot be moved."""
    found = move(run.definition, new, run.last.snapshot, run.now)
    assert found.step is None
    return "\n".join(found.problems)


def test_a_run_goes_on_in_the_new_version_where_it_was() -> None:
    """State, counters, fields with their sources, the call under its key, times: all stay."""
    run = acting()
    before = run.last.snapshot
    moved(run, version(STATES.replace("1m", "2m")))
    kept = before._replace(digest=run.definition.digest, seq=before.seq + 1)
    assert run.last.snapshot == kept
    run.finish(GOOD)
    run.send("go")
    assert run.status == "succeeded"
    first = acting().definition
    found = replay(first, "run", journal(run.steps), {run.definition.digest: run.definition}.__getitem__)
    assert (found.conforms, found.snapshot) == (True, run.last.snapshot)
    assert not replay(first, "run", journal(run.steps)).conforms


@pytest.mark.parametrize("tool", ["wire", "mail"])
def test_what_was_approved_of_the_old_version_is_not_approved_of_the_new_one(tool: str) -> None:
    """Whether it would make the same call or another one with the same input: it is asked for anew."""
    wires = "send: {do: %s, approval: {expires: 1h}, on: {done: end, failed: fail, denied: fail}}"
    run = Run(version(wires % "wire", version="1"))
    first, request = run.definition, run.pending.request
    moved(run, version(wires % tool))
    yes = {"verdict": "approve", "approver": "ann"}
    run.take(Event(DECIDED, {"request": request, **yes}))
    assert (run.last.entries, run.calls) == ((), 0)
    run.wait()
    assert run.pending.request != request
    assert run.entries[-1][1]["machine"] == run.definition.digest
    run.take(Event(DECIDED, {"request": request, **yes}))
    assert run.calls == 0
    run.take(Event(DECIDED, {"request": run.pending.request, **yes}))
    assert run.call.tool == tool
    assert replay(
        first, "run", journal(run.steps), {run.definition.digest: run.definition}.__getitem__
    ).conforms


def test_states_and_fields_are_renamed_and_new_ones_filled() -> None:
    """By an expression over the old context, also the names in counters and in sources."""
    rules = {"states": {"nap": "rest", "act": "tell"}, "fields": {"size": "count", "answer": None}}
    states = STATES.replace("nap", "rest").replace("act:", "tell:").replace("elapsed: act", "elapsed: tell")
    states = states.replace("{answer: output, size: output.size}", "{count: output.size}").replace(
        "n: size", "n: count"
    )
    context = {
        "n": {"type": "int", "owner": "operator", "default": 1},
        "count": {"type": "int", "owner": "read"},
        "twice": {"type": "int", "owner": "read"},
        "note": {"type": "str", "owner": "read", "default": "none"},
    }
    new = version(
        states,
        context=context,
        migrations={"1": {**rules, "set": {"twice": "size * 2 + n"}}},
    )
    run = moved(acting(), new)
    assert (run.state, run.attempts) == ("tell", {"rest": 1})
    assert run.context == {"n": 1, "count": 3, "twice": 7, "note": "none"}
    assert (run.sources["count"].by, run.sources["twice"].of) == ("read", "migration")
    assert run.entries[-1][1]["set"] == {"twice": 7}
    by_digest = version(
        states,
        context=context,
        migrations={acting().definition.digest: new.declaration.migrations["1"].model_dump()},
    )
    assert moved(acting(), by_digest).context == run.context


@pytest.mark.parametrize(
    ("states", "parts", "says"),
    [
        (STATES.replace("act:", "tell:").replace("elapsed: act", "elapsed: tell"), {}, "its state `act` is gone"),
        (STATES.replace("attempts: 3, exhausted: fail, ", ""), {}, "`nap` counts no attempts any more"),
        (STATES.replace("mail", "post"), {}, "its call run:8 of mail has no place in act, which calls post"),
        (STATES.replace("act: {do: mail, with: {n: size}", "act: {wait: 1s").replace("done: ask", "elapsed: ask"), {}, "of another kind: wait"),
        (STATES, {"machine": "other"}, "it is a run of test, not of other"),
        (STATES, {"version": "1"}, "it is on this version already"),
        (STATES, {"limits": {"calls": 2}}, "the run reached its limit of 2 calls"),
        (STATES, {"limits": {"elapsed": "1s"}}, "the run reached its limit of 1s"),
        (STATES, {"migrations": {"1": {"set": {"n": "siz"}}}}, "there is no `siz` here; did you mean `size`"),
        (STATES, {"migrations": {"1": {"set": {"n": "answer.ok ? 'x' : 'y'"}}}}, "its field `n` is no int"),
    ],
)  # fmt: skip
def test_what_has_no_place_is_refused_with_the_reason(states: str, parts: dict[str, Any], says: str) -> None:
    """And the run stays as it is."""
    assert says in problems(acting(), version(states, **parts))


def test_a_counter_beyond_the_new_maximum_is_refused() -> None:
    """A limit would already be exceeded."""
    run = acting()
    for _ in range(2):
        run.fail("permission")
        run.wait()
    assert run.attempts == {"nap": 3}
    assert "may be 2 times at most" in problems(run, version(STATES.replace("attempts: 3", "attempts: 2")))
    assert moved(run, version(STATES.replace("attempts: 3", "attempts: 4"))).attempts == {"nap": 3}


def test_fields_must_fit_and_have_a_place() -> None:
    """A value of another type, a field that is gone, an input that nobody would ever give."""

    def context(**more: Any) -> dict[str, Any]:
        return {
            "n": {"type": "int", "owner": "operator", "default": 1},
            "answer": {"type": "tools.py:Answer", "owner": "read"},
            "size": {"type": "int", "owner": "read"},
        } | more

    text = {"type": "str", "owner": "read"}
    states = STATES.replace("with: {n: size}, ", "")
    assert "`size` is no str" in problems(
        acting(),
        version(
            states.replace(", size: output.size", ""),
            context=context(size=text),
        ),
    )
    gone = context()
    del gone["size"]
    assert "`size` is gone" in problems(
        acting(), version(states.replace(", size: output.size", ""), context=gone)
    )
    asked = context(vendor={"type": "str", "owner": "operator"})
    assert "nobody would ever give it `vendor`" in problems(acting(), version(context=asked))


def test_an_ended_run_and_one_that_rolls_back_stay() -> None:
    """The one needs no other version; the other is left to finish first."""
    run = Run(version("put: {do: put, save: answer, on: {done: ask}}\nask: {on: {go: end}}", version="1"))
    run.finish(GOOD)
    run.take(undo())
    assert "it rolls back" in problems(
        run, version("put: {do: put, save: answer, on: {done: ask}}\nask: {on: {go: end}}")
    )
    while not run.finished:
        run.wait() if not isinstance(run.pending, PendingCall) else run.finish(None)
    assert "it has ended (cancelled)" in problems(
        run, version("put: {do: put, save: answer, on: {done: ask}}\nask: {on: {go: end}}")
    )


def test_a_call_that_fits_neither_version_is_no_reason_to_stay() -> None:
    """What it lacks it will tell by itself, in whichever version."""
    states = "put: {do: put, with: {n: size}, save: {size: output.size}, on: {done: end, failed: fail}}"
    run = Run(version(states, version="1"))
    assert isinstance(run.pending, PendingCall)
    assert run.pending.input == {}
    assert move(run.definition, version(states), run.last.snapshot, run.now, "ann").step is not None


def undo() -> Any:
    """Return the demand to roll back."""
    from statemachine.kernel import Event

    return Event("undo", by="ann")


@given(declarations().flatmap(lambda d: st.tuples(st.just(d), st.data())))
@check
def test_any_run_moves_to_an_equal_version_at_any_time_and_conforms_across_the_switch(case: Any) -> None:
    """Unless it has ended, rolls back, or has reached a limit; what follows is what the old version would do, but for a
    request for approval, which is made anew."""
    from tests.kernel.driving import declare

    parts, data = case
    old, new = declare(**parts), declare(**parts, version="2")
    made = data.draw(moves(old, longest=12))
    _, now, last = made[-1]
    found = move(old, new, last.snapshot, now, "ann")
    if found.step is None:
        assert found.problems[0].startswith(("it has ended", "it rolls back", "the run reached its limit"))
        return
    steps = [after for _, _, after in made] + [found.step]
    timed = due(new, found.step.snapshot)
    events = [timed[1]] if timed else []
    if not (answer := answers(found.step.snapshot)).is_empty:
        events = [data.draw(answer)]
    for event in events:
        at = max(now, timed[0]) if timed else now
        steps.append(step(new, found.step.snapshot, event, at))
        mine, theirs = steps[-1].snapshot, step(old, last.snapshot, event, at).snapshot
        if isinstance(last.snapshot.pending, PendingApproval):
            continue  # the old version's request is void: the new one asks anew
        assert (mine.state, mine.context, mine.status) == (theirs.state, theirs.context, theirs.status)
    versions = {new.digest: new}.__getitem__
    told = replay(old, "run", journal([made for made in steps if made.entries]), versions)
    assert told.deviation is None
    assert told.snapshot == steps[-1].snapshot
    assert Snapshot.from_data(found.step.snapshot.as_data()) == found.step.snapshot


@pytest.mark.parametrize(
    "wrong", [{"states": {"x": "nowhere"}}, {"fields": {"x": "nothing"}}, {"set": {"nothing": "n"}}]
)
def test_a_migration_names_what_the_new_version_has(wrong: dict[str, Any]) -> None:
    """Checked when the machine is loaded; the expressions are of the old context, and checked when a run is moved."""
    from statemachine.errors import InvalidMachine

    with pytest.raises(InvalidMachine, match="there is no"):
        version(migrations={"1": wrong})


def test_migrations_are_part_of_the_declaration() -> None:
    """They survive YAML and count in the digest."""
    import io

    from ruamel.yaml import YAML

    from statemachine.machine.yaml import to_yaml

    new = version(migrations={"1": {"states": {"nap2": "nap"}, "fields": {"s": None}, "set": {"n": "1 + 1"}}})
    again = Declaration.model_validate(YAML(typ="safe").load(io.StringIO(to_yaml(new.declaration))))
    assert resolve(again, FOLDER).digest == new.digest != version().digest
