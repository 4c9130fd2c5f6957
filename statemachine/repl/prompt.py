"""The prompt: lines from a terminal or a pipe, answers as text or as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO

from statemachine.clock import Clock
from statemachine.errors import StateMachineError
from statemachine.host.wording import arrow, doing
from statemachine.kernel import Step
from statemachine.legible import legible
from statemachine.machine.definition import Definition
from statemachine.repl import render
from statemachine.repl.capture import Captured
from statemachine.repl.debugger import Debugger
from statemachine.repl.session import Answer, Session

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Line = Callable[[str], Awaitable[str]]
"""Gives the next line, shown a prompt; raises EOFError when there is no more."""


class Console:
    """One conversation.

    Args:
        out: Where answers go.
        as_json: Whether each is one JSON object on a line.
    """

    def __init__(self, out: TextIO, as_json: bool) -> None:
        self.out = out
        self.as_json = as_json
        self.refused = 0
        """Lines that could not be done."""

    def write(self, text: str) -> None:
        """Write lines of text, where a person reads them."""
        if text and not self.as_json:
            print(legible(text), file=self.out, flush=True)

    def observe(self, definition: Definition, made: Step, at: float) -> None:
        """Show a step."""
        if made.receipt.target is not None:
            self.write(f"  {arrow(definition, made)}")
        elif made.receipt.verdict == "retry":
            self.write(f"  {made.snapshot.state}: {doing(definition, made.snapshot)}")

    def answer(self, line: str, verb: str, answer: Answer) -> None:
        """Show what a verb gave."""
        self.write(answer.text)
        if self.as_json and verb:
            self._object({"line": line, "verb": verb, "ok": True, "result": answer.data})

    def refuse(self, line: str, error: StateMachineError) -> None:
        """Show why a line could not be done."""
        self.refused += 1
        self.write(str(error))
        if self.as_json:
            told = {"error": type(error).__name__, "message": str(error)}
            self._object({"line": line, "verb": line.split()[0] if line.split() else "", "ok": False, **told})

    def _object(self, data: dict[str, Any]) -> None:
        print(json.dumps(data, ensure_ascii=False, default=_plain), file=self.out, flush=True)


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else str(value)


async def talk(
    begin: Callable[[Debugger], Awaitable[object]],
    db: str | None,
    out: TextIO,
    *,
    create: bool,
    as_json: bool = False,
    clock: Clock | None = None,
) -> int:
    """Hold a conversation over a run, in the terminal if there is one, else over lines from standard input.

    Args:
        begin: Starts or opens the run.
        db: The store.
        out: Where answers go; what tools print goes elsewhere.
        create: Whether the store may be made.
        as_json: Whether each answer is one JSON object on a line.
        clock: What tells the time.

    Returns:
        The exit code: 0, 2 if a line of a script could not be done, 128 and its number after a signal.
    """
    console = Console(out, as_json)
    async with Debugger(db, clock=clock, observer=console.observe, create=create) as debugger:
        await begin(debugger)
        session = Session(debugger, sees=console.write)
        terminal = sys.stdin.isatty() and out.isatty() and not as_json
        captured = Captured(_above(console)) if terminal else None
        ended: list[int] = []
        with captured.taken() if captured else nullcontext():
            lines = _terminal(session, out) if terminal else _piped(console)
            console.write(render.greeting(debugger))
            leave = False
            while not (leave or ended):
                try:
                    line = await lines(render.prompt(debugger))
                except EOFError:
                    break
                with _interrupting(debugger, console, ended, terminal):
                    leave = await _say(console, session, line)
                if captured:
                    await captured.catch_up()
            if not leave:
                console.write((await session.say("quit"))[1].text)
    if ended:
        return 128 + ended[0]
    return 2 if console.refused and not terminal else 0


async def _say(console: Console, session: Session, line: str) -> bool:
    try:
        verb, answer = await session.say(line)
    except StateMachineError as error:
        console.refuse(line, error)
        return False
    console.answer(line, verb, answer)
    return answer.leave


def _piped(console: Console) -> Line:
    loop, said = asyncio.get_running_loop(), asyncio.Queue[str]()

    def read() -> None:
        # Of its own, so that nothing waits for it at the end: it may stand in a read for ever.
        with (
            os.fdopen(os.dup(0), encoding="utf-8", errors="replace") as given,
            suppress(RuntimeError),  # the loop may be closed by then
        ):
            for line in given:
                loop.call_soon_threadsafe(said.put_nowait, line)
            loop.call_soon_threadsafe(said.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()

    async def lines(prompt: str) -> str:
        line = await said.get()
        if not line:
            raise EOFError
        # With the prompt, what was said stands where it was said.
        console.write(f"{prompt}{line.rstrip()}")
        return line

    return lines


def _terminal(session: Session, out: TextIO) -> Line:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.output.defaults import create_output

    from statemachine.repl.completion import Words

    asking: PromptSession[str] = PromptSession(
        history=_history(),
        completer=Words(session),
        complete_while_typing=False,
        output=create_output(stdout=out),
    )

    async def lines(prompt: str) -> str:
        while True:
            try:
                line: str = await asking.prompt_async(prompt)
                return line
            except KeyboardInterrupt:  # Ctrl-C at the prompt gives the line up
                continue

    yes: PromptSession[str] = PromptSession(output=create_output(stdout=out))

    async def ask(question: str) -> bool:
        try:
            told: str = await yes.prompt_async(f"{question} [y/N] ")
            return told.strip().lower() in ("y", "yes")
        except (KeyboardInterrupt, EOFError):
            return False

    session.ask = ask
    return lines


def _history() -> Any:
    from prompt_toolkit.history import InMemoryHistory

    from statemachine.repl.remembered import Remembered

    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    file = Path(state).expanduser() / "statemachine" / "history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    except OSError:  # a home that cannot be written is no reason not to look at a run
        return InMemoryHistory()
    return Remembered(str(file))


def _above(console: Console) -> Callable[[str], None]:
    """Return what shows a line that a tool printed: above the prompt, if there is one at the time."""

    def show(text: str) -> None:
        from prompt_toolkit.application import get_app_or_none, run_in_terminal

        if get_app_or_none() is None:
            console.write(f"| {text}")
        else:
            run_in_terminal(lambda: console.write(f"| {text}"))

    return show


@contextmanager
def _interrupting(debugger: Debugger, console: Console, ended: list[int], terminal: bool) -> Iterator[None]:
    """Let a signal stop the run at the next safe point; a second one leaves at once.

    The session is over then, unless it was Ctrl-C in a terminal.
    """
    loop, pressed, over = asyncio.get_running_loop(), False, False

    def stop(hung_up: bool) -> None:
        if over:
            return
        debugger.interrupt()
        if not hung_up:  # then nobody sees it
            console.write("stopping at the next safe point; once more to leave at once")

    def pressing(number: int, frame: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        if number != signal.SIGINT or not terminal:
            ended.append(number)
        loop.call_soon_threadsafe(stop, number == signal.SIGHUP)

    # What is ignored stays so, as under nohup.
    heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    # Not by the loop, which forgets a signal if its handler is taken away before the next turn.
    before = {number: signal.signal(number, pressing) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        over = True
        debugger.runtime.stopping.clear()
