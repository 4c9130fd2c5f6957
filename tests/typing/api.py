"""How users write machines; mypy reads this file, nothing runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, assert_type

from pydantic import BaseModel

from statemachine import (
    Backoff,
    Call,
    Debugger,
    Expects,
    Final,
    Limits,
    Machine,
    Owner,
    Reply,
    Retry,
    Run,
    RunView,
    To,
    ToolFailure,
)


class Verdict(BaseModel):
    ok: bool
    why: str = ""


class Context(BaseModel):
    text: str
    verdict: Annotated[Verdict | None, Owner("judge", fresh_for="10m")] = None


def hopeless(verdict: Verdict) -> bool:
    return verdict.why == "never"


review = Machine(
    "review",
    version="1",
    summary="Judge a text.",
    context=Context,
    events={"changed": {"text": str, "count": "int"}},
    limits=Limits(steps=100, calls=50, elapsed="1h", cost={"usd": 0.5}, otherwise="refuse"),
    expects=Expects(elapsed="5m", interventions=0.1),
    on={"cancelled": "refuse", "changed": [To("judge", when="event.count > 0", resets=["pause"])]},
)


@review.state(
    effect="read",
    initial=True,
    timeout="30s",
    retry={"transient": Retry(3, initial="1s", jitter="none"), "timeout": Retry(1)},
    failures={"KeyError": "data_error"},
    save="verdict",
    on={
        "done": [To("accept", when="verdict.ok"), To("refuse", when=hopeless), To("pause")],
        "failed": "refuse",
    },
)
def judge(text: str, call: Call) -> Reply[Verdict]:
    if call.attempt > 2:
        raise ToolFailure("rate_limited", "come back later", retry_after=2.5)
    return Reply(Verdict(ok="please" in text), cost={"usd": 0.01})


@review.tool("mail.send", effect="write", reversibility="none", idempotent=False, probe="mail.sent")
async def send(text: str) -> None: ...


@review.tool("mail.sent", effect="read")
def sent(key: str) -> bool:
    return bool(key)


review.shell("count", ["wc", "-w", "{file}"], effect="read", input={"file": "path"}, timeout=5)
review.add("pause", wait=Backoff("1s", factor=3), attempts=5, exhausted="refuse", on={"elapsed": "judge"})
review.add("accept", Final.succeeded, output={"verdict": "verdict.why"})
review.add("refuse", "failed", reason="verdict.why")

# A decorated function keeps its type: it can be called and tested as it is.
assert_type(judge("x", Call("k", "r", 1, 1, 0.0, __import__("pathlib").Path())), Reply[Verdict])
assert_type(sent("k"), bool)
assert_type(review.definition.digest, str)
assert_type(review.run(text="x"), RunView)


async def main() -> None:
    assert_type(await review.arun(text="x"), RunView)
    async with Debugger(Path("runs.db"), by="ann") as debugger:
        assert_type(await debugger.start(review, {"text": "x"}), RunView)
        assert_type((await debugger.proceed()).state, str)
        assert_type((await debugger.set(text="y")).receipt.target, str | None)
        assert_type((await debugger.amend(text="z")).receipt.event, str)
        assert_type(debugger.back(3).seq, int)
        assert_type(await debugger.fork(), RunView)
        assert_type(debugger.value("verdict.ok"), Any)
        await debugger.fail("timeout")
        await debugger.decide("allow", "ann")  # type: ignore[arg-type]


with Run("3f2a", "runs.db") as seen:
    assert_type(seen.view(), RunView)
    assert_type([stretch.times for stretch in seen.where()], list[int])
    assert_type([candidate.verdict for candidate in seen.guards()], list[bool | None])
    assert_type([offer.event for offer in seen.events()], list[str])
    assert_type([call.tool for call in seen.calls()], list[str])
    assert_type(seen.back(3).state, str)
    assert_type(seen.explain().why, str)
    assert_type(seen.draw("png"), bytes)
    seen.step()  # type: ignore[attr-defined]


review.add("typo", "suceeded")  # type: ignore[arg-type]
review.add("typo", wiat="1s")  # type: ignore[call-arg]
review.tool(effect="reads")  # type: ignore[arg-type]
review.tool(effect="read", timeot="1s")  # type: ignore[call-arg]
review.tool(effect="read", retry={"transiet": Retry(1)})  # type: ignore[dict-item]
review.state(effect="read", retyr={})  # type: ignore[call-arg]
review.add("wrong", on={"done": 5})  # type: ignore[dict-item]
ToolFailure("transiet", "no such class")  # type: ignore[arg-type]
Expects(takes="5m")  # type: ignore[call-arg]
Limits(step=5)  # type: ignore[call-arg]
