"""The expression language as text: which names it uses, which words it keeps, and its errors in our words.

The language: https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator

from statemachine.errors import InvalidExpression
from statemachine.machine.names import UNPRINTABLE
from statemachine.machine.references import suggest

_TYPES = {"bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint"}
_KEYWORDS = {
    *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let"),
    *("loop", "namespace", "null", "package", "return", "true", "var", "void", "while"),
}
RESERVED_WORDS = _TYPES | _KEYWORDS
"""Words that no variable can be called, by the language's definition."""

_LONGEST = 4000
_CHAIN = re.compile(
    r"""(//[^\n]* | [bB]?[rR](?:\"{3}[\s\S]*?\"{3} | \'{3}[\s\S]*?\'{3} | "[^"\n]*" | '[^'\n]*')
        | \"{3}(?:\\.|[^\\])*?\"{3} | \'{3}(?:\\.|[^\\])*?\'{3}
        | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*')
      | (?<![\w.])[a-zA-Z_]\w*(?:\s*\.\s*[a-zA-Z_]\w*)*""",
    re.VERBOSE,
)
"""A comment or string, in the first group, or a name with its parts."""

_PRESENCE = re.compile(r"\bhas\s*\(\s*([a-z_][\w\s.]*)\)")
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'(?: \(in container ''\))?")
_OVERLOAD = re.compile(r"found no matching overload for '(.*?)' applied to '\((.*)\)'")
_PART = re.compile(r"at input '\.(in|true|false|null)'")
_OPERATORS = {"and": "&&", "or": "||", "not": "!", "is": "==", "=": "==", "&": "&&", "|": "||"}
_FOREIGN = re.compile(r"(?:and|or|not|is)\b|=|&|\|")
"""What other languages write, and what it is called here."""


def names_in(text: str) -> Iterator[list[str]]:
    """Yield for each chain of names in an expression all that it may be, the longest first."""
    for match in _CHAIN.finditer(text):
        parts = [] if match[1] else [part.strip() for part in match[0].split(".")]
        yield [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


def paths_in(text: str) -> Iterator[list[str]]:
    """Yield the parts of each chain of names in an expression, without a method that is called on it."""
    for match in _CHAIN.finditer(text):
        if not match[1]:
            parts = [part.strip() for part in match[0].split(".")]
            called = text[match.end() :].lstrip().startswith("(")
            yield parts[:-1] if called else parts


def mentions(text: str, names: set[str]) -> bool:
    """Return whether an expression uses one of ``names`` or a part of one."""
    return bool(names) and any(not names.isdisjoint(chain) for chain in names_in(text))


def check_text(text: str, variables: Container[str]) -> None:
    """Check what the compiler takes but does not mean, or cannot take.

    Raises:
        InvalidExpression: It is too long, no text, or asks ``has`` of what is no map.
    """
    if len(text) > _LONGEST:
        raise InvalidExpression(f"an expression has at most {_LONGEST} characters")
    if UNPRINTABLE.search(text):
        raise InvalidExpression("the text holds a control character or half a character")
    code = _CHAIN.sub(lambda match: " " * len(match[0]) if match[1] else match[0], text)
    for match in _PRESENCE.finditer(code):
        name = re.sub(r"\s", "", match[1])
        if name in variables:  # the names are flat: to the compiler it is a value, not a part of a map
            asked = name if f"known.{name}" in variables else name.partition(".")[0]
            message = f"`has` looks into maps only; write `known.{asked}`"
            raise InvalidExpression(message, match.start() + 1)


def explain(error: str, text: str, variables: Iterable[str]) -> InvalidExpression:
    """Return the compiler's error as one that names what to write, at its column."""
    match = _ERROR.search(error)
    if "recursion" in error:
        return InvalidExpression("nested too deeply, or too long a chain of operators; split it")
    if match is None:
        return InvalidExpression(re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", error))
    line, message = int(match[1]), re.sub(r" expecting \{.*\}", "", match[3])
    at = sum(len(above) + 1 for above in text.split("\n")[: line - 1]) + int(match[2])
    unknown = _UNDECLARED.search(message)
    if unknown or "cannot be the operand of a select" in message:
        chains = (m for m in _CHAIN.finditer(text) if m.start() < at <= m.end() + 1 and not m[1])
        found = next(chains, None)
        name = re.sub(r"\s", "", found[0]) if found else (unknown[1] if unknown else text)
        at = found.start() + 1 if found else at
        if name in variables:
            return InvalidExpression(f"`{name}` is not a plain value; use one of its parts", at)
        return InvalidExpression(f"there is no `{name}` here{suggest(name, variables)}", at)
    if overload := _OVERLOAD.search(message):
        operator = overload[1].strip("_").replace("_", " ")
        takes = overload[2].replace("string", "str")
        return InvalidExpression(f"`{operator}` does not take ({takes})", at)
    if message.startswith("Syntax error"):
        word = _FOREIGN.match(text, max(0, at - 1))
        message = f"write `{_OPERATORS[word[0]]}` instead of `{word[0]}`" if word else message
        if kept := _PART.search(message):
            message = f"`{kept[1]}` is a word of the language; no name that has it as a part can be written"
        message = message.replace("mismatched input '<EOF>'", "the expression breaks off here")
    return InvalidExpression(message, at)
