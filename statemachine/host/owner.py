"""Who owns a run: a process, told apart from a later one that got the same number."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from functools import lru_cache


@lru_cache(maxsize=1)
def _host() -> str:
    return socket.gethostname().replace(":", "-")


def new_owner() -> str:
    """Return a name for an owner in this process: ``host:pid:start:token``."""
    return f"{_host()}:{os.getpid()}:{_started(os.getpid())}:{secrets.token_hex(4)}"


def is_dead(owner: str) -> bool:
    """Return whether an owner is known to be gone: it was a process of this host that no longer runs."""
    match owner.split(":"):
        case [host, pid, started, _] if host == _host() and pid.isdigit():
            return str(_started(int(pid))) != started
    return False


def spoken(owner: str) -> str:
    """Return an owner for people: which process of which host."""
    match owner.split(":"):
        case [host, pid, _, _]:
            return f"process {pid} on {host}"
    return owner or "another process"


def _started(pid: int) -> int | None:
    """Return when a process started, in milliseconds since the epoch; None when there is none."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time() * 1000)
    except psutil.Error:
        return None


def user() -> str:
    """Return who works here: ``STATEMACHINE_USER``, else the user of the operating system; empty if unknown."""
    try:
        return os.environ.get("STATEMACHINE_USER") or getpass.getuser()
    except (KeyError, OSError):
        return ""
