"""The late policy: its arithmetic, and nbgrader applying it by its own commands, in any zone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "mini_course"))
import mini_course as mini

from syslab.course import assignments, manifest, nbgrader_apps
from syslab.grading import late

DAY = 86_400
COURSE_ID = "principal-ai-systems"
POLICY = "\n[late]\ngrace_minutes = 30\npercent_per_day = 10\ncap_percent = 25\n"
CONFIG = """
if "LatePolicy" not in str(c.AssignLatePenalties):
    c.AssignLatePenalties.plugin_class = "syslab.grading.late.LatePolicy"
if "late.RefreshLatePenalty" not in str(c.GenerateFeedback.preprocessors):
    c.GenerateFeedback.preprocessors.insert(0, "syslab.grading.late.RefreshLatePenalty")
"""

# ---------------------------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    ("late_s", "percent"),
    [
        (-5, 0), (0, 0), (1, 0), (30 * 60, 0),  # in time, and within the grace
        (30 * 60 + 1, 10), (DAY, 10),  # the first day, counted from the due date
        (DAY + 1, 20), (2 * DAY, 20), (2 * DAY + 0.001, 25), (400 * DAY, 25),
    ],
)  # fmt: skip
def test_percent_of_a_late_submission(late_s, percent):
    policy = manifest.Late(grace_minutes=30, percent_per_day=10, cap_percent=25)
    assert policy.percent(late_s) == percent
    assert late.penalty(policy, 8.0, late_s) == pytest.approx(8 * percent / 100)


def test_no_policy_takes_nothing_and_no_penalty_exceeds_the_score():
    assert late.penalty(manifest.Late(), 8.0, 99 * DAY) == 0
    hard = manifest.Late(percent_per_day=100)
    assert late.penalty(hard, 8.0, 9 * DAY) == 8.0
    assert late.penalty(hard, -1.0, 9 * DAY) == 0


def test_the_manifest_has_no_policy_by_default(course_root):
    course = manifest.load(course_root / "course.toml", check_folders=False)
    assert course.late.percent(99 * DAY) == 0


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("percent_per_day = 101", "a percent from 0 to 100, not the number 101"),
        ("percent_per_day = true", "a percent from 0 to 100"),
        ("percent_per_day = 5\ngrace_minutes = -1", "a whole number, 0 or more, not the number -1"),
        ("percent_per_dya = 5", "did you mean 'percent_per_day'"),
        ("", "lacks the key 'percent_per_day'"),
    ],
)
def test_a_policy_that_makes_no_sense_names_its_line(course_root, tmp_path, table, said):
    file = tmp_path / "course.toml"
    text = (course_root / "course.toml").read_text(encoding="utf-8")
    file.write_text(f"{text}\n[late]\n{table}\n", encoding="utf-8")
    with pytest.raises(manifest.ManifestError) as caught:
        manifest.load(file, check_folders=False)
    assert said in str(caught.value)
    assert "course.toml line" in str(caught.value)


# ------------------------------------------------------------------------------- in nbgrader


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = mini.build_released(tmp_path_factory.mktemp("late") / "course")
    with open(root / "course.toml", "a", encoding="utf-8") as file:
        file.write(POLICY)
    with open(root / "nbgrader_config.py", "a", encoding="utf-8") as file:
        file.write(CONFIG)
    nbgrader_apps.step(
        "converters.GenerateAssignment", nbgrader_apps.configuration(root), mini.NAME, force=True
    )
    return root


@pytest.fixture
def course(made, tmp_path, monkeypatch):
    root = tmp_path / "course"
    shutil.copytree(made, root)
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    return root


def opened(root):
    from nbgrader.api import Gradebook

    return Gradebook(f"sqlite:///{root / 'gradebook.db'}", COURSE_ID)


def due(root, when="2026-11-01 12:00:00 UTC"):
    with opened(root) as gradebook:
        gradebook.update_or_create_assignment(mini.NAME, duedate=when)


def hand_in(root, student, when):
    folder = root / "submitted" / student / mini.NAME
    shutil.copytree(assignments.find(mini.NAME, root).release, folder)
    mini.answer(folder / mini.NOTEBOOK, mini.RIGHT, "I would fund memory bandwidth.")
    (folder / "timestamp.txt").write_text(when)


def autograde(root, student="*", **options):
    config = nbgrader_apps.configuration(root)
    nbgrader_apps.step("converters.Autograde", config, mini.NAME, student, **options)


def points(root, student):
    with opened(root) as gradebook:
        found = gradebook.find_submission(mini.NAME, student)
        return found.score, found.late_submission_penalty


def test_stock_autograde_applies_the_policy_in_every_time_zone(course):
    due(course, "2026-11-01 14:00:00 Europe/Berlin")  # 13:00 UTC
    hand_in(course, "early", "2026-11-01 13:29:59 UTC")
    hand_in(course, "after", "2026-11-01 13:30:01 UTC")
    program = Path(sys.executable).parent / "nbgrader"
    found = []
    for zone in ("Asia/Tokyo", "America/Los_Angeles"):
        environment = {**os.environ, "TZ": zone, "SYSLAB_NO_PROGRESS": "1"}
        done = subprocess.run(
            [program, "autograde", mini.NAME, "--force"],
            cwd=course, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        found.append((points(course, "early"), points(course, "after")))
    assert found[0] == found[1]
    (score, none), (same, lost) = found[0]
    assert none == 0
    assert same == score > 0
    assert lost == pytest.approx(score / 10)


def test_hand_marks_that_come_later_are_in_the_penalty_once_feedback_is_made(course):
    due(course)
    hand_in(course, "ada", "2026-11-02 12:00:01 UTC")  # the second day: 20 %
    autograde(course)
    machine, lost = points(course, "ada")
    assert lost == pytest.approx(0.2 * machine)
    with opened(course) as gradebook:
        submission = gradebook.find_submission(mini.NAME, "ada")
        waiting = [g for n in submission.notebooks for g in n.grades if g.needs_manual_grade]
        assert waiting
        for grade in waiting:
            grade.manual_score, grade.needs_manual_grade = grade.max_score, False
        gradebook.db.commit()
    config = nbgrader_apps.configuration(course)
    nbgrader_apps.step("converters.GenerateFeedback", config, mini.NAME, "ada", force=True)
    whole, lost = points(course, "ada")
    assert whole > machine
    assert lost == pytest.approx(0.2 * whole)
    page = (course / "feedback" / "ada" / mini.NAME / mini.NOTEBOOK).with_suffix(".html")
    assert f"{lost:g}" in page.read_text(encoding="utf-8")


def test_an_extension_moves_one_students_due_date(course):
    due(course)
    for student in ("ada", "eve"):
        hand_in(course, student, "2026-11-02 12:00:01 UTC")
    autograde(course)
    with opened(course) as gradebook:
        gradebook.grant_extension(mini.NAME, "ada", days=2)
    autograde(course, force=True)
    assert points(course, "ada")[1] == 0
    assert points(course, "eve")[1] > 0


def test_without_a_due_date_or_a_time_stamp_nothing_is_late(course):
    hand_in(course, "ada", "2026-11-02 12:00:01 UTC")
    hand_in(course, "eve", "2026-11-02 12:00:01 UTC")
    autograde(course, "ada")
    assert points(course, "ada")[1] == 0
    due(course)
    (course / "submitted" / "eve" / mini.NAME / "timestamp.txt").unlink()
    autograde(course, "eve")
    assert points(course, "eve")[1] == 0
