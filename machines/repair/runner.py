"""Run a pytest file against many versions of one program; started by `sandbox.py` as a script of its own.

One process imports pytest and its plugins, then forks a child for each version: a version costs tens of
milliseconds instead of a start of Python. A child loads the version in place of the program's file and runs the tests. The parent
watches the clock, and ends whole process groups. It reads one JSON request on stdin, which stays open: when it
closes, whoever asked is gone, and everything ends. It writes one JSON line per result on stdout.
"""

from __future__ import annotations

import importlib.machinery
import io
import json
import os
import re
import resource
import select
import signal
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

GRACE = 5.0  # seconds for fixtures to tear down once the verdict is known
FILES = 256 << 20  # bytes that a test may write to one file


def message_of(error: BaseException) -> str:
    """The type and first line of an exception, without what changes from process to process."""
    text = f"{type(error).__name__}: {error}".strip().splitlines()[0][:200]
    return re.sub(r"\b0x[0-9a-f]+\b", "0x…", text)


def clocks() -> tuple[float, float]:
    """Processor time of this process, and a tenth of the time by the clock."""
    return time.process_time(), time.monotonic() / 10


def took(began: tuple[float, float]) -> float:
    """Seconds since `began`: of processor time, or for what mostly waits a tenth of the time by the clock.

    Limits of both kinds follow from this one number, and the limit by the clock is the wider one; so neither a busy
    host nor a test that waits is mistaken for a hang.
    """
    return round(max(now - then for now, then in zip(clocks(), began, strict=True)), 3)


def substitute(program: str, version: str) -> None:
    """Load `version` wherever a Python loader reads `program`, and never the program's cached byte code.

    The loader class is patched, rather than a finder added, because tests also load a script through
    `importlib.util.spec_from_file_location`, which asks no finder.
    """
    loader = importlib.machinery.SourceFileLoader
    get_data, path_stats = loader.get_data, loader.path_stats
    source, real, name = Path(version).read_bytes(), os.path.realpath(program), os.path.basename(program)

    def is_program(path: str) -> bool:
        return os.path.basename(path) == name and os.path.realpath(path) == real

    def substituted_data(self: Any, path: str) -> bytes:
        return source if is_program(path) else get_data(self, path)

    def substituted_stats(self: Any, path: str) -> Any:
        if is_program(path):
            raise OSError("no cached byte code for the program under repair")
        return path_stats(self, path)

    loader.get_data = substituted_data  # type: ignore[method-assign]
    loader.path_stats = substituted_stats  # type: ignore[method-assign]


