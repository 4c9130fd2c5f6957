"""An office for renewals: a CRM, a mail server that does as it is told, and people with keys."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from statemachine.approvals.decision import signed
from statemachine.approvals.keys import load_key, make_key
from statemachine.clock import SimulatedClock
from statemachine.host.runtime import Runtime
from statemachine.host.view import RunView, path_of
from statemachine.machine.references import Folder

FOLDER = Path(__file__).parents[3] / "machines" / "renewal"
PASSWORD = "canary-7d1f0c"
VENDOR = "Northwind Paper"
PEOPLE = {"ann": "legal", "bob": "sales", "eve": "board", "joe": "board", "lea": "legal"}
Act = Callable[[Runtime], Awaitable[Any]]


class Mailbox:
    """What a mail server has taken, and what it answers instead for a while.

    Attributes:
        mails: Text of each mail that it took.
        answers: What it answers to the next addresses instead of taking them.
        password: What it asks for; empty when it asks for none.
        dies: Whether it goes without a word once it has taken the next mail.
        told: The passwords that it was told.
    """

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.answers: list[str] = []
        self.password = ""
        self.dies = False
        self.told: list[bytes] = []

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Say what the server can; it asks for a password only if it has one."""
        session.host_name = hostname
        return [line for line in responses if self.password or "AUTH" not in line]

    def know(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        """Take the password, or refuse it."""
        self.told.append(data.password)
        return AuthResult(success=data.password == self.password.encode(), handled=False)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take an address, or refuse it."""
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Take a mail."""
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content.decode())
        if self.dies:
            self.dies = False
            assert server.transport is not None
            server.transport.abort()
        return "250 OK"


class Office:
    """A CRM, a mail server, and people who decide; dora starts the runs. The clock stands still unless it is moved.

    Attributes:
        machine: The machine's file.
        folder: Where the rest lies.
        mailbox: What the mail server has.
        clock: The time.
        run: Id of the last run that was started.
    """

    def __init__(self, folder: Path, smtp: str, mailbox: Mailbox) -> None:
        self.machine, self.folder, self.smtp, self.mailbox = FOLDER / "renewal.yaml", folder, smtp, mailbox
        self.clock: SimulatedClock | None = SimulatedClock(1_800_000_000.0)
        self.run = ""
        self.crm, self.db = folder / "crm.sqlite", folder / "runs.db"
        Folder(FOLDER).module("sample.py").make(self.crm)
        self.keys = {name: make_key(name, folder / "keys") for name in PEOPLE}
        self.policy()

    def policy(self, more: str = "") -> None:
        """Write who may approve, and ``more``."""
        people = "".join(
            f'  {name}: {{key: "{self.keys[name][1]}", roles: [{role}]}}\n' for name, role in PEOPLE.items()
        )
        (self.folder / "policy.yaml").write_text(f"approvers:\n{people}{more}")

    def act(self, act: Act) -> RunView:
        """Do one thing in a runtime of its own, as one command does; return how the run stands then."""

        async def one() -> RunView:
            async with Runtime(self.db, clock=self.clock, starter="dora", patience=0) as runtime:
                view = await act(runtime)
                self.run = view.run if isinstance(view, RunView) else self.run
                return runtime.status(self.run)

        return asyncio.run(one())

    def start(self, **inputs: Any) -> RunView:
        """Start a renewal."""
        given = {"crm": self.crm, "vendor": VENDOR, "smtp": self.smtp, **inputs}
        return self.act(lambda runtime: runtime.start(self.machine, given))

    def decide(self, name: str, verdict: Any = "approve", **more: Any) -> RunView:
        """Let somebody decide on the open request, and the run go on."""

        async def decided(runtime: Runtime) -> RunView:
            view = runtime.status(self.run)
            assert view.pending is not None
            assert view.pending["phase"] == "approval", view
            return await runtime.decide(
                self.signature(runtime, view.pending["request"], name, verdict, **more)
            )

        return self.settled(self.act(decided))

    def signature(
        self, runtime: Runtime, request: str, name: str, verdict: Any = "approve", **more: Any
    ) -> Any:
        """Return somebody's decision on a request."""
        now = runtime.clock.now()
        asked, _ = runtime.desk.request(request)
        times = {"now": now, "until": now + 86400, **more}
        return signed(asked, verdict, name, load_key(self.keys[name][0]), **times)

    def settled(self, view: RunView) -> RunView:
        """Let back-offs and short waits pass; return the run when it ends, or waits for somebody."""
        while self.clock is not None and view.due is not None and view.due - self.clock.at < 120:
            self.clock.at = max(self.clock.at, view.due)
            view = self.resume()
        return view

    def resume(self) -> RunView:
        """Go on with the run."""
        return self.act(lambda runtime: runtime.resume(self.run))

    def path(self) -> list[str]:
        """Return the states that the run was in."""
        return self.read(lambda runtime: path_of(runtime.store, self.run))

    def records(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the bodies of the run's records of some kinds."""
        return self.read(
            lambda runtime: [json.loads(r.body) for r in runtime.store.records(self.run) if r.kind in kinds]
        )

    def read(self, look: Callable[[Runtime], Any]) -> Any:
        """Look at something in the store."""

        async def one() -> Any:
            async with Runtime(self.db, clock=self.clock) as runtime:
                return look(runtime)

        return asyncio.run(one())

    def row(self, vendor: str = VENDOR) -> tuple[str, int, int]:
        """Return end, price and version of a contract."""
        (found,) = self.sql("SELECT ends, price, version FROM contracts WHERE vendor = ?", vendor)
        return found

    def changes(self) -> list[tuple[str, int]]:
        """Return the renewals that the CRM knows: the vendor, and whether it was undone."""
        return self.sql("SELECT vendor, undone FROM changes ORDER BY rowid")

    def sql(self, text: str, *values: Any) -> list[Any]:
        """Let somebody else do something in the CRM."""
        with closing(sqlite3.connect(self.crm)) as database, database:
            return database.execute(text, values).fetchall()


@pytest.fixture
def mailbox() -> Mailbox:
    """What the mail server has, and is to answer."""
    return Mailbox()


@pytest.fixture
def office(tmp_path: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """An office with its mail server running."""
    monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(
        mailbox, hostname="127.0.0.1", port=port, authenticator=mailbox.know, auth_require_tls=False
    )
    server.start()
    yield Office(tmp_path, f"127.0.0.1:{port}", mailbox)
    server.stop()
