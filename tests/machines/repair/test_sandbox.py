"""Tests run in a process of their own: whatever they do stays there."""

from __future__ import annotations

import os
import py_compile
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from machines.repair import sandbox
from machines.repair.sandbox import Judgement, Observation, RunnerFailed, judge, observe
from machines.repair.source import BadInput

Write = Callable[..., tuple[Path, Path]]

PROGRAM = """
    import ctypes, os, signal, sys, threading, time

    LIMIT = 3

    def small(n):
        if n < LIMIT:
            return True
        return False

    def spin():
        while True:
            try:
                pass
            except BaseException:
                pass

    def hide():
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
        while True:
            time.sleep(1)

    def hog():
        return len(bytearray(3 << 30))

    def crash():
        ctypes.string_at(0)
"""


def seen(write: Write, tests: str, tmp_path: Path, patience: float = 0.6) -> Observation:
    return observe(*write(PROGRAM, tests), tmp_path / "run", patience)


def kinds(observation: Observation) -> dict[str, str]:
    return {run.test.partition("::")[2]: run.kind for run in observation.runs}


def judged(
    write: Write, tests: str, tmp_path: Path, versions: list[str], order: list[str]
) -> list[Judgement]:
    """Judge texts of a program by tests, all of which are named."""
    program, test_file = write(PROGRAM, tests)
    paths = [tmp_path / f"version{index}.py" for index in range(len(versions))]
    for path, version in zip(paths, versions, strict=True):
        path.write_text(version)
    ids = [f"test_prog.py::{name}" for name in order]
    return judge(program, test_file, tmp_path / "run", paths, ids, dict.fromkeys(sorted(ids), 0.5), 3.0)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_coverage_and_outcome_of_each_test(write: Write, tmp_path: Path) -> None:
    """Each test has its outcome, its message and the lines that it ran; import-time lines stand apart."""
    found = seen(
        write,
        """
        import pytest
        from prog import small
        def test_small(): assert small(2)
        def test_limit(): assert small(3), "three is small"
        @pytest.mark.skip
        def test_skipped(): assert False
        @pytest.fixture
        def broken(): raise OSError("no")
        def test_broken_fixture(broken): pass
        @pytest.mark.parametrize("n", [1, 5])
        def test_many(n): assert small(n)
        """,
        tmp_path,
    )
    assert kinds(found) == {
        "test_small": "passed",
        "test_limit": "failed",
        "test_broken_fixture": "failed",
        "test_many[1]": "passed",
        "test_many[5]": "failed",
    }
    runs = {run.test.partition("::")[2]: run for run in found.runs}
    assert runs["test_small"].lines == frozenset({6, 7})
    assert runs["test_limit"].lines == frozenset({6, 8})
    assert runs["test_limit"].message == "AssertionError: three is small"
    assert {1, 3, 5} <= found.imported
    assert not found.imported & {6, 7, 8}


def test_nothing_that_a_test_does_ends_the_observation(write: Write, tmp_path: Path) -> None:
    """Exits, crashes, hogs, hangs, output, input and threads are outcomes, and the tests behind them run."""
    began = time.monotonic()
    found = seen(
        write,
        """
        import os, sys, threading, time, prog, pytest
        def test_exit(): sys.exit(0)
        def test_hard_exit(): os._exit(0)
        def test_segfault(): prog.crash()
        def test_memory(): prog.hog()
        def test_spins(): prog.spin()
        def test_hides(): prog.hide()
        def test_prints(): print("x" * 10_000_000); print("y", file=sys.stderr)
        def test_descriptors(): os.write(1, b"{}"); os.write(2, b"no")
        def test_reads(): assert sys.stdin.read() == ""
        def test_asks(): input()
        def test_thread(): threading.Thread(target=time.sleep, args=(60,)).start()
        def test_child(): os.fork() or time.sleep(60)
        def test_interrupt(): raise KeyboardInterrupt
        def test_pytest_exit(): pytest.exit("enough")
        def test_last(): assert prog.small(1)
        """,
        tmp_path,
    )
    assert kinds(found) == {
        "test_exit": "failed",
        "test_hard_exit": "crash",
        "test_segfault": "crash",
        "test_memory": "failed",
        "test_spins": "timeout",
        "test_hides": "timeout",
        "test_prints": "passed",
        "test_descriptors": "passed",
        "test_reads": "passed",
        "test_asks": "failed",
        "test_thread": "passed",
        "test_child": "passed",
        "test_interrupt": "crash",
        "test_pytest_exit": "crash",
        "test_last": "passed",
    }
    runs = {run.test.partition("::")[2]: run for run in found.runs}
    assert runs["test_segfault"].message.endswith("SIGSEGV")
    assert runs["test_memory"].message.startswith("MemoryError")
    assert runs["test_spins"].lines, "what a hanging test ran is known"
    assert time.monotonic() - began < 20
    assert not [
        child for child in psutil.Process().children(recursive=True) if "runner.py" in str(child.cmdline())
    ]


