"""release/: made from source/, byte for byte; no leak of any kind; a stub earns nothing."""

import base64
import gzip
import io
import json
import shutil
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "mini_course"))
import mini_course as mini
from mini_course import change

from syslab.course import assignments
from syslab.course.errors import CourseError
from syslab.grading import commands, leaks, release

SECRET_LINE = "    memory_ceiling_of_the_reference = bandwidth * intensity"
HIDDEN_LINE = 'check.value("exactly at the hidden ridge", lambda: attainable_at(10.0, 100.0, 10.0)'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A mini course with its release."""
    return mini.build_released(tmp_path_factory.mktemp("release") / "course")


@pytest.fixture
def course(made, tmp_path, monkeypatch):
    root = tmp_path / "course"
    shutil.copytree(made, root)
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    return root


@pytest.fixture
def assignment(course):
    return assignments.find(mini.NAME, course)


def run(name, *words):
    return mini.run(commands, name, *words)


def tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ------------------------------------------------------------------------------------- release


def test_release_is_reproduced_byte_for_byte(course, assignment, capsys):
    before = tree(assignment.release)
    assert run("release", "arch-02") == 0
    assert tree(assignment.release) == before
    assert run("release", "--check") == 0
    assert "as made from source/" in capsys.readouterr().out


def test_release_holds_the_stub_the_helpers_and_nothing_else(assignment):
    assert {p.name for p in assignment.release.iterdir()} == {
        "arch-02.ipynb",
        "bandwidth.csv",
        "mine.json",
    }
    notebook = nbformat.read(assignment.release / mini.NOTEBOOK, as_version=4)
    assert "raise NotImplementedError()" in mini.cell(notebook, "ridge").source
    assert "check.score()" in mini.cell(notebook, "test-ridge").source
    assert mini.cell(notebook, "memo").source == "YOUR ANSWER HERE"


def test_check_names_the_differing_file_and_cell(course, assignment, capsys):
    def edit(notebook):
        mini.cell(notebook, "test-ridge").source += "\n# touched by hand"

    change(assignment.release / mini.NOTEBOOK, edit)
    (assignment.release / "bandwidth.csv").write_text("level,GB_per_s\nDRAM,21\n")
    (assignment.release / "mine.json").unlink()
    assert run("release", "arch-02", "--check") == 1
    said = capsys.readouterr().out
    assert "release/arch-02/arch-02.ipynb [test-ridge]: differs in source" in said
    assert "release/arch-02/bandwidth.csv: differs from line 2 on" in said
    assert "release/arch-02/mine.json: is missing" in said


def test_a_failed_generation_leaves_the_present_release(course, assignment):
    before = tree(assignment.release)

    def edit(notebook):
        cell = mini.cell(notebook, "ridge")
        cell.source = cell.source.replace("### END SOLUTION", "")

    change(assignment.source / mini.NOTEBOOK, edit)
    with pytest.raises(CourseError, match="no end solution statement found"):
        run("release", "arch-02")
    assert tree(assignment.release) == before
    assert [p.name for p in assignment.release.parent.iterdir()] == ["arch-02"]


def test_a_full_disk_leaves_the_present_release(course, assignment, monkeypatch, tmp_path):
    before = tree(assignment.release)
    fresh = tmp_path / "fresh"
    fresh.mkdir()

    def full(source, target, **kwargs):
        Path(target).mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(CourseError, match="No space left on device"):
        release.replace_folder(fresh, assignment.release)
    assert tree(assignment.release) == before
    assert [p.name for p in assignment.release.parent.iterdir()] == ["arch-02"]


def test_a_stub_that_earns_points_is_refused(course, assignment):
    def edit(notebook):
        cell = mini.cell(notebook, "test-ridge")
        cell.source = 'print("PASS  always")\n1.0'

    before = tree(assignment.release)
    change(assignment.source / mini.NOTEBOOK, edit)
    with pytest.raises(CourseError, match=r"\[test-ridge\]: the stub earns 1 of 2 points"):
        run("release", "arch-02")
    assert tree(assignment.release) == before


def test_points_must_add_up_to_the_manifests(course, assignment):
    def edit(notebook):
        mini.cell(notebook, "memo").metadata.nbgrader["points"] = 14

    change(assignment.source / mini.NOTEBOOK, edit)
    with pytest.raises(CourseError, match="add up to 19 points, not 20"):
        run("release", "arch-02")


# ---------------------------------------------------------------------------------------- leaks


def test_a_sound_release_has_no_finding(assignment):
    assert leaks.scan(assignment.source, assignment.release) == []


def kinds(assignment):
    found = leaks.scan(assignment.source, assignment.release)
    return {(f.file, f.kind) for f in found}


def in_notebook(edit):
    """Plant a leak inside the released notebook."""

    def plant(folder):
        change(folder / mini.NOTEBOOK, edit)
        return mini.NOTEBOOK

    return plant


def in_helper(content):
    """Plant a leak in a listed helper file."""

    def plant(folder):
        (folder / "bandwidth.csv").write_bytes(content)
        return "bandwidth.csv"

    return plant


def _append(grade_id, text):
    def edit(notebook):
        mini.cell(notebook, grade_id).source += "\n" + text

    return edit


def _output(notebook):
    cell = mini.cell(notebook, "ridge")
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="10.0")]


def _count(notebook):
    mini.cell(notebook, "ridge").execution_count = 3


def _paired(notebook):
    notebook.metadata["jupytext"] = {"formats": "ipynb,py:percent"}


def _attachment(notebook):
    hidden = base64.b64encode(f"notes\n{SECRET_LINE}\n".encode()).decode()
    notebook.cells[0]["attachments"] = {"notes.txt": {"text/plain": hidden}}


def _in_metadata(notebook):
    notebook.cells[0].metadata["hint"] = SECRET_LINE


def _zip(text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/notes.txt", text)
    return buffer.getvalue()


def _tar(text):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("notes.txt")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _png(text):
    def chunk(kind, body):
        return (
            len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        )

    packed = b"Comment\x00\x00" + zlib.compress(text.encode())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", packed) + chunk(b"IEND", b"")


PLANTS = {
    "marker": (in_notebook(_append("ridge", "### BEGIN SOLUTION")), "marker"),
    "hidden marker": (in_notebook(_append("test-ridge", "### END HIDDEN TESTS")), "marker"),
    "solution line": (in_notebook(_append("ridge", SECRET_LINE)), "solution"),
    "other blanks": (
        in_notebook(_append("ridge", SECRET_LINE.replace(" = ", "   =\t"))),
        "solution",
    ),
    "hidden line": (in_notebook(_append("test-ridge", HIDDEN_LINE + ", 100.0)")), "hidden test"),
    "written answer": (in_notebook(_append("memo", mini.MEMO)), "solution"),
    "output": (in_notebook(_output), "output"),
    "execution count": (in_notebook(_count), "output"),
    "jupytext key": (in_notebook(_paired), "paired text"),
    "attachment": (in_notebook(_attachment), "solution"),
    "metadata": (in_notebook(_in_metadata), "solution"),
    "text helper": (in_helper(SECRET_LINE.encode()), "solution"),
    "utf-16 helper": (in_helper(SECRET_LINE.encode("utf-16")), "solution"),
    "percent twin": (
        in_helper(b"# ---\n# jupyter:\n#   jupytext:\n# ---\n# %%\n1\n"),
        "paired text",
    ),
    "zip member": (in_helper(_zip(SECRET_LINE)), "solution"),
    "zip in gzip": (in_helper(gzip.compress(_zip(SECRET_LINE))), "solution"),
    "tar member": (in_helper(_tar(SECRET_LINE)), "solution"),
    "png comment": (in_helper(_png(SECRET_LINE)), "solution"),
    "base64 in csv": (in_helper(b"x," + base64.b64encode(SECRET_LINE.encode() * 3)), "solution"),
    "json escapes": (
        in_helper(
            json.dumps(
                {
                    "a": 'check.value("exactly at the hidden ridge", '
                    "lambda: attainable_at(10.0, 100.0, 10.0), 100.0)"
                }
            ).encode()
        ),
        "hidden test",
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_planted_leaks_are_found(assignment, name):
    plant, kind = PLANTS[name]
    file = plant(assignment.release)
    assert (file, kind) in kinds(assignment)


@pytest.mark.parametrize("name", ["notes.py", "arch-02.py", ".hidden", "sub/rubric-memo.toml"])
def test_unlisted_files_are_refused(assignment, name):
    path = assignment.release / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("harmless")
    assert (name, "unlisted file") in kinds(assignment)


def test_links_are_refused(assignment):
    (assignment.release / "bandwidth.csv").unlink()
    (assignment.release / "bandwidth.csv").symlink_to(assignment.source / "rubric-memo.toml")
    assert ("bandwidth.csv", "link") in kinds(assignment)


def test_lines_that_the_source_shows_anyway_are_no_secret(assignment):
    """A line of the solution that also stands in public text is not a leak."""

    def edit(notebook):
        notebook.cells[5].source += f"\n\nRecall: `{SECRET_LINE.strip()}`"

    change(assignment.source / mini.NOTEBOOK, edit)
    change(assignment.release / mini.NOTEBOOK, _append("ridge", SECRET_LINE))
    assert leaks.scan(assignment.source, assignment.release) == []


def test_a_helper_that_leaks_stops_the_release(course, assignment):
    before = tree(assignment.release)
    (assignment.source / "notes.py").write_text("def f():\n" + SECRET_LINE)
    with pytest.raises(CourseError, match=r"notes.py: unlisted file"):
        run("release", "arch-02")
    assert tree(assignment.release) == before
