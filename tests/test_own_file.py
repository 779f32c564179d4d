"""A learner's results go from a bench to a graded notebook and are never lost."""

import os

import pytest

from syslab.course.own_file import own_file, own_results


@pytest.fixture
def assignment(tmp_path):
    folder = tmp_path / "work" / "arch-02"
    folder.mkdir(parents=True)
    (folder / "recorded.json").write_text("recorded")
    return folder


def test_recorded_results_stand_in(assignment, capsys):
    assert own_file("mine.json", "recorded.json", assignment).read_text() == "recorded"
    assert "run the bench" in capsys.readouterr().out


def test_own_results_are_copied_in(assignment):
    (assignment.parent / "mine.json").write_text("mine")
    found = own_file("mine.json", "recorded.json", assignment)
    assert found == assignment / "mine.json"
    assert found.read_text() == "mine"


def test_an_older_outside_file_does_not_replace_the_one_handed_in(assignment):
    (assignment / "mine.json").write_text("handed in")
    outside = assignment.parent / "mine.json"
    outside.write_text("older")
    os.utime(outside, (1, 1))
    assert own_file("mine.json", "recorded.json", assignment).read_text() == "handed in"


def test_nothing_at_all_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="syslab start"):
        own_file("mine.json", "recorded.json", tmp_path)


def test_an_older_result_is_kept(tmp_path, monkeypatch):
    (tmp_path / "course.toml").write_text("")
    monkeypatch.setenv("SYSLAB_ROOT", str(tmp_path))
    monkeypatch.delenv("SYSLAB_NO_PROGRESS", raising=False)
    own_results("mine.json").write_text("first")
    own_results("mine.json").write_text("second")
    assert (tmp_path / "work" / "mine.json").read_text() == "second"
    assert (tmp_path / "work" / "mine.before.json").read_text() == "first"


def test_a_run_without_record_touches_nothing_of_the_learner(tmp_path, monkeypatch):
    (tmp_path / "course.toml").write_text("")
    monkeypatch.setenv("SYSLAB_ROOT", str(tmp_path))
    monkeypatch.setenv("SYSLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("SYSLAB_NO_PROGRESS", "1")
    assert own_results("mine.json").parent == tmp_path / "state"
    assert not (tmp_path / "work").exists()
