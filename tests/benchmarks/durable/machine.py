"""The machine that is measured: a loop of five states, each of which makes a call and saves its output."""

from __future__ import annotations

from pathlib import Path

STATES = ("plan", "act", "validate", "diagnose", "retry")

_MACHINE = """
machine: durable
version: "1"
context:
  laps: {{type: int, owner: operator}}
  note: {{type: str, owner: [{states}], default: ""}}
limits: {{steps: 1000000}}
tools:
  work: {{python: "tools.py:work", effect: read, timeout: 10s}}
initial: plan
states:
{body}
  complete: {{final: succeeded}}
  fail: {{final: failed}}
"""
_TOOLS = """
import asyncio
import os

HANGS = os.environ.get("BENCHMARK_HANGS")

async def work() -> str:
    if HANGS:
        await asyncio.sleep(3600)
    return "x" * 420
"""


def write(folder: Path) -> Path:
    """Write the machine and its tool into a folder; its input ``laps`` says how often it goes round."""
    lines = []
    for state, after in zip(STATES, (*STATES[1:], STATES[0]), strict=True):
        last = state == STATES[-1]
        way = f'[{{to: {after}, when: "attempts.{state} < laps"}}, {{to: complete}}]' if last else after
        counted = "attempts: 1000000, exhausted: fail, " if last else ""
        lines.append(f"  {state}: {{do: work, save: note, {counted}on: {{done: {way}, failed: fail}}}}")
    (folder / "tools.py").write_text(_TOOLS)
    file = folder / "durable.yaml"
    file.write_text(_MACHINE.format(states=", ".join(STATES), body="\n".join(lines)))
    return file
