"""A drawing as a Mermaid ``stateDiagram-v2``, which GitHub and GitLab show in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from statemachine.diagrams.drawing import Arrow, Drawing, Tone

_CLASSES = {
    "write": "fill:#fffbeb,stroke:#b45309",
    "irreversible": "fill:#fef3c7,stroke:#b45309,stroke-width:3px",
    "succeeded": "fill:#dcfce7,stroke:#15803d",
    "failed": "fill:#fee2e2,stroke:#b91c1c",
    "loop": "stroke:#2563eb,stroke-width:2px",
}
_TONES: dict[Tone, str] = {
    "pale": "fill:#ffffff,stroke:#cbd5e1,color:#7f8ea3",
    "taken": "stroke:#2563eb,stroke-width:2px",
    "failed": "stroke:#b91c1c,stroke-width:2px",
    "added": "fill:#f0fdf4,stroke:#15803d,stroke-width:2px",
    "removed": "fill:#fef2f2,stroke:#b91c1c,stroke-dasharray:4",
    "changed": "fill:#fffbeb,stroke:#b45309,stroke-width:2px",
}
_HERE = "stroke-width:4px"
# What Mermaid's grammar gives a meaning somewhere in a label; the rest, letters of any script too, is plain.
_SPECIAL = re.compile(r"[#;:<>&\"'`%{}\\$]|--")


def source(drawing: Drawing) -> str:
    """Return the drawing as Mermaid text.

    States get the ids ``s0``, ``s1``, … because words such as ``state`` and ``class`` break as ids.
    """
    return "\n".join(_lines(drawing)) + "\n"


def _lines(drawing: Drawing) -> Iterator[str]:
    ids: dict[str | None, str] = {node.name: f"s{n}" for n, node in enumerate(drawing.nodes)}
    ids[None] = "any"
    yield "stateDiagram-v2"
    yield f"    %% {drawing.name} {drawing.version} {drawing.size}"
    for note in drawing.notes:
        yield f"    %% {note.text}"
    yield "    direction TB"
    for node in drawing.nodes:
        yield f'    state "{_escaped(f"{node.badge} {node.label}".strip())}" as {ids[node.name]}'
        for fact in (*node.facts, *(note.text for note in node.notes)):
            yield f"    {ids[node.name]} : {_escaped(fact)}"
    yield f"    [*] --> {ids[drawing.initial]}"
    if any(arrow.source is None for arrow in drawing.arrows):
        yield f'    state "any state" as {ids[None]}'
    for arrow in drawing.arrows:
        yield f"    {ids[arrow.source]} --> {ids[arrow.target]} : {_escaped(_text(arrow))}"
    for node in drawing.nodes:
        if node.role in ("succeeded", "failed"):
            yield f"    {ids[node.name]} --> [*]"
    looped = {name for loop in drawing.loops for name in loop.states}
    looks = {**_CLASSES, "here": _HERE} | {f"tone_{tone}": look for tone, look in _TONES.items()}
    groups: dict[str, list[str]] = {}
    for node in drawing.nodes:
        role: str = "loop" if node.role not in _CLASSES and node.name in looped else node.role
        ended = node.name == drawing.here and node.role in ("succeeded", "failed")
        role = f"tone_{node.tone}" if node.tone != "plain" and not ended else role
        if role in looks:
            groups.setdefault(role, []).append(ids[node.name])
    if drawing.here is not None:
        groups["here"] = [ids[drawing.here]]
    for role, members in groups.items():
        # Of two classes the one that is defined last wins, so the run's place comes after all others.
        yield f"    classDef {role} {looks[role]}"
        yield f"    class {','.join(members)} {role}"


def _text(arrow: Arrow) -> str:
    # Mermaid cannot colour a line, so the walk round the loop is marked in its text.
    return f"{arrow.told} ↻" if arrow.main and arrow.tone == "plain" else arrow.told


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda m: "".join(f"#{ord(c)};" for c in m[0]), text)
