"""The whole way through nbgrader: by its own commands once, then step by step in this process."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "mini_course"))
import mini_course as mini

from syslab.course import assignments, nbgrader_apps, progress, scores
from syslab.grading import commands, feedback, release

COURSE_ID = "principal-ai-systems"
HIDDEN_TEXTS = (
    "secret_bandwidth_of_the_hidden_test",
    "BEGIN HIDDEN",
    "989e12",
    "attainable_at(10.0, 100.0, 10.0)",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return mini.build_released(tmp_path_factory.mktemp("pipeline") / "course")


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


def hand_in(assignment, student, answers, memo=None, edit=None):
    """Put a submission where nbgrader collects them."""
    folder = assignment.root / "submitted" / student / assignment.name
    shutil.copytree(assignment.release, folder)
    mini.answer(folder / mini.NOTEBOOK, answers, memo)
    if edit:
        notebook = nbformat.read(folder / mini.NOTEBOOK, as_version=4)
        edit(notebook)
        nbformat.write(notebook, folder / mini.NOTEBOOK)
    return folder


def points(assignment, student):
    """Points and whether a person still has to mark, from the gradebook."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{assignment.root / 'gradebook.db'}", COURSE_ID) as gradebook:
        found = gradebook.find_submission(assignment.name, student)
        return found.score, bool(found.needs_manual_grade)


# ------------------------------------------------------------------ by nbgrader's own commands


def nbgrader(root, *words, fails=False):
    """Run ``nbgrader`` in the course as a user does, without an activated environment."""
    program = Path(sys.executable).parent / "nbgrader"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SYSLAB")}
    environment["PATH"] = os.defpath
    done = subprocess.run(
        [program, *words], cwd=root, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode != 0) == fails, done.stderr + done.stdout
    return done.stdout + done.stderr


@pytest.mark.slow
def test_from_source_to_feedback_by_command_line(course, assignment):
    made_by_syslab = (assignment.release / mini.NOTEBOOK).read_bytes()
    shutil.rmtree(assignment.release)
    nbgrader(course, "generate_assignment", "arch-02")
    assert (assignment.release / mini.NOTEBOOK).read_bytes() == made_by_syslab

    nbgrader(course, "release_assignment", "arch-02")
    assert f"{COURSE_ID} arch-02" in nbgrader(course, "list")
    nbgrader(course, "fetch_assignment", "arch-02")
    mine = assignment.work / mini.NOTEBOOK
    assert mine.read_bytes() == made_by_syslab

    mini.answer(mine, {**mini.WARNING, "attainable": mini.WRONG["attainable"]}, "My memo.")
    said = nbgrader(course, "validate", str(mine))
    assert "FAIL  far above the ridge: you forgot the compute ceiling" in said
    assert "VALIDATION FAILED ON 1 CELL(S)" in said, "a warning is no failure"

    (assignment.work / "mine.json").write_text('{"DRAM": 17}\n')
    nbgrader(course, "submit", "arch-02")
    nbgrader(course, "collect", "arch-02")
    nbgrader(course, "autograde", "arch-02")
    student = next((course / "submitted").iterdir()).name
    assert points(assignment, student) == (4.0, True)  # 2 of 2, 2 of 3, memo unmarked
    graded = course / "autograded" / student / "arch-02"
    assert (graded / "mine.json").read_text() == '{"DRAM": 17}\n', "own measurements must survive"

    demonstration = course / "autograded/demo-typical/arch-02"
    shutil.copytree(graded, demonstration)  # in the repository, but in nobody's gradebook
    nbgrader(course, "generate_feedback", "arch-02")
    nbgrader(course, "release_feedback", "arch-02")
    nbgrader(course, "fetch_feedback", "arch-02")
    (page,) = assignment.work.glob("feedback/*/arch-02.html")
    text = page.read_text()
    assert "hidden checks: 3 of 3 passed" in text
    assert "hidden checks: 1 of 1 passed" in text
    assert "you forgot the compute ceiling" in text
    assert not [secret for secret in HIDDEN_TEXTS if secret in text]
    # Nothing runs on the page and nothing is fetched: it is read offline, and by the instructor.
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', text)


