"""A renewal on a real CRM and a real mail server: each way through it, and what people decide."""

from __future__ import annotations

from email import message_from_string
from email.policy import default
from typing import Any

import pytest

from statemachine.errors import EventRefused
from statemachine.host.explain import explain
from statemachine.host.exporting import export_calls
from statemachine.host.runtime import Runtime
from tests.machines.renewal.conftest import VENDOR, Office

BEFORE = ("2026-12-31", 12000, 7)
AFTER = ("2027-12-31", 12360, 8)
BACK = ("2026-12-31", 12000, 9)
DAY = 86400.0


def test_a_contract_is_renewed_and_the_vendor_told(office: Office) -> None:
    """Legal agrees to the change, sales to the mail; nothing is written or sent before."""
    view = office.start()
    assert (view.waiting, office.row(), office.mailbox.mails) == ("approval of crm.update", BEFORE, [])
    view = office.decide("ann")
    assert (view.waiting, office.row(), office.mailbox.mails) == ("approval of mail.send", AFTER, [])
    view = office.decide("bob")
    assert (view.outcome, office.row()) == ("succeeded", AFTER)
    assert office.path() == ["read", "plan", "update", "validate", "notify", "complete"]
    mail = message_from_string(office.mailbox.mails[0], policy=default)
    asked = office.records("approval_requested")[1]["input"]
    assert mail.get_content().replace("\r\n", "\n").strip() == asked["text"]
    assert (mail["To"], mail["Subject"]) == (asked["to"], asked["subject"])
    assert "until 2027-12-31, for 12360 euros a year" in asked["text"]
    assert len(office.mailbox.mails) == 1
    assert mail["Message-ID"] == view.output["message"]
    assert (view.output["ends"], view.output["price"], view.cost) == ("2027-12-31", 12360, {"mails": 1})


def test_the_request_says_what_an_approver_needs(office: Office) -> None:
    """What the agent says is its word; what follows a yes, a no and no answer is the machine's."""
    office.start()
    (asked,) = office.records("approval_requested")
    assert asked["agent_says"]["reasoning"].endswith("the contract allows 3 %, and that is what is written.")
    assert asked["agent_says"]["expects"] == (
        "It ends 2027-12-31 instead of 2026-12-31 and costs 12360 a year instead of 12000."
    )
    assert (asked["reversibility"], asked["undo"]) == ("full", "crm.restore")
    assert asked["checked_by"] == ["validate: Does the CRM say what was planned?"]
    assert asked["denied_to"] == ["undo: Put back what was written, and give up."]
    assert (asked["unanswered"], asked["next"]) == ("escalate", [{"approvers": ["board"], "needed": 2}])
    assert asked["only_while"] == "contract.ends == plan.from_ends && contract.price == plan.from_price"


def test_the_compliance_stream_tells_who_and_what_and_no_payload(office: Office) -> None:
    """Not the reasons, not the contract; of the input only what the tools' own sentences name."""
    office.start()
    office.decide("ann")
    office.decide("bob")
    told = office.read(lambda runtime: list(export_calls(runtime.store, office.run, "compliance")))
    assert [(call["authorised_by"], call["sentence"]) for call in told] == [
        ("dora", f"Read the contract of {VENDOR}"),
        ("dora", "Planned a renewal"),
        ("ann", f"Renewed the contract of {VENDOR} until 2027-12-31 for 12360 a year"),
        ("dora", f"Checked that the contract of {VENDOR} ends 2027-12-31 and costs 12360 a year"),
        ("bob", f"Sent a mail: {VENDOR}: our contract is renewed until 2027-12-31"),
    ]
    assert told[2]["modifies"] == [f"contract:{VENDOR}: ends, price"]
    assert "seats" not in str(told)
    assert "office@northwind.example" not in str(told)


@pytest.mark.parametrize(("vendor", "input", "why"), [
    ("Contoso Print", {}, "a person should look at this one: 12 of 40 seats are used"),
    (VENDOR, {"ceiling": 12100}, "12360 a year is more than the 12100 that it may cost"),
    (VENDOR, {"months": 0}, "0 months is no term"),
    ("Nobody", {}, "the CRM has no contract with Nobody; it has Contoso Print, Fabrikam Cloud"),
])  # fmt: skip
def test_what_should_not_be_renewed_is_not_asked_for(
    office: Office, vendor: str, input: dict[str, Any], why: str
) -> None:
    """A plan that is unsure, too dear or impossible ends the run with the reason, and nobody was bothered."""
    view = office.start(vendor=vendor, **input)
    assert (view.outcome, view.state) == ("failed", "fail")
    assert why in view.reason
    assert office.records("approval_requested") == []


def test_legal_denies_and_nothing_is_written(office: Office) -> None:
    """The reason is the run's."""
    office.start()
    view = office.decide("ann", "deny", reason="we leave them")
    assert (view.outcome, office.path()[-2:], office.row()) == ("failed", ["undo", "fail"], BEFORE)
    assert "ann denied crm.update: we leave them" in view.reason


