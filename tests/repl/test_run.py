"""A stored run is looked at from Python as from the prompt, and nothing of it moves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from statemachine import Run
from statemachine.errors import EventRefused, InvalidExpression, InvalidInput, StoreUnusable, UnknownRun
from statemachine.repl.session import Session
from tests.repl.conftest import world
from tests.repl.test_debugger import begun


async def ended(folder: Path, database: Path) -> str:
    """Return a run that went round its loop twice and succeeded."""
    async with await begun(folder, database) as debugger:
        await debugger.proceed()
        return debugger.run


async def test_it_answers_what_the_prompt_answers(folder: Path, database: Path) -> None:
    """Where it is, why, what its guards give, what changed, what it called, and what to do."""
    name = await ended(folder, database)
    with Run(name[:6], database) as run:
        assert (run.run, run.snapshot.state, run.past, run.view().status) == (
            name,
            "complete",
            False,
            "succeeded",
        )
        assert [(stretch.states, stretch.times) for stretch in run.where()] == [
            (("act", "validate", "retry"), 2),
            (("act",), 1),
            (("validate",), 1),
            (("complete",), 1),
        ]
        assert run.last is not None
        assert [(c.target, c.verdict) for c in run.last.receipt.candidates] == [("complete", True)]
        assert run.guards() == run.events() == []
        assert (run.value("want + lines"), [call.tool for call in run.calls()].count("write")) == (6, 3)
        assert run.explain().advice == "stop"
        assert [kind for _, _, kind, _ in run.journal(2)] == ["transition", "run_finished"]
        with pytest.raises(InvalidExpression, match="did you mean `lines`"):
            run.value("linse")
        with pytest.raises(InvalidInput, match="did you mean `retry`"):
            run.why_not("rety")


async def test_it_goes_back_and_answers_of_then(folder: Path, database: Path) -> None:
    """Nothing is called, and the present is not touched."""
    name = await ended(folder, database)
    with Run(name, database) as run:
        latest = run.snapshot.seq
        assert run.back(6).state == "retry"
        assert (run.past, run.value("lines"), len(run.calls())) == (True, 1, 2)
        assert run.diff(2) == {"lines": [None, 1], "verdict": [None, {"ok": False, "score": 1 / 3}]}
        tried, ways = run.why_not("complete")
        assert ([c.verdict for c in tried], ways) == ([False], [("validate", "done")])
        with pytest.raises(EventRefused, match="records 1 to"):
            run.goto(latest + 1)
        assert (run.goto().seq, run.past) == (latest, False)
    assert len(world(folder)) == 3


async def test_it_looks_at_a_run_that_another_drives(folder: Path, database: Path) -> None:
    """And sees what that one does next."""
    async with await begun(folder, database) as debugger:
        with Run(debugger.run, database) as run:
            assert (run.snapshot.state, [offer.event for offer in run.events()]) == ("act", ["cancelled"])
            await debugger.step()
            assert (run.snapshot.state, len(run.where())) == ("validate", 2)
            assert (await debugger.step()).why == "step"


async def test_it_shows_itself_as_a_picture(folder: Path, database: Path) -> None:
    """Of the way up to where it looks; a debugger shows itself so too."""
    async with await begun(folder, database) as debugger:
        await debugger.until("retry")
        with Run(debugger.run, database) as run:
            assert run._repr_svg_() == debugger._repr_svg_()
            now = run._repr_svg_()
            run.back()
            assert now != run._repr_svg_() != debugger.back()
            assert run._repr_svg_() == debugger._repr_svg_()
            assert run.draw("text").decode().startswith("loop v1")


async def test_all_that_the_prompt_says_is_of_its_methods(folder: Path, database: Path) -> None:
    """As data: what a verb gives as JSON, a method gives as values."""
    async with await begun(folder, database) as debugger:
        await debugger.until("retry")
        session = Session(debugger)
        with Run(debugger.run, database) as run:
            said = {
                verb: (await session.say(verb))[1].data for verb in ("guards", "events", "calls", "where")
            }
            assert said["guards"] == [candidate.as_data() for candidate in run.guards()]
            assert said["events"] == [offer.as_data() for offer in run.events()]
            assert said["where"]["path"] == [stretch.as_data() for stretch in run.where()]
            assert [call["key"] for call in said["calls"]] == [call.key for call in run.calls()]
            assert json.loads(json.dumps(said, default=dict))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """A store is not made by looking, and a wrong id leaves nothing open."""
    with pytest.raises(StoreUnusable, match="there is no database"):
        Run("3f2a", tmp_path / "runs.db")
    assert list(tmp_path.iterdir()) == []


async def test_a_run_that_is_not_there_is_told(folder: Path, database: Path) -> None:
    """With what is close."""
    name = await ended(folder, database)
    with pytest.raises(UnknownRun, match=name):
        Run(f"{name[:-1]}x", database)
