"""The tools of the machine: plain functions, to be replaced by yours.

A tool's parameters are its inputs and its return type is its output; both are checked around each call.
A parameter annotated with ``statemachine.Call`` gets the call's key, deadline and folder. A tool that knows
what kind of failure it has met raises ``statemachine.ToolFailure("transient", "what happened")``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_FILLERS = """
actually also basically certainly clearly definitely essentially extremely fairly generally however just
literally moreover obviously perhaps quite rather really simply so somewhat too totally very
"""
_COMMON = """
a an and are as at be been but by did do for from had has have he her his how i if in into is it its no not
of on or our she that the their them then there they this to was we were what when which who will with would
you your
"""
FILLERS = frozenset(_FILLERS.split())
COMMON = frozenset(_COMMON.split())


class EmptyText(Exception):
    """There is nothing to shorten."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The rule to apply next, and all that have been chosen so far."""

    rule: str
    tried: list[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the draft is short enough, and the share of the telling words that it has kept."""

    ok: bool
    confidence: float
    words: int


@dataclass(frozen=True, slots=True)
class Cause:
    """What is still wrong with the draft, and whether another attempt may help."""

    recoverable: bool
    why: str


def choose(draft: str, tried: list[str]) -> Plan:
    """Choose the mildest rule that has not been tried and would change the draft."""
    if not draft.strip():
        raise EmptyText("give a text with words in it")
    rule = _left(draft, tried)[0]
    return Plan(rule, [*tried, rule])


def apply(draft: str, rule: str) -> str:
    """Return the draft after one rule."""
    return _RULES[rule](draft)


def measure(text: str, draft: str, words: int) -> Verdict:
    """Count the words, and how much of what the text says is still there."""
    told, kept = _telling(text), _telling(draft)
    confidence = len(told & kept) / len(told) if told else 1.0
    count = len(draft.split())
    return Verdict(count <= words, round(confidence, 2), count)


def find_cause(draft: str, words: int, tried: list[str], verdict: Verdict | None = None) -> Cause:
    """Say what is wrong with the draft; going on helps while it is too long and a rule is left."""
    count, left = len(draft.split()), _left(draft, tried)
    if count <= words:
        kept = f": it has kept {verdict.confidence:.0%} of the telling words" if verdict else ""
        return Cause(False, f"{count} words are few enough, but the draft was not accepted{kept}")
    still = f"{count} words are {count - words} too many"
    return Cause(
        bool(left), f"{still}; left to try: {', '.join(left)}" if left else f"{still}; no rule is left"
    )


def _left(draft: str, tried: list[str]) -> list[str]:
    if not tried:
        return ["tidy"]  # even if it changes nothing: the text may be short enough as it is
    # Each rule is tried once; only another sentence can be dropped again and again.
    return [n for n, rule in _RULES.items() if (n == "sentence" or n not in tried) and rule(draft) != draft]


def _tidy(text: str) -> str:
    """Collapse white space, and words that are written twice."""
    return re.sub(r"\b(\w+)( \1\b)+", r"\1", " ".join(text.split()), flags=re.IGNORECASE)


def _without_fillers(text: str) -> str:
    kept = " ".join(w for w in text.split() if w.strip(",").lower() not in FILLERS)
    return re.sub(r"(^|[.!?] )([a-z])", lambda start: start[0].upper(), kept)


def _without_parentheses(text: str) -> str:
    return re.sub(r"\s*\([^()]*\)", "", text)


def _without_a_sentence(text: str) -> str:
    """Drop the sentence whose telling words are the least frequent in the text; of equal ones the last."""
    sentences = re.split(r"(?<=[.!?])\s+", text.strip())
    if len(sentences) < 2:
        return text
    often = Counter(word for sentence in sentences for word in _telling(sentence))

    def informative(index: int) -> tuple[float, int]:
        told = _telling(sentences[index])
        return sum(often[w] for w in told) / len(told) if told else 0.0, -index

    least = min(range(len(sentences)), key=informative)
    return " ".join(s for i, s in enumerate(sentences) if i != least)


def _telling(text: str) -> set[str]:
    return set(re.findall(r"[\w'-]+", text.lower())) - COMMON - FILLERS


_RULES: Mapping[str, Callable[[str], str]] = {
    "tidy": _tidy,
    "fillers": _without_fillers,
    "parentheses": _without_parentheses,
    "sentence": _without_a_sentence,
}
