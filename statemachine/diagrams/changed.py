"""Two machines in one drawing: what was added, removed and changed from one to the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from statemachine.diagrams.drawing import Arrow, Drawing, Node, Note, draw, printable
from statemachine.diagrams.ways import Way, way_at
from statemachine.machine.compare import Change, Difference, Kind, paired
from statemachine.machine.model import Declaration

SIGNS: Mapping[Kind, str] = {"added": "+", "removed": "-", "changed": "~"}
_NOUNS = {"limits": "limit", "context": "field"}
_MOST = 10
"""Changes that are no state's and no transition's, and that the picture tells below its title."""


def changed(old: Declaration, new: Declaration, difference: Difference) -> Drawing:
    """Return the new machine's drawing with the old one's lost parts, each part with what became of it."""
    before, after = draw(old), draw(new)
    version = after.version if before.version == after.version else f"{before.version} -> {after.version}"
    shown = {node.name for node in after.nodes}
    nodes = [_node(node, difference, new) for node in after.nodes]
    for place, node in enumerate(before.nodes):
        if node.name not in shown:
            nodes.insert(place, replace(node, tone="removed", badge="-"))
    return replace(
        after,
        version=version,
        size=f"sha256:{old.digest[:8]} -> {after.size.removeprefix('sha256:')}",
        nodes=tuple(nodes),
        arrows=tuple(_arrows(old, new, before, after, difference)),
        notes=tuple(_notes(difference, new)),
    )


def counts(difference: Difference) -> str:
    """Return how much changed, in words: ``version changed; 1 state added, 2 changed``."""
    found: dict[str, Counter[Kind]] = {}
    told = [f"{detail.what} changed" for change in difference.of("machine") for detail in change.details]
    for change in difference.changes:
        if change.part != "machine":
            # Limits are one part that is always there: each value counts.
            n = len(change.details) if change.part == "limits" else 1
            found.setdefault(_NOUNS.get(change.part, change.part), Counter())[change.kind] += n
    for noun, kinds in found.items():
        (first, n), *rest = sorted(kinds.items())
        told.append(", ".join([f"{n} {noun}{'s' * (n != 1)} {first}", *(f"{m} {kind}" for kind, m in rest)]))
    return "; ".join(told) or "no difference"


def _node(node: Node, difference: Difference, new: Declaration) -> Node:
    change = next((c for c in difference.of("state") if c.name == node.name), None)
    if change is not None and change.kind == "added":
        return replace(node, tone="added", badge="+")
    notes = [] if change is None else [*_told(change)]
    called = next((c for c in difference.of("tool") if c.name == new.states[node.name].do), None)
    if called is not None and called.kind == "changed":
        notes += [f"{called.name}: {text}" for text in _told(called)]
    if not notes:
        return replace(node, tone="pale")
    return replace(node, tone="changed", badge="~", notes=tuple(Note(text, "changed") for text in notes))


def _told(change: Change) -> Iterator[str]:
    for detail in change.details:
        yield "summary changed" if detail.what == "summary" else printable(detail.text)


def _arrows(
    old: Declaration, new: Declaration, before: Drawing, after: Drawing, difference: Difference
) -> Iterator[Arrow]:
    was, now = ({_way(arrow): arrow for arrow in drawing.arrows} for drawing in (before, after))
    changes = {(change.old, change.new): change for change in difference.of("transition")}
    for pair in paired(old, new):
        left, right = (None if path is None else way_at(path) for path in pair)
        yield from _merged(was[left] if left else None, now[right] if right else None, changes.get(pair))
    for name in dict.fromkeys((*new.states, *old.states)):
        way = Way(name, None, 0, exhausted=True)
        yield from _merged(was.get(way), now.get(way), None)


def _way(arrow: Arrow) -> Way:
    return Way(arrow.source, arrow.event, arrow.index, arrow.role == "exhausted")


def _merged(was: Arrow | None, now: Arrow | None, change: Change | None) -> Iterator[Arrow]:
    """Yield one transition's arrow, or, where it leads elsewhere now, both."""
    if was is None and now is not None:
        yield replace(now, tone="added", badge="+", main=False)
    elif now is None and was is not None:
        yield replace(was, tone="removed", badge="-", main=False)
    elif was is not None and now is not None:
        details = {} if change is None else {detail.what: detail for detail in change.details}
        if was.target != now.target:
            lost = (f"now to {now.target}",)
            yield replace(was, tone="removed", badge="-", main=False, notes=lost)
        if not details and was.label == now.label and was.target == now.target:
            yield replace(now, tone="pale", main=False)
            return
        guard = now.guard
        if "when" in details:
            guard = f"{was.guard or 'always'} -> {now.guard or 'always'}"
        # Labels of one event differ only in their last word, the time or the count that leads to it.
        label = now.label if was.label == now.label else f"{was.label} -> {now.label.rpartition(' ')[2]}"
        notes = [f"was to {was.target}"] if was.target != now.target else []
        notes += [details[what].text for what in ("resets", "order") if what in details]
        yield replace(
            now,
            label=label,
            guard=guard,
            resets=(),
            tone="changed",
            badge="~",
            main=False,
            notes=tuple(notes),
        )


def _notes(difference: Difference, new: Declaration) -> Iterator[Note]:
    """Yield the counts, and what changed elsewhere than in a state or a transition."""
    yield Note(counts(difference), "plain")
    called = {state.do for state in new.states.values()}
    other = [
        Note(f"{SIGNS[change.kind]} {change.part} {change.name}{': ' if text else ''}{text}", change.kind)
        for change in difference.of("machine", "limits", "context", "event", "tool")
        if not (change.part == "tool" and change.kind == "changed" and change.name in called)
        for text in (_told(change) if change.kind == "changed" else ("",))
    ]
    # The parts that have no name of their own are named once.
    named = [
        note._replace(text=note.text.replace("machine machine: ", "").replace("limits limits: ", "limit "))
        for note in other
    ]
    yield from named[:_MOST]
    if named[_MOST:]:
        yield Note(f"and {len(named) - _MOST} more", "changed")
