"""How many runs ended in which way: a bar in a terminal, a line for each run in a pipe, JSON for programs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from statemachine.cli.terminal import complain, lasting, say, say_json_line, stdout
from statemachine.errors import StateMachineError
from statemachine.legible import counted

if TYPE_CHECKING:
    from statemachine.host.view import RunView

# The most that anyone has to do decides: see to the store, look at what failed, then at what waits.
_WORST = (("impossible", 4), ("failed", 1), ("cancelled", 1), ("running", 3), ("pending", 3), ("waiting", 3))


class Tally:
    """Counts runs and tells of each.

    Args:
        as_json: Whether to print a JSON object for each run, and nothing else.
        show: Called with a line for people about each run, and whether it succeeded.
        changed: Called after each run.
    """

    def __init__(
        self, as_json: bool, show: Callable[[str, bool], None], changed: Callable[[Tally], None]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._as_json, self._show, self._changed = as_json, show, changed
        self._began = time.monotonic()

    def left(self, view: RunView, **more: Any) -> None:
        """Count a run that ended or waits, and tell how it stands."""
        self.counts[view.status] += 1
        if self._as_json:
            say_json_line({**more, **view.as_data()})
        else:
            why = view.reason if view.finished else f"waits for {view.waiting}" if view.waiting else ""
            self._show(
                f"run {view.run}: {view.status} in {view.state}" + (f": {why}" if why else ""),
                view.status == "succeeded",
            )
        self._changed(self)

    def impossible(self, error: Exception, what: str, **more: Any) -> None:
        """Count a run that could not be driven, and say why."""
        self.counts["impossible"] += 1
        if self._as_json:
            say_json_line({**more, "error": type(error).__name__, "message": str(error)})
        else:
            told = str(error) if isinstance(error, StateMachineError) else f"{type(error).__name__}: {error}"
            complain(f"{what}: {told}")
        self._changed(self)

    @property
    def rate(self) -> float:
        """Runs a second."""
        return self.counts.total() / max(time.monotonic() - self._began, 1e-9)

    @property
    def told(self) -> str:
        """The counts in words."""
        return ", ".join(f"{n} {status}" for status, n in self.counts.most_common())

    def sum_up(self) -> None:
        """Say how many there were of each and how long it took; for people only."""
        if not self._as_json:
            total, took = self.counts.total(), lasting(time.monotonic() - self._began)
            told = f"{counted(total, 'run')}: {self.told}; {took}, {self.rate:.1f} runs/s"
            say(told if total else "no run")

    @property
    def exit_code(self) -> int:
        """The worst of all."""
        return next((code for status, code in _WORST if self.counts[status]), 0)


@contextmanager
def tally(as_json: bool, total: int | None) -> Iterator[Tally]:
    """Give a tally: in a terminal with a bar that shows counts and rate, and lines only for what did not succeed.

    Args:
        as_json: As for Tally.
        total: How many runs there will be, if that is known.
    """
    if as_json or not stdout().isatty():
        yield Tally(as_json, lambda line, _: say(line), lambda _: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(24), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=stdout())) as bar:
        task = bar.add_task("", total=total)

        def show(line: str, succeeded: bool) -> None:
            if not succeeded:
                bar.console.print(line, highlight=False, markup=False)

        def changed(now: Tally) -> None:
            bar.update(task, completed=now.counts.total(), description=f"{now.told}; {now.rate:.1f} runs/s")

        yield Tally(as_json, show, changed)
