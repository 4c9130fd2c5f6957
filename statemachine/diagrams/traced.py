"""A machine's drawing with a run's way on it."""

from __future__ import annotations

from dataclasses import replace

from statemachine.diagrams.drawing import Arrow, Drawing, Node, Note, Tone, printable
from statemachine.diagrams.trail import Passage, Stay, Trail
from statemachine.diagrams.ways import Way

_OUTCOMES: dict[str, Tone] = {
    "succeeded": "added",
    "failed": "failed",
    "cancelled": "failed",
    "waiting": "changed",
}


def traced(drawing: Drawing, trail: Trail) -> Drawing:
    """Return a drawing with what a run did: the turns on each arrow, visits, time and failures in each state."""
    strays = tuple(
        Arrow(
            source=stray.source,
            target=stray.target,
            role="failure",
            event=None,
            index=0,
            label=stray.label,
            tone="failed",
            badge=passage.numbers,
        )
        for stray, passage in trail.strays.items()
    )
    return replace(
        drawing,
        nodes=tuple(_node(node, trail) for node in drawing.nodes),
        arrows=(*(_arrow(arrow, trail) for arrow in drawing.arrows), *strays),
        here=trail.state,
        begun=trail.steps > 0 and not trail.parent,
        notes=tuple(_summary(trail)),
    )


def _node(node: Node, trail: Trail) -> Node:
    stay = trail.stays.get(node.name)
    if stay is None:
        here = node.name == trail.state
        return replace(node, tone="pale", notes=(Note(_where(trail), "taken"),) if here else ())
    share = min(stay.seconds / trail.seconds, 1.0) if trail.seconds else 0.0
    notes = [Note(" · ".join(_counts(node, stay, trail, share)), "taken")]
    if stay.failures:
        classes = ", ".join(f"{name} ×{n}" if n > 1 else name for name, n in stay.failures.items())
        notes.append(Note(f"failed: {classes}", "failed"))
    final = node.role in ("succeeded", "failed")
    return replace(
        node,
        tone="failed" if stay.failures else "taken",
        notes=tuple(notes),
        share=None if final else share,
    )


def _counts(node: Node, stay: Stay, trail: Trail, share: float) -> list[str]:
    counts = [_where(trail)] if node.name == trail.state else []
    counts += [f"×{stay.visits}"] if stay.visits > 1 else []
    counts += [f"attempts {stay.attempts}/{node.attempts}"] if node.attempts else []
    counts += [f"{stay.calls} calls"] if stay.calls > stay.visits else []
    if stay.seconds:
        counts += [_lasting(stay.seconds), f"{share:.0%}" if share >= 0.005 else "<1%"]
    return counts or ["once"]


def _where(trail: Trail) -> str:
    return "ended here" if trail.status in ("succeeded", "failed", "cancelled") else "now here"


def _arrow(arrow: Arrow, trail: Trail) -> Arrow:
    way = Way(arrow.source, arrow.event, arrow.index, arrow.role == "exhausted")
    passage = trail.passages.get(way)
    if passage is None:
        return replace(arrow, tone="pale")
    notes = (f"from {', '.join(passage.sources)}",) if arrow.source is None else ()
    return replace(arrow, tone=_tone(passage), badge=passage.numbers, notes=notes)


def _tone(passage: Passage) -> Tone:
    return "failed" if passage.failed else "taken"


def _summary(trail: Trail) -> list[Note]:
    calls = sum(stay.calls for stay in trail.stays.values())
    failed = sum(sum((stay.failures or {}).values()) for stay in trail.stays.values())
    counts = [f"{trail.steps} step{'s' * (trail.steps != 1)}", f"{calls} call{'s' * (calls != 1)}"]
    counts += [f"{failed} failed"] if failed else []
    counts.append(_lasting(trail.seconds))
    tone = _OUTCOMES.get(trail.status, "taken")
    where = f"run {trail.run}: {trail.status} in {trail.state}"
    where += f", forked off {trail.parent}" if trail.parent else ""
    notes = [Note(f"{where} · {' · '.join(counts)}", tone)]
    why = f"waits for {trail.waiting}" if trail.waiting else printable(trail.reason)
    return [*notes, Note(why, tone)] if why else notes


def _lasting(seconds: float) -> str:
    """Return a duration for people: ``40ms``, ``2.5s``, ``41s``, ``3m05s``, ``2h10m``, ``3d04h``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, size, part, smaller in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // smaller:02d}{part}"
    return f"{whole}s"
