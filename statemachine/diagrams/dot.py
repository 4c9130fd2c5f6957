"""A drawing as DOT: the one place where what a thing is becomes how it looks."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from html import escape
from itertools import groupby

import graphviz

from statemachine.diagrams.drawing import Arrow, Drawing, Node, Tone
from statemachine.diagrams.lines import ANY, START, Line, lines, steps_below

_INK, _LINE, _DIM, _FAINT = "#0f172a", "#475569", "#64748b", "#94a3b8"
_BLUE, _AMBER, _ORANGE, _RED, _GREEN, _PURPLE = (
    "#2563eb",
    "#b45309",
    "#c2410c",
    "#b91c1c",
    "#15803d",
    "#7c3aed",
)
_GRAPH = {
    "labelloc": "t",
    "rankdir": "TB",
    # Exactly this one name: the layout program has its widths, and understands no list of fonts.
    "fontname": "Arial",
    "fontsize": "13",
    "fontcolor": _INK,
    "nodesep": "0.5",
    "ranksep": "0.45",
    "pad": "0.3",
    "bgcolor": "white",
}
_NODE = {
    "shape": "box",
    "style": "rounded,filled",
    "fillcolor": "#f8fafc",
    "color": _LINE,
    "penwidth": "1.2",
    "fontname": "Arial",
    "fontsize": "12",
    "fontcolor": _INK,
    "margin": "0.14,0.07",
}
_EDGE = {"color": _LINE, "fontname": "Arial", "fontsize": "10", "fontcolor": _INK, "arrowsize": "0.8"}
_LOOP = {
    "labeljust": "l",
    "style": "rounded,dashed",
    "color": _FAINT,
    "fontcolor": _DIM,
    "fontsize": "10",
    "margin": "14",
}
_START = {"label": "", "shape": "circle", "fillcolor": _INK, "width": "0.18", "fixedsize": "true"}
_ANY = {
    "label": "any state",
    "style": "rounded,dashed",
    "color": _FAINT,
    "fontcolor": _DIM,
    "fontsize": "10",
    "height": "0.3",
    "margin": "0.1,0.04",
}
_ROLES: dict[str, dict[str, str]] = {
    "write": {"fillcolor": "#fffbeb", "color": _AMBER},
    "irreversible": {"fillcolor": "#fef3c7", "color": _AMBER, "penwidth": "2.6"},
    "wait": {"fillcolor": "#eef2ff"},
    "choice": {"fillcolor": "#ffffff"},
    "event": {"fillcolor": "#f5f3ff"},
    "succeeded": {"fillcolor": "#dcfce7", "color": _GREEN, "peripheries": "2"},
    "failed": {"fillcolor": "#fee2e2", "color": _RED, "peripheries": "2"},
}
_AGAIN = {"peripheries": "1", "fontsize": "10", "height": "0.3", "margin": "0.1,0.04"}
_FACTS = {"write": "#92400e", "irreversible": "#92400e"}
_ARROWS: dict[str, dict[str, str]] = {
    "step": {},
    "failure": {"color": _ORANGE},
    "timeout": {"color": _AMBER, "style": "dashed"},
    "exhausted": {"color": _RED},
}
_WORDS = {"step": _INK, "failure": _ORANGE, "timeout": _AMBER, "exhausted": _RED}
_WRAP, _ROWS = 30, 3

# Of a run or a difference. What each says is told by a word, a number, a sign or the line's style too.
_PALE, _PALE_INK = "#bcc8d6", "#76859a"
_TONES: dict[Tone, str] = {
    "plain": _INK,
    "pale": _PALE_INK,
    "taken": _BLUE,
    "failed": _RED,
    "added": _GREEN,
    "removed": _RED,
    "changed": _AMBER,
}
_NODE_TONES: dict[Tone, dict[str, str]] = {
    "plain": {},
    "pale": {"fillcolor": "white", "color": _PALE, "fontcolor": _PALE_INK, "penwidth": "1.2"},
    "taken": {"color": _BLUE, "penwidth": "2"},
    "failed": {"color": _RED, "penwidth": "2"},
    "added": {"fillcolor": "#f0fdf4", "color": _GREEN, "penwidth": "2.4"},
    "removed": {
        "fillcolor": "#fef2f2",
        "color": _RED,
        "penwidth": "2",
        "style": "rounded,filled,dashed",
        "fontcolor": _RED,
    },
    "changed": {"fillcolor": "#fffbeb", "color": _AMBER, "penwidth": "2.4"},
}
_LINE_TONES: dict[Tone, dict[str, str]] = {
    "pale": {"color": _PALE, "penwidth": "1"},
    "taken": {"color": _BLUE, "penwidth": "2.2"},
    "failed": {"color": _RED, "penwidth": "2.2"},
    "added": {"color": _GREEN, "penwidth": "2.2"},
    "removed": {"color": _RED, "penwidth": "1.6", "style": "dashed"},
    "changed": {"color": _AMBER, "penwidth": "2.2"},
}
_HERE = {"penwidth": "4.5"}
_BAR = 96
"""Points that stand for all of a run's time."""


