"""What goes wrong with a renewal: the mail server, the CRM, and processes that are killed in the middle."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys

import pytest

from statemachine.host.view import RunView
from tests.machines.renewal.conftest import FOLDER, PASSWORD, VENDOR, Office
from tests.machines.renewal.test_renewal import AFTER, BACK, BEFORE


def agreed(office: Office) -> RunView:
    """Return the run once sales has said yes to the mail."""
    office.start()
    office.decide("ann")
    return office.decide("bob")


def test_a_mail_that_is_refused_for_now_is_sent_again_under_the_same_yes(office: Office) -> None:
    """4yz is transient, and so is 552, for this machine says so; nobody is asked twice."""
    office.mailbox.answers = ["451 greylisted, try again", "552 mailbox full"]
    assert agreed(office).outcome == "succeeded"
    assert len(office.mailbox.mails) == 1
    failed = [c for c in office.records("call_finished") if c["kind"] == "failure"]
    assert [c["class"] for c in failed] == ["transient", "transient"]
    assert len(office.records("approval_requested")) == 2


def test_a_mail_that_is_refused_for_now_for_ever_ends_with_the_crm_as_it_was(office: Office) -> None:
    """Its retries are used up."""
    office.mailbox.answers = ["451 greylisted"] * 9
    view = agreed(office)
    assert (view.outcome, view.state, office.row(), office.mailbox.mails) == ("failed", "fail", BACK, [])
    assert "after 3 retries" in view.reason


def test_an_address_that_is_refused_for_good_ends_it(office: Office) -> None:
    """550 is an error in the data; the vendor has heard nothing, so the CRM says nothing either."""
    office.mailbox.answers = ["550 nobody of that name"]
    view = agreed(office)
    assert (view.outcome, office.path()[-2:], office.row()) == ("failed", ["undo", "fail"], BACK)
    assert "mail.send failed in notify (data_error)" in view.reason


def test_a_right_that_is_missing_is_a_persons_to_give(office: Office) -> None:
    """554 is a permission here: the run waits; once it is fixed the CRM is looked at again and the mail asked for again."""
    office.mailbox.answers = ["554 relaying denied"]
    view = agreed(office)
    assert (view.state, view.waiting, office.row()) == ("blocked", "event fixed", AFTER)
    view = office.act(lambda runtime: runtime.send(office.run, "fixed", {"note": "we may relay"}, by="sue"))
    assert (view.waiting, office.path()[-2:]) == ("approval of mail.send", ["validate", "notify"])
    assert (office.decide("bob").outcome, len(office.mailbox.mails)) == ("succeeded", 1)


def test_the_password_is_told_to_nobody_on_a_line_that_others_can_read(office: Office) -> None:
    """A server that asks for it without TLS, and is not stated as this very host, does not get it: a person decides."""
    office.mailbox.password = PASSWORD
    _, _, port = office.smtp.rpartition(":")
    office.smtp = f"127.1:{port}"  # the same host, by a name of which that cannot be seen
    view = agreed(office)
    assert (view.state, view.waiting, office.mailbox.told, office.mailbox.mails) == (
        "blocked",
        "event fixed",
        [],
        [],
    )
    *_, failed = office.records("call_finished")
    assert (failed["class"], failed["message"]) == (
        "permission", "127.1 wants the password on a line that others can read"
    )  # fmt: skip
    office.mailbox.password = ""  # nor is one sent that is not asked for
    office.act(lambda runtime: runtime.send(office.run, "fixed", {}, by="sue"))
    assert (office.decide("bob").outcome, office.mailbox.told) == ("succeeded", [])


def test_a_crm_that_cannot_be_written_is_a_persons_to_mend(office: Office) -> None:
    """It fails with `permission`, at once and not again and again; once it can be written the run goes on."""
    office.start()
    # No right to write it, and for who has all rights a file of a version that SQLite must not write (fileformat2, 1.3.3).
    whole = office.crm.read_bytes()
    office.crm.write_bytes(whole[:18] + b"\x03" + whole[19:])
    office.crm.chmod(0o444)
    view = office.decide("ann")
    assert (view.state, view.waiting, office.mailbox.mails) == ("blocked", "event fixed", [])
    *_, failed = office.records("call_finished")
    assert (failed["class"], failed["message"]) == (
        "permission", "OperationalError: attempt to write a readonly database"
    )  # fmt: skip
    assert len([c for c in office.records("call_finished") if c["kind"] == "failure"]) == 1
    office.crm.chmod(0o644)
    office.crm.write_bytes(whole)
    office.settled(office.act(lambda runtime: runtime.send(office.run, "fixed", {}, by="sue")))
    office.decide("ann")
    assert (office.decide("bob").outcome, office.row()) == ("succeeded", AFTER)


def test_the_password_is_a_reference_and_nowhere_else(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not set, wrong, then right: the first two are a person's to mend, and no file of the store has ever held it."""
    office.mailbox.password = PASSWORD
    monkeypatch.delenv("SMTP_PASSWORD")
    assert agreed(office).state == "blocked"
    monkeypatch.setenv("SMTP_PASSWORD", "some-other-one")
    office.act(lambda runtime: runtime.send(office.run, "fixed", {}, by="sue"))
    assert office.decide("bob").state == "blocked"
    assert "535" in office.act(lambda runtime: runtime.resume(office.run)).reason
    monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
    office.act(lambda runtime: runtime.send(office.run, "fixed", {}, by="sue"))
    assert (office.decide("bob").outcome, len(office.mailbox.mails)) == ("succeeded", 1)
    for secret in (PASSWORD, "some-other-one"):
        for file in office.folder.glob("runs.db*"):
            assert file.is_dir() or secret.encode() not in file.read_bytes()