def test_jupyterlabs_assignment_list_fetches_into_work_and_submits(course, monkeypatch):
    """The extension reads its configuration from the assignment folder; it must find ours."""
    from nbgrader.server_extensions.assignment_list.handlers import AssignmentList

    monkeypatch.chdir(course)
    config = nbgrader_apps.configuration(course)
    nbgrader_apps.step("exchange.ReleaseAssignment", config, "arch-02")
    manager = AssignmentList()
    manager.root_dir = str(course)

    def status():
        listed = manager.list_assignments(course_id=COURSE_ID)
        assert listed["success"], listed
        return {(a["assignment_id"], a["status"]) for a in listed["value"]}

    assert status() == {("arch-02", "released")}
    assert manager.fetch_assignment(COURSE_ID, "arch-02")["success"]
    os.chdir(course)
    assert (course / "work/arch-02/arch-02.ipynb").is_file()
    assert status() == {("arch-02", "fetched")}
    os.chdir(course)
    assert manager.submit_assignment(COURSE_ID, "arch-02")["success"]
    os.chdir(course)
    assert len(list((course / f"exchange/{COURSE_ID}/inbound").iterdir())) == 1
    assert {s for _, s in status()} >= {"fetched"}


# --------------------------------------------------------------------------------------- points


def _no_tests(notebook):
    notebook.cells = [c for c in notebook.cells if not c.metadata.get("nbgrader", {}).get("grade")]


def _no_first_exercise(notebook):
    gone = [mini.cell(notebook, "ridge"), mini.cell(notebook, "test-ridge")]
    notebook.cells = [c for c in notebook.cells if not any(c is g for g in gone)]


def _cheat(notebook):
    """Weaken a test, raise its points and take the grade mark off another."""
    mini.cell(notebook, "test-ridge").source = "2.0"
    mini.cell(notebook, "test-ridge").metadata.nbgrader["points"] = 200
    mini.cell(notebook, "test-attainable").metadata.nbgrader.update(grade=False, locked=False)


def _renamed(notebook):
    mini.cell(notebook, "test-ridge").metadata.nbgrader["grade_id"] = "my-own-test"


CLASS = {
    "stub": ({}, None, None, 0.0),
    "wrong": (mini.WRONG, None, None, 2.0),
    "right": (mini.RIGHT, "Memo.", None, 5.0),
    "warns": (mini.WARNING, "Memo.", None, 5.0),
    "no-tests": (mini.RIGHT, "Memo.", _no_tests, 5.0),
    "no-first": (mini.RIGHT, "Memo.", _no_first_exercise, 3.0),
    "cheat": (mini.WRONG, None, _cheat, 2.0),
    "renamed": (mini.RIGHT, "Memo.", _renamed, 5.0),
}


def test_a_class_is_graded_and_gets_feedback(course, assignment, capsys):
    """Stub, wrong, right, right with warnings on stderr, and notebooks that came to harm."""
    for student, (answers, memo, edit, _) in CLASS.items():
        hand_in(assignment, student, answers, memo, edit)
    broken = course / "submitted/broken/arch-02"
    broken.mkdir(parents=True)
    (broken / mini.NOTEBOOK).write_text("{")
    nbgrader_apps.step("exchange.ReleaseAssignment", nbgrader_apps.configuration(course), "arch-02")
    before = (assignment.release / mini.NOTEBOOK).stat().st_mtime_ns

    assert run("grade", "arch-02") == 1, "one submission cannot be graded"
    said = capsys.readouterr()
    assert "Not graded: broken." in said.err
    for student, (_, memo, _, expected) in CLASS.items():
        assert points(assignment, student) == (expected, memo is not None), student
        assert f"{expected:g} of 20" in next(
            line for line in said.out.splitlines() if line.split()[:1] == [student]
        )
    assert (assignment.release / mini.NOTEBOOK).stat().st_mtime_ns == before

    for student in CLASS:
        page = (course / f"feedback/{student}/arch-02/arch-02.html").read_text()
        assert not [secret for secret in HIDDEN_TEXTS if secret in page], student
        assert "hidden checks:" in page, student