def test_a_test_that_waits_is_not_one_that_hangs(write: Write, tmp_path: Path) -> None:
    """Its limits follow from how long it took by the clock, though it used no processor time."""
    found = seen(write, "import time\ndef test_waits(): time.sleep(1.2)\n", tmp_path)
    (run,) = found.runs
    assert run.kind == "passed"
    assert 3 * sandbox.limit(run.seconds) + 1 > 3 * 1.2


def test_what_comes_after_a_broken_off_session_is_not_the_tests_time(write: Write, tmp_path: Path) -> None:
    """pytest words an exit for most of a second on a busy host; here a hook makes sure that it takes longer."""
    program, tests = write(PROGRAM, "import pytest\ndef test_pytest_exit(): pytest.exit('enough')\n")
    (tests.parent / "conftest.py").write_text(
        "import time\n"
        "def pytest_keyboard_interrupt():\n"
        "    end = time.process_time() + 1.5\n"
        "    while time.process_time() < end: pass\n"
    )
    (run,) = observe(program, tests, tmp_path / "run", 0.6).runs
    assert (run.kind, run.message) == ("crash", "the test broke off the session")


def test_versions_are_judged_by_their_first_failure(write: Write, tmp_path: Path) -> None:
    """Kind, deciding test, message and what passed before; the first winner ends the search."""
    good = "def small(n): return n <= 3"
    versions = [
        "def small(n): return n < 2",
        "while True: pass",
        "import nothing_like_it",
        "small = 1",
        good,
        good,
    ]
    found = judged(
        write,
        """
        from prog import small
        def test_a(): assert small(1)
        def test_b(): assert small(3)
        def test_c(): assert not small(4)
        """,
        tmp_path,
        versions,
        ["test_b", "test_a", "test_c"],
    )
    assert [(each.version, each.kind, each.test) for each in found] == [
        (0, "failed", "test_prog.py::test_b"),
        (1, "timeout", None),
        (2, "crash", None),
        (3, "failed", "test_prog.py::test_b"),
        (4, "passed", None),
    ]
    assert found[2].message == "ModuleNotFoundError: No module named 'nothing_like_it'"
    assert found[3].message == "TypeError: 'int' object is not callable"
    assert found[0].passed == 0


def test_a_winner_passes_in_the_order_of_the_file_too(write: Write, tmp_path: Path) -> None:
    """A version that only passes because the failing tests come first is not a repair."""
    tests = """
        import prog
        def test_a(): prog.n = 2
        def test_b(): assert prog.n == 1
    """
    (found,) = judged(write, tests, tmp_path, ["n = 1"], ["test_b", "test_a"])
    assert (found.kind, found.test) == ("failed", "test_prog.py::test_b")


def test_nothing_is_written_beside_the_users_files(write: Write, tmp_path: Path) -> None:
    """No byte code, no cache, no coverage data; temporary files of tests are gone afterwards."""
    tests = """
        import tempfile
        from hypothesis import given, strategies
        from prog import small
        from beside import one
        @given(strategies.integers(4))
        def test_a(n): assert small(n)
        def test_b(tmp_path): (tmp_path / "file").write_text(tempfile.mkdtemp())
    """
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "beside.py").write_text("one = 1")
    paths = write(PROGRAM, tests)
    before = files(tmp_path / "user")
    found = observe(*paths, tmp_path / "run", 5.0)
    assert kinds(found) == {"test_a": "failed", "test_b": "passed"}
    assert files(tmp_path / "user") == before
    assert files(tmp_path / "run") == set()