def test_a_right_that_nobody_gives_is_waited_for_for_a_day(office: Office) -> None:
    """And then all is as it was."""
    assert office.clock is not None
    office.mailbox.answers = ["554 relaying denied"]
    agreed(office)
    office.clock.advance(86400)
    view = office.settled(office.resume())
    assert (view.outcome, office.row()) == ("failed", BACK)


def test_a_server_that_is_not_there_has_got_nothing(office: Office) -> None:
    """That is known, so nothing is in doubt."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        office.smtp = f"127.0.0.1:{free.getsockname()[1]}"
    view = agreed(office)
    assert (view.outcome, office.row()) == ("failed", BACK)
    assert "does not answer; nothing was sent" in view.reason


@pytest.mark.parametrize("happened", [True, False])
def test_a_server_that_dies_once_it_has_the_mail_leaves_it_to_a_person(
    office: Office, happened: bool
) -> None:
    """A mail cannot be asked for: nobody but a person decides, and nothing is sent again before they do."""
    office.mailbox.dies = True
    view = agreed(office)
    assert view.waiting.startswith("a decision on call")
    assert len(office.mailbox.mails) == 1
    view = office.settled(office.act(lambda runtime: runtime.resolve(office.run, happened, by="sue")))
    assert (view.outcome, office.row()) == ("succeeded", AFTER)
    assert len(office.mailbox.mails) == (1 if happened else 2)


def test_a_crm_that_somebody_locks_is_tried_again_and_then_planned_anew(office: Office) -> None:
    """SQLite says that it is busy, which is transient; after some rounds legal is asked anew."""
    office.start()
    other = sqlite3.connect(office.crm, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    view = office.decide("ann")
    other.close()
    assert (view.waiting, office.path()[-2:]) == ("approval of crm.update", ["plan", "update"])
    failed = [c for c in office.records("call_finished") if c["kind"] == "failure"]
    assert {c["class"] for c in failed} == {"transient"}
    assert office.row() == BEFORE


def test_a_crm_that_refuses_the_change_ends_it(office: Office) -> None:
    """A constraint is an error in the data: no second try."""
    office.start()
    office.sql("CREATE TRIGGER shut BEFORE UPDATE ON contracts BEGIN SELECT RAISE(ABORT, 'shut'); END")
    assert (office.decide("ann").outcome, office.row()) == (
        "failed",
        BEFORE,
    )


KILLED = {
    "crm.py": """
_update = update

def update(crm: Path, vendor: str, version: int, ends: str, price: int, call: Call) -> None:
    BEFORE
    _update(crm, vendor, version, ends, price, call)
    AFTER
""",
    "mail.py": """
_send = send

def send(
    smtp: str, sender: str, to: str, subject: str, text: str, password: str, call: Call
) -> Reply[str | None]:
    BEFORE
    _send(smtp, sender, to, subject, text, password, call)
    AFTER
""",
}


@pytest.mark.parametrize("file", KILLED)
@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
def test_a_process_is_killed_between_intent_and_outcome(office: Office, file: str, when: str) -> None:
    """The CRM is asked and changed once; of the mail a person decides, and it is sent once."""
    office.clock = None  # another process has the clock of the wall
    folder = office.folder / "machine"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    marker = f"Path({str(office.folder / 'killed')!r})"
    kill = f"import os; ({marker}.exists() or ({marker}.touch(), os.kill(os.getpid(), 9)))"
    text = KILLED[file].replace(when, kill).replace("BEFORE", "").replace("AFTER", "")
    (folder / file).write_text(
        (folder / file).read_text().replace("import smtplib\n", "import smtplib\nfrom pathlib import Path\n")
        + text
    )
    office.machine = folder / "renewal.yaml"
    office.start()

    def approve(name: str) -> int:
        words = ("approvals", "approve", office.run, "--as", name, "--db", str(office.db), "--json")
        place = {**os.environ, "STATEMACHINE_KEYS": str(office.folder / "keys")}
        command = [sys.executable, "-m", "statemachine", *words]
        return subprocess.run(
            command, env=place, cwd=office.folder, capture_output=True, check=False
        ).returncode

    if file == "crm.py":
        assert approve("ann") == -9
        assert office.row() == (BEFORE if when == "BEFORE" else AFTER)
        assert office.resume().waiting == "approval of mail.send"
        assert office.decide("bob").finished is not None
    else:
        office.decide("ann")
        assert approve("bob") == -9
        sent = len(office.mailbox.mails)
        assert sent == (0 if when == "BEFORE" else 1)
        assert office.resume().waiting.startswith("a decision on call")
        office.act(lambda runtime: runtime.resolve(office.run, bool(sent), by="sue"))
    view = office.resume()
    assert (view.outcome, office.row(), office.changes()) == ("succeeded", AFTER, [(VENDOR, 0)])
    assert len(office.mailbox.mails) == 1
