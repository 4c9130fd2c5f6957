"""A session at the prompt: a line becomes a verb, the verb an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from statemachine.errors import InvalidInput
from statemachine.machine.references import suggest
from statemachine.repl.debugger import Debugger


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb gives.

    Attributes:
        text: For people; may be empty.
        data: For programs.
        leave: Whether the session is over.
    """

    text: str
    data: Any
    leave: bool = False


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that can be said at the prompt.

    Attributes:
        name: Its name.
        short: A shorter form; empty without one.
        usage: What follows the name.
        help: What it does, in a sentence.
        example: A line to copy.
        act: What does it, given the session and what follows the name.
        takes: What can be completed after it: ``state``, ``event``, ``field``, ``break``, ``run``, ``verb`` …
        again: Whether an empty line repeats it.
        also: What other debuggers and commands call it.
    """

    name: str
    short: str
    usage: str
    help: str
    example: str
    act: Callable[[Session, str], Awaitable[Answer]]
    takes: tuple[str, ...] = ()
    again: bool = False
    also: tuple[str, ...] = ()


class Session:
    """One session.

    Args:
        debugger: What the verbs are said to.
        ask: Asks a person a question; None where nobody can be asked.
        sees: Shows a line while a verb is at work; None where nobody looks.
    """

    def __init__(
        self,
        debugger: Debugger,
        ask: Callable[[str], Awaitable[bool]] | None = None,
        sees: Callable[[str], None] | None = None,
    ) -> None:
        from statemachine.repl.verbs import VERBS

        self.debugger = debugger
        self.ask = ask
        self.sees = sees
        self.verbs: tuple[Verb, ...] = VERBS
        self.said: list[str] = []
        """The lines that did what they said, for `save`."""
        self._last = ""

    def verb(self, word: str) -> Verb:
        """Return the verb that a word means: its name, another form of it, or the only name that begins so.

        Raises:
            InvalidInput: None does, or several do.
        """
        begun = [v for v in self.verbs if v.name.startswith(word)]
        exact = [v for v in self.verbs if word in (v.name, v.short, *v.also)]
        if exact or len(begun) == 1:
            return (exact or begun)[0]
        names = [v.name for v in begun] or [v.name for v in self.verbs]
        if begun:
            raise InvalidInput(f"`{word}` may be {', '.join(names)}; write more of it")
        raise InvalidInput(f"there is no verb `{word}`{suggest(word, names)}; `help` lists them all")

    async def say(self, line: str) -> tuple[str, Answer]:
        """Do what a line says; an empty one repeats the last verb that can be repeated. Return the verb's name too.

        Raises:
            StateMachineError: It cannot be done; the text says why.
        """
        line = line.strip() or self._last
        if not line or line.startswith("#"):
            return "", Answer("", None)
        word, _, rest = line.partition(" ")
        verb = self.verb(word)
        self._last = line if verb.again else ""
        answer = await verb.act(self, rest.strip())
        if verb.name not in ("save", "source", "help", "quit"):
            self.said.append(line)
        return verb.name, answer
