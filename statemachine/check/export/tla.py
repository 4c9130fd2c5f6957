"""TLA+: one module, and the configuration with which TLC checks it.

The language: L. Lamport, Specifying Systems; TLC's configuration files are described there in chapter 14.
"""

from __future__ import annotations

from collections.abc import Mapping

from statemachine.check.bounds import prover_of
from statemachine.check.export.commands import Claims, Command, claims, commands, left_open
from statemachine.machine.definition import Definition


def write(definition: Definition) -> Mapping[str, str]:
    """Return ``NAME.tla`` and ``NAME.cfg``."""
    name, proved = definition.declaration.machine, claims(definition)
    checked = ["SPECIFICATION Spec", "INVARIANT TypeOK"]
    checked += ["INVARIANT Bounded"] if proved.bounds else []
    checked += ["INVARIANT Unreached"] if proved.unreachable else []
    checked += ["PROPERTY Ends"] if proved.ends else []
    return {f"{name}.tla": _module(definition, proved), f"{name}.cfg": "\n".join(checked) + "\n"}


def _module(definition: Definition, proved: Claims) -> str:
    space = prover_of(definition).space
    name = definition.declaration.machine
    counts = dict(zip(space.most, space.begin()[1], strict=True))
    finals = [state for state, declared in space.states.items() if declared.final]
    tallies = {"steps": 1, "calls": 0}
    starts = {f"n_{c}": count for c, count in counts.items()} | {t: tallies[t] for t in proved.bounds}
    # A move that changes nothing would be no move to TLA+: where steps are not counted, they alternate.
    starts |= {} if "steps" in starts else {"turn": 0}
    variables = ", ".join(["state", *starts])
    lines = [
        f"---- MODULE {name} ----",
        f"\\* {name} {definition.declaration.version}, sha256:{definition.digest}",
        f"\\* {left_open(definition)}",
        f"\\* java -cp tla2tools.jar tlc2.TLC -deadlock {name}",
        "EXTENDS Naturals",
        f"VARIABLES {variables}",
        "",
        f"vars == <<{variables}>>",
        f"States == {{{', '.join(map(_text, space.states))}}}",
        f"Finals == {{{', '.join(map(_text, finals))}}}",
        "",
        "TypeOK ==",
        "  /\\ state \\in States",
        *(f"  /\\ n_{c} \\in 0..{most}" for c, most in space.most.items()),
        *(f"  /\\ {tally} \\in Nat" for tally in ("steps", "calls", "turn") if tally in starts),
        "",
        "Init ==",
        f"  /\\ state = {_text(space.initial)}",
        *(f"  /\\ {variable} = {value}" for variable, value in starts.items()),
        "",
        "Next ==",
        *([_action(command, space.most, list(starts)) for command in commands(space)] or ["  FALSE"]),
        "",
        "Spec == Init /\\ [][Next]_vars /\\ WF_vars(Next)",
        "",
        "\\* What is proved:",
        "Ends == <>(state \\in Finals)",
        f"Unreached == state \\notin {{{', '.join(map(_text, sorted(proved.unreachable)))}}}",
        "Bounded == " + (" /\\ ".join(f"{t} <= {most}" for t, most in proved.bounds.items()) or "TRUE"),
        "====",
    ]
    return "\n".join(lines) + "\n"


def _action(command: Command, most: Mapping[str, int], variables: list[str]) -> str:
    arc = command.arc
    conditions = [f"state = {_text(arc.source)}", *(f"n_{e} >= {most[e]}" for e in command.exhausted)]
    conditions += [f"n_{command.left} < {most[command.left]}"] if command.left else []
    changed = {f"n_{n}": f"n_{n} + 1" if to is None else str(to) for n, to in command.counters.items()}
    changed |= {t: f"{t} + {n}" for t, n in (("steps", 1), ("calls", command.calls)) if t in variables and n}
    changed |= {"turn": "1 - turn"} if "turn" in variables else {}
    same = [variable for variable in variables if variable not in changed]
    changes = [
        f"state' = {_text(command.target)}",
        *(f"{name}' = {value}" for name, value in changed.items()),
    ]
    changes += [f"UNCHANGED <<{', '.join(same)}>>"] if same else []
    both = " /\\ "
    return f"  \\/ /\\ {both.join(conditions)} \\* {', '.join(arc.events)}\n     /\\ {both.join(changes)}"


def _text(name: str) -> str:
    return f'"{name}"'