def test_only_the_newest_submission_is_graded_again(course, assignment, capsys):
    hand_in(assignment, "ann", mini.RIGHT)
    nbgrader_apps.step("exchange.ReleaseAssignment", nbgrader_apps.configuration(course), "arch-02")
    assert run("grade", "arch-02", "--student", "ann") == 0
    graded = course / "autograded/ann/arch-02" / mini.NOTEBOOK
    before = graded.stat().st_mtime_ns
    page = course / "feedback/ann/arch-02/arch-02.html"
    page.unlink()  # as if the run had been killed before it
    assert run("grade", "arch-02", "--student", "ann") == 0
    assert graded.stat().st_mtime_ns == before
    made = page.stat().st_mtime_ns
    assert run("grade", "arch-02", "--student", "ann") == 0
    assert page.stat().st_mtime_ns == made
    with pytest.raises(Exception, match="nothing was handed in for arch-02 by 'bob'"):
        run("grade", "arch-02", "--student", "bob")


# ------------------------------------------------------------------------------ my own work


def test_grade_mine_runs_the_hidden_tests_and_touches_nothing(course, assignment, capsys):
    assignments.copy_missing(assignment.release, assignment.work)
    mine = assignment.work / mini.NOTEBOOK
    overfitted = {**mini.RIGHT, "ridge": "def ridge(p, b):\n    return 10.0"}
    mini.answer(mine, overfitted)
    before = {p: p.read_bytes() for p in assignment.work.rglob("*") if p.is_file()}
    assert run("grade", "--mine") == 0
    said = capsys.readouterr().out
    assert "a slow memory" in said, "the reason of a hidden check is given"
    assert "3.5 of 20 points" in said
    assert "The gate is 14: 10.5 to go." in said
    assert "Not answered yet: memo." in said
    assert not [secret for secret in HIDDEN_TEXTS if secret in said]
    assert {p: p.read_bytes() for p in assignment.work.rglob("*") if p.is_file()} == before
    assert not (course / "gradebook.db").exists()
    assert not (course / "autograded").exists()
    (entry,) = progress.load().entries("graded", "arch-02")
    assert (entry["score"], entry["max_score"]) == (3.5, 20.0)
    assert entry["by_cell"] == {"test-ridge": 0.5, "test-attainable": 3.0, "memo": 0.0}


def test_grade_mine_of_a_notebook_that_lost_its_marks(course, assignment, capsys):
    assignments.copy_missing(assignment.release, assignment.work)
    mine = assignment.work / mini.NOTEBOOK
    mini.answer(mine, mini.RIGHT, "My memo.")
    notebook = nbformat.read(mine, as_version=4)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    notebook.cells = [c for c in notebook.cells if "check.score()" not in c.source]
    nbformat.write(notebook, mine)
    assert run("grade", "--mine", "arch-02") == 0
    said = capsys.readouterr().out
    assert "dropped nbgrader's marks" in said
    assert "5 of 20 points. 15 more await a human." in said


# -------------------------------------------------------------------------------------- feedback


def executed(source, outputs):
    cell = nbformat.v4.new_code_cell(
        source, outputs=outputs, execution_count=4, metadata=mini._marks("test-x", grade=True)
    )
    return nbformat.v4.new_notebook(cells=[cell])


def test_hidden_tests_are_counted_by_their_labels():
    text = (
        "PASS  100 FLOP/s over 10 B/s\nFAIL (hidden)  a slow memory: got 10\n"
        "PASS (hidden)  bandwidth 2\nFAIL (hidden)  bandwidth 4: got 10\n"
    )
    stream = nbformat.v4.new_output("stream", name="stdout", text=text)
    notebook = feedback.hide(executed(mini.TEST_RIDGE, [stream]))
    source = notebook.cells[0].source
    assert "# hidden checks: 1 of 3 passed" in source
    assert "100 FLOP/s over 10 B/s" in source, "the public part stays"
    assert not [secret for secret in HIDDEN_TEXTS if secret in source]
    assert notebook.cells[0].outputs[0].text == text, "the reasons stay"


def test_a_traceback_does_not_quote_a_hidden_test():
    """IPython prints the lines around the failing one, coloured and numbered."""
    coloured = (
        "\x1b[31mCell In[4], line 6\x1b[0m\n"
        '\x1b[32m      4\x1b[39m             wrong={0.1: "that"})\n'
        '\x1b[31m----> \x1b[39m\x1b[32m6\x1b[39m check.value(\x1b[33m"a slow memory"\x1b[39m, '
        "lambda: ridge_of(989e12, 1e12), \x1b[32m989.0\x1b[39m)\n"
        "ZeroDivisionError: x"
    )
    error = nbformat.v4.new_output(
        "error", ename="ZeroDivisionError", evalue="x", traceback=[coloured]
    )
    notebook = feedback.hide(executed(mini.TEST_RIDGE, [error]))
    shown = "\n".join(notebook.cells[0].outputs[0].traceback)
    assert "989" not in shown
    assert feedback.HIDDEN_LINE in shown
    assert "Cell In[4], line 6" in shown
    assert "ZeroDivisionError: x" in shown