def source(drawing: Drawing) -> str:
    """Return the drawing in the DOT language."""
    graph = graphviz.Digraph(drawing.name, graph_attr=_GRAPH, node_attr=_NODE, edge_attr=_EDGE)
    graph.attr("graph", label=_title(drawing))
    graph.node(START, id="start", **_START)
    nodes = {node.name: node for node in drawing.nodes}
    looped = {name for loop in drawing.loops for name in loop.states}
    for n, loop in enumerate(drawing.loops, 1):
        with graph.subgraph(name=f"cluster_loop_{n}") as cluster:
            cluster.attr(label=_loop(n, drawing), id=f"loop_{n}", **_LOOP)
            for name in loop.states:
                cluster.node(name, id=f"state_{name}", **_node(nodes[name], drawing.here))
    for node in drawing.nodes:
        if node.name not in looped:
            graph.node(node.name, id=f"state_{node.name}", **_node(node, drawing.here))
    drawn = lines(drawing)
    if any(line.tail == ANY for line in drawn):
        graph.node(ANY, id="any_state", **_ANY)
    for head, arrows in {line.head: line.arrows for line in drawn}.items():
        if head != (target := arrows[0].target):
            graph.node(head, id=f"state{head}", **_again(nodes[target], arrows))
    begun: dict[str, str] = {}
    if drawing.begun:
        begun = _LINE_TONES["taken"] | {"label": _cell([_badge("1", "taken")])}
    graph.edge(START, drawing.initial, id="line_start", **begun)
    below = steps_below(drawing)
    for line in drawn:
        place = {"minlen": str(below[line.id])} if line.id in below else {}
        graph.edge(line.tail, line.head, id=line.id, label=_label(line.arrows), **_line(line), **place)
    return str(graph.source)


def titles(drawing: Drawing) -> dict[str, str]:
    """Return the accessible title of each SVG id: the whole text of what may be cut in the picture."""
    label = {node.name: node.label for node in drawing.nodes} | {ANY: "Any state"}
    named = {
        "graph0": "; ".join(
            (f"{drawing.name} {drawing.version}: {drawing.size}", *(note.text for note in drawing.notes))
        ),
        "start": "Start",
        "line_start": f"Start to {label[drawing.initial]}",
        "any_state": label[ANY],
    }
    for n in drawing.nodes:
        name = f"{n.badge} {n.label}".strip()
        named[f"state_{n.name}"] = "; ".join((name, *n.facts, *(note.text for note in n.notes)))
    for i, loop in enumerate(drawing.loops, 1):
        named[f"loop_{i}"] = f"{_loop(i, drawing)}: {', '.join(label[name] for name in loop.states)}"
    for line in lines(drawing):
        target = label[line.arrows[0].target]
        if line.head != line.arrows[0].target:
            named[f"state{line.head}"] = target
        named[line.id] = f"{label[line.tail]} to {target}: {'; '.join(a.told for a in line.arrows)}"
    return named


def _loop(n: int, drawing: Drawing) -> str:
    return "work loop" if len(drawing.loops) == 1 else f"work loop {n}"


def _title(drawing: Drawing) -> str:
    dim = f'<font color="{_DIM}" point-size="10">{{}}</font>'
    version = textwrap.shorten(drawing.version, 24, placeholder=" …")
    first = f"<b>{_text(drawing.name)}</b> {_text(version)} &#160;&#160; {dim.format(_text(drawing.size))}"
    notes = [
        f'<font color="{_TONES[note.tone]}" point-size="{10 if n else 12}">{_text(row)}</font>'
        for n, note in enumerate(drawing.notes)
        for row in _wrapped(note.text, 100)
    ]
    return _table([first, dim.format(_text(drawing.limits)), *notes, " "])


def _node(node: Node, here: str | None) -> dict[str, str]:
    pale = node.tone in ("pale", "removed")
    color = _TONES[node.tone] if pale else _FACTS.get(node.role, _DIM)
    facts = [_small(row, color) for fact in node.facts for row in _wrapped(fact, 40)]
    notes = [_small(row, _TONES[note.tone]) for note in node.notes for row in _wrapped(note.text, 40)]
    name = f"<b>{_text(f'{node.badge} {node.label}'.strip())}</b>"
    rows = [name, *facts, *notes, *([] if node.share is None else [_bar(node.share)])]
    look = _ROLES.get(node.role, {}) | _tone(node) | (_HERE if node.name == here else {})
    if node.name == here and "peripheries" in look:
        look |= {"penwidth": "3"}  # of two lines
    return {"label": _table(rows) if len(rows) > 1 else f"<{name}>"} | look


