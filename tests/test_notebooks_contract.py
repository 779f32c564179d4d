"""The repository's own notebooks: within the contract, of the right shape and length."""

import re
import shutil
import tomllib
from pathlib import Path

import nbformat
import pytest

from syslab.course import lesson, manifest, minutes
from syslab.course.notebooks import canonical, command, contract

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = command.notebooks()
LESSONS = [p for p in NOTEBOOKS if p.is_relative_to(ROOT / "lessons")]
LESSON_FOLDERS = sorted({p.parent for p in LESSONS})
BENCHES = [p for p in NOTEBOOKS if p.is_relative_to(ROOT / "labs")]
CELLS = (20, 50)
MAX_MEASURED_SHARE = 0.4  # of a bench's code cells; everything else measures nothing
MINUTES_TOLERANCE = 5
LAST_HEADINGS = ("take-aways", "next", "take with you")


def shown(path):
    return str(path.relative_to(ROOT))


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=shown)


def code_cells(path):
    return [cell for cell in canonical.read(path).cells if cell.cell_type == "code"]


def calls(path, name):
    """The keys that a notebook's code gives to `name` as first argument."""
    code = "\n".join(cell.source for cell in code_cells(path))
    return re.findall(rf"\b{name}\(\s*[\"']([^\"']+)[\"']", code)


def test_there_are_notebooks():
    assert LESSONS
    assert BENCHES
    assert (ROOT / "START.ipynb") in NOTEBOOKS


@each(NOTEBOOKS)
def test_within_the_contract(path):
    assert [str(f) for f in contract.check(path, ROOT)] == []


@each(NOTEBOOKS)
def test_every_code_cell_was_executed(path):
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


@each(NOTEBOOKS)
def test_clock_readings_are_where_they_may_be(path):
    cells = code_cells(path)
    measured = [c for c in cells if canonical.MEASURES in c.metadata.get("tags", [])]
    assert len(measured) <= (MAX_MEASURED_SHARE * len(cells) if path in BENCHES else 0)


@each(LESSONS)
def test_a_lesson_has_its_shape(path):
    notebook = canonical.read(path)
    assert CELLS[0] <= len(notebook.cells) <= CELLS[1]
    assert calls(path, "predict")
    assert set(calls(path, "reveal")) == set(calls(path, "predict"))
    assert len(calls(path, "quick_check")) >= 2
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    prose = re.sub(r"```.*?```", "", prose, flags=re.DOTALL)
    headings = re.findall(r"^#{1,6} +(.+)$", prose, re.MULTILINE)
    assert headings[-1].strip().casefold().startswith(LAST_HEADINGS)


@pytest.mark.parametrize("folder", LESSON_FOLDERS, ids=shown)
def test_every_question_is_asked_once(folder):
    asked = [key for path in folder.glob("*.ipynb") for key in calls(path, "quick_check")]
    assert sorted(asked) == sorted(lesson.questions(folder))


@pytest.mark.parametrize("folder", LESSON_FOLDERS, ids=shown)
def test_predictions_of_a_module_do_not_share_names(folder):
    made = [key for path in folder.glob("*.ipynb") for key in calls(path, "predict")]
    assert len(set(made)) == len(made)


def stated():
    """Page in the repository and stated minutes, for every notebook of the ready parts."""
    for part in manifest.load(check_folders=False).ready_parts:
        for notebook in getattr(part, "notebooks", (part.assignment,)):
            # The assignment's page is the learner's copy; its length is that of the source.
            path = part.source if notebook is part.assignment else notebook.path
            yield pytest.param(path, notebook.minutes, id=notebook.key)


@pytest.mark.parametrize(("path", "said"), list(stated()))
def test_stated_minutes_follow_the_rule(path, said):
    by_rule = minutes.minutes(canonical.read(ROOT / path))
    assert abs(said - by_rule) <= MINUTES_TOLERANCE, f"course.toml says {said}, the rule {by_rule}"


# ------------------------------------------------------------------- the rules can fail


def spoiled(tmp_path, old, new):
    """A copy of the first lesson with every `old` replaced; asserts that there was one."""
    path = tmp_path / "lessons" / LESSONS[0].name
    path.parent.mkdir()
    shutil.copy(LESSONS[0].parent / "questions.toml", path.parent)
    text = LESSONS[0].read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new"),
    [("quick_check(", "slow_check("), ("predict(", "guess("), ("reveal(", "show(")],
)
def test_a_lesson_without_its_questions_is_refused(tmp_path, old, new):
    with pytest.raises(AssertionError):
        test_a_lesson_has_its_shape(spoiled(tmp_path, old, new))


def test_an_unused_question_is_refused(tmp_path):
    first = next(iter(tomllib.loads((LESSONS[0].parent / "questions.toml").read_text())))
    path = spoiled(tmp_path, f'quick_check(\\"{first}\\")', "pass")
    with pytest.raises(AssertionError):
        test_every_question_is_asked_once(path.parent)


def test_a_clock_reading_in_a_lesson_is_refused(tmp_path):
    path = spoiled(tmp_path, '"metadata": {},', '"metadata": {"tags": ["nbval-ignore-output"]},')
    with pytest.raises(AssertionError):
        test_clock_readings_are_where_they_may_be(path)


def test_the_rule_for_minutes():
    from nbformat import v4

    marks = {"nbgrader": {"solution": True, "grade": False}}
    cells = [
        v4.new_markdown_cell("word " * 900 + "<!-- " + "hidden " * 900 + "-->"),  # 7.5 minutes
        *[v4.new_code_cell("x = 1") for _ in range(6)],  # 6
        v4.new_code_cell('predict("a", None)\nquick_check("b")'),  # 1 + 2
        v4.new_markdown_cell("Difficulty 2/5 · Importance 4/5 · at most 20 minutes · 2 points"),
        v4.new_code_cell("def f(): ...", metadata=marks),
    ]
    notebook = v4.new_notebook(cells=cells)
    assert minutes.exact(notebook) == pytest.approx(7.5 + 6 + 3 + 20, abs=0.2)
    assert minutes.minutes(notebook) == 35
    assert minutes.minutes(v4.new_notebook()) == 5


def test_a_learners_answer_is_not_held_to_the_authors_style(tmp_path):
    """Numbers in a postmortem are typed by hand, and it may be long."""
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("It cost 34 % of the budget. " * 60, id="memo")]
    )
    rules = {}
    for folder in ("work", "lessons"):
        path = tmp_path / folder / "mine.ipynb"
        path.parent.mkdir()
        nbformat.write(made, path)
        rules[folder] = {finding.rule for finding in contract.check(path, tmp_path)}
    assert {"prose-numbers", "style"} <= rules["lessons"]
    assert not {"prose-numbers", "style"} & rules["work"]
