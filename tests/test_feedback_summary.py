"""The table at the top of a feedback page."""

import nbformat
import pytest

from syslab.grading import feedback_summary


def cell(grade_id, text, score, points=2.0, kind="code", **marks):
    made = (
        nbformat.v4.new_code_cell("check.score()")
        if kind == "code"
        else nbformat.v4.new_markdown_cell(text)
    )
    if kind == "code" and text:
        made.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    made.metadata["nbgrader"] = nbformat.from_dict(
        {
            "grade_id": grade_id,
            "grade": True,
            "solution": kind != "code",
            "points": points,
            "score": score,
            **marks,
        }
    )
    return made


def page(*cells, **options):
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    return feedback_summary.summary(notebook, **options)


def heading(text):
    return nbformat.v4.new_markdown_cell(text)


def test_the_first_reason_stands_beside_the_points():
    said = "PASS  a\nFAIL  units: you gave GiB\nFAIL (hidden)  another machine: off by 8\n1 of 2\n"
    text = page(heading("## 3 KV `bytes`"), cell("test-kv", said, 0.5))
    assert '<a href="#test-kv">3 KV bytes</a>' in text
    assert "0.5 of 2" in text
    assert "units: you gave GiB" in text
    assert "and 1 more check, below" in text


def test_full_marks_are_told_apart():
    text = page(cell("test-kv", "PASS  a\nPASS  b\n2 of 2", 2.0))
    assert 'class="full"' in text
    assert "all 2 checks passed" in text


@pytest.mark.parametrize(
    ("score", "comment", "expected"),
    [(0.0, None, "waits for a person"), (1.5, None, "marked by a person"), (1.5, "Name M.", "M.")],
)
def test_written_answers(score, comment, expected):
    text = page(cell("memo", "My memo.", score, kind="markdown", comment=comment))
    assert expected in text


def test_what_a_learner_wrote_cannot_become_markup():
    evil = "FAIL  x: <script>alert(1)</script>"
    text = page(heading("## <img src=x onerror=y>"), cell("test-x", evil, 0.0), said=["<b>no</b>"])
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;b&gt;no" in text


def test_lateness_and_notes_are_told():
    text = page(cell("test-x", "PASS  a", 2.0), late_penalty=0.3, said=["run it from the top"])
    assert "-0.3" in text
    assert '<p class="verdict">run it from the top</p>' in text