def test_a_submission_cannot_print_a_hidden_test_into_its_feedback():
    line = 'check.value("a slow memory", lambda: ridge_of(989e12, 1e12), 989.0)'
    spy = nbformat.v4.new_code_cell(
        "print(In)",
        execution_count=5,
        outputs=[
            nbformat.v4.new_output("stream", name="stdout", text=f"{['x', line]!r}\n"),
            nbformat.v4.new_output("execute_result", data={"text/plain": repr(f"a\n{line}\nb")}),
            nbformat.v4.new_output("display_data", data={"text/html": line.replace('"', "&quot;")}),
        ],
    )
    notebook = executed(mini.TEST_RIDGE, [])
    notebook.cells.append(spy)
    feedback.hide(notebook)
    assert "989" not in str(notebook.cells[1].outputs)


def test_a_notebook_without_hidden_tests_is_left_alone():
    stream = nbformat.v4.new_output("stream", name="stdout", text="PASS  x\n")
    notebook = executed("check.score()", [stream])
    before = nbformat.writes(notebook)
    assert nbformat.writes(feedback.hide(notebook)) == before


# ------------------------------------------------------------------------------ demonstration


@pytest.fixture
def answers(tmp_path):
    path = tmp_path / "arch-02.toml"
    path.write_text(
        "[answers]\nridge = 'return bandwidth / peak_flops'\n"
        "attainable = '''\nprint(object())\nreturn min(peak_flops, bandwidth * intensity)\n'''\n"
        "[cells]\nmemo = 'Fund the first one.'\n"
    )
    return path


def test_the_demonstration_is_reproducible(course, assignment, answers):
    from syslab.grading import demo

    found = {s.grade_id: s.points for s in demo.make(assignment, answers)}
    assert found == {"test-ridge": 0.0, "test-attainable": 3.0, "memo": None}
    stored = demo.target(assignment) / mini.NOTEBOOK
    text = stored.read_text()
    assert "that is bandwidth over peak" in text
    assert not [word for word in ("execution_state", "iopub", "/tmp", "timestamp") if word in text]
    notebook = nbformat.read(stored, as_version=4)
    nbformat.validate(notebook)
    assert '"""Return the ridge point' in mini.cell(notebook, "ridge").source, "only the stub goes"
    mini.cell(notebook, "ridge").source += "\n# touched"
    nbformat.write(notebook, stored)
    (difference,) = demo.verify(assignment, answers)
    assert str(difference).startswith(
        "autograded/demo-typical/arch-02/arch-02.ipynb [ridge]: differs in source"
    )


def test_an_answer_to_an_unknown_exercise_is_refused(assignment, tmp_path):
    from syslab.course.errors import CourseError
    from syslab.grading import demo

    path = tmp_path / "arch-02.toml"
    path.write_text("[answers]\nrigde = '1'\n")
    with pytest.raises(CourseError, match=r"answers rigde.*[\s\S]*attainable, memo, ridge"):
        demo.make(assignment, path)
    assert not demo.target(assignment).exists()


def test_a_demonstration_without_answers_says_what_to_write(assignment, tmp_path):
    from syslab.course.errors import CourseError
    from syslab.grading import demo

    with pytest.raises(CourseError, match="it holds the demonstration's answers"):
        demo.make(assignment, tmp_path / "absent.toml")


def test_replacing_a_folder_keeps_nothing_of_the_old_one(tmp_path):
    for name, text in (("fresh", "new"), ("target", "old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{text}.txt").write_text(text)
    release.replace_folder(tmp_path / "fresh", tmp_path / "target")
    assert [p.name for p in (tmp_path / "target").iterdir()] == ["new.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fresh", "target"]


def test_the_written_answer_waits_for_a_person():
    cell = nbformat.v4.new_markdown_cell(
        "My memo.", metadata=mini._marks("memo", grade=True, solution=True, points=15)
    )
    (score,) = scores.of(nbformat.v4.new_notebook(cells=[cell]))
    assert score.points is None
    assert score.by_hand