def _again(node: Node, arrows: tuple[Arrow, ...]) -> dict[str, str]:
    """Return how a final state looks that is drawn once more; a run came to it only if it came this way."""
    tones: list[Tone] = [arrow.tone for arrow in arrows]
    tone = node.tone if node.tone not in ("taken", "failed") or set(tones) != {"pale"} else "pale"
    return _ROLES.get(node.role, {}) | _tone(replace(node, tone=tone)) | _AGAIN | {"label": node.label}


def _tone(node: Node) -> dict[str, str]:
    # The outcome of a run has the colour of the outcome.
    ended = node.tone in ("taken", "failed") and node.role in ("succeeded", "failed")
    return {} if ended else _NODE_TONES[node.tone]


def _line(line: Line) -> dict[str, str]:
    arrows = line.arrows
    tone = max((arrow.tone for arrow in arrows), key=list(_TONES).index)
    if tone != "plain":
        # Of a line that was taken in several ways, failing is worth telling only if every way was that.
        well = tone == "failed" and any(arrow.tone == "taken" for arrow in arrows)
        return dict(_LINE_TONES["taken" if well else tone])
    role = "step" if any(a.role == "step" for a in arrows) else arrows[0].role
    look = dict(_ARROWS[role])
    if line.tail == ANY:
        look |= {"style": "dashed"} | ({"color": _FAINT} if role == "step" else {})
    if any(a.loop for a in arrows):
        look |= {"penwidth": "1.6"} | ({"color": _BLUE} if role == "step" else {})
    if any(a.main for a in arrows):
        look |= {"penwidth": "2.6"}
    return look


def _label(arrows: tuple[Arrow, ...]) -> str:
    rows: list[str] = []
    for (bare, role, tone, badge), group in groupby(
        arrows, lambda a: (a.text == a.label, a.role, a.tone, a.badge)
    ):
        words = _WORDS[role] if tone == "plain" else _TONES[tone]
        sign = f"{badge} " if badge and tone in ("added", "removed", "changed") else ""
        if badge and not sign:
            rows += [_badge(badge, tone)]
        if bare:
            # No event is ever cut, unlike free text.
            rows += _rows(sign + ", ".join(a.label for a in group), words, None)
            continue
        for arrow in group:
            order = f"{arrow.order}. " if arrow.order else ""
            rows += _rows(f"{sign}{order}{arrow.label}", words)
            guard = _PALE_INK if tone == "pale" else _PURPLE
            rows += _rows(f"[{arrow.guard}]" if arrow.guard else "", guard, 6 if tone == "changed" else _ROWS)
            rows += _rows(f"resets {', '.join(arrow.resets)}" if arrow.resets else "", _DIM)
            for note in arrow.notes:
                rows += _rows(f"({note})", words)
    return _cell(rows)


def _cell(rows: list[str]) -> str:
    # The outer cells keep a label off its own line; the white one keeps other lines out of its text.
    edge = '<td width="7"></td>'
    cells = f'{edge}<td bgcolor="white">{"<br/>".join(rows)}</td>{edge}'
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1"><tr>{cells}</tr></table>>'


def _small(text: str, color: str) -> str:
    return f'<font point-size="9" color="{color}">{_text(text)}</font>'


def _badge(text: str, tone: Tone) -> str:
    return f'<font color="{_TONES[tone]}" point-size="11"><b>{_text(text)}</b></font>'


def _bar(share: float) -> str:
    """Return the share of a run's time as a bar."""
    cell = '<td width="{}" height="4" fixedsize="true" bgcolor="{}"></td>'
    filled = round(share * _BAR)
    parts = ((filled, _BLUE), (_BAR - filled, "#e2e8f0"))
    cells = "".join(cell.format(width, color) for width, color in parts if width)
    # Of a fixed size, because a table inside of a wider one is torn apart.
    shape = f'border="0" cellborder="0" cellspacing="0" cellpadding="0" fixedsize="true" width="{_BAR}" height="4"'
    return f"<table {shape}><tr>{cells}</tr></table>"


def _rows(text: str, color: str, most: int | None = _ROWS) -> list[str]:
    return [f'<font color="{color}">{_text(row)}</font>' for row in _wrapped(text, _WRAP, most)]


def _wrapped(text: str, width: int, most: int | None = _ROWS) -> list[str]:
    closing = " …]" if text.startswith("[") else " …"
    return textwrap.wrap(text, width, max_lines=most, placeholder=closing, break_on_hyphens=False)


def _table(rows: list[str]) -> str:
    cells = "".join(f"<tr><td>{row}</td></tr>" for row in rows)
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{cells}</table>>'


def _text(text: str) -> str:
    # One backslash would begin an escape: \G is the graph's name, also in HTML and when written as an entity.
    return escape(text, quote=True).replace("\\", "&#92;&#92;")
