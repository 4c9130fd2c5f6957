"""Copy a file and make sure that the copy is the same; `backup.yaml` beside this is the same machine."""

import filecmp
import os
import shutil
from pathlib import Path

from pydantic import BaseModel

from statemachine import Backoff, Final, Limits, Machine, To


class Context(BaseModel):
    source: Path
    target: Path
    same: bool


backup = Machine(
    "backup",
    version="1",
    summary="Copy a file and make sure that the copy is the same.",
    context=Context,
    limits=Limits(steps=30, elapsed="10m"),
)


@backup.state(
    initial=True,
    effect="write",
    reversibility="partial",
    idempotent=True,
    timeout="1m",
    on={"done": "verify", "failed": "retry"},
)
def copy(source: Path, target: Path) -> None:
    """Copy through a file beside the target, so that there is never half a copy."""
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, part)
    os.replace(part, target)


@backup.state(
    effect="read",
    timeout="1m",
    save="same",
    on={"done": [To("complete", when="same"), To("retry")], "failed": "retry"},
)
def verify(source: Path, target: Path) -> bool:
    """Compare the two byte by byte."""
    return filecmp.cmp(source, target, shallow=False)


backup.add(
    "retry", attempts=3, exhausted="fail", wait=Backoff("200ms", factor=2, cap="10s"), on={"elapsed": "copy"}
)
backup.add("complete", Final.succeeded)
backup.add("fail", Final.failed)
