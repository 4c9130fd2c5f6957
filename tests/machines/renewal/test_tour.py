"""The README's tour is a real one; `python -m tests.machines.renewal.test_tour` records it anew."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
TOUR = re.compile(r"(?<=<!-- tour -->\n).*?(?=<!-- end of the tour -->)", re.DOTALL)
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
RUN = re.compile(r"^run ([0-9a-f]{12}):", re.MULTILINE)
PORT = "8025"


class Folder:
    """A folder in which somebody types the tour, with a home of their own.

    Attributes:
        run: Id of the run that was started; empty before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, ""
        (folder / "machines").symlink_to(ROOT / "machines")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        self._place = {k: v for k, v in os.environ.items() if not k.startswith(("STATEMACHINE_", "XDG_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._place |= {"HOME": str(folder), "STATEMACHINE_USER": "you", "PATH": path}
        self._behind: list[subprocess.Popen[str]] = []

    def type(self, command: str) -> str:
        """Return what a command prints; one that ends in ``&`` goes on behind the others."""
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self._place[name] = value
            return ""
        command = command.replace(PORT, self._port)
        if "renewal.yaml" in command:  # the server is another one than the machine's default
            command += f" -i smtp=localhost:{self._port}"
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.removesuffix('&')}" if command.endswith("&") else command],
            cwd=self.folder,
            env=self._place,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if command.endswith("&"):
            self._behind.append(process)
            self._listening()
            return ""
        told, _ = process.communicate(timeout=100)
        if not self.run and (found := RUN.search(told)):
            self.run = found[1]
        return told.replace(str(self.folder), "~").replace(self._port, PORT)

    def _listening(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as server:
                if server.connect_ex(("localhost", int(self._port))) == 0:
                    return
            time.sleep(0.1)

    def leave(self) -> None:
        """End what was started."""
        for process in self._behind:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


def typed(tour: str) -> str:
    """Return the tour with what its commands print now."""
    with TemporaryDirectory(
        dir="/tmp", prefix="t"
    ) as name:  # a short name: what is long is cut where it is printed
        folder = Folder(Path(name))
        known = RUN.search(tour)
        before = known[1] if known else "RUNS"

        def block(found: re.Match[str]) -> str:
            lines = []
            for command in re.findall(r"^\$ (.*)$", found[0], re.MULTILINE):
                lines.append(f"$ {command.replace(before[:4], folder.run[:4]) if folder.run else command}\n")
                lines.append(folder.type(lines[-1][2:-1]))
            return "".join(lines)

        try:
            return BLOCK.sub(block, tour)
        finally:
            folder.leave()


def masked(text: str) -> str:
    """Return a tour without what differs from one time to the next: ids, keys, times, rates and ports."""
    run = RUN.search(text)
    text = re.sub(rf"\b{run[1][:4]}", "RUN", text) if run else text
    text = re.sub(r"ed25519:[\w+/=]+", "KEY", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\b\d{10}\.\d+|(?<=_seconds\": )[\d.]+", "TIME", text)
    text = re.sub(r"\b(RUN)?[0-9a-f]{8,64}\b", "ID", text)
    text = re.sub(r"\b\d+h\d+m\b|\b\d+m\d+s\b|\b\d+(\.\d+)?m?s\b", "TIME", text)
    text = re.sub(r" \([\d,]+ records/s\)", "", text)
    text = re.sub(r"\('127.0.0.1', \d+\)", "PEER", text)
    return re.sub(r"[ \n]+", " ", text)


def test_the_tour_in_the_readme_is_real() -> None:
    """Every command, in the order in which they are read."""
    found = TOUR.search(README.read_text(encoding="utf-8"))
    assert found is not None
    assert masked(typed(found[0])) == masked(found[0])


if __name__ == "__main__":
    whole = README.read_text(encoding="utf-8")
    README.write_text(TOUR.sub(lambda found: typed(found[0]), whole), encoding="utf-8")