def test_sales_denies_and_the_crm_is_as_it_was(office: Office) -> None:
    """What legal agreed to is taken back: the vendor never heard of it."""
    office.start()
    office.decide("ann")
    view = office.decide("bob", "deny")
    assert (view.outcome, office.row(), office.mailbox.mails) == ("failed", BACK, [])
    assert "undone: crm.update" in view.reason


def test_nobody_answers_and_the_board_is_asked_and_does_not_either(office: Office) -> None:
    """After a day two of the board are asked, after half a day more it is denied."""
    assert office.clock is not None
    office.start()
    office.clock.advance(DAY)
    view = office.resume()
    (_, asked) = office.records("approval_requested")
    assert (view.waiting, asked["approvers"], asked["needed"], asked["unanswered"]) == (
        "approval of crm.update", ["board"], 2, "deny",
    )  # fmt: skip
    with pytest.raises(EventRefused, match="ann is not among those who may: board"):
        office.decide("ann")
    assert office.decide("eve").waiting == "approval of crm.update"
    office.clock.advance(DAY / 2)
    view = office.resume()
    assert (view.outcome, office.row()) == ("failed", BEFORE)
    assert "nobody approved crm.update in time" in view.reason


def test_two_of_the_board_stand_in_for_legal(office: Office) -> None:
    """And not the same one twice."""
    assert office.clock is not None
    office.start()
    office.clock.advance(DAY)
    office.resume()
    office.decide("eve")
    office.decide("eve")
    assert office.row() == BEFORE
    assert (office.decide("joe").waiting, office.row()) == ("approval of mail.send", AFTER)


def test_an_hour_passes_and_one_yes_is_enough(office: Office) -> None:
    """The contract has grown stale by then; it is read anew, and as it is still the same, so is the yes."""
    assert office.clock is not None
    office.start()
    office.clock.advance(3600)
    office.decide("ann")
    office.clock.advance(3600)
    assert office.decide("bob").outcome == "succeeded"
    assert len(office.records("approval_requested")) == 2
    assert [c["tool"] for c in office.records("call_intended")].count("crm.read") == 3


def test_somebody_else_has_touched_the_contract(office: Office) -> None:
    """The lock refuses the write; the contract is read anew, and legal is asked again, for it is another input."""
    office.start()
    office.sql("UPDATE contracts SET contact = 'new@northwind.example', version = version + 1")
    view = office.decide("ann")
    (failed,) = [c for c in office.records("call_finished") if c["kind"] == "failure"]
    assert (failed["class"], view.waiting) == ("stale_data", "approval of crm.update")
    first, second = office.records("approval_requested")
    assert (first["input"]["version"], second["input"]["version"]) == (7, 8)
    office.decide("ann")
    office.decide("bob")
    assert office.row() == ("2027-12-31", 12360, 9)
    assert "To: new@northwind.example" in office.mailbox.mails[0]


def test_somebody_else_has_changed_the_price(office: Office) -> None:
    """What was planned with is no longer so: the run plans anew, and legal sees the new price."""
    office.start()
    office.sql("UPDATE contracts SET price = 13000, version = version + 1 WHERE vendor = ?", VENDOR)
    view = office.decide("ann")
    assert view.waiting == "approval of crm.update"
    assert office.path()[-4:] == ["revise", "read", "plan", "update"]
    assert office.records("approval_requested")[-1]["input"]["price"] == 13390


def test_somebody_else_changes_it_after_us(office: Office) -> None:
    """It is checked before anybody outside is told; what is no longer ours is not taken back, a person looks."""
    office.sql(
        "CREATE TRIGGER other AFTER UPDATE ON contracts WHEN NEW.price = 12360 BEGIN "
        "UPDATE contracts SET price = 1, version = version + 1 WHERE vendor = NEW.vendor; END"
    )
    office.start()
    view = office.decide("ann")
    assert (view.outcome, view.state, office.row()[1]) == ("failed", "stranded", 1)
    assert "somebody has changed the contract of Northwind Paper since it was renewed" in view.reason
    assert office.mailbox.mails == []


@pytest.mark.parametrize(("change", "ends"), [({"vendor": "Fabrikam Cloud"}, "2028-02-29"), ({"months": 24}, "2028-12-31")])  # fmt: skip
def test_what_is_wanted_changes_while_legal_thinks(office: Office, change: dict[str, Any], ends: str) -> None:
    """The old request is void, what rested on the old wish is forgotten, and legal is asked anew."""
    office.start()
    first = office.records("approval_requested")[0]["request"]
    view = office.act(lambda runtime: runtime.amend(office.run, change, by="dora"))
    assert (view.waiting, office.path()[-4:]) == (
        "approval of crm.update",
        ["revise", "read", "plan", "update"],
    )

    async def late(runtime: Runtime) -> Any:
        return await runtime.decide(office.signature(runtime, first, "ann"))

    with pytest.raises(EventRefused, match="no longer open"):
        office.act(late)
    assert office.records("approval_requested")[-1]["input"]["ends"] == ends
    office.decide("ann")
    assert office.row(change.get("vendor", VENDOR))[0] == ends