def test_tests_may_lie_elsewhere_and_load_the_program_by_its_path(tmp_path: Path) -> None:
    """Another folder, a conftest, data beside the program, a package, and a loader without a finder."""
    package, tests = tmp_path / "src" / "pack", tmp_path / "checks"
    package.mkdir(parents=True)
    tests.mkdir()
    (package / "__init__.py").write_text("")
    (package / "data.txt").write_text("7")
    program = package / "prog.py"
    program.write_text(
        "import pathlib\nfrom . import other\nn = int(pathlib.Path(__file__).with_name('data.txt').read_text())\n"
    )
    (package / "other.py").write_text("")
    (tests / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef seven(): return 7\n")
    test_file = tests / "test_it.py"
    test_file.write_text(
        "import importlib.util, pack.prog\n"
        f"spec = importlib.util.spec_from_file_location('pack.again', {str(program)!r})\n"
        "again = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(again)\n"
        "def test_seven(seven): assert pack.prog.n == again.n == seven\n"
    )
    found = observe(program, test_file, tmp_path / "run", 3.0)
    assert [(run.test, run.kind) for run in found.runs] == [("test_it.py::test_seven", "passed")]
    version = tmp_path / "version.py"
    version.write_text("n = 8\n")
    limits = {"test_it.py::test_seven": 1.0}
    (judgement,) = judge(program, test_file, tmp_path / "run", [version], list(limits), limits, 3.0)
    assert judgement.message == "AssertionError: assert 8 == 7"


def test_stale_byte_code_of_the_program_is_not_used(write: Write, tmp_path: Path) -> None:
    """A cached compilation beside the program would hide every patch."""
    program, tests = write("n = 1", "import prog\ndef test_n(): assert prog.n == 2\n")
    py_compile.compile(str(program))
    assert any(name.endswith(".pyc") for name in files(program.parent))
    version = tmp_path / "version.py"
    version.write_text("n = 2\n")
    limits = {"test_prog.py::test_n": 1.0}
    assert judge(program, tests, tmp_path / "run", [version], list(limits), limits, 3.0)[0].kind == "passed"


@pytest.mark.parametrize(
    ("tests", "says"),
    [
        ("import prog, missing_module\n", "No module named 'missing_module'"),
        ("def broken(:\n", "SyntaxError"),
        ("x = 1\n", "no test"),
        ("import pytest\n@pytest.mark.skip\ndef test_a(): pass\n", "all are skipped"),
        ("import os; os._exit(3)\n", "exit code 3"),
    ],
)
def test_tests_that_cannot_be_run_are_bad_input(write: Write, tmp_path: Path, tests: str, says: str) -> None:
    """One line names the file and the cause."""
    with pytest.raises(BadInput, match=says) as caught:
        seen(write, tests, tmp_path)
    assert "test_prog.py" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_conftest_is_bad_input(write: Write, tmp_path: Path) -> None:
    """What pytest says about it is passed on."""
    program, tests = write(PROGRAM, "def test_a(): pass\n")
    (tests.parent / "conftest.py").write_text("import missing_module\n")
    with pytest.raises(BadInput, match="missing_module"):
        observe(program, tests, tmp_path / "run", 1.0)


def test_settings_of_the_project_hold_but_not_its_options(write: Write, tmp_path: Path) -> None:
    """`addopts` may name plugins and reports that have no place here."""
    program, tests = write(PROGRAM, "import beside\ndef test_a(): pass\n")
    (tmp_path / "user" / "lib").mkdir()
    (tmp_path / "user" / "lib" / "beside.py").write_text("")
    (tmp_path / "user" / "pytest.ini").write_text(
        "[pytest]\naddopts = --nonsense -n 4\npythonpath = lib\nunknown = 1\nfilterwarnings = error\n"
    )
    assert kinds(observe(program, tests, tmp_path / "run", 1.0)) == {"test_a": "passed"}


def test_a_missing_pytest_names_the_extra_to_install(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a fault of the installation, not of the program."""
    (tmp_path / "pytest.py").write_text("raise ModuleNotFoundError(\"No module named 'pytest'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(RunnerFailed, match=r"install agent-statemachine\[repair\]"):
        seen(write, "def test_a(): pass\n", tmp_path)


def test_tests_do_not_outlive_the_one_who_asked(write: Write, tmp_path: Path) -> None:
    """After kill -9 of the asking process, the runner and a test that waits end at once."""
    program, tests = write(PROGRAM, "import time\ndef test_a(): time.sleep(120)\n")
    script = (
        "import pathlib, sys; from machines.repair.sandbox import observe; "
        "observe(*map(pathlib.Path, sys.argv[1:4]), 30.0)"
    )
    root = Path(sandbox.__file__).parents[2]
    asking = subprocess.Popen(
        [sys.executable, "-c", script, program, tests, tmp_path / "run"],
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    process = psutil.Process(asking.pid)
    deadline = time.monotonic() + 20
    while len(family := process.children(recursive=True)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(family) == 2
    asking.send_signal(signal.SIGKILL)
    asking.wait()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
