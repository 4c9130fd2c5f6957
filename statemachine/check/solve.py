"""Guards decided by the solver z3, where there are too many values to try.

Whole numbers have 64 bits. Texts and lists are z3's sequences. Floats are taken as real numbers: every float is
one, so what no real number fulfils no float does, and a solution counts only if the guards themselves, asked
with it, agree. Where floats are calculated with, rounding is not modelled, and nothing is said to be impossible.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from statemachine.check import cel
from statemachine.check.domain import LARGEST, SMALLEST, Domain, Given, Unit, Variable
from statemachine.check.facts import read_of
from statemachine.machine.expressions import Guard

if TYPE_CHECKING:
    import z3

PATIENCE = 2000
"""Milliseconds that one question may take."""

_LONGEST = 1000
_ESCAPED = re.compile(r"\\u\{([0-9a-fA-F]+)\}")


class Undecided(Exception):
    """A question about guards has no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class Term:
    """A value in z3: its kind, the kind of its elements, its term, and when it has a value at all."""

    kind: str
    term: Any
    there: Any
    of: str = ""


class Solver:
    """Answers questions about the verdicts of some guards.

    Raises:
        Undecided: z3 is missing, or a guard holds what is not modelled.
    """

    def __init__(self, guards: Sequence[Guard], domain: Domain, variables: Sequence[Variable]) -> None:
        try:
            import z3
        except ImportError:
            raise Undecided(
                "z3, which could decide it, is not installed: pip install 'agent-statemachine[check]'"
            ) from None
        self.z3: Any = z3
        self.guards = guards
        self.rounds = False
        self.units: dict[Unit, Any] = {}
        self.terms: dict[str, Term] = {}
        self.limits: list[Any] = []
        self.variables = variables
        for variable in variables:
            self._declare(variable, domain)
        self.verdicts = []
        for guard in guards:
            tree = read_of(guard).tree
            if tree is None:
                raise Undecided(f"`{guard.text}` is a Python function, which nothing looks into")
            self.verdicts.append(self._term(tree))

    def find(self, wanted: Mapping[int, bool | None]) -> Given | None:
        """Return values for which guards give the wanted verdicts, by index; None if there are none.

        Raises:
            Undecided: z3 gives up, or its answer cannot be relied on.
        """
        z3 = self.z3
        solver = z3.Solver()
        solver.set("timeout", PATIENCE)
        solver.add(*self.limits)
        for index, verdict in wanted.items():
            term = self.verdicts[index]
            if verdict is None:
                solver.add(z3.Not(term.there))
            else:
                solver.add(term.there, term.term if verdict else z3.Not(term.term))
        answer = solver.check()
        if answer == z3.unsat and not self.rounds:
            return None
        if answer != z3.sat:
            why = (
                "floats are rounded when they are calculated with"
                if self.rounds
                else "z3 finds no answer in time"
            )
            raise Undecided(why)
        given = self._given(solver.model())
        if any(self.guards[index].decide(given)[0] is not verdict for index, verdict in wanted.items()):
            raise Undecided("floats are rounded, and z3's solution is none then")
        return given

    def _declare(self, variable: Variable, domain: Domain) -> None:
        z3 = self.z3
        values = variable.values
        for unit in variable.units:
            if unit not in self.units:
                self.units[unit] = z3.Bool(f"there:{unit}")
                if unit in domain.settled:
                    self.limits.append(self.units[unit] == domain.settled[unit])
        there = z3.And(*(self.units[unit] for unit in variable.units))
        if variable.root == "known":
            self.terms[variable.name] = Term("bool", there, z3.BoolVal(True))
            return
        sort = self._sort(values.kind, values.of)
        if sort is None:
            raise Undecided(f"`{variable.name}` is of type {values.kind}")
        term = z3.Const(variable.name, sort)
        if variable.root == "fresh":
            fresh = z3.And(there, term) if values.options == (False, True) else there
            self.terms[variable.name] = Term("bool", fresh, z3.BoolVal(True))
            return
        if values.options is not None:
            self.limits.append(z3.Or(*(term == self._constant(v).term for v in values.options)))
        else:
            number = z3.Length(term) if values.kind in ("str", "list") else term
            if values.low is not None:
                self.limits.append(number >= values.low)
            if values.high is not None:
                self.limits.append(number <= values.high)
        self.terms[variable.name] = Term(values.kind, term, there, values.of if values.kind == "list" else "")

    def _sort(self, kind: str, of: str = "") -> Any:
        z3 = self.z3
        plain = {"bool": z3.BoolSort, "int": z3.IntSort, "float": z3.RealSort, "str": z3.StringSort}
        if kind == "list":
            # Elements of no plain type are only counted.
            return z3.SeqSort(plain[of]() if of in plain else z3.IntSort())
        return plain[kind]() if kind in plain else None

    def _constant(self, value: Any) -> Term:
        z3 = self.z3
        always = z3.BoolVal(True)
        if isinstance(value, bool):
            return Term("bool", z3.BoolVal(value), always)
        if isinstance(value, int):
            return Term("int", z3.IntVal(value), always)
        if isinstance(value, float):
            numerator, denominator = value.as_integer_ratio()
            return Term("float", z3.Q(numerator, denominator), always)
        if isinstance(value, str):
            return Term("str", z3.StringVal("".join(_escape(c) for c in value)), always)
        raise Undecided(f"the constant {value!r} is not modelled")

    def _term(self, tree: cel.Tree) -> Term:
        z3 = self.z3
        match tree:
            case cel.Constant(value):
                return self._constant(value)
            case cel.Name(name) if name in self.terms:
                return self.terms[name]
            case cel.Apply("_&&_" | "_||_" as function, (left, right)):
                a, b = self._bool(left), self._bool(right)
                decides = function == "_||_"  # the verdict of one side that decides, whatever the other gives
                sides = [z3.And(t.there, t.term if decides else z3.Not(t.term)) for t in (a, b)]
                decided = z3.Or(*sides)
                there = z3.Or(decided, z3.And(a.there, b.there))
                return Term("bool", decided if decides else z3.Not(decided), there)
            case cel.Apply("!_", (inner,)):
                a = self._bool(inner)
                return Term("bool", z3.Not(a.term), a.there)
            case cel.Apply("_?_:_", (condition, left, right)):
                c, a, b = self._bool(condition), self._term(left), self._term(right)
                if (a.kind, a.of) != (b.kind, b.of):
                    raise Undecided("the two sides of `?:` have different types")
                there = z3.And(c.there, z3.If(c.term, a.there, b.there))
                return Term(a.kind, z3.If(c.term, a.term, b.term), there, a.of)
            case cel.Apply("@in", (item, cel.Elements(items))):
                a, each = self._term(item), [self._term(i) for i in items]
                if any(e.kind != a.kind for e in each):
                    raise Undecided("the list holds values of another type")
                there = z3.And(a.there, *(e.there for e in each))
                return Term("bool", z3.Or(*(a.term == e.term for e in each)), there)
            case cel.Apply(function, inner):
                arguments = [self._term(part) for part in inner]
                found = self._apply(function, arguments)
                there = z3.And(*(a.there for a in arguments), found.there)
                return Term(found.kind, found.term, there, found.of)
            case cel.Other(what):
                raise Undecided(f"{what} is not modelled")
        raise Undecided("a list that is written out is modelled only after `in`")

    def _bool(self, tree: cel.Tree) -> Term:
        term = self._term(tree)
        if term.kind != "bool":
            raise Undecided(f"a condition of type {term.kind} is not modelled")
        return term

    def _apply(self, function: str, arguments: list[Term]) -> Term:
        """Return what a function gives; its own condition for having a value is in ``there``."""
        z3 = self.z3
        always = z3.BoolVal(True)
        terms, kinds = [a.term for a in arguments], [a.kind for a in arguments]
        compare: Mapping[str, Callable[[Any, Any], Any]] = {
            "_==_": lambda a, b: a == b,
            "_!=_": lambda a, b: a != b,
            "_<_": lambda a, b: a < b,
            "_<=_": lambda a, b: a <= b,
            "_>_": lambda a, b: b < a,
            "_>=_": lambda a, b: b <= a,
        }
        match function, kinds:
            case (("_==_" | "_!=_"), [a, b]) if a == b and arguments[0].of == arguments[1].of and a != "list":
                return Term("bool", compare[function](*terms), always)
            case (("_<_" | "_<=_" | "_>_" | "_>=_"), [a, b]) if a == b and a in ("int", "float", "str"):
                return Term("bool", compare[function](*terms), always)
            case "size", ["str" | "list"]:
                return Term("int", z3.Length(terms[0]), always)
            case "startsWith", ["str", "str"]:
                return Term("bool", z3.PrefixOf(terms[1], terms[0]), always)
            case "endsWith", ["str", "str"]:
                return Term("bool", z3.SuffixOf(terms[1], terms[0]), always)
            case "contains", ["str", "str"]:
                return Term("bool", z3.Contains(terms[0], terms[1]), always)
            case "@in", [kind, "list"] if arguments[1].of == kind:
                return Term("bool", z3.Contains(terms[1], z3.Unit(terms[0])), always)
            case "_[_]", ["list", "int"] if self._sort(arguments[0].of) is not None:
                inside = z3.And(terms[1] >= 0, terms[1] < z3.Length(terms[0]))
                return Term(arguments[0].of, terms[0][terms[1]], inside)
            case "_+_", ["str", "str"]:
                return Term("str", z3.Concat(*terms), always)
            case (("_+_" | "_-_" | "_*_" | "_/_" | "_%_" | "-_"), ["int", *rest]) if set(rest) <= {"int"}:
                return self._whole(function, terms)
            case (("_+_" | "_-_" | "_*_" | "_/_" | "-_"), ["float", *rest]) if set(rest) <= {"float"}:
                self.rounds = self.rounds or function != "-_"
                return self._real(function, terms)
        raise Undecided(
            f"`{function.strip('_@').replace('_', ' ').strip()}` of {', '.join(kinds)} is not modelled"
        )

    def _whole(self, function: str, terms: list[Any]) -> Term:
        """64-bit numbers: what overflows has no value, and division is towards zero."""
        z3 = self.z3
        a, b = terms[0], terms[-1]
        usable: Any = z3.BoolVal(True)
        match function:
            case "-_":
                result = -a
            case "_+_":
                result = a + b
            case "_-_":
                result = a - b
            case "_*_":
                result = a * b
            case _:
                usable = b != 0
                size = z3.If(a >= 0, a, -a) / z3.If(b >= 0, b, -b)
                quotient = z3.If((a >= 0) == (b >= 0), size, -size)
                result = quotient if function == "_/_" else a - b * quotient
        return Term("int", result, z3.And(usable, result >= SMALLEST, result <= LARGEST))

    def _real(self, function: str, terms: list[Any]) -> Term:
        z3 = self.z3
        a, b = terms[0], terms[-1]
        result = {"-_": lambda: -a, "_+_": lambda: a + b, "_-_": lambda: a - b, "_*_": lambda: a * b}.get(
            function, lambda: a / b
        )()
        return Term("float", result, z3.BoolVal(True))

    def _given(self, model: z3.ModelRef) -> Given:
        """Return a solution as the kernel's guards read it."""
        z3 = self.z3
        values = {}
        for variable in self.variables:
            term = self.terms[variable.name]
            if z3.is_true(model.eval(term.there, model_completion=True)):
                values[variable.root, variable.path] = self._value(model, term.term, term.kind, term.of)
        return Given(values)

    def _value(self, model: Any, term: Any, kind: str, of: str) -> Any:
        z3 = self.z3
        if kind == "list":
            size = model.eval(z3.Length(term), model_completion=True).as_long()
            if size > _LONGEST:
                raise Undecided(f"a list of {size} elements would be needed")
            plain = of if of in ("bool", "int", "float", "str") else "int"
            return [self._value(model, term[index], plain, "") for index in range(size)]
        value = model.eval(term, model_completion=True)
        match kind:
            case "bool":
                return z3.is_true(value)
            case "int":
                return value.as_long()
            case "float":
                exact = value if z3.is_rational_value(value) else value.approx(20)
                return float(exact.as_fraction())
        return _ESCAPED.sub(lambda m: chr(int(m[1], 16)), value.as_string())


def _escape(character: str) -> str:
    """Write what z3 would read as an escape, or cannot hold, as one."""
    return character if character.isascii() and character != "\\" else f"\\u{{{ord(character):x}}}"
