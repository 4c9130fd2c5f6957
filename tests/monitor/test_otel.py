"""OpenTelemetry: spans, measures and compliance records arrive at a collector, as the environment says; else nothing does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from statemachine.errors import InvalidInput, NotDelivered
from statemachine.host.sinks import ComplianceLogs
from statemachine.journal.tracing import span_id, trace_id
from statemachine.monitor import otel
from statemachine.monitor.otel import exporters
from statemachine.monitor.traces import Traces
from statemachine.store import Store
from tests.benchmarks.replay.__main__ import define, write
from tests.monitor.collector import Collector, attributes, collecting

CANARY = "canary-5d1e"
MACHINE = """
machine: greets
version: "1"
context: {name: {type: str, owner: operator}}
tools:
  hello: {shell: "echo {name}", effect: read, input: {name: str}, timeout: 20s, says: Said hello}
  break: {shell: "false {name}", effect: read, input: {name: str}, timeout: 20s}
initial: act
events: {go: {}}
states:
  act: {do: hello, on: {done: again, failed: fail}}
  again: {do: break, on: {done: fail, failed: hold}}
  hold: {on: {go: complete}}
  complete: {final: succeeded}
  fail: {final: failed}
"""
COMMAND = (sys.executable, "-m", "statemachine")


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens."""
    with collecting() as listening:
        yield listening


@pytest.fixture
def environment(collector: Collector) -> dict[str, str]:
    """What the environment says to whoever shall tell it."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "STATEMACHINE"))
    }
    said = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "greeter"}
    return kept | said | {"OTEL_EXPORTER_OTLP_TIMEOUT": "2"}


@pytest.fixture
def statemachine(tmp_path: Path, environment: dict[str, str]) -> Callable[..., str]:
    """Run a command on the folder's store, and return what it prints."""
    (tmp_path / "greets.yaml").write_text(MACHINE)

    def run(*words: str) -> str:
        done = subprocess.run(
            [*COMMAND, *words, "--db", "runs.db"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 3), done.stderr
        return done.stdout

    return run


def test_a_run_is_told_of_in_all_three_ways(
    collector: Collector, statemachine: Callable[..., str], tmp_path: Path
) -> None:
    """By two processes, one after the other, as one tree of spans; without payload."""
    told = json.loads(statemachine("run", "greets.yaml", "-i", f"name={CANARY}", "--json"))
    assert {span.name for span in collector.spans} == {
        "act",
        "again",
        "execute_tool hello",
        "execute_tool break",
    }
    statemachine("send", told["run"], "go")
    spans = {span.name: span for span in collector.spans}
    assert len(spans) == len(collector.spans) == 7
    assert {int.from_bytes(span.trace_id) for span in collector.spans} == {trace_id(told["run"])}
    known = {span.span_id for span in collector.spans}
    (root,) = (span for span in collector.spans if not span.parent_span_id)
    assert root.name == "invoke_agent greets"
    assert int.from_bytes(root.span_id) == span_id(told["run"], 0)
    assert {span.parent_span_id for span in collector.spans if span is not root} <= known
    assert attributes(root)["gen_ai.agent.version"] == "1"
    failed = spans["execute_tool break"]
    assert attributes(failed)["error.type"] == "unknown"
    assert (failed.status.code, spans["execute_tool hello"].status.code) == (2, 0)
    assert failed.parent_span_id == spans["again"].span_id

    hello, broke = collector.logs
    assert hello.body.string_value == "Said hello: success"
    assert (hello.severity_text, broke.severity_text) == ("INFO", "WARN")
    assert (hello.span_id, broke.span_id) == (spans["execute_tool hello"].span_id, failed.span_id)
    assert hello.event_name == "statemachine.call"
    assert attributes(hello)["statemachine.tool"] == "hello"

    resource = attributes(collector.got["/v1/traces"][0].resource_spans[0].resource)
    assert resource["service.name"] == "greeter"
    (finished,) = collector.metrics["statemachine.runs_finished"].sum.data_points
    assert attributes(finished) == {"machine": "greets", "status": "succeeded"}
    assert CANARY not in collector.text()


def test_a_worker_measures_what_prometheus_would(
    collector: Collector, environment: dict[str, str], statemachine: Callable[..., str], tmp_path: Path
) -> None:
    """Gauges, counters, and histograms with the same bounds; no run is ever a label."""
    environment["OTEL_METRIC_EXPORT_INTERVAL"] = "300"
    (tmp_path / "names.jsonl").write_text('{"name": "ann"}\n{"name": "bob"}\n')
    made = statemachine("run", "greets.yaml", "--inputs", "names.jsonl", "--detach").split()
    command = [*COMMAND, "worker", "--poll", "0.1", "--db", "runs.db"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as worker:
        deadline = time.monotonic() + 60
        while _value(collector, "runs", machine="greets", status="waiting") != 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 128 + signal.SIGTERM
    assert _value(collector, "calls", machine="greets", tool="hello", result="success") == 2
    assert _value(collector, "waiting_on_people", machine="greets", what="event") == 2
    assert _value(collector, "stops", scope="all") == 0
    took = collector.metrics["statemachine.call"]
    assert took.unit == "s"
    for point in took.histogram.data_points:
        assert point.count == 2
        assert 0 < point.sum < 40
        assert list(point.explicit_bounds) == [2.0**power for power in range(-8, 18)]
    assert len(made) == 2
    measured = "".join(str(one) for one in collector.got["/v1/metrics"])
    assert not [run for run in made if run in measured]


def _value(collector: Collector, name: str, **labels: str) -> float | None:
    metric = collector.metrics.get(f"statemachine.{name}")
    points = [] if metric is None else [*metric.gauge.data_points, *metric.sum.data_points]
    found = [point for point in points if attributes(point) == labels]
    return (found[0].as_int or found[0].as_double) if found else None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a run that was there before anybody told of it."""
    with Store.open(tmp_path / "runs.db") as opened:
        write(opened, define(), 30, "a" * 12)
        yield opened


def test_what_did_not_arrive_is_told_again(
    collector: Collector, environment: dict[str, str], store: Store, tmp_path: Path, monkeypatch: Any
) -> None:
    """The journal is the buffer: with the collector down nothing is lost; what was there before is not told."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    traced, logged = otel.tracing(["otlp_proto_http"]), otel.logging(["otlp_proto_http"])
    spans = Traces(store, traced.provider, traced.ids, traced.sampled, traced.flush, tmp_path / "traces")
    logs = ComplianceLogs(store, logged.provider, logged.flush, tmp_path / "logs")
    with closing(spans), closing(logs):
        for job in (spans, logs):
            job.look()
        collector.up = False
        write(store, define(), 30, "b" * 12)
        for job in (spans, logs):
            with pytest.raises(NotDelivered, match="is the collector up"):
                job.look()
        collector.up = True
        for job in (spans, logs):
            job.look(last=True)
    told = [int.from_bytes(span.span_id) for span in collector.spans]
    assert len(told) == len(set(told)) > 10
    assert {int.from_bytes(span.trace_id) for span in collector.spans} == {trace_id("b" * 12)}
    assert len(collector.logs) == sum(span.name.startswith("execute_tool") for span in collector.spans)
    # After a crash behind the sending and before the noting: the same spans again, under the same ids.
    (tmp_path / "traces").write_text("")
    again = Traces(store, traced.provider, traced.ids, traced.sampled, traced.flush, tmp_path / "traces")
    with closing(again):
        again._cursor.mine()
        again._cursor.move((store.place_of("b" * 12, 1) or 0) - 1)
        again.look(last=True)
    assert [int.from_bytes(span.span_id) for span in collector.spans] == told + told
    traced.close()
    logged.close()


@pytest.mark.parametrize(
    ("says", "asked"),
    [
        ({}, {}),
        ({"OTEL_SERVICE_NAME": "x"}, {}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, {"traces": ("otlp_proto_http",)}),
        ({"OTEL_LOGS_EXPORTER": "console, otlp"}, {"logs": ("console", "otlp_proto_http")}),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            },
            {"traces": ("otlp_proto_grpc",)},
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, {}),
    ],
)
def test_the_environment_says_what_is_told(says: dict[str, str], asked: dict[str, Any]) -> None:
    """With the names of the specification; without them, nothing."""
    assert exporters(says) == asked


