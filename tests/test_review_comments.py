"""Comments are read, or refused by a message that names comment and field."""

import numpy as np
import pytest

from syslab.review import MEANING, WEIGHTS, Comment, CommentError, parse, pull, score

GOOD = {"file": "serving/plan.py", "lines": [21, 22], "severity": "Major", "claim": " GB and GiB "}


def test_reads_pairs_numbers_and_numpy():
    (comment,) = parse([GOOD])
    assert comment == Comment("serving/plan.py", (21, 22), "major", "GB and GiB", "")
    for lines in (21, np.int64(21), (21, 21)):
        assert parse([{**GOOD, "lines": lines}])[0].lines == (21, 21)
    assert parse([comment]) == (comment,)
    assert parse([]) == ()
    assert str(comment) == "serving/plan.py:21-22 [major] GB and GiB"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file": None}, "comment 2, file: is None; give text"),
        ({"file": " "}, "comment 2, file: is empty"),
        (
            {"file": "plan.py"},
            "comment 2, file: is 'plan.py'; the pull request has serving/plan.py",
        ),
        ({"lines": "21"}, "comment 2, lines: is '21'; give a line number"),
        ({"lines": 2.5}, "comment 2, lines: is 2.5; give a line number"),
        ({"lines": True}, "comment 2, lines: is True; give a line number"),
        ({"lines": (1, 2, 3)}, "comment 2, lines: is (1, 2, 3); give"),
        ({"lines": 0}, "comment 2, lines: begins at 0; lines count from 1"),
        ({"lines": (9, 3)}, "comment 2, lines: ends at 3, before it begins at 9"),
        ({"lines": (1, 26)}, "comment 2, lines: covers 26 lines; point at 25 or fewer"),
        ({"lines": (999, 999)}, "comment 2, lines: is 999; the new serving/plan.py ends at line"),
        ({"severity": "critical"}, "comment 2, severity: is 'critical'; choose one of blocker"),
        ({"severity": 1}, "comment 2, severity: is 1; give text"),
        ({"claim": ""}, "comment 2, claim: is empty"),
        ({"claim": "word " * 61}, "comment 2, claim: has 61 words; make one point in at most 60"),
        ({"suggestion": 3}, "comment 2, suggestion: is 3; give text"),
        ({"line": 3}, "comment 2, 'line': is no field of a comment; the fields are file, lines"),
    ],
)
def test_names_comment_and_field(change, said):
    with pytest.raises(CommentError) as error:
        parse([GOOD, {**GOOD, **change}], pull("kv-planner"))
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("field", ["file", "lines", "severity", "claim"])
def test_names_what_is_missing(field):
    with pytest.raises(CommentError, match=f"comment 1, {field}: is missing"):
        parse([{key: value for key, value in GOOD.items() if key != field}])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "comments is empty"),
        (..., "comments is empty"),
        (GOOD, "comments is a dict; give a list"),
        ("a claim", "comments is a str; give a list"),
        (["a claim"], "comment 1 is a str; give a dictionary with the keys file, lines"),
        (7, "comments is a int; give a list"),
    ],
)
def test_names_what_is_no_list_of_comments(given, said):
    with pytest.raises(CommentError, match=said):
        parse(given)


def test_score_passes_the_message_on():
    with pytest.raises(CommentError, match="comment 1, severity"):
        score(pull("kv-planner"), [{**GOOD, "severity": "high"}])


def test_each_severity_outweighs_all_smaller_ones_together():
    weights = list(WEIGHTS.values())
    assert list(WEIGHTS) == list(MEANING) == ["blocker", "major", "minor", "nit"]
    for at, weight in enumerate(weights):
        assert weight > sum(weights[at + 1 :])
