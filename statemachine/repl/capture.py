"""What tools print, kept from garbling the prompt: it is shown line by line, above it, with a mark."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

_MARK = b"\0caught up\0\n"


class Captured:
    """Takes file descriptors 1 and 2 of this process, so that threads and child processes are caught too.

    Args:
        show: Is given each line, in the event loop.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._loop = asyncio.get_running_loop()
        self._caught_up = asyncio.Event()
        reading, self._writing = os.pipe()
        # A thread of its own reads: a tool that runs in the loop would wait for ever at a full pipe.
        threading.Thread(target=self._read, args=(reading,), daemon=True).start()

    def _read(self, reading: int) -> None:
        with (
            os.fdopen(reading, "rb") as lines,
            contextlib.suppress(RuntimeError),
        ):  # the loop may be closed by then
            for line in lines:
                said, mark, _ = line.partition(_MARK)
                if said:
                    text = said.decode(errors="backslashreplace").rstrip("\n")
                    self._loop.call_soon_threadsafe(self._show, text)
                if mark:
                    self._loop.call_soon_threadsafe(self._caught_up.set)

    async def catch_up(self) -> None:
        """Wait until all that was printed so far is shown."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._caught_up.clear()
        os.write(self._writing, _MARK)
        await self._caught_up.wait()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Take what is printed, until the end of the block."""
        sys.stdout.flush()
        sys.stderr.flush()
        kept = os.dup(1), os.dup(2)
        os.dup2(self._writing, 1)
        os.dup2(self._writing, 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.close(self._writing)
