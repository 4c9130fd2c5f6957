"""Rules on states and counters: what cannot be reached, what cannot end, what goes round for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from statemachine.check.bounds import Prover, prover_of
from statemachine.check.coarse import trapped_coarsely
from statemachine.check.components import components, loops
from statemachine.check.counts import Counts, asked, cyclic
from statemachine.check.limited import limited
from statemachine.check.product import MOST, Product
from statemachine.check.rules import Rule
from statemachine.check.runs import shown
from statemachine.check.space import Arc, Space
from statemachine.check.witness import Way, told
from statemachine.errors import Finding, Verdict
from statemachine.machine.definition import Definition
from statemachine.machine.report import Keys

UNREACHABLE = Rule(
    "SM201",
    "unreachable state",
    "error",
    "Some run comes to each state.",
    "A state that no run comes to is a route that was forgotten, or what is left of one; whoever reads the machine "
    "counts on it.",
)
TRAP = Rule(
    "SM202",
    "no way to a final state",
    "error",
    "From wherever a run can be, with whatever attempts are used up, transitions lead on to a final state.",
    "A run that comes there goes on until a limit ends it, or waits for good: nothing that it does can succeed any "
    "more.",
)
ENDLESS = Rule(
    "SM203",
    "loop without a bound",
    "error",
    "In each loop some state counts its attempts, and nothing inside the loop resets them; or its guards let it go on "
    "only until so many calls have ended so (history.failed.TOOL < 3), and each round makes one more.",
    "An agent that repeats its mistake pays for each round. A limit of steps stops the run, but says nothing of how "
    "often a round may be tried, and leads to no state that was thought about.",
)
LIMITED = Rule(
    "SM204",
    "limit before the attempts are used",
    "error",
    "The limits of a run leave room for the attempts that its states declare.",
    "A limit that is always hit first makes the attempts, and the state that follows them, a promise that no run "
    "keeps.",
)
RULES = (UNREACHABLE, TRAP, ENDLESS, LIMITED)


def check(definition: Definition) -> list[Finding]:
    """Return what the states and counters of a machine say against it."""
    prover = prover_of(definition)
    found = [*_unreachable(definition, prover), *_trapped(definition, prover), *_endless(definition, prover)]
    return [*found, *limited(LIMITED, definition, prover)]


def _unreachable(definition: Definition, prover: Prover) -> Iterator[Finding]:
    declared = definition.declaration
    reached = {state for state, _ in (prover.product or prover.open).configs}
    limits = [event for event in definition.events() if event.startswith("limit.")]
    # A limit, or an event that nothing answers, leads to the machine's `otherwise` state from anywhere.
    ends = {e.target for state in reached for limit in limits for e in definition.candidates(state, limit)}
    led = {arc.target for state in reached for arc in prover.space.arcs[state]}
    led |= {declared.states[state].exhausted or "" for state in reached}
    reached |= ends | {declared.otherwise}
    for name in declared.states:
        if name in reached:
            continue
        why = (
            "what leads there needs more attempts than can be used up"
            if name in led
            else "nothing leads there"
        )
        message = f"no run comes to `{name}`: {why}"
        advice = f"lead a transition to `{name}`, or remove it"
        yield UNREACHABLE.at(definition, ("states", name), message, "PROVED", key=True, advice=advice)


def _trapped(definition: Definition, prover: Prover) -> Iterator[Finding]:
    product = prover.product or prover.open
    trapped = _without_end(product)
    advice = "add a transition towards a final state"
    seen = set()
    for node in sorted(trapped):
        parent, state = product.parents[node], product.configs[node][0]
        if state in seen or (parent is not None and parent[0] in trapped):
            continue  # reached through another one, which is told of
        seen.add(state)
        always = all(n in trapped for n, (name, _) in enumerate(product.configs) if name == state)
        message = f"no way leads from `{state}` to a final state"
        if not always:
            message += " once these attempts are used up"
        way = product.way(node)
        verdict: Verdict = "REFUTED"
        if prover.product is None and not _possible(prover.space, way):
            message += "; whether a run comes there is not known, there are too many counts to look at"
            verdict = "UNKNOWN"
        lines = told(product, way, node) if verdict == "REFUTED" else ()
        yield TRAP.at(definition, ("states", state), message, verdict, key=True, witness=lines, advice=advice)
    if prover.product is None and not trapped:
        why = trapped_coarsely(prover.space)
        if why:
            path: Keys = ("states", prover.space.initial)
            message = f"whether every run can still end is not known: {why}"
            less = "lower the attempts, or reset fewer of them"
            yield TRAP.at(definition, path, message, "UNKNOWN", key=True, advice=less)


def _possible(space: Space, way: Way) -> bool:
    """Return whether a way that was found without counters can be gone with them."""
    state, counts = space.begin()
    for _, arc in way:
        if arc not in space.arcs[state]:
            return False  # it is sent on from a state that need not be exhausted by then
        state, counts = space.follow(counts, arc)
        if state != arc.target:
            return False
    return True


def _without_end(product: Product) -> set[int]:
    """Return the configurations from which no transitions lead to a final state."""
    before: dict[int, list[int]] = {}
    ending = [n for n, (state, _) in enumerate(product.configs) if product.space.states[state].final]
    for node, moves in enumerate(product.moves):
        for arc, to in moves:
            if arc.declared:
                before.setdefault(to, []).append(node)
    seen = set(ending)
    for node in ending:  # grows meanwhile
        new = [n for n in before.get(node, ()) if n not in seen]
        seen.update(new)
        ending += new
    return set(range(len(product.configs))) - seen


def _endless(definition: Definition, prover: Prover) -> Iterator[Finding]:
    explicit = "steps" in definition.declaration.limits.model_fields_set
    advice = "give a state of the loop `attempts:` and `exhausted:`, and reset them nowhere in the loop"
    if prover.product is None:
        for part in (loop for whole in prover.parts for loop in whole.endless()):
            message = (
                f"whether anything ends the loop of {', '.join(part.states)} is not known: no counter rises in it "
                f"without being reset in it, and there are more than {MOST} states with their counts to look at"
            )
            yield ENDLESS.at(
                definition, ("states", part.states[0]), message, "UNKNOWN", key=True, advice=advice
            )
        return
    product, trapped = prover.product, _without_end(prover.product)
    seen: set[str] = set()
    for component, without, counts in _uncounted(definition, product):
        states = {product.configs[node][0] for node in component}
        alone = _by_itself(product, component, without)
        # What cannot end at all is told of as that.
        if states <= seen or (explicit and not alone) or component[0] in trapped:
            continue
        seen |= states
        cycle = product.cycle(alone or component, outside=not alone, without=without)
        round_ = [product.configs[node][0] for node, _ in cycle]
        if counts:
            message = (
                f"whether {counts} ends the loop {shown((*round_, round_[0]))} is not known: not on each way round "
                "it rises for sure and bars the way in the end"
            )
            place = ("states", round_[0])
            yield ENDLESS.at(definition, place, message, "UNKNOWN", key=True, advice=advice)
            continue
        message = f"no counter ends the loop {shown((*round_, round_[0]))}"
        if not alone:
            message += ", each round of which an event from outside begins"
        steps = definition.declaration.limits.steps
        message += f": only the limit of {steps} steps does" + (
            "" if explicit else ", which is nowhere written"
        )
        begin = cycle[0][0]
        lines = (*told(product, product.way(begin), begin), "and for ever:", *told(product, cycle, begin))
        yield ENDLESS.at(
            definition,
            ("states", round_[0]),
            message,
            "REFUTED",
            key=True,
            witness=lines,
            advice=advice + ("" if explicit else ", or write limits: steps:"),
            severity="error" if alone and not explicit else "warning",
        )


def _uncounted(definition: Definition, product: Product) -> Iterator[tuple[list[int], Collection[Arc], str]]:
    """Yield the loops that no count of calls ends, the moves that are left out of each, and what may yet end it."""
    counts = Counts(definition)
    for component in sorted(product.loops, key=min):
        moves = counts.moves(product, component) if definition.counted else []
        names = asked(moves)
        if not names:
            yield component, (), ""
        elif not counts.end(moves):
            asking = {move.arc for move in moves if asked([move])}
            free = [
                sorted({move.at for move in part}) for part in cyclic(m for m in moves if m.arc not in asking)
            ]
            if free:
                yield min(free), asking, ""
            else:
                yield component, (), " or ".join(f"`history.{name}`" for name in names)


def _by_itself(product: Product, component: list[int], without: Collection[Arc]) -> list[int]:
    """Return a part of a loop that goes round without events from outside; empty if there is none."""
    number = {node: at for at, node in enumerate(sorted(component))}
    following = [
        [
            number[to]
            for arc, to in product.moves[node]
            if to in number and not arc.outside and arc not in without
        ]
        for node in number
    ]
    nodes = list(number)
    found = [part for part in components(following) if loops(part, following)]
    return [nodes[at] for at in min(found, key=min)] if found else []
