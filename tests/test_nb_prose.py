"""Numbers in prose: found, recomputed, and refused when they rest on a clock reading."""

import pytest
from nbformat import v4

from syslab import facts
from syslab.course.errors import CourseError
from syslab.course.notebooks import inprocess, prose

RIDGE = facts.hardware("H100 SXM").ridge("bf16")


def notebook(*cells):
    """Code cells as text, Markdown after 'md:', measuring cells after 'clock:'."""
    made = []
    for cell in cells:
        kind, _, rest = cell.partition(":")
        if kind == "md":
            made.append(v4.new_markdown_cell(rest))
        elif kind == "clock":
            made.append(v4.new_code_cell(rest, metadata={"tags": ["nbval-ignore-output"]}))
        else:
            made.append(v4.new_code_cell(cell))
    return v4.new_notebook(cells=made)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("295<!--= x | .0f --> FLOP/B", ("295", "x", ".0f")),
        ("**295**<!--= x --> B", ("295", "x", "g")),
        ("1,024 <!--= a | d --> B", ("1,024", "a", "d")),
        ("36.6 %<!--= h | .1% -->", ("36.6", "h", ".1%")),
        ("3.35e12<!--=bw | .2e-->", ("3.35e12", "bw", ".2e")),
        ("−5<!--= t -->", ("-5", "t", "g")),
        ("2<!--= a if b | c else d -->", ("2", "a if b | c else d", "g")),
        ("2<!--= a\n + b | d -->", ("2", "a\n + b", "d")),
    ],
)
def test_tags_are_read(text, row):
    assert prose.tagged(notebook(f"md:{text}")) == [(0, *row)]
    assert prose.loose(text) == 0


@pytest.mark.parametrize("text", ["3.35 TB/s<!--= x -->", "about<!--= x -->", "<!--= x -->"])
def test_a_tag_behind_no_number_is_loose(text):
    assert prose.loose(text) == 1


def test_a_tag_in_code_is_an_example():
    assert prose.loose("`<!--= x -->` and\n```\n<!--= y -->\n```") == 0


@pytest.mark.parametrize(
    ("shown", "value", "form", "good"),
    [
        ("295", 295.3, ".0f", True),
        ("296", 295.3, ".0f", False),
        ("327,680", 327680, "d", True),
        ("36.6", 0.36638, ".1%", True),
        ("3.66", 0.36638, ".1%", False),
        ("1.50", 1.5, ".2f", True),
        ("1.5", 1.5, ".2f", False),
        ("+3", 3, "d", True),
        ("-3", -3, "d", True),
    ],
)
def test_agreement(shown, value, form, good):
    assert prose.agrees(shown, value, form) is good


def test_recompute_uses_facts_and_the_notebooks_variables():
    ridge = f"md:{RIDGE:.0f}<!--= facts.hardware('H100 SXM').ridge('bf16') | .0f --> FLOP/B"
    good = notebook("import numpy as np\nx = np.int64(6)", ridge, "md:Twice 6<!--= x | d --> is it")
    assert prose.recompute(good) == []


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("7<!--= x | d -->", "prose says 7, x gives 6"),
        ("6<!--= y | d -->", "NameError: name 'y' is not defined"),
        ("6<!--= x + | d -->", "SyntaxError"),
        ("6<!--= 'text' | d -->", "Unknown format code 'd'"),
        ("6<!--= [x] -->", "unsupported format string"),
    ],
)
def test_disagreement_names_prose_and_code(tag, said):
    (problem,) = prose.recompute(notebook("x = 6", f"md:{tag}"))
    assert said in problem


CLOCK = "clock:import time\nstart = time.time()\nrate = 1 / 0  # never run here"


def test_clock_readings_are_neither_run_nor_leaned_on():
    made = notebook(
        "import math\nlimit = 6\nresults = {}",
        CLOCK,
        "clock:results['a'] = rate\nhistory.append(3)",
        "share = rate / limit",
        "clock:import json",
        "def scaled():\n    return share * 2",
        "print(scaled(), json.dumps(1))",
        "json.dumps(2)",
        "rate = 3.0\ndef local(share):\n    rate = share\n    return rate",
        "md:6<!--= limit | d --> and 3<!--= rate | .0f --> and 4<!--= local(4) | d -->",
    )
    cells, names = inprocess.measured(made)
    assert cells == {1, 2, 3, 4, 5, 6}
    assert names == {"start", "results", "history", "share", "scaled"}
    assert prose.recompute(made) == []


@pytest.mark.parametrize("code", ["share", "results['a']", "scaled()", "[share for _ in 'a'][0]"])
def test_an_expression_on_a_clock_reading_is_refused(code):
    made = notebook(
        CLOCK,
        "share = rate\nresults = {'a': rate}\ndef scaled():\n    return share",
        f"md:3<!--= {code} | .0f -->",
    )
    assert any("rests on a clock reading" in problem for problem in prose.recompute(made))


def test_session_runs_cells_as_a_notebook_does():
    session = inprocess.Session()
    assert (
        session.run("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int") is None
    )
    assert session.run("p = P(3)\np.x") == 3
    assert session.run("import inspect\ndef f():\n    return 1") is None
    assert session.run("inspect.getsource(f)").startswith("def f():\n    return 1")
    assert session.run("") is None
    with pytest.raises(CourseError, match=r"cell top-1, line 1: not plain Python"):
        session.run("%time x", "top-1")


def test_cells_run_without_the_future_statements_of_the_runner():
    session = inprocess.Session()
    session.run("def f(x: int): pass\nclass Box: value: int = 0")
    assert session.run("f.__annotations__['x'] is int and Box.__annotations__['value'] is int")