def test_an_exporter_that_is_not_there_is_named() -> None:
    """With those that are."""
    with pytest.raises(InvalidInput, match=r"zipkin.*there is: console, otlp_proto_http"):
        otel.tracing(["zipkin"])


def test_a_sampler_leaves_out_whole_traces(store: Store, tmp_path: Path, monkeypatch: Any) -> None:
    """Never a part of one."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    traced = otel.tracing(["console"])
    kept = {run for run in range(200) if traced.sampled(trace_id(str(run)))}
    assert 60 < len(kept) < 140
    traced.close()


def test_nothing_is_imported_or_left_without_the_environment(tmp_path: Path) -> None:
    """A run costs what it did: no SDK, no thread, no file."""
    (tmp_path / "greets.yaml").write_text(MACHINE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
    words = ["run", "greets.yaml", "-i", "name=a", "--db", "runs.db"]
    code = (
        f"import sys, threading; sys.argv[1:] = {words!r}\n"
        "from statemachine.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "left = [m for m in sys.modules if m.startswith(('opentelemetry', 'prometheus'))]\n"
        "left += [t.name for t in threading.enumerate() if t.name == 'background']\n"
        "open('left', 'w').write(str(left))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "left").read_text() == "[]"
    assert {file.name for file in tmp_path.glob("runs.db.*")} == {"runs.db.anchor"}
