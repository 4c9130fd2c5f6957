"""The policy: who may approve what, when nothing may be done, and who is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationError, model_validator

from statemachine.approvals.keys import is_public
from statemachine.errors import Finding, InvalidMachine, InvalidPolicy
from statemachine.machine.contract import Backoff, Part
from statemachine.machine.duration import Duration
from statemachine.machine.names import Name, Text, Word

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK = timedelta(days=7)


def _key(text: str) -> str:
    if not is_public(text):
        raise ValueError("this is no public key; `statemachine key new NAME` prints one: ed25519:…")
    return text


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("write a time such as 2026-12-24T18:00+01:00") from None
    return text


class Approver(Part):
    """A person who may decide.

    Attributes:
        key: Their public key.
        roles: What they are asked as.
        until: When they stop being one.
    """

    key: Annotated[Text, AfterValidator(_key)]
    roles: tuple[Word, ...] = ()
    until: Annotated[Text, AfterValidator(_moment)] | None = None


class Signer(Part):
    """Who signs checkpoints of the store, and approves nothing: a worker's key, or an auditor's.

    Attributes:
        key: Their public key.
    """

    key: Annotated[Text, AfterValidator(_key)]


class Window(Part):
    """A time in which approved calls are held.

    Attributes:
        since: When it begins: a time, or every week, such as ``fri 16:00``.
        until: When it ends, likewise; the end is not part of it.
        zone: The time zone of a weekly one, and of times that name none.
        machines: Patterns of machines that it holds; all of them if there are none.
        tools: Patterns of tools that it holds; all of them if there are none.
        because: Why, for those who wait.
    """

    since: Annotated[Text, Field(alias="from")]
    until: Text
    zone: Text = "UTC"
    machines: tuple[Word, ...] = ()
    tools: tuple[Word, ...] = ()
    because: Text | None = None

    @model_validator(mode="after")
    def _readable(self) -> Window:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone {self.zone}; write one such as Europe/Berlin") from None
        begins, ends = _weekly(self.since), _weekly(self.until)
        if (begins is None) != (ends is None):
            raise ValueError("from and until are both times, or both weekly such as `fri 16:00`")
        if begins is None and self._at(self.since) >= self._at(self.until):
            raise ValueError("it ends before it begins")
        return self

    def _at(self, text: str) -> datetime:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"`{text}` is neither a time such as 2026-12-24T18:00 nor `fri 16:00`") from None
        return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(self.zone))

    def holds(self, machine: str, tool: str, now: float) -> float | None:
        """Return until when a call is held, in seconds since the epoch; None when it is not."""
        named = ((self.machines, machine), (self.tools, tool))
        if not all(not patterns or any(fnmatchcase(name, p) for p in patterns) for patterns, name in named):
            return None
        begins, ends = _weekly(self.since), _weekly(self.until)
        if begins is None or ends is None:
            since, until = self._at(self.since).timestamp(), self._at(self.until).timestamp()
            return until if since <= now < until else None
        # By the clock on the wall: a week with a change of the clocks is an hour longer or shorter.
        local = datetime.fromtimestamp(now, ZoneInfo(self.zone)).replace(tzinfo=None)
        monday = datetime.combine(local.date() - timedelta(days=local.weekday()), datetime.min.time())
        inside, length = (local - monday - begins) % _WEEK, (ends - begins) % _WEEK
        if inside >= length:
            return None
        return (local - inside + length).replace(tzinfo=ZoneInfo(self.zone)).timestamp()


def _weekly(text: str) -> timedelta | None:
    """Return how long after Monday's midnight a weekly time such as ``fri 16:00`` is; None when it is none."""
    day, _, clock = text.partition(" ")
    if day.lower() not in _DAYS:
        return None
    hours, _, minutes = clock.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 25 and int(minutes) < 60):
        return None
    return timedelta(days=_DAYS.index(day.lower()), hours=int(hours), minutes=int(minutes))


class Again(Backoff):
    """When people are told again, in a way that failed, as long as the request is open.

    Attributes:
        max: How often, after the first try; then it is given up, and said so.
    """

    initial: Duration = 10.0
    cap: Duration = 600.0
    max: Annotated[int, Field(ge=0, le=100, strict=True)] = 7


