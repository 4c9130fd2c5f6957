"""What is proved of any run of a machine, for people: the table of `check --bounds`, and the line of `run`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from statemachine.cli.terminal import say, say_json

if TYPE_CHECKING:
    from statemachine.check.bounds import Bound, Bounds
    from statemachine.machine.definition import Definition


def tell(machine: str, bounds: Bounds) -> None:
    """Print every bound with what binds it and the run that comes to it, then what the proof assumes."""
    from statemachine.check.runs import shown

    say(f"bounds of {machine}, proved by {bounds.method}:")
    rows = [(b.name, amount(b), _binding(b), shown(b.run) or b.why) for b in bounds.bounds]
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    for name, most, binding, run in rows:
        say(f"  {name:{widths[0]}}  {most:>{widths[1]}}  {binding:{widths[2]}}  {run}")
    say("what the proof takes for granted:")
    for assumption in bounds.assumptions:
        say(f"  - {assumption}")


def write_exported(
    files: Sequence[str], language: Literal["prism", "tla", "promela"], folder: Path | None, as_json: bool
) -> None:
    """Write machines for a model checker into a folder; without one print them, properties as remarks below."""
    from statemachine.check.export import exported
    from statemachine.diagrams.committed import save
    from statemachine.machine.load import load

    remark = "\\*" if language == "tla" else "//"
    texts = {name: text for file in files for name, text in exported(load(file), language).items()}
    if folder is not None:
        for name, text in texts.items():
            save(folder / name, text.encode())
    if as_json:
        say_json({"written": [str(folder / name) for name in texts]} if folder else texts)
        return
    for at, (name, text) in enumerate(texts.items()):
        if folder is not None:
            say(f"wrote {folder / name}")
        elif name.endswith((".props", ".cfg")):
            say("\n".join(f"{remark} {line}" for line in [f"{name}:", *text.splitlines()]))
        else:
            say(("\n" if at else "") + text.rstrip("\n"))


def marks(definition: Definition) -> dict[str, str]:
    """Return a line on what is proved for each loop, by the state that ends it, and under ``""`` for the whole."""
    from statemachine.check.bounds import prover_of
    from statemachine.host.proved import proved_of

    bounds = prover_of(definition).bounds
    marked = {"": f"proved: {line(proved_of(definition))}"}
    for loop in bounds.loops:
        for state in loop.counters:
            most = bounds.of(f"entries of {state}").most
            marked[state] = (
                f"goes round ≤ {most:g} times" if math.isfinite(most) else "goes round without a bound"
            )
    for loop in bounds.endless if bounds.of("steps").binds == "limits.steps" else ():
        steps = definition.declaration.limits.steps
        marked.setdefault(loop.states[-1], f"loop without a bound, but for {steps} steps")
    return marked


def line(bounds: Mapping[str, Any]) -> str:
    """Return what is written down of a run's bounds in one line."""
    parts = []
    for name in ("steps", "calls", "elapsed"):
        most = bounds[name]
        if most is None:
            text = "any time" if name == "elapsed" else f"any number of {name}"
        else:
            text = (
                spelled(most)
                if name == "elapsed"
                else f"{most:g} {name.removesuffix('s') if most == 1 else name}"
            )
        parts.append(f"{text} (by its limit)" if name in bounds["limited"] else text)
    return f"at most {', '.join(parts)}"


def shortly(bounds: Bounds) -> list[str]:
    """Return the most steps, calls, time and rounds as the README's table has them."""
    cells = []
    for name in ("steps", "calls", "elapsed"):
        bound = bounds.of(name)
        cells.append(amount(bound) + (" (by its limit)" if bound.binds.startswith("limits") else ""))
    counted = [b for b in bounds.bounds if b.name.startswith("entries of ")]
    rounds = [f"`{b.name.removeprefix('entries of ')}` {amount(b)}" for b in counted]
    return [*cells, ", ".join(rounds) or "none"]


def amount(bound: Bound) -> str:
    """Return the most that a run can come to, as text."""
    if math.isinf(bound.most):
        return "unknown" if bound.counters is None else "unbounded"
    return spelled(bound.most) if bound.name == "elapsed" else f"{bound.most:g}"


def spelled(seconds: float) -> str:
    """Return a time that is a bound: rounded up, such as ``4m17s``; ``any time`` if it is infinite."""
    if math.isinf(seconds):
        return "any time"
    if seconds < 10:
        return f"{math.ceil(seconds * 10) / 10:g}s"
    whole = math.ceil(seconds)
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    counts = [
        (unit, whole // size % (10**9 if unit == "d" else {"h": 24}.get(unit, 60))) for unit, size in units
    ]
    return "".join(f"{count}{unit}" for unit, count in counts if count)


def _binding(bound: Bound) -> str:
    if not bound.binds:
        return "by nothing"
    if bound.binds == "counters":
        limit = "" if bound.limit is None else f", limit {_number(bound, bound.limit)}"
        return f"{'by counters' if bound.exact else 'by counters, at most'}{limit}"
    if bound.counters is None or math.isinf(bound.counters):
        return f"by {bound.binds} alone"
    return f"by {bound.binds}, counters {_number(bound, bound.counters)}"


def _number(bound: Bound, value: float) -> str:
    return spelled(value) if bound.name == "elapsed" else f"{value:g}"
