"""What Ctrl-C and SIGTERM do."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statemachine.host.runtime import Runtime


def stop_on_signals(runtime: Runtime, stopped: list[int]) -> None:
    """Stop at a safe point on the first Ctrl-C or SIGTERM; leave at once on the second."""
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)
        runtime.stop()
        print("\nstopping at the next safe point; once more to leave at once", file=sys.stderr)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
