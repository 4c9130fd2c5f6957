"""PRISM: a Markov decision process whose every choice is nondeterministic.

The language: https://www.prismmodelchecker.org/manual/ThePRISMLanguage
"""

from __future__ import annotations

from collections.abc import Mapping

from statemachine.check.bounds import prover_of
from statemachine.check.export.commands import Command, claims, commands, left_open
from statemachine.machine.definition import Definition


def write(definition: Definition) -> Mapping[str, str]:
    """Return ``NAME.prism`` and ``NAME.props``."""
    name = definition.declaration.machine
    return {f"{name}.prism": _model(definition), f"{name}.props": "\n".join(_properties(definition)) + "\n"}


def _model(definition: Definition) -> str:
    space = prover_of(definition).space
    numbers = {state: at for at, state in enumerate(space.states)}
    counts = dict(zip(space.most, space.begin()[1], strict=True))
    lines = [
        f"// {definition.declaration.machine} {definition.declaration.version}, sha256:{definition.digest}",
        f"// {left_open(definition)} The start counts as a step.",
        "mdp",
        "",
        "module machine",
        f"  s : [0..{len(numbers) - 1}] init {numbers[space.initial]};",
        *(f"  n_{c} : [0..{most}] init {counts[c]};" for c, most in space.most.items()),
    ]
    rewards = []
    for at, command in enumerate(commands(space)):
        events = ", ".join(command.arc.events)
        guard = " & ".join([f"s={numbers[command.arc.source]}", *_conditions(command, space.most)])
        change = " & ".join([f"(s'={numbers[command.target]})", *_changes(command)])
        lines.append(f"  [m{at}] {guard} -> {change}; // {command.arc.source} -> {command.target}: {events}")
        if command.calls:
            rewards.append(f"  [m{at}] true : {command.calls};")
    finals = [state for state, declared in space.states.items() if declared.final]
    lines += [
        *(f"  [end] s={numbers[state]} -> true;" for state in finals),
        "endmodule",
        "",
        *(f'label "{state}" = s={number};' for state, number in numbers.items()),
        f'label "ended" = {" | ".join(f"s={numbers[state]}" for state in finals)};',
        "",
        'rewards "steps"',
        f"  !({' | '.join(f's={numbers[state]}' for state in finals)}) : 1;",
        "endrewards",
        "",
        'rewards "calls"',
        *(rewards or ["  false : 1;"]),
        "endrewards",
    ]
    return "\n".join(lines) + "\n"


def _conditions(command: Command, most: Mapping[str, int]) -> list[str]:
    conditions = [f"n_{name}>={most[name]}" for name in command.exhausted]
    return conditions + ([f"n_{command.left}<{most[command.left]}"] if command.left else [])


def _changes(command: Command) -> list[str]:
    return [
        f"(n_{name}'={f'n_{name}+1' if value is None else value})" for name, value in command.counters.items()
    ]


def _properties(definition: Definition) -> list[str]:
    proved = claims(definition)
    lines = [] if proved.ends is None else ["// every run ends, whatever is chosen: 1 if it is so"]
    if proved.ends is not None:
        lines.append(f'Pmin=? [ F "ended" ]; // {1 if proved.ends else "less than 1, or loops forever"}')
    for reward, most in (("steps", proved.steps), ("calls", proved.calls)):
        if proved.ends and most is not None:
            # What is counted are moves; the start is a step too.
            most -= reward == "steps"
            lines.append(f'R{{"{reward}"}}max=? [ F "ended" ]; // {"" if proved.exact else "at most "}{most}')
    for state in definition.declaration.states:
        lines.append(
            f'Pmax=? [ F "{state}" ]; // {"0" if state in proved.unreachable else "above 0: reachable"}'
        )
    return lines
