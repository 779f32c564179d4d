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
    assert "1 of 3 checks passed</summary>" in text, "nothing is said of weights nobody knows"


def test_full_marks_are_told_apart():
    text = page(cell("test-kv", "PASS  a\nPASS  b\n2 of 2", 2.0))
    assert 'class="full"' in text
    assert "all 2 checks passed" in text


def test_every_check_stands_with_what_it_is_worth():
    said = "PASS  a\nFAIL  units: you gave GiB\nFAIL (hidden)  another machine: off by 8\n1 of 2\n"
    weights = {"test-kv": [(1.0, False), (2.0, False), (1.0, True)]}
    text = page(cell("test-kv", said, 0.5), weights=weights)
    assert '<li class="passed"><b>✓ 0.5</b>a</li>' in text
    assert '<li class="failed"><b>✗ −1</b>units: you gave GiB</li>' in text
    assert "<b>✗ −0.5</b><em>hidden</em> another machine: off by 8" in text
    other = {"test-kv": [(1.0, False), (2.0, True), (1.0, True)]}
    assert "−" not in page(cell("test-kv", said, 0.5), weights=other), "those of other checks"


def answered(exercise, source, *outputs):
    made = nbformat.v4.new_code_cell(source, outputs=list(outputs))
    marks = {"grade_id": exercise, "solution": True, "grade": False, "checksum": "of the stub"}
    made.metadata["nbgrader"] = nbformat.from_dict(marks)
    return made


def stopped(name, message=""):
    return nbformat.v4.new_output("error", ename=name, evalue=message, traceback=[])


def test_the_first_sentence_counts():
    stub = answered("c", "pass")
    stub.metadata.nbgrader["checksum"] = feedback_summary.scores.checksum(stub)
    text = page(
        cell("test-a", "PASS  a", 2.0), answered("b", "x"), cell("test-b", "FAIL  b: no", 0.0),
        stub, cell("test-c", "FAIL  c: still the stub", 0.0),
        cell("memo", "My memo.", 0.0, kind="markdown", points=3.0),
        awaiting={"memo"},
    )  # fmt: skip
    assert "<strong>2 of 9 points</strong> so far; 3 more wait for a person." in text
    assert "1 of 4 exercises with full points, 1 with something to mend, 1 not answered." in text
    assert "– of 3" in text


def test_a_mark_of_zero_is_a_mark():
    text = page(cell("memo", "My memo.", 0.0, kind="markdown"), awaiting=set())
    assert "marked by a person" in text
    assert "0 of 2" in text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (stopped("KeyboardInterrupt"), "the answer was stopped: it ran past its time"),
        (stopped("SyntaxError", "invalid syntax (19078.py, line 4)"), "syntax in line 4 of the ce"),
    ],
)
def test_an_answer_that_stopped_is_told_once(error, expected):
    said = "FAIL  a: `x` is not defined\nFAIL  b: `x` is not defined\n"
    text = page(answered("x", "while True: pass", error), cell("test-x", said, 0.0))
    assert expected in text
    assert "<details>" not in text


def test_a_failed_check_says_more_than_an_error_after_the_definition():
    said = "PASS  a\nFAIL (hidden)  b: off by 8\n"
    text = page(answered("x", "raise", stopped("RuntimeError")), cell("test-x", said, 1.0))
    assert "<td>hidden check: b: off by 8<details>" in text


def test_a_cell_that_was_never_run_is_told():
    text = page(answered("x", "1"), cell("test-x", "", 0.0))
    assert "not run: the notebook ended in a cell above" in text


def test_a_comment_on_an_answer_stands_with_its_points():
    answer = answered("x", "1")
    answer.metadata.nbgrader["comment"] = "Rubric: Causes 3/4\n\nUse `np.cumsum` <here>."
    text = page(answer, cell("test-x", "PASS  a", 2.0))
    assert "Rubric: Causes 3/4<br>Use <code>np.cumsum</code> &lt;here&gt;." in text


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


def test_of_a_flagged_submission_no_check_is_believed():
    forged = cell("test-kv", "PASS  a\nPASS  b\n2 of 2", 2.0)
    waits = page(forged, awaiting={"test-kv"}, doubted=True)
    assert "PASS" not in waits
    assert "checks passed" not in waits
    assert "<strong>0 of 2 points</strong> so far; 2 more wait for a person" in waits
    assert "a person looks before the points count" in waits
    settled = page(cell("test-kv", "PASS  a\nPASS  b\n2 of 2", 0.5), awaiting=set(), doubted=True)
    assert "<strong>0.5 of 2 points</strong>." in settled
    assert "settled by a person" in settled
    assert "checks passed" not in settled
