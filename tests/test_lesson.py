"""Predictions, reveals and quick checks: what a reader sees, and what is kept of it."""

import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from nbformat import v4

from syslab.course import lesson, progress
from syslab.course.lesson import predict, quick_check, reveal

ROOT = Path(__file__).resolve().parent.parent

QUESTIONS = """
[which]
question = "Is 1 < 2 & <b>why</b>?"
answer = "b"
choices = { a = "no", b = "yes" }
feedback = { a = "Count <again>.", b = "One is less." }
"""


@pytest.fixture(autouse=True)
def page(tmp_path, monkeypatch):
    """A folder with questions, and nothing committed yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(lesson, "_committed", {})
    monkeypatch.setattr(lesson, "_offered", {})
    lesson._page.cache_clear()
    (tmp_path / "questions.toml").write_text(QUESTIONS)
    return tmp_path


def said(function, *args, **options):
    out = io.StringIO()
    with redirect_stdout(out):
        function(*args, **options)
    return out.getvalue()


def test_undecided():
    assert said(predict, "r", None, unit="FLOP/B", low=1, high=10_000) == (
        "Not committed. Write a number between 1 and 10000 FLOP/B in place of None, then run.\n"
    )
    assert "Write a number of 3 or more in place" in said(predict, "r", None, low=3)
    assert "Write a number in place of None" in said(predict, "r", None)
    assert said(reveal, "r", 295.3, unit="FLOP/B") == (
        "Answer: 295.3 FLOP/B\nYou committed no prediction for this one.\n"
    )


@pytest.mark.parametrize(
    ("mine", "actual", "verdict"),
    [
        (150, 300, "You predicted 150 B: 2× too low."),
        (900, 300, "You predicted 900 B: 3× too high."),
        (310, 300, "You predicted 310 B: within 10 %."),
        (0, 300, "You predicted 0 B: off by 300 B."),
        (-3, 300, "You predicted -3 B: off by 303 B."),
        (5, 0, "You predicted 5 B: off by 5 B."),
    ],
)
def test_reveal_weighs_the_prediction(mine, actual, verdict):
    assert said(predict, "r", mine, unit="B") == f"Committed: {mine} B. Now read on.\n"
    assert said(reveal, "r", actual, unit="B").splitlines()[1] == verdict


def test_choices():
    options = {"a": "core", "b": "memory"}
    shown = said(predict, "w", None, options=options)
    assert shown.splitlines() == [
        "  a) core",
        "  b) memory",
        "Not committed. Write one letter of a, b in place of None, then run.",
    ]
    assert "Committed: a) core." in said(predict, "w", " A ", options=options)
    assert said(reveal, "w", "b", why={"a": "It stalls on loads."}) == (
        "Answer: b) memory\nYou chose a. It stalls on loads.\n"
    )
    said(predict, "w", "b", options=options)
    assert said(reveal, "w", "b").endswith("Your prediction was right.\n")


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (
            5e9,
            {"low": 1, "high": 100, "unit": "GB/s"},
            "5e+09 is not a number between 1 and 100 GB/s",
        ),
        (0.5, {"low": 1}, "0.5 is not a number of 1 or more"),
        ("many", {}, "'many' is not a number"),
        (float("nan"), {}, "nan is not a number"),
        ("c", {"options": {"a": "x", "b": "y"}}, "'c' is not one of a, b"),
    ],
)
def test_refused_predictions_are_one_clean_line(value, options, message):
    with pytest.raises(ValueError, match="prediction") as caught:
        said(predict, "r", value, **options)
    assert message in str(caught.value)
    assert caught.value._render_traceback_() == [f"Not committed: {caught.value}"]
    assert "You committed no prediction" in said(reveal, "r", 3)


def test_ipython_shows_only_that_line():
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    out = io.StringIO()
    with redirect_stdout(out):
        shell.run_cell("from syslab.course.lesson import predict\npredict('r', 5, high=1)")
    assert out.getvalue().strip() == (
        "Not committed: prediction 5 is not a number of 1 or less: mind the unit, or think again"
    )


def test_predictions_outlive_the_kernel(monkeypatch):
    said(predict, "r", 150)
    monkeypatch.setattr(lesson, "_committed", {})
    assert "You predicted 150: 2× too low." in said(reveal, "r", 300)


def test_a_broken_record_does_not_stop_the_lesson(monkeypatch):
    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(progress, "record_prediction", broken)
    monkeypatch.setattr(progress, "prediction", broken)
    assert "(prediction not saved: disk full)" in said(predict, "r", 5)
    assert "You predicted 5: within 10 %" in said(reveal, "r", 5)
    assert "no prediction" in said(reveal, "other", 5)


# ------------------------------------------------------------------------------ quick checks


def test_a_question_reads_without_a_kernel():
    check = quick_check("which")
    plain = check._repr_mimebundle_()["text/plain"]
    assert plain.splitlines() == [
        "Quick check: Is 1 < 2 & <b>why</b>?",
        "  a) no",
        "  b) yes",
        "Run this cell, then click an answer.",
    ]
    assert quick_check("which")._repr_mimebundle_()["text/plain"] == plain


def test_choosing_from_code():
    check = quick_check("which")
    assert said(check.choose, "A") == "Not quite. Count <again>.\n"
    assert said(check.choose, "b") == "Right. One is less.\n"
    with pytest.raises(ValueError, match="'z' is not one of a, b"):
        check.choose("z")


def test_clicking():
    box = quick_check("which").widget()
    title, a, b, answer = box.children
    assert "Is 1 &lt; 2 &amp; &lt;b&gt;why&lt;/b&gt;?" in title.value
    assert (a.description, b.description) == ("a) no", "b) yes")
    a.click()
    assert answer.value == "<p><b>Not quite.</b> Count &lt;again&gt;.</p>"
    assert (a.button_style, b.button_style) == ("warning", "")
    b.click()
    assert answer.value == "<p><b>Right.</b> One is less.</p>"
    assert (a.button_style, b.button_style) == ("", "success")
    (entries,) = progress.load().records["quick-check"].values()
    assert [(e["choice"], e["correct"]) for e in entries] == [("a", False), ("b", True)]


def test_unknown_question():
    with pytest.raises(ValueError, match="no question 'wich'; did you mean 'which'"):
        quick_check("wich")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (('answer = "b"', 'answer = "c"'), r"\[which\] answer 'c' is not a choice"),
        (('a = "Count <again>.", ', ""), r"\[which\] every choice needs feedback"),
        (('a = "no"', 'a = "yes"'), r"\[which\] two choices read the same"),
        (('a = "no", ', ""), r"\[which\] needs two choices or more"),
        (("question =", "questoin ="), r"\[which\] needs a question"),
        (("[which]", "[which"), r"questions.toml: Expected"),
    ],
)
def test_question_files_are_checked(page, edit, message):
    (page / "questions.toml").write_text(QUESTIONS.replace(*edit))
    with pytest.raises(ValueError, match=message):
        lesson.questions()


def test_missing_question_file(page):
    (page / "questions.toml").unlink()
    with pytest.raises(ValueError, match="questions stand beside their notebook"):
        quick_check("which")


# ------------------------------------------------------------------------ the page's own name


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The course's manifest over one lesson folder with two pages."""
    root = tmp_path / "course"
    folder = root / "lessons" / "arch-02-topdown-roofline"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "course.toml", root)
    (folder / "questions.toml").write_text(QUESTIONS)
    for name, source in (
        ("01-top-down.ipynb", 'predict("slots", None)'),
        ("03-roofline.ipynb", 'predict("ridge",\n        None)\nquick_check("which")'),
    ):
        notebook = v4.new_notebook(cells=[v4.new_code_cell(source)])
        (folder / name).write_text(json.dumps(notebook))
    monkeypatch.chdir(folder)
    lesson._page.cache_clear()
    return folder


def test_records_are_kept_under_the_lesson(course):
    said(predict, "ridge", 5)
    said(predict, "slots", 6)
    said(quick_check("which").choose, "b")
    records = progress.load().records
    assert set(records["prediction"]) == {"arch-02/03-roofline/ridge", "arch-02/01-top-down/slots"}
    assert set(records["quick-check"]) == {"arch-02/03-roofline/which"}


def test_the_opened_notebook_decides(course, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(course / "01-top-down.ipynb"))
    said(predict, "ridge", 5)
    assert set(progress.load().records["prediction"]) == {"arch-02/01-top-down/ridge"}


def test_a_page_outside_a_course_is_recorded_too(page):
    said(predict, "ridge", 5)
    assert set(progress.load().records["prediction"]) == {f"{page.name}/ridge"}


def test_names_in_backticks_become_code():
    from syslab.course.lesson import _as_html

    assert _as_html("is `a < b` so?") == "is <code>a &lt; b</code> so?"