def test_what_is_wanted_changes_after_it_was_written(office: Office) -> None:
    """The first contract is put back before the second is looked at."""
    office.start()
    office.decide("ann")
    office.act(lambda runtime: runtime.amend(office.run, {"vendor": "Fabrikam Cloud"}, by="dora"))
    assert office.row() == BACK
    office.decide("ann")
    office.decide("bob")
    assert office.changes() == [(VENDOR, 1), ("Fabrikam Cloud", 0)]
    assert "To: sales@fabrikam.example" in office.mailbox.mails[0]


def test_a_cancelled_renewal_leaves_nothing_behind(office: Office) -> None:
    """Cancelled while sales thinks about the mail."""
    office.start()
    office.decide("ann")
    view = office.act(lambda runtime: runtime.cancel(office.run))
    assert (view.outcome, office.row(), office.mailbox.mails) == ("cancelled", BACK, [])


def test_undoing_puts_the_row_back_and_says_that_the_mail_stands(office: Office) -> None:
    """Of a renewal that has succeeded, too."""
    office.start()
    office.decide("ann")
    office.decide("bob")
    view = office.act(lambda runtime: runtime.undo(office.run, by="dora"))
    assert (view.outcome, office.row()) == ("cancelled", BACK)
    assert view.reason.endswith("undone: crm.update; not undone: mail.send")
    told = office.read(lambda runtime: explain(runtime.store, office.run).as_data())
    assert [call["tool"] for call in told["irreversible"]] == ["mail.send"]


def test_nothing_is_written_on_a_friday_evening(office: Office) -> None:
    """A yes that is signed for long enough counts, and the call waits until the freeze is over."""
    assert office.clock is not None
    office.policy('freeze: [{from: "fri 07:00", until: "mon 08:00", tools: [crm.*], because: weekend}]\n')
    office.start()
    view = office.decide("ann", until=office.clock.at + 5 * 86400)
    assert (view.waiting, office.row()) == ("a freeze to end, to call crm.update", BEFORE)
    assert view.due is not None
    office.clock.at = view.due
    assert (office.resume().waiting, office.row()) == ("approval of mail.send", AFTER)


def test_two_people_break_the_glass_on_a_friday_evening(office: Office) -> None:
    """Out of turn and inside the freeze; somebody else has to look at it afterwards."""
    office.policy(
        'freeze: [{from: "fri 07:00", until: "mon 08:00", because: weekend}]\nbreak_glass: [board]\n'
    )
    office.start()
    assert office.decide("eve", break_glass=True).waiting == "approval of crm.update"
    view = office.decide("joe", break_glass=True, reason="it ends tonight")
    assert (view.waiting, office.row()) == ("approval of mail.send", AFTER)
    (call,) = [
        c
        for c in office.read(lambda runtime: list(export_calls(runtime.store, office.run, "compliance")))
        if c["tool"] == "crm.update"
    ]
    assert (call["authorised_by"], call["authorised_how"]) == ("eve, joe", "signed, and broke the glass")
    (request,) = [b["request"] for b in office.records("approval_decided") if b["result"] == "granted"]

    async def reviewed(runtime: Runtime) -> Any:
        return await runtime.decide(office.signature(runtime, request, "ann", "review", reason="right"))

    office.act(reviewed)
    assert len(office.records("approval_reviewed")) == 1


async def stopping(runtime: Runtime, tool: str) -> None:
    """Stop a tool."""
    runtime.stops.set("tool", tool, "carl", "the address book is wrong", runtime.clock.now())


def test_what_is_approved_while_it_is_stopped_can_be_cancelled(office: Office) -> None:
    """Cancelling beats a yes that has not been used."""
    office.start()
    office.act(lambda runtime: stopping(runtime, "crm.update"))
    office.decide("ann")
    view = office.act(lambda runtime: runtime.cancel(office.run))
    assert (view.outcome, office.row()) == ("cancelled", BEFORE)


def test_no_mail_goes_out_while_mail_is_stopped(office: Office) -> None:
    """Approved or not; when the stop is lifted, the approved one goes."""

    async def lifted(runtime: Runtime) -> None:
        runtime.stops.lift("tool", "mail.send", runtime.clock.now())

    office.start()
    office.decide("ann")
    office.act(lambda runtime: stopping(runtime, "mail.send"))
    view = office.decide("bob")
    assert (view.waiting, office.mailbox.mails) == ("approval of mail.send", [])
    office.act(lifted)
    view = office.resume()
    assert (view.outcome, len(office.mailbox.mails)) == ("succeeded", 1)
