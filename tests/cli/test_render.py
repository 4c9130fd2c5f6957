"""The command that draws: formats, places, a project's kept pictures, and what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import HELLO, TOOLS, Program

BEGINS = {
    "png": b"\x89PNG\r\n",
    "pdf": b"%PDF-1",
    "dot": b"digraph hello",
    "mmd": b"stateDiagram-v2\n",
    "txt": b"hello v1  sha256:",
}
KEPT = ["hello.dot", "hello.mmd", "hello.svg"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one machine in machines/hello/."""
    folder = tmp_path / "machines" / "hello"
    folder.mkdir(parents=True)
    (folder / "tools.py").write_text(TOOLS)
    (folder / "hello.yaml").write_text(HELLO)
    return tmp_path


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("ending", ["png", "pdf", "mmd", "txt"])
def test_the_ending_of_the_file_chooses_the_format(
    program: Program, hello: Path, tmp_path: Path, ending: str
) -> None:
    """Its folder is made when it is missing; the file is named in the answer, also as JSON."""
    done = program("render", hello, "-o", f"out/picture.{ending}", "--json", expect=0)
    assert done.data == {"written": [f"out/picture.{ending}"]}
    assert (tmp_path / f"out/picture.{ending}").read_bytes().startswith(BEGINS[ending])


def test_the_option_chooses_the_format(program: Program, hello: Path, tmp_path: Path) -> None:
    """It comes before the ending; without a place the picture lies in the working folder as machine.ending."""
    assert program("render", hello, "-f", "mermaid", expect=0).out == "wrote hello.mmd\n"
    assert (tmp_path / "hello.mmd").read_bytes().startswith(BEGINS["mmd"])
    program("render", hello, "-f", "dot", "-o", "picture.txt", expect=0)
    assert (tmp_path / "picture.txt").read_bytes().startswith(BEGINS["dot"])
    assert program("render", hello, expect=0).out == "wrote hello.svg\n"
    assert ElementTree.parse(tmp_path / "hello.svg").getroot().tag.endswith("svg")


def test_standard_output_holds_the_picture_and_nothing_else(program: Program, hello: Path) -> None:
    """Text goes there by itself, the others with -o -; a reader that has seen enough is no error."""
    text = program("render", hello, "-f", "text", expect=0).out
    assert text.startswith("hello v1  sha256:")
    assert "    answered [event.yes] -> complete\n" in text
    command = [sys.executable, "-m", "statemachine", "render", str(hello), "-o", "-", "-f", "png"]
    png = subprocess.run(command, capture_output=True, check=True)
    assert png.stdout.startswith(BEGINS["png"])
    assert png.stdout.endswith(b"IEND\xaeB`\x82")
    assert png.stderr == b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_several_machines_go_into_a_folder(program: Program, hello: Path, tmp_path: Path) -> None:
    """One picture each, by the machine's name; one file for several is refused before anything is written."""
    (tmp_path / "again.yaml").write_text(HELLO.replace("machine: hello", "machine: again"))
    done = program("render", hello, "again.yaml", "-o", "out/", "-f", "dot", expect=0)
    assert done.out == "wrote out/hello.dot\nwrote out/again.dot\n"
    assert _names(tmp_path / "out") == ["again.dot", "hello.dot"]
    done = program("render", hello, "again.yaml", "-o", "both.svg", expect=2)
    assert "give a folder with -o" in done.err
    assert not (tmp_path / "both.svg").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("hello.yaml", "-f", "gif"), "no format `gif`; write one of svg, png, pdf, dot, mermaid, text"),
        (("hello.yaml", "-o", "picture.jpeg"), "no format `jpeg`"),
        (
            ("hello.yaml", "-o", "hello.yaml/picture.svg"),
            "hello.yaml/picture.svg cannot be written: hello.yaml is not a folder",
        ),
        (("hello.yaml", "--check"), "--check compares all machines"),
        (("-f", "svg"), "name the machines to draw"),
        ((), "there is no folder machines"),
    ],
)
def test_what_cannot_be_done_is_said(
    program: Program, hello: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    """With exit code 2, what to write instead, and nothing left behind."""
    before = _names(tmp_path)
    done = program("render", *words, expect=2)
    assert says in " ".join(done.err.replace("│", "").split())
    assert _names(tmp_path) == before
    assert hello.read_text() == HELLO


def test_a_missing_layout_program_is_said(program: Program, hello: Path, tmp_path: Path) -> None:
    """And where to get it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sysconfig\nsysconfig.get_path = lambda name: '/nowhere'\n"
    )
    env = {"PATH": "", "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    assert "pip install graphviz-pure" in program("render", hello, env=env, expect=2).err


def test_a_project_keeps_its_pictures_current(program: Program, project: Path) -> None:
    """Render draws them, --check compares: each that is missing, out of date or left over is named."""
    kept = project / "diagrams"
    done = program("render", "--check", expect=1)
    assert [line for line in done.out.splitlines() if "missing" in line] == [
        f"diagrams/{name}: missing" for name in KEPT
    ]
    assert not kept.exists()

    assert program("render", expect=0).out == "".join(f"wrote diagrams/{name}\n" for name in KEPT)
    assert program("render", "--check", expect=0).out == "pictures of hello are current\n"

    (kept / "hello.dot").unlink()
    (kept / "other.svg").write_text("<svg/>")
    with (kept / "hello.mmd").open("a") as picture:
        picture.write("%% mine\n")
    done = program("render", "--check", expect=1)
    assert done.out.splitlines() == [
        "diagrams/hello.dot: missing",
        "diagrams/hello.mmd: out of date",
        "diagrams/other.svg: left over",
        "run `statemachine render` and commit the pictures",
    ]
    assert program("render", "--json", expect=0).data == {
        "written": ["diagrams/hello.dot", "diagrams/hello.mmd"]
    }
    assert program("render", "--check", "--json", expect=1).data == {
        "ok": False,
        "stale": [{"path": "diagrams/other.svg", "why": "left over"}],
    }


def test_a_changed_machine_is_found_by_check(program: Program, project: Path) -> None:
    """In other folders too; a picture is never drawn of a wrong file, nor two machines into one."""
    (project / "machines").rename(project / "mine")
    places = ("--machines", "mine", "--diagrams", "pictures")
    program("render", *places, expect=0)
    file = project / "mine" / "hello" / "hello.yaml"
    file.write_text(HELLO.replace("count > 1", "count > 2"))
    done = program("render", "--check", *places, expect=1)
    assert [line for line in done.out.splitlines() if line.endswith("out of date")] == [
        f"pictures/{name}: out of date" for name in KEPT
    ]
    file.write_text(HELLO.replace("count > 1", "cuont > 1"))
    assert "cuont" in program("render", "--check", *places, expect=2).err
    file.write_text(HELLO)
    (project / "mine" / "twin").mkdir()
    (project / "mine" / "twin" / "hello.yaml").write_text(HELLO)
    done = program("render", *places, expect=2)
    assert "mine/hello/hello.yaml and mine/twin/hello.yaml would share their pictures" in done.err
