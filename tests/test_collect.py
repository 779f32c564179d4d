"""Collecting from an exchange in which anybody may have written anything."""

import getpass
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "mini_course"))
import mini_course as mini

from syslab.course import assignments, nbgrader_apps
from syslab.grading import intake
from syslab.grading.collect import LINK, PlainCollect

ME = getpass.getuser()
TIME = "2026-01-02 03:04:05.000000 UTC"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return mini.build_released(tmp_path_factory.mktemp("collect") / "course")


@pytest.fixture
def assignment(made, tmp_path, monkeypatch):
    root = tmp_path / "course"
    shutil.copytree(made, root)
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    assignment = assignments.find(mini.NAME, root)
    nbgrader_apps.step("converters.GenerateAssignment", _config(assignment), mini.NAME, force=True)
    return assignment


def _config(assignment):
    config = nbgrader_apps.configuration(assignment.root)
    config.ExchangeFactory.collect = PlainCollect
    return config


def inbound(assignment, name):
    """A submission as somebody put it into the exchange, under any name."""
    config = _config(assignment)
    folder = Path(config.Exchange.root) / config.CourseDirectory.course_id / "inbound" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(assignment.release, folder)
    (folder / "timestamp.txt").write_text("soon")
    return folder


def collect(assignment):
    nbgrader_apps.step("exchange.Collect", _config(assignment), mini.NAME, update=True)
    return assignment.root / "submitted"


def test_a_submission_arrives_as_it_was_handed_in(assignment):
    folder = inbound(assignment, f"{ME}+{mini.NAME}+{TIME}+abc")
    (folder / "data").mkdir()
    (folder / "data" / "own.csv").write_text("1\n")
    arrived = collect(assignment) / ME / mini.NAME
    for name in (mini.NOTEBOOK, "bandwidth.csv", "data/own.csv"):
        assert (arrived / name).read_bytes() == (folder / name).read_bytes()
    assert (arrived / "timestamp.txt").read_text() == TIME
    newer = inbound(assignment, f"{ME}+{mini.NAME}+2026-01-03 00:00:00.000000 UTC+def")
    (newer / mini.NOTEBOOK).write_text("{}")
    collect(assignment)
    assert (arrived / mini.NOTEBOOK).read_text() == "{}"


def test_links_are_not_followed_with_the_instructors_rights(assignment, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("canary")
    folder = inbound(assignment, f"{ME}+{mini.NAME}+{TIME}+abc")
    (folder / "data.csv").symlink_to(secret)
    (folder / "all").symlink_to(tmp_path, target_is_directory=True)
    os.link(secret, folder / "hard.csv")
    os.mkfifo(folder / "pipe")
    (folder / mini.NOTEBOOK).unlink()
    (folder / mini.NOTEBOOK).symlink_to(secret)
    arrived = collect(assignment) / ME / mini.NAME
    assert sorted(p.name for p in arrived.iterdir() if p.is_file()) == [
        "bandwidth.csv",
        "mine.json",
        "timestamp.txt",
    ]
    assert os.readlink(arrived / "data.csv") == LINK
    with pytest.raises(intake.Refused) as refused:
        intake.read(arrived, {mini.NOTEBOOK: {"ridge"}})
    assert refused.value.verdict.code == "link"


def test_one_bad_name_does_not_stop_the_class(assignment, tmp_path):
    inbound(assignment, f"{ME}+{mini.NAME}+{TIME}+abc")
    inbound(assignment, f"{ME}+{mini.NAME}+soon+abc")
    inbound(assignment, f"+{mini.NAME}+{TIME}+abc")
    inbound(assignment, f"{ME}+{mini.NAME}+9999-99-99 00:00:00 UTC+x")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    config = _config(assignment)
    place = Path(config.Exchange.root) / config.CourseDirectory.course_id / "inbound"
    (place / f"{ME}+{mini.NAME}+2026-01-09 00:00:00.000000 UTC+l").symlink_to(elsewhere)
    assert [p.name for p in collect(assignment).iterdir()] == [ME]
    assert (assignment.root / "submitted" / ME / mini.NAME / mini.NOTEBOOK).is_file()


def test_a_submission_in_another_users_name_is_passed_over(assignment):
    import pwd

    victim = next(user.pw_name for user in pwd.getpwall() if user.pw_uid != os.getuid())
    inbound(assignment, f"{victim}+{mini.NAME}+{TIME}+abc")
    submitted = collect(assignment)
    assert not (submitted / victim).exists()


def test_a_name_that_is_no_user_here_is_taken(assignment):
    """Where all learners share one user of the system, owners say nothing."""
    inbound(assignment, f"no-such-user-here+{mini.NAME}+{TIME}+abc")
    assert (collect(assignment) / "no-such-user-here").exists()
