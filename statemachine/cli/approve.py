"""Commands for who approves: key, approvals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statemachine.cli.terminal import Db, Json, plain, say, say_json, stdout

if TYPE_CHECKING:
    from statemachine.approvals.policy import Verdict
    from statemachine.host.runtime import Runtime

key = typer.Typer(help="Keys of those who approve.", no_args_is_help=True, rich_markup_mode=None)
approvals = typer.Typer(
    help="Calls that wait for a person's yes: list them, look at one, approve or deny it.",
    rich_markup_mode=None,
)
RequestId = Annotated[
    str, typer.Argument(help="Id of a request, or of a run that has one open; it may be shortened.")
]
As = Annotated[str, typer.Option("--as", help="Your name in the policy.", metavar="NAME")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key", help="Your private key; else NAME.key in the folder of keys.", metavar="FILE"),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        help="The policy. Else $STATEMACHINE_POLICY, else policy.yaml beside the store.",
        metavar="FILE",
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


@key.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="Your name, as the policy will have it.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--in", help="Where to write it. Else $STATEMACHINE_KEYS, else ~/.config/statemachine/keys."
        ),
    ] = None,
    roles: Annotated[
        list[str] | None, typer.Option("--role", help="What you are asked as; several if repeated.")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", help="Put the public key into this policy, too.", metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a pair of keys: the private one is yours alone, the public one goes into the policy.

    Example: statemachine key new ann --role legal --policy .statemachine/policy.yaml
    """
    from statemachine.approvals.enrolling import enrol, refuse_if_enrolled
    from statemachine.approvals.keys import make_key

    stdout()
    if policy is not None:
        refuse_if_enrolled(policy, name)
    path, public = make_key(name, folder)
    if policy is not None:
        enrol(policy, name, public, roles or [])
    if as_json:
        say_json({"private": str(path), "public": public})
        return
    say(f"wrote {path}; keep it to yourself")
    entry = f'{name}: {{key: "{public}", roles: [{", ".join(roles or [])}]}}'
    say(f"for the policy, under approvers:\n  {entry}" if policy is None else f"added to {policy}: {entry}")


@approvals.callback(invoke_without_command=True)
def list_requests(
    context: typer.Context, db: Db = None, policy: PolicyFile = None, as_json: Json = False
) -> None:
    """List the requests that wait for an answer, or do something about one.

    Example: statemachine approvals
    """
    if context.invoked_subcommand is not None:
        return
    from statemachine.cli.asked import left, reach, several

    stdout()
    with _runtime(db, policy) as runtime:
        found = list(runtime.desk.requests())
    if as_json:
        say_json(found)
        return
    for body in found:
        say(f"{body['request']}  {body['machine_name']}: {body['tool']} {_short(body['input'], 60)}")
        say(f"    {reach(body)}; asks {several(body)}, {left(body['expires'], time.time())}")
    say("look at one with: statemachine approvals show ID" if found else "nothing waits for approval")


@approvals.command()
def show(request: RequestId, db: Db = None, policy: PolicyFile = None, as_json: Json = False) -> None:
    """Show all that is needed to decide on a request.

    Example: statemachine approvals show 3f2a
    """
    from statemachine.cli.asked import lines
    from statemachine.host.pinned import declared

    stdout()
    with _runtime(db, policy) as runtime:
        body = _find(runtime, request)
        starter = runtime.desk.request(body["request"])[0].starter
        machine = declared(runtime.store, body["machine"])
    if as_json:
        say_json(body | {"started_by": starter})
        return
    does = f" ({machine.summary})" if machine.summary else ""
    for line in lines(body, f"{machine.machine} {machine.version}{does}", starter, time.time()):
        say(line)
    name = body["request"]
    say(f'decide with  statemachine approvals approve {name} --as NAME --reason "…"')
    say(f'or           statemachine approvals deny {name} --as NAME --reason "…"')


@approvals.command()
def approve(
    request: RequestId,
    name: As,
    reason: Reason = "",
    key: KeyFile = None,
    hours: Annotated[float, typer.Option("--hours", min=0.01, help="For how long your yes counts.")] = 24.0,
    break_glass: Annotated[
        bool, typer.Option("--break-glass", help="Out of turn, with a second person; a review is due then.")
    ] = False,
    db: Db = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Approve a call with exactly the input that was shown; your signature is the approval.

    Example: statemachine approvals approve 3f2a --as ann --reason "the price is right"
    """
    _decide(request, "approve", name, reason, key, hours, db, policy, as_json, break_glass=break_glass)


@approvals.command()
def deny(
    request: RequestId,
    name: As,
    reason: Reason = "",
    key: KeyFile = None,
    db: Db = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Deny a call; with this input it is final for the run.

    Example: statemachine approvals deny 3f2a --as ann --reason "ask them again in May"
    """
    _decide(request, "deny", name, reason, key, 24.0, db, policy, as_json)


@approvals.command()
def review(
    request: Annotated[str, typer.Argument(help="Id of the request.")],
    name: As,
    note: Annotated[str, typer.Option("--note", help="What you found.")],
    key: KeyFile = None,
    db: Db = None,
    policy: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Note that you looked at a call for which others broke the glass.

    Example: statemachine approvals review 3f2a9c01b2d4:12 --as eve --note "it was right to act"
    """
    _decide(request, "review", name, note, key, 24.0, db, policy, as_json)


def _decide(
    request: str,
    verdict: Verdict,
    name: str,
    reason: str,
    key: Path | None,
    hours: float,
    db: str | None,
    policy: Path | None,
    as_json: bool,
    *,
    break_glass: bool = False,
) -> None:
    from statemachine.approvals.decision import signed
    from statemachine.approvals.keys import default_folder, load_key
    from statemachine.cli.drive import drive

    stdout()
    private = load_key(key or default_folder() / f"{name}.key")

    async def deciding(runtime: Runtime) -> Any:
        known = request if verdict == "review" else _find(runtime, request)["request"]
        asked, _ = runtime.desk.request(known)
        now = time.time()
        view = await runtime.decide(
            signed(
                asked,
                verdict,
                name,
                private,
                now=now,
                until=now + hours * 3600,
                reason=reason,
                break_glass=break_glass,
            )
        )
        tool = (view.pending or {}).get("tool", "")
        if view.finished is None and (stop := runtime.stops.holding(view.run, view.machine, tool)):
            typer.echo(f"{stop}: no call of it is made until that is lifted", err=True)
        return view

    drive(db, as_json, deciding, policy=policy)


def _find(runtime: Runtime, request: str) -> dict[str, Any]:
    """Return the open request with an id, or the one that a run has open."""
    from statemachine.errors import EventRefused

    found = [
        body
        for body in runtime.desk.requests()
        if body["request"].startswith(request) or body["run"].startswith(request)
    ]
    exact = [body for body in found if body["request"] == request]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise EventRefused(f"no open request begins with {request}; see: statemachine approvals")
    raise EventRefused(f"{request} may mean {', '.join(body['request'] for body in found)}; write more of it")


def _runtime(db: str | None, policy: Path | None) -> Any:
    from contextlib import contextmanager

    from statemachine.host.runtime import Runtime

    @contextmanager
    def opened() -> Any:
        runtime = Runtime(db, create=False, policy=policy)
        try:
            yield runtime
        finally:
            asyncio.run(runtime.close())

    return opened()


def _short(given: Mapping[str, Any], most: int) -> str:
    text = plain(", ".join(f"{name} = {value}" for name, value in given.items()))
    return text if len(text) <= most else f"{text[: most - 1]}…"