class Worker:
    """The pytest plugin inside a child: order, limits, coverage, and one verdict."""

    def __init__(self, request: dict[str, Any], job: Job, pipe: int) -> None:
        self.request, self.job, self.pipe = request, job, pipe
        self.observing: bool = request["observe"]
        self.expected: list[str] = [] if self.observing else request["natural" if job.confirms else "order"]
        self.test: str | None = None
        self.outcome = self.message = ""
        self.passed = 0
        self.decided = False
        self.began = clocks()
        if self.observing:
            import coverage

            self.coverage = coverage.Coverage(data_file=None, config_file=False, include=[request["program"]])
            self.coverage.set_option(
                "run:disable_warnings", ["no-data-collected", "no-ctracer", "couldnt-parse"]
            )
            signal.signal(signal.SIGPROF, self.out_of_time)
            self.coverage.start()
        sys.stderr = self.stderr = io.StringIO()  # pytest explains a broken conftest there

    def say(self, **message: Any) -> None:
        os.write(self.pipe, json.dumps(message).encode() + b"\n")

    def decide(self, kind: str, text: str, test: str | None) -> None:
        if not self.decided:
            self.decided = True
            self.say(kind=kind, message=text, test=test, passed=self.passed)

    def lines(self, context: str) -> list[int]:
        data = self.coverage.get_data()
        data.set_query_context(context)
        return sorted({line for path in data.measured_files() for line in data.lines(path) or ()})

    def out_of_time(self, _signal: int, _frame: object) -> None:
        """Tell what a hanging test has run so far; there is nothing that the test could catch."""
        self.coverage.stop()
        if self.test is None:
            self.decide("timeout", "", None)
        else:
            self.say(end=self.test, outcome="timeout", message="", seconds=0.0, lines=self.lines(self.test))
        os._exit(0)

    def pytest_sessionstart(self) -> None:
        sys.stderr = sys.__stderr__

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.observing:
            self.say(collected=len(items), seconds=took(self.began), lines=self.lines(""))
            done = set(self.job.done)
            items[:] = [item for item in items if item.nodeid not in done]
            return
        found = {item.nodeid: item for item in items}
        missing = [test for test in self.expected if test not in found]
        if missing:
            self.decide("failed", "the test is no longer there", missing[0])
        items[:] = [] if missing else [found[test] for test in self.expected]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            lines = [line[1:].strip() for line in report.longreprtext.splitlines() if line.startswith("E  ")]
            self.decide(
                "crash", (lines or report.longreprtext.splitlines() or ["not collected"])[-1][:200], None
            )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self.test, self.outcome, self.message = item.nodeid, "skipped", ""
        limit = self.job.limit or self.request["limits"][item.nodeid]
        self.say(begin=item.nodeid, limit=limit)
        if self.observing:
            self.coverage.switch_context(item.nodeid)
        signal.setitimer(signal.ITIMER_PROF, limit)
        self.began = clocks()
        try:
            result = yield
        except BaseException:  # what pytest does about it now is no longer the test's time
            self.decide("crash", "the test broke off the session", item.nodeid)
            raise
        finally:
            seconds = took(self.began)
            signal.setitimer(signal.ITIMER_PROF, 0)
        if self.observing:
            self.coverage.switch_context("")
            self.say(
                end=item.nodeid,
                outcome=self.outcome,
                message=self.message,
                seconds=seconds,
                lines=self.lines(item.nodeid),
            )
        elif self.outcome == "passed":
            self.passed += 1
        else:
            self.decide("failed", self.message or "the test no longer runs", item.nodeid)
            item.session.shouldfail = "one failure is enough"
        self.test = None
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            if self.outcome != "failed" and call.excinfo is not None:
                self.message = message_of(call.excinfo.value)
            self.outcome = "failed"
        elif report.passed and report.when == "call" and self.outcome != "failed":
            self.outcome = "passed"
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Leave when fixtures are torn down: what plugins do for their summaries would cost more than the tests."""
        self.finish(exitstatus)
        os._exit(0)

    def finish(self, code: int) -> None:
        """Say the verdict if no test has; a session that pytest broke off is a crash."""
        if code == pytest.ExitCode.OK or (self.observing and code == pytest.ExitCode.TESTS_FAILED):
            self.decide("passed", "", None)
        elif code == pytest.ExitCode.NO_TESTS_COLLECTED:
            self.decide("passed" if self.job.done else "crash", "there is no test in it", None)
        else:
            lines = [line.strip() for line in self.stderr.getvalue().splitlines() if line.strip()]
            self.decide("crash", (lines or [f"pytest ended with code {int(code)}"])[-1][:200], None)


@dataclass
class Job:
    """One version to run, or what is left of it; `done` are tests not to run again, `limit` overrides theirs."""

    index: int
    version: str
    confirms: bool = False
    done: list[str] = field(default_factory=list)
    limit: float = 0.0


@dataclass
class Child:
    """A forked worker as its parent sees it."""

    job: Job
    pid: int
    deadline: float
    done: int
    buffer: bytes = b""
    test: str | None = None
    passed: int = 0
    late: bool = False
    verdict: dict[str, Any] | None = None


class Server:
    """The pytest plugin of the first process: forks before any conftest or test is imported."""

    def __init__(self, request: dict[str, Any], life: int, out: int) -> None:
        self.request, self.life, self.out = request, life, out
        self.queue = [Job(index, version) for index, version in enumerate(request["versions"])]
        if request["observe"]:
            self.queue[0].limit = request["patience"]
        self.children: dict[int, Child] = {}
        self.best = len(self.queue)
        self.slowest = 0.0
        self.worker: Worker | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> Generator[None, object, object]:
        self.worker = self.serve()
        early_config.pluginmanager.register(self.worker)
        return (yield)

    def serve(self) -> Worker:
        """Run every job; returns only in a forked child, with what it is to do."""
        while self.queue or self.children:
            while self.queue and len(self.children) < self.request["cores"]:
                worker = self.fork(self.queue.pop(0))
                if worker is not None:
                    return worker
            self.attend()
        os._exit(0)

    def fork(self, job: Job) -> Worker | None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writer)
            deadline = time.monotonic() + self.wall(self.request["start"])
            self.children[reader] = Child(job, pid, deadline, done=len(job.done))
            return None
        os.setsid()
        for descriptor in (reader, self.life, self.out, *self.children):
            os.close(descriptor)
        confine(self.request["memory"])
        scratch = f"{self.request['scratch']}/{os.getpid()}"
        os.mkdir(scratch)
        os.environ["TMPDIR"] = scratch
        sys.path[:0] = self.request["path"]
        substitute(self.request["program"], job.version)
        signal.setitimer(signal.ITIMER_PROF, self.request["start"])
        return Worker(self.request, job, writer)

    def wall(self, limit: float) -> float:
        """Seconds by the clock that go with a limit of processor time: for tests that wait, and for a busy host."""
        return 3 * limit + 1

    def attend(self) -> None:
        """Wait for news, and end what is out of time."""
        wait = min(child.deadline for child in self.children.values()) - time.monotonic()
        ready, _, _ = select.select([self.life, *self.children], [], [], min(max(wait, 0.0), 0.2))
        if self.life in ready:
            for reader, child in list(self.children.items()):
                self.kill(reader, child)
            os._exit(1)
        for reader, child in list(self.children.items()):
            if reader not in self.children:
                continue  # an earlier one won, and this one was not needed any more
            if reader in ready:
                news = os.read(reader, 1 << 16)
                for message in child_messages(child, news):
                    self.hear(child, message)
                if not news:
                    self.end(reader, child)
            elif time.monotonic() > child.deadline:
                self.expire(reader, child)

    def expire(self, reader: int, child: Child) -> None:
        """Ask a late child for what it knows; kill the one that does not answer."""
        if child.late or child.verdict is not None:
            self.end(reader, child)
            return
        child.late, child.deadline = True, time.monotonic() + 1
        os.kill(child.pid, signal.SIGPROF)

    def hear(self, child: Child, message: dict[str, Any]) -> None:
        if "kind" in message:
            child.verdict, child.deadline = message, time.monotonic() + GRACE
            if message["kind"] == "passed" and not self.request["observe"]:
                self.best = min(self.best, child.job.index)
        elif "begin" in message:
            child.passed += child.test is not None
            child.test, child.deadline = message["begin"], time.monotonic() + self.wall(message["limit"])
        else:
            if "end" in message:
                child.test = None
                child.job.done.append(message["end"])
                child.late = child.late or message["outcome"] == "timeout"
                if message["outcome"] == "passed":
                    self.slowest = max(self.slowest, message["seconds"])
            self.tell(message)

    def end(self, reader: int, child: Child) -> None:
        """Collect a child, decide for it where it could not, and see what is next."""
        status = self.kill(reader, child)
        late = child.late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF)
        verdict = child.verdict or {
            "kind": "timeout" if late else "crash",
            "message": "" if late else f"the test process ended with {describe(status)}",
            "test": child.test,
            "passed": child.passed,
        }
        if self.request["observe"]:
            self.observe(child, verdict)
        elif verdict["kind"] == "passed" and not child.job.confirms:
            self.queue.insert(0, Job(child.job.index, child.job.version, confirms=True))
        else:
            self.tell({"version": child.job.index, **verdict})
        for other_reader, other in list(self.children.items()):
            if other.job.index > self.best:
                self.kill(other_reader, other)
        self.queue = [job for job in self.queue if job.index <= self.best]

    def observe(self, child: Child, verdict: dict[str, Any]) -> None:
        """After a test that ended its process, go on with the tests behind it, and with less patience."""
        job = child.job
        if child.test is not None:
            job.done.append(child.test)
            self.tell(
                {"end": child.test, "outcome": verdict["kind"], "message": verdict["message"], "seconds": 0.0}
            )
        elif len(job.done) == child.done or child.verdict is not None:
            self.tell({"version": job.index, **verdict})
            return
        if verdict["kind"] == "timeout":
            job.limit = min(job.limit, max(self.request["floor"], 10 * self.slowest))
        self.queue.append(job)

    def kill(self, reader: int, child: Child) -> int:
        """End a child's process group, which outlives its leader where a test left processes behind."""
        for kill in (os.killpg, os.kill):
            try:
                kill(child.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # no group yet; macOS on a group of zombies
                continue
        os.close(reader)
        del self.children[reader]
        return os.waitpid(child.pid, 0)[1]

    def tell(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self.out, data) :]


def child_messages(child: Child, news: bytes) -> Iterator[dict[str, Any]]:
    """The whole messages so far; the rest waits in the child's buffer."""
    *lines, child.buffer = (child.buffer + news).split(b"\n")
    return (json.loads(line) for line in lines)


def describe(status: int) -> str:
    """How a process ended, in words."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def confine(memory: int) -> None:
    """Limit what a test process can take, and close its terminal."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILES, FILES))
    if sys.platform != "darwin":  # which has no limit of address space
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def main() -> None:
    """Serve one request."""
    request = json.loads(sys.stdin.buffer.readline())
    life, out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    if request["observe"]:
        import coverage  # noqa: F401  (before the fork, once)
    server = Server(request, life, out)
    code = pytest.main([request["tests"], *request["arguments"]], plugins=[server])
    if server.worker is None:
        sys.exit(f"pytest did not start: code {int(code)}")
    server.worker.finish(int(code))
    os._exit(0)


if __name__ == "__main__":
    main()
