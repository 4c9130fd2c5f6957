"""A step costs one disk sync and as many bytes in a long run as in a short one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from statemachine.store import Store

COUNTERS = Path("/proc/self/io")
WRITER = Path(__file__).with_name("writer.py")


@pytest.mark.skipif(not COUNTERS.exists(), reason="the system counts no bytes written")
def test_a_step_late_in_a_run_writes_no_more(database: Path, new_run) -> None:
    """Steps 5000 to 5200 write as much as steps 1 to 200, but for an index that may be one level deeper."""

    def written(steps: int) -> int:
        with Store.open(database) as store:
            before = int(re.findall(r"wchar: (\d+)", COUNTERS.read_text())[0])
            for _ in range(steps):
                assert store.commit([run.step()]) == [None]
            return int(re.findall(r"wchar: (\d+)", COUNTERS.read_text())[0]) - before

    with Store.open(database) as store:
        run = new_run("r1").begin(store)
    early = written(200)
    with Store.open(database) as store:
        for _ in range(48):
            assert not any(store.commit([run.step() for _ in range(100)]))
    late = written(200)
    assert late < 1.3 * early


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("runs", [1, 20])
def test_a_commit_is_one_sync(database: Path, tmp_path: Path, runs: int) -> None:
    """Thirty commits are thirty syncs, of one run or of twenty at a time."""
    log = tmp_path / "strace"
    subprocess.run(
        [
            "strace",
            "-f",
            "-o",
            log,
            "-e",
            "trace=fsync,fdatasync,write",
            sys.executable,
            WRITER,
            database,
            "30",
            str(runs),
        ],
        check=True,
        stdout=subprocess.PIPE,
    )
    _, during, _ = re.split(r'write\(1, "(?:ready|done)', log.read_text())
    assert len(re.findall(r"f(?:data)?sync\(", during)) == 30


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize(
    ("calls", "error", "says"),
    [
        ("pwrite64", "ENOSPC:when=60..70", "the disk is full"),
        ("fdatasync,fsync", "EIO:when=20..25", "cannot be read or written"),
    ],
)
def test_a_full_or_failing_disk_loses_nothing(
    database: Path, tmp_path: Path, calls: str, error: str, says: str
) -> None:
    """A step that the disk refuses is reported and left out whole; later the same step is stored."""
    subprocess.run([sys.executable, WRITER, database, "0", "1"], check=True, stdout=subprocess.PIPE)
    inject = f"inject={calls}:error={error}"
    ran = subprocess.run(
        [
            "strace",
            "-f",
            "-o",
            tmp_path / "strace",
            "-e",
            inject,
            sys.executable,
            WRITER,
            database,
            "40",
            "1",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    refused = [line for line in ran.stdout.splitlines() if line.startswith("StoreUnusable: ")]
    assert refused
    assert all(says in line and str(database) in line for line in refused)
    assert ran.stdout.splitlines()[-2:] == ["done", "40 steps stored, chain holds"]
