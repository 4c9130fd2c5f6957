"""What changed from one declaration to another: by meaning, not by text, and named the same both ways round."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import rfc8785

from statemachine.machine.model import Declaration, Transition

Kind = Literal["added", "removed", "changed"]
Part = Literal["machine", "limits", "context", "event", "tool", "state", "transition"]
_LONG = 3
"""Of lists with more values than this only those that differ are told."""

Path = tuple[str | int, ...]
"""Keys from the top of a declaration, as :meth:`Declaration.transitions` gives them."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One value that differs.

    Attributes:
        what: Its keys within the part, joined by dots, such as ``retry.transient.max``.
        old: Its spelling before; None when there was none.
        new: Its spelling now; None when there is none any more.
    """

    what: str
    old: str | None
    new: str | None

    @property
    def text(self) -> str:
        """The detail in words: ``timeout 30s -> 10s``."""
        none = "nothing"
        return f"{self.what} {none if self.old is None else self.old} -> {none if self.new is None else self.new}"


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a machine that differs.

    Attributes:
        kind: Whether it was added, removed or changed; a part with another name is one removed and one added.
        part: What sort of thing it is.
        name: Its name; of a transition, ``state: event -> target``.
        details: The values that differ; of what was added or removed, all that it declares.
        old: Where it is in the old declaration; None when it was added.
        new: Where it is in the new one; None when it was removed.
    """

    kind: Kind
    part: Part
    name: str
    details: tuple[Detail, ...]
    old: Path | None
    new: Path | None


@dataclass(frozen=True, slots=True)
class Difference:
    """All that changed from one declaration to another; empty if and only if their digests are equal.

    Attributes:
        old: Name, version and digest of the old declaration.
        new: The same of the new one.
        changes: The changes: of the machine as a whole, then limits, context, events, tools, states, transitions.
    """

    old: str
    new: str
    changes: tuple[Change, ...]

    def of(self, *parts: Part) -> tuple[Change, ...]:
        """Return the changes of some sorts of parts."""
        return tuple(change for change in self.changes if change.part in parts)


def compare(old: Declaration, new: Declaration) -> Difference:
    """Return what changed from ``old`` to ``new``; nothing is guessed of what was renamed."""
    before, after = _data(old), _data(new)
    changes = [
        *_changed("machine", "machine", (), before["machine"], after["machine"]),
        *_changed("limits", "limits", ("limits",), before["limits"], after["limits"]),
    ]
    tables: tuple[tuple[Part, str], ...] = (
        ("context", "context"),
        ("event", "events"),
        ("tool", "tools"),
        ("state", "states"),
    )
    for part, key in tables:
        was, now = before[key], after[key]
        for name in dict.fromkeys((*now, *was)):
            changes += _changed(part, name, (key, name), was.get(name), now.get(name))
    return Difference(_title(old), _title(new), (*changes, *_rerouted(old, new)))


def paired(old: Declaration, new: Declaration) -> Iterator[tuple[Path | None, Path | None]]:
    """Yield every transition of both with its counterpart, by their paths.

    Of those that leave the same state on the same event, equal ones go together, then those that lead to the same
    state, then those with the same guard.
    """
    tables = [_tables(old), _tables(new)]
    for path in dict.fromkeys((*tables[1], *tables[0])):
        left, right = (dict(enumerate(table.get(path, ()))) for table in tables)
        back: dict[int, Path] = {}
        for same in (_whole, _target, _guard):
            places: dict[str, list[int]] = {}
            for j, transition in right.items():
                places.setdefault(same(transition), []).append(j)
            for i, transition in list(left.items()):
                if found := places.get(same(transition)):
                    j = found.pop(0)
                    back[j] = (*path, i)
                    del left[i], right[j]
        yield from ((back.get(j), (*path, j)) for j in sorted((*back, *right)))
        yield from (((*path, i), None) for i in left)


def _tables(declaration: Declaration) -> dict[Path, list[Transition]]:
    tables: dict[Path, list[Transition]] = {}
    for path, transition in declaration.transitions():
        tables.setdefault(path[:-1], []).append(transition)
    return tables


