"""Who owns a run: a process, told apart from a later one that got the same number."""

from __future__ import annotations

import os
import socket
from functools import lru_cache


@lru_cache(maxsize=1)
def _host() -> str:
    return socket.gethostname().replace(":", "-")


def this_process() -> str:
    """Return the name of this process as an owner: ``host:pid:start``."""
    return f"{_host()}:{os.getpid()}:{_started(os.getpid())}"


def is_dead(owner: str) -> bool:
    """Return whether an owner is known to be gone: a process of this host that no longer runs."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != _host() or not rest.isdigit():
        return False
    return str(_started(int(rest))) != owner.rpartition(":")[2]


def _started(pid: int) -> int | None:
    """Return when a process started, in milliseconds since the epoch; None when there is none."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time() * 1000)
    except psutil.Error:
        return None
