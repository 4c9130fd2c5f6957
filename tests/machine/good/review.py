"""A machine whose states are decorated functions."""

from __future__ import annotations

from pydantic import BaseModel

from statemachine.machine.python import Backoff, Final, MachineBuilder, To


class Verdict(BaseModel):
    ok: bool
    why: str = ""


class Context(BaseModel):
    text: str
    verdict: Verdict


review = MachineBuilder("review", version="2", context=Context)


@review.state(
    effect="read",
    initial=True,
    timeout="30s",
    save="verdict",
    on={"done": [To("accept", when="verdict.ok"), To("pause")], "failed": "refuse"},
)
def judge(text: str) -> Verdict:
    return Verdict(ok="please" in text)


review.add(
    "pause", wait=Backoff("1s", factor=3, cap="1h"), attempts=5, exhausted="refuse", on={"elapsed": "judge"}
)
review.add("accept", Final.succeeded)
review.add("refuse", Final.failed, reason="verdict.why")
