"""Which variant of the assessment a learner gets, and what whoever marks is told."""

import pytest

from syslab import review
from syslab.course.checks import Check
from syslab.course.oracles import code_review as oracle
from syslab.course.oracles import mod_605


def test_the_variant_follows_from_the_login():
    for variant, login in enumerate(("ada", "dara", "goro", "bo"), 1):
        assert oracle.assigned(login) == variant
    assert oracle.assigned(" ADA ") == oracle.assigned("ada")


@pytest.mark.parametrize("login", [None, "", "  ", 3, ["ada"], ...])
def test_without_a_login_it_is_the_first(login, tmp_path):
    assert oracle.assigned(login) == 1
    assert "this is the first variant" in oracle.whose(login, tmp_path)


def test_who_marks_sees_a_login_that_is_not_the_senders(tmp_path):
    folder = tmp_path / "autograded" / "dara" / "code-review"
    folder.mkdir(parents=True)
    assert oracle.whose("dara", folder) == "variant 2, for the login 'dara'"
    assert oracle.whose("emre", folder) == "variant 2, for the login 'emre'"
    said = oracle.whose("goro", folder)
    assert "it came in from 'dara', whose variant is 2" in said
    assert "it came in from 'dara'" in oracle.whose(None, folder)
    assert "it came in" not in oracle.whose("goro", tmp_path)


def test_a_comment_that_says_all_is_well_is_no_find(capsys):
    here = review.pull("kv-planner")
    truth = review.load_truth("kv-planner", here)
    planted = truth.defects[0].comment
    said = [review.Comment(planted.file, planted.lines, "blocker", "This looks fine to me.")]
    check = Check("mod-605/x", points=1)
    mod_605.mark(check, here, lambda: said, truth)
    assert check.score() == 0
    assert "1 of 1 comments say that all is well" in " ".join(capsys.readouterr().out.split())