def _rerouted(old: Declaration, new: Declaration) -> Iterator[Change]:
    """Yield the changes of transitions."""
    declared = [dict(declaration.transitions()) for declaration in (old, new)]
    pairs = list(paired(old, new))
    # Transitions are tried in order, so that one that changes places with another has changed. Its place among
    # those that were added or removed tells nothing more.
    kept = [pair for pair in pairs if None not in pair]
    places = [sorted(path for pair in kept if (path := pair[side]) is not None) for side in (0, 1)]
    for pair in pairs:
        data: list[dict[str, Any] | None] = [None, None]
        for side, path in enumerate(pair):
            if path is not None:
                data[side] = _plain(declared[side][path])
                if None not in pair:
                    first = bisect_left(places[side], (*path[:-1], 0))
                    data[side]["order"] = bisect_left(places[side], path) - first + 1  # type: ignore[index]
        was, now = pair
        path, shown = now or was, data[1] or data[0]
        assert path is not None
        assert shown is not None
        source = path[1] if path[0] == "states" else "any state"
        event = "at once" if path[-2] == "always" else path[-2]
        for change in _changed("transition", f"{source}: {event} -> {shown['to']}", path, *data):
            yield replace(change, old=was, new=now)


def _whole(transition: Transition) -> str:
    return str(transition.model_dump_json())


def _target(transition: Transition) -> str:
    return transition.to


def _guard(transition: Transition) -> str:
    return str(transition.model_dump_json(include={"when"}))


def _plain(transition: Transition) -> dict[str, Any]:
    return _declared(transition.model_dump(mode="json"))


def _changed(
    part: Part, name: str, path: Path, was: dict[str, Any] | None, now: dict[str, Any] | None
) -> Iterator[Change]:
    """Yield the change from one part to another, if there is one; None where there is no such part."""
    details = tuple(_details("", was or {}, now or {}))
    if was is None:
        yield Change("added", part, name, details, None, path)
    elif now is None:
        yield Change("removed", part, name, details, path, None)
    elif details:
        yield Change("changed", part, name, details, path, path)


def _details(prefix: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Detail]:
    for key in dict.fromkeys((*now, *was)):
        what = f"{prefix}{key}"
        before, after = was.get(key, _NONE), now.get(key, _NONE)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _details(f"{what}.", before, after)
        elif _canonical(before) != _canonical(after):
            yield _detail(what, before, after)


def _detail(what: str, before: Any, after: Any) -> Detail:
    if isinstance(before, list) and isinstance(after, list) and min(len(before), len(after)) > _LONG:
        lost, won = [v for v in before if v not in after], [v for v in after if v not in before]
        if (lost or won) and len(lost) < len(before):
            return Detail(f"{what}, in part", _spelt(lost or _NONE), _spelt(won or _NONE))
    return Detail(what, _spelt(before), _spelt(after))


_NONE = object()


def _canonical(value: Any) -> bytes | None:
    return None if value is _NONE else rfc8785.dumps(value)


def _spelt(value: Any) -> str | None:
    """Return a value as people read it."""
    if value is _NONE:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and value:
        return ", ".join(f"{key} {_spelt(inner)}" for key, inner in value.items())
    if isinstance(value, Sequence) and value:
        return ", ".join(str(_spelt(inner)) for inner in value)
    return json.dumps(value, ensure_ascii=False)


def _data(declaration: Declaration) -> dict[str, dict[str, Any]]:
    """Return the parts of a declaration as plain data with their defaults, but without transitions."""
    data: dict[str, Any] = declaration.model_dump(mode="json", by_alias=True)
    for name, field in declaration.context.items():
        default = {"default": data["context"][name].pop("default")} if field.has_default else {}
        data["context"][name] = _declared(data["context"][name]) | default
    for state in data["states"].values():
        del state["on"], state["always"]
    return {
        "machine": _declared(
            {key: data[key] for key in ("machine", "version", "summary", "initial", "expects")}
        ),
        "limits": _declared(data["limits"]),
        "context": data["context"],
        **{key: {n: _declared(p) for n, p in data[key].items()} for key in ("events", "tools", "states")},
    }


def _declared(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part without what is not declared and has no default; its parts too."""
    return {
        key: _declared(value) if isinstance(value, Mapping) else value
        for key, value in part.items()
        if value not in (None, {}, [])
    }


def _title(declaration: Declaration) -> str:
    return f"{declaration.machine} {declaration.version} sha256:{declaration.digest[:8]}"
