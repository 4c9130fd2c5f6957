"""The machine of renewal.yaml, declared in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from statemachine.machine.python import Approval, Expects, Final, Limits, MachineBuilder, Owner, Retry, To

from . import tools
from .tools import Contract, Verdict


class Context(BaseModel):
    vendor: str = Field(description="whose contract")
    contract: Annotated[Contract, Owner("plan", fresh_for="10m", derived_from="vendor")]
    verdict: Annotated[Verdict | None, Owner("validate", derived_from=["contract", "findings"])]
    findings: Annotated[list[str], Owner("plan", "operator")] = []


renewal = MachineBuilder(
    "renewal",
    version="2",
    summary="Renew a vendor contract and tell the vendor.",
    context=Context,
    events={"changed": {"vendor": str}},
    limits=Limits(steps=60, calls=40, elapsed="2h", cost={"usd": 1.5}, stuck_after=4, watch=["verdict"]),
    expects=Expects(elapsed="10m", interventions=0.1),
    on={
        "cancelled": "fail",
        "amended": "plan",
        "stale": To("plan", when="'contract' in event.fields"),
        "changed": To("plan", when='event.vendor != ""', resets=["retry"]),
    },
    migrations={
        "1": {
            "states": {"look": "plan", "wait": "retry"},
            "fields": {"supplier": "vendor", "note": None},
            "set": {"findings": "[note]"},
        }
    },
)
renewal.tool(
    "read",
    effect="read",
    timeout=10,
    failures={"KeyError": "data_error"},
    retry={"transient": Retry(3, initial="500ms", cap="10s", jitter="none")},
)(tools.read_contract)
renewal.tool("check", effect="read")(tools.check)
renewal.tool("find", effect="read")(tools.find)
renewal.tool(
    "update",
    effect="write",
    reversibility="none",
    idempotent=False,
    probe="find",
    retry={"stale_data": Retry(2, refresh="read")},
)(tools.update)
renewal.shell("count", ["wc", "-w", "{file}"], effect="read", input={"file": Path})

renewal.add(
    "plan",
    initial=True,
    do="read",
    inputs={"vendor": "vendor"},
    save="contract",
    on={"done": "act", "failed": "retry"},
)
renewal.add(
    "act",
    do="update",
    approval=Approval(
        "legal", needed=2, expires="8m", when="fresh.contract", escalate=[Approval("boss", expires="60s")]
    ),
    expects='"the new date of " + vendor',
    on={"done": "validate", "failed": "retry", "denied": "fail"},
    timeout="5m",
)
renewal.add(
    "validate",
    do="check",
    save="verdict",
    sufficient="output.confidence > 0.1",
    on={
        "done": [To("complete", when="verdict.ok && verdict.confidence >= 0.8"), To("choose")],
        "failed": "retry",
    },
)
renewal.add("choose", always=[To("ask", when="size(findings) > 3"), To("retry")])
renewal.add("ask", on={"changed": "plan", "timeout": "fail"}, timeout="24h")
renewal.add("retry", attempts=3, exhausted="fail", wait="1s", on={"elapsed": "plan"})
renewal.add("complete", Final.succeeded, output={"days": "contract.days"})
renewal.add("fail", Final.failed, reason='"gave up after " + string(attempts.retry)')