class Notifier(Part):
    """How people are told of a request: exactly one of a command, a file and a web address.

    Attributes:
        name: What it is called; else it is named by what it does.
        retry: When it is tried again after it failed.
        shell: A command, as words; it gets the request as JSON on its standard input.
        file: A file to which the request is added as a line of JSON.
        webhook: An address to which it is posted as JSON.
    """

    name: Text | None = None
    retry: Again = Again()
    shell: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None
    file: Text | None = None
    webhook: Text | None = None

    @model_validator(mode="after")
    def _one(self) -> Notifier:
        if sum(getattr(self, way) is not None for way in ("shell", "file", "webhook")) != 1:
            raise ValueError("write exactly one of shell, file and webhook")
        return self

    @property
    def called(self) -> str:
        """The way, as the journal names it: of an address its host, for the rest of one is often a secret."""
        if self.name:
            return self.name
        if self.shell:
            return f"shell {self.shell[0]}"
        return f"file {self.file}" if self.file else f"webhook {urlsplit(self.webhook or '').hostname}"


class Policy(Part):
    """Who may approve, and when nothing may be done.

    Attributes:
        approvers: People by name.
        signers: Who else signs checkpoints, by name.
        break_glass: Roles or names that may, two of them together, approve out of turn and inside a freeze.
        freeze: Times in which calls that need approval are held.
        by_time: Patterns of tools whose calls an unanswered request may approve, if their state says so.
        notify: How people are told.
    """

    approvers: dict[Name, Approver] = Field(default={})
    signers: dict[Name, Signer] = Field(default={})
    break_glass: tuple[Word, ...] = ()
    freeze: tuple[Window, ...] = ()
    by_time: tuple[Word, ...] = ()
    notify: tuple[Notifier, ...] = ()

    @property
    def ways(self) -> dict[str, Notifier]:
        """How people are told, by name; of several of one name the later ones are numbered."""
        ways: dict[str, Notifier] = {}
        for way in self.notify:
            alike = sum(way.called == other.called for other in ways.values())
            ways[f"{way.called} ({alike + 1})" if alike else way.called] = way
        return ways

    def signing_key(self, name: str) -> str | None:
        """Return the public key with which one of this name signs checkpoints; None when nobody of it does."""
        found = self.signers.get(name) or self.approvers.get(name)
        return found.key if found is not None else None

    def may_answer(self, name: str, asked: tuple[str, ...], now: float) -> bool:
        """Return whether a person is one of those who are asked: by name, by role, or because anyone is."""
        person = self.approvers.get(name)
        if person is None or (person.until and now >= _seconds(person.until)):
            return False
        return not asked or name in asked or not set(asked).isdisjoint(person.roles)

    def frozen(self, machine: str, tool: str, now: float) -> tuple[float, str] | None:
        """Return until when a call is held and why; None when it is not."""
        held = [
            (until, w.because or "a freeze") for w in self.freeze if (until := w.holds(machine, tool, now))
        ]
        return max(held, default=None)

    def approves_by_time(self, tool: str) -> bool:
        """Return whether the policy lets an unanswered request for a tool be approved."""
        return any(fnmatchcase(tool, pattern) for pattern in self.by_time)


def _seconds(text: str) -> float:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def read_policy(path: Path) -> Policy:
    """Return the policy in a YAML file; one that is not there lets nobody approve.

    Raises:
        InvalidPolicy: It cannot be read, or says something that no policy says; with every place.
    """
    from statemachine.machine.source import read_source

    if not path.exists():
        return Policy()
    try:
        source = read_source(path, str(path))
    except InvalidMachine as error:
        raise InvalidPolicy(error.findings) from None
    findings = list(source.findings)
    try:
        policy = Policy.model_validate(source.data)
    except ValidationError as error:
        for wrong in error.errors(include_url=False):
            keys = tuple(part for part in wrong["loc"] if part != "[key]")
            message = f"{'.'.join(map(str, keys))}: {wrong['msg'].removeprefix('Value error, ')}"
            findings.append(Finding("SM150", message, source.place(keys), keys))
    if findings:
        raise InvalidPolicy(findings)
    return policy


Verdict = Literal["approve", "deny", "review"]
