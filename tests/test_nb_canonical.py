"""One stable form on disk: nothing volatile survives, nothing of value is lost."""

import errno
import json
import os

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import v4

from syslab.course.errors import CourseError
from syslab.course.notebooks import canonical


def picture(**metadata):
    data = {"image/png": "aGk=", "text/plain": "Figure: x"}
    return v4.new_output("display_data", data, metadata=metadata)


def test_only_what_is_wanted_survives():
    widget = v4.new_output(
        "execute_result",
        {canonical.WIDGET_VIEW: {"model_id": "b1f7"}, "text/plain": "Slider: x"},
        execution_count=41,
    )
    image = {"alt": "a line", "width": 720, "needs_background": "light"}
    notebook = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# Title  \n\ntext\t\n\n"),
            v4.new_code_cell(
                "x = 1 ",
                execution_count=7,
                outputs=[
                    v4.new_output("stream", name="stdout", text="a\n"),
                    v4.new_output("stream", name="stdout", text="b\n"),
                    picture(**{"image/png": image, "isolated": True}),
                    widget,
                ],
                metadata={"execution": {"iopub.execute_input": "12:00"}, "tags": ["slider"]},
            ),
            v4.new_code_cell("y = 2", metadata={"collapsed": True}),
            v4.new_code_cell("z = 3", execution_count=99),
        ],
        metadata={
            "jupytext": {},
            "widgets": {},
            "kernelspec": {"name": "e", "display_name": "mine"},
        },
    )
    tidy = canonical.canonicalise(notebook)
    first, second, third, fourth = tidy.cells
    assert tidy.metadata == {
        "kernelspec": canonical.KERNELSPEC,
        "language_info": canonical.LANGUAGE_INFO,
    }
    assert first.source == "# Title\n\ntext"
    assert (second.source, second.metadata) == ("x = 1", {"tags": ["slider"]})
    stream, shown, live = second.outputs
    assert stream.text == "a\nb\n"
    assert shown.metadata == {"image/png": {"alt": "a line", "width": 720}}
    assert live.data == {"text/plain": "Slider: x"}
    counts = [cell.execution_count for cell in (second, third, fourth)]
    assert (counts, live.execution_count, third.metadata) == ([1, None, 2], 1, {})
    nbformat.validate(tidy)


def test_canonical_form_is_a_fixed_point():
    notebook = v4.new_notebook(
        cells=[v4.new_markdown_cell("# A"), v4.new_code_cell("1", execution_count=1)]
    )
    once = canonical.dumps(canonical.canonicalise(notebook))
    again = canonical.dumps(canonical.canonicalise(nbformat.reads(once, as_version=4)))
    assert once == again
    assert once.endswith("}\n")


def test_ids_follow_sections_and_grade_ids():
    graded = v4.new_code_cell("1", metadata={"nbgrader": {"grade_id": "test-ridge"}})
    fenced = v4.new_markdown_cell("```\n# not a heading\n```")
    cells = [
        v4.new_code_cell("0"),
        v4.new_markdown_cell("# The ridge: 2 × 3?"),
        v4.new_code_cell("1"),
        fenced,
        graded,
        v4.new_markdown_cell("## The ridge: 2 × 3?"),
        v4.new_markdown_cell("### Σ"),
    ]
    assert canonical.cell_ids(cells) == [
        "top-1",
        "the-ridge-2-3-1",
        "the-ridge-2-3-2",
        "the-ridge-2-3-3",
        "test-ridge",
        "the-ridge-2-3-1-again-2",
        "section-1",
    ]


@given(st.lists(st.text(max_size=60), max_size=12))
def test_ids_are_legal_and_unique(titles):
    cells = [v4.new_markdown_cell(f"# {title}") for title in titles]
    ids = canonical.cell_ids(cells)
    assert len(set(ids)) == len(ids)
    for cell, name in zip(cells, ids, strict=True):
        cell.id = name
    nbformat.validate(v4.new_notebook(cells=cells))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not a readable notebook"),
        (b"", "is not a readable notebook"),
        (b'{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "not a readable"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b'{"cells": [\n<<<<<<< HEAD\n]}', "unresolved merge markers"),
        (None, "does not exist"),
    ],
)
def test_a_damaged_file_gets_one_clear_sentence(tmp_path, content, said):
    path = tmp_path / "a.ipynb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CourseError, match=said) as caught:
        canonical.read(path)
    assert str(path) in caught.value.message
    assert caught.value.fix


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# A", id="a-1")])
    canonical.write(notebook, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        canonical.write(v4.new_notebook(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ipynb"]


def test_writing_keeps_the_mode_and_plain_letters(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("")
    path.chmod(0o640)
    canonical.write(v4.new_notebook(cells=[v4.new_markdown_cell("# 2 × µs", id="a")]), path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert "2 × µs" in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"))["nbformat"] == 4
