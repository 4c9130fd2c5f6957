"""Promela: one process, for SPIN.

The language: https://spinroot.com/spin/Man/promela.html
"""

from __future__ import annotations

from collections.abc import Mapping

from statemachine.check.bounds import prover_of
from statemachine.check.export.commands import claims, commands, left_open
from statemachine.machine.definition import Definition


def write(definition: Definition) -> Mapping[str, str]:
    """Return ``NAME.pml``; its properties are claims of linear temporal logic inside."""
    name, proved = definition.declaration.machine, claims(definition)
    space = prover_of(definition).space
    counts = dict(zip(space.most, space.begin()[1], strict=True))
    tallies = {"steps": 1, "calls": 0}
    states = [f"at_{state}" for state in space.states]
    finals = " || ".join(f"state == at_{state}" for state, declared in space.states.items() if declared.final)
    lines = [
        f"/* {name} {definition.declaration.version}, sha256:{definition.digest}",
        f"   {left_open(definition)}",
        f"   spin -a {name}.pml && cc -o pan pan.c && ./pan -a -N CLAIM */",
        f"mtype = {{ {', '.join(states)} }};",
        f"mtype state = at_{space.initial};",
        *(f"int n_{c} = {count};" for c, count in counts.items()),
        *(f"int {tally} = {tallies[tally]};" for tally in proved.bounds),
        "",
        "active proctype machine() {",
        "  do",
    ]
    for command in commands(space):
        arc = command.arc
        guard = [f"state == at_{arc.source}", *(f"n_{e} >= {space.most[e]}" for e in command.exhausted)]
        guard += [f"n_{command.left} < {space.most[command.left]}"] if command.left else []
        changes = [f"n_{n} = {f'n_{n} + 1' if to is None else to}" for n, to in command.counters.items()]
        more = {"steps": 1, "calls": command.calls}
        changes += [f"{tally} = {tally} + {more[tally]}" for tally in proved.bounds if more[tally]]
        body = "; ".join([*changes, f"state = at_{command.target}"])
        lines.append(f"  :: atomic {{ {' && '.join(guard)} -> {body} }} /* {', '.join(arc.events)} */")
    lines += [f"  :: ({finals}) -> break", "  od", "}", ""]
    if proved.ends:
        lines.append(f"ltl ends {{ <> ({finals}) }}")
    if proved.bounds:
        bounded = " && ".join(f"{tally} <= {most}" for tally, most in proved.bounds.items())
        lines.append(f"ltl bounded {{ [] ({bounded}) }}")
    lines += [f"ltl never_{s} {{ [] (state != at_{s}) }}" for s in sorted(proved.unreachable)]
    return {f"{name}.pml": "\n".join(lines) + "\n"}
