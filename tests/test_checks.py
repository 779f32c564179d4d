"""Graded checks: every rung of the ladder has its sentence; a slip costs no more than it must."""

import contextlib
import io
import linecache
import logging
import os
import subprocess
import sys
import types
import warnings
from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_output

from syslab.course import answers, checks, progress, scores
from syslab.course.checks import Check


class Cell:
    """A learner's namespace: answer cells and one test cell, run as a notebook would."""

    def __init__(self):
        self.namespace = {"__name__": "__main__"}
        self.count = 0

    def run(self, source):
        self.count += 1
        name = f"<cell {id(self)}-{self.count}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        exec(compile(source, name, "exec"), self.namespace)

    def test(self, body, key="a/x", points=2, closes=(), limit_s=20.0):
        """Run a test cell; return (score, printed lines)."""
        self.run("pass")
        name = f"<test {id(self)}-{self.count}>"
        source = (
            "from syslab.course.checks import Check\n"
            f"check = Check({key!r}, points={points}, closes={list(closes)!r}, limit_s={limit_s})\n"
            f"{body}\n"
            "result = check.score()\n"
        )
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(source, name, "exec"), self.namespace)
        return self.namespace["result"], joined(out.getvalue()).splitlines()


def joined(text):
    """Printed checks with their continued lines put together."""
    return text.replace("\n" + " " * checks.CONTINUED, " ")


@pytest.fixture
def cell():
    return Cell()


def judged(answer, expected, **options):
    """One value check on a constant; (passed, its line)."""
    return _one(lambda check: check.value("label", lambda: answer, expected, **options))


def compared(answer, expected, **options):
    return _one(lambda check: check.equal("label", lambda: answer, expected, **options))


def _one(run):
    check = Check("a/x", points=1)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        passed = run(check)
    return passed, joined(out.getvalue()).strip()


# ------------------------------------------------------------------------------ the ladder


def test_undefined_function(cell):
    score, lines = cell.test("check.value('v', lambda: check.function('f')(1), 2)")
    assert score == 0
    assert lines[0].startswith("FAIL  v: `f` is not defined: run the answer cell above first")


def test_undefined_and_undecided_variable(cell):
    cell.run("undecided = None\ndots = ...")
    _, lines = cell.test(
        "for name in ('absent', 'undecided', 'dots'):\n"
        "    check.value(name, check.variable(name), 1)"
    )
    assert "`absent` is not defined" in lines[0]
    assert "`undecided` is still None: give it your answer" in lines[1]
    assert "`dots` is still Ellipsis" in lines[2]


def test_stub(cell):
    cell.run("def f(x):\n    raise NotImplementedError()")
    score, lines = cell.test("f = check.function('f')\ncheck.value('v', lambda: f(1), 2)")
    assert (score, lines[0]) == (
        0,
        "FAIL  v: still the stub: write your answer in the cell above and run it",
    )


def test_name_is_not_a_function(cell):
    cell.run("f = 3")
    _, lines = cell.test("f = check.function('f')\ncheck.value('v', lambda: f(1), 2)")
    assert "`f` is an int, not a function: did a later cell reuse the name?" in lines[0]


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (None, 5.0, "got None: did the function end without `return`?"),
        ("5", 5.0, "expected a number, got a str"),
        ({"a": 1}, 5.0, "expected a number, got a dict"),
        ({5}, 5.0, "expected a number, got a set"),
        (True, 1.0, "expected a number, got a truth value"),
        (np.bool_(True), 1.0, "expected a number, got a truth value"),
        (3 + 4j, 5.0, "expected a number, got a complex"),
        ([1, 2], 5.0, "expected one number, got an array of shape (2,)"),
        (5.0, [5.0, 5.0], "expected an array of shape (2,), got one number"),
        ([1.0], [1.0, 2.0], "expected shape (2,), got (1,)"),
        ([[1.0, 2.0]], [1.0, 2.0], "expected shape (2,), got (1, 2)"),
        ([[1, 2], [3]], [[1, 2], [3, 4]], "whose items are not all numbers"),
        (["a", "b"], [1.0, 2.0], "whose items are not all numbers"),
        (iter([1.0, 2.0]), [1.0, 2.0], "wrap it in list(...)"),
        (float("nan"), 5.0, "the answer holds nan"),
        (float("inf"), 5.0, "the answer holds infinity: look for a division by zero"),
        ([1.0, np.nan], [1.0, 2.0], "the answer holds nan"),
        (object(), 5.0, "expected a number, got an object"),
    ],
)
def test_type_and_shape(answer, expected, said):
    passed, line = judged(answer, expected)
    assert not passed
    assert said in line


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (1e3, "too large by a factor of 1000"),
        (1e-6, "too small by a factor of a million"),
        (1e9, "giga against plain units"),
        (1e-12, "tera against plain units"),
        (1024, "too large by a factor of 1024"),
        (2**20, "MiB against bytes"),
        (2.0**-30, "GiB against bytes"),
        (2**30 / 1e9, "GB and GiB mixed"),
        (1e9 / 2**30, "too small by a factor of 1.074 (GB and GiB mixed?)"),
        (2**20 / 1e6, "MB and MiB mixed"),
        (2**40 / 1e12, "TB and TiB mixed"),
        (8, "bits against bytes"),
        (1 / 8, "too small by a factor of 8"),
        (100, "percent against fraction"),
        (-1, "the sign is turned round"),
    ],
)
@pytest.mark.parametrize("expected", [3.7, [3.7, -12.5, 640.0]])
def test_unit_slips_are_named(factor, said, expected):
    passed, line = judged(np.asarray(expected) * factor, expected, unit="GB/s")
    assert not passed
    assert said in line
    assert factor == -1 or line.endswith("the answer is asked in GB/s")


@pytest.mark.parametrize(
    "factor", [1.024, 2**20 / 1e6, 2**30 / 1e9, 2**40 / 1e12, 1024, 2**20, 2.0**-30]
)
@pytest.mark.parametrize(
    ("expected", "unit", "named"),
    [
        (3.7, "s", False),
        (5e6, "requests/s", False),
        (5e12, "FLOP/s", False),
        (3.7, "", False),
        (5e6, "", True),
        (3.7, "GB", True),
        (3.7, "KiB", True),
        (3.7, "FLOP/B", True),
        (3.7, "bytes/token", True),
    ],
)
def test_binary_prefixes_are_named_for_bytes_only(factor, expected, unit, named):
    line = judged(expected * factor, expected, unit=unit)[1]
    assert ("a factor of" in line) is (named and factor != 1.024)


def test_close_factors_are_not_called_unit_slips():
    for factor in (999, 7.9, 105, 1.08, 0.9):
        assert "factor of" not in judged(5 * factor, 5.0)[1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (15.0, "got 15 s, 3 times too large"),
        (1.0, "got 1 s, 5 times too small"),
        (5.5, "got 5.5 s, 10.00% too large"),
        (4.5, "got 4.5 s, 10.00% too small"),
        (-7.0, "got -7 s, which is not it"),
        (0.0, "got 0 s, which is not it"),
    ],
)
def test_generic_difference(answer, said):
    assert judged(answer, 5.0, unit="s", hint="count twice")[1].endswith(said + "; count twice")


def test_array_difference_names_the_place():
    _, line = judged([[1.0, 2.0], [3.5, 4.0]], [[1.0, 2.0], [3.0, 4.0]], unit="B")
    assert "1 of 4 values differ, first at index (1, 0): got 3.5 B" in line
    assert "first at index 1: got 7" in judged([1.0, 7.0, 9.0], [1.0, 2.0, 3.0])[1]


def test_array_difference_counts_by_the_checks_own_tolerance():
    _, line = judged([1.04, 2.0, 9.0], [1.0, 2.0, 3.0], rtol=0.05)
    assert "1 of 3 values differ, first at index 2" in line


def test_named_wrong_answers_come_before_unit_slips():
    wrong = {8.0: "you counted query heads", 0.5: "turned round"}
    assert judged(8.0, 1.0, wrong=wrong)[1] == "FAIL  label: you counted query heads"
    assert judged(0.5, 1.0, wrong=wrong)[1] == "FAIL  label: turned round"
    pairs = [([2.0, 4.0], "doubled"), (0.0, "all zero")]
    assert judged([2.0, 4.0], [1.0, 2.0], wrong=pairs)[1].endswith("doubled")
    assert judged([0, 0], [1.0, 2.0], wrong=pairs)[1].endswith("all zero")


def test_a_named_wrong_answer_equal_to_the_right_one_costs_nothing():
    assert judged(1.0, 1.0, wrong={1.0: "never said"})[0]


def test_wrong_answer_of_another_shape_is_the_authors_mistake():
    with pytest.raises(ValueError, match=r"wrong answer of shape \(3,\) in 'label'"):
        Check("a/x", 1).value("label", lambda: 1, 1.0, wrong=[([1, 2, 3], "no")])


def test_zero_sized_and_zero_expectations():
    assert judged([], [])[0]
    assert judged(0, 0.0)[0]
    assert "which is not it" in judged(3.0, 0.0)[1]
    assert judged([0.0, 1.0], [0.0, 1.0])[0]


# ---------------------------------------------------------------------- right answers pass


@pytest.mark.parametrize(
    "answer",
    [
        5,
        5.0,
        np.float64(5),
        np.float32(5),
        np.int32(5),
        np.array(5.0),
        np.array([5.0]),
        Fraction(5),
        (5,),
        [5],
    ],
)
def test_one_number_however_written(answer):
    assert judged(answer, 5.0)[0]


@pytest.mark.parametrize(
    "answer",
    [[1, 2], (1.0, 2.0), np.array([1, 2], dtype=np.int16), range(1, 3), [np.float32(1), 2]],
)
def test_numbers_however_written(answer):
    assert judged(answer, [1.0, 2.0])[0]


def test_single_precision_is_right_and_a_real_error_is_not():
    third = np.float32(1) / np.float32(3) * np.float32(1 + 4e-6)
    assert judged(third, 1 / 3)[0]
    assert not judged(float(third), 1 / 3)[0]
    assert not judged(np.float32(0.3334), 1 / 3)[0]


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    assert judged(torch.tensor(5.0), 5.0)[0]
    assert judged(torch.tensor([1.0, 2.0], requires_grad=True), [1.0, 2.0])[0]
    assert judged(torch.tensor([1.0, 2.0], dtype=torch.bfloat16), [1.0, 2.0])[0]
    assert compared(torch.tensor([1, 2]), [1, 2])[0]
    assert compared(torch.tensor(True), True)[0]
    assert judged(torch.tensor([1.0, 3.0]), [1.0, 2.0])[1].endswith("index 1: got 3")


@given(
    st.recursive(
        st.booleans()
        | st.integers(-(10**12), 10**12)
        | st.text(max_size=8)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_equal_accepts_every_value_itself(value):
    assert answers.equal_problem(value, value) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Memory ", "memory"),
        ("back  end", "Back end"),
        (("a", "b"), ["a", "b"]),
        (np.array(["a", "b"]), ["A", "b"]),
        ({"b", "a"}, frozenset({"a", "b"})),
        ({"x": 1}.keys(), {"x"}),
        (np.int64(3), 3),
        (3.0, 3),
        (0.1 + 0.2, 0.3),
        (np.bool_(True), True),
        (OrderedDict(a=(1, 2)), {"a": [1, 2]}),
        ([(1, "a")], [[1, "A"]]),
        (None, None),
    ],
)
def test_equal_forgives_what_does_not_matter(answer, expected):
    assert compared(answer, expected)[0]


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (None, "memory", "did the function end without `return`?"),
        (1, True, "expected a bool, got an int"),
        ("1", 1, "expected an int, got a str"),
        (["a"], "a", "expected a str, got a list"),
        (["a"], {"a"}, "expected a set, got a list"),
        (2.5, 2, "got 2.5, which is not it"),
        ("core", "memory", "got 'core', which is not it"),
        (["a"], ["a", "b"], "expected 2 items, got 1"),
        (["a", "c"], ["a", "b"], "differs first at index 1: got 'c'"),
        ({"a", "z"}, {"a", "b"}, "'z' does not belong, 1 item missing"),
        ({"a": 1}, {"a": 2}, "wrong for 'a': got 1"),
        ({"a": 2, "q": 1}, {"a": 2}, "the key 'q' does not belong"),
        ({}, {"a": 2}, "the key 'a' is missing"),
    ],
)
def test_equal_says_what_differs(answer, expected, said):
    passed, line = compared(answer, expected)
    assert not passed
    assert said in line


def test_equal_names_known_wrong_answers():
    wrong = [("core", "MPKI counts misses, not slots"), (3, "that is the count")]
    assert compared("CORE", "memory", wrong=wrong)[1].endswith("MPKI counts misses, not slots")
    assert compared(3, "memory", wrong=wrong)[1].endswith("that is the count")


def test_true_and_its_reason():
    assert _one(lambda c: c.true("t", lambda: np.bool_(True), "no"))[0]
    passed, line = _one(lambda c: c.true("t", lambda: 0, lambda: f"got {1 + 1}"))
    assert (passed, line) == (False, "FAIL  t: got 2")


def test_raises(cell):
    cell.run(
        "def good(n):\n    raise ValueError(f'n must be positive, got {n}')\n"
        "def mute(n):\n    raise ValueError('bad')\n"
        "def other(n):\n    return {}[n]\n"
        "def silent(n):\n    return n\n"
        "def stub(n):\n    raise NotImplementedError"
    )
    _, lines = cell.test(
        "for name in ('good', 'mute', 'other', 'silent', 'stub'):\n"
        "    f = check.function(name)\n"
        "    check.raises(name, lambda: f(-1), ValueError, mentions='n must')"
    )
    assert lines[0] == "PASS  good"
    assert "the message 'bad' must name 'n must'" in lines[1]
    assert "raised KeyError: -1 (at `return {}[n]`); it must raise ValueError" in lines[2]
    assert "returned -1; bad input must raise ValueError" in lines[3]
    assert "still the stub" in lines[4]


# --------------------------------------------------------- whatever the learner's code does


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / 0", "raised ZeroDivisionError: division by zero (at `return 1 / 0`)"),
        ("import sys; sys.exit(0)", "the answer ends the program"),
        ("raise KeyboardInterrupt", "interrupted"),
        ("return f(x)", "raised RecursionError"),
        ("raise BaseException('deep')", "raised BaseException: deep"),
        ("raise GeneratorExit", "raised GeneratorExit"),
        ("return missing", "name 'missing' is not defined (at `return missing`)"),
        ("raise ValueError('x' * 999)", "xxx…"),
    ],
)
def test_an_answer_that_blows_up_fails_one_check(cell, body, said):
    cell.run(f"def f(x):\n    {body}")
    score, lines = cell.test("f = check.function('f')\ncheck.value('v', lambda: f(1), 2)")
    assert score == 0
    assert said in lines[0]
    assert len(lines[0]) < 300
    assert lines[-1] == "0 of 1 public checks passed: 0 of 2 points"


def test_after_stop_the_rest_is_not_run(cell):
    cell.run("calls = []\ndef f(x):\n    calls.append(x)\n    raise KeyboardInterrupt")
    score, lines = cell.test(
        "f = check.function('f')\ncheck.value('a', lambda: f(1), 2)\n"
        "check.value('b', lambda: f(2), 2)"
    )
    assert (score, cell.namespace["calls"]) == (0, [1])
    assert lines[1] == "FAIL  b: not run: stopped above"


def test_an_endless_loop_fails_its_check_only(cell):
    cell.run(
        "def f(x):\n"
        "    while x:\n"
        "        try:\n            pass\n        except Exception:\n            pass\n"
        "    return 7"
    )
    score, lines = cell.test(
        "f = check.function('f')\ncheck.value('a', lambda: f(1), 7)\n"
        "check.value('b', lambda: f(0), 7)",
        limit_s=0.3,
    )
    assert lines[0] == "FAIL  a: took longer than 0.3 s: does a loop never end?"
    assert (score, lines[1]) == (1.0, "PASS  b")


def test_the_line_shown_is_the_learners_innermost(cell):
    cell.run(
        "import json\ndef helper(x):\n    return json.loads(x)\ndef f(x):\n    return helper(x)"
    )
    _, lines = cell.test("f = check.function('f')\ncheck.value('v', lambda: f('{'), 2)")
    assert "(at `return json.loads(x)`)" in lines[0]


def test_warnings_and_stderr_cost_nothing_and_do_not_show(cell, capfd):
    cell.run(
        "import logging, os, subprocess, sys, warnings\n"
        "def f(x):\n"
        "    warnings.warn('careful')\n"
        "    print('to stderr', file=sys.stderr)\n"
        "    os.write(2, b'from C')\n"
        "    subprocess.run(['sh', '-c', 'echo child >&2'])\n"
        "    logging.getLogger('x').error('logged')\n"
        "    print('kept')\n"
        "    return x"
    )
    score, lines = cell.test("f = check.function('f')\ncheck.value('v', lambda: f(2), 2)")
    assert (score, lines[:2]) == (2.0, ["kept", "PASS  v"])
    os.write(2, b"open again")
    assert capfd.readouterr().err == "open again"
    assert logging.root.manager.disable == 0
    with pytest.warns(UserWarning, match="loud"):
        warnings.warn("loud", stacklevel=1)


def test_a_handler_made_before_the_check_is_quiet_too(cell, capsys):
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger("early").addHandler(handler)
    try:
        cell.run(
            "import logging\ndef f():\n    logging.getLogger('early').error('x')\n    return 1"
        )
        assert cell.test("check.value('v', check.function('f'), 1)")[0] == 2.0
    finally:
        logging.getLogger("early").removeHandler(handler)
    assert capsys.readouterr().err == ""


def test_numpy_warnings_while_judging_are_quiet(capsys):
    judged([np.inf, -np.inf], [np.inf, 1.0])
    judged([1e308], [1e-308])
    assert capsys.readouterr().err == ""


def test_changing_the_arguments_changes_nothing_else(cell):
    cell.run(
        "def f(items, table, array):\n"
        "    items.sort(); items[0].append(9); table['k'].clear(); array[:] = 0\n    return 1"
    )
    score, _ = cell.test(
        "import numpy as np\n"
        "items, table, array = [[3], [1]], {'k': {1, 2}}, np.ones(3)\n"
        "f = check.function('f')\n"
        "check.value('v', lambda: f(items, table, array=array), 1)\n"
        "check.equal('same', lambda: (items, table, array), ([[3], [1]], {'k': {1, 2}}, [1, 1, 1]))"
    )
    assert score == 2.0


def test_tables_and_tensors_are_copied_too(cell):
    torch = pytest.importorskip("torch")
    pandas = pytest.importorskip("pandas")
    cell.namespace.update(t=torch.ones(2), d=pandas.DataFrame({"a": [1, 2]}))
    cell.run("def f(t, d):\n    t.zero_(); d['a'] = 0\n    return 1")
    score, _ = cell.test(
        "f = check.function('f')\ncheck.value('v', lambda: f(t, d), 1)\n"
        "check.value('same', lambda: [*t, *d['a']], [1, 1, 1, 2])"
    )
    assert score == 2.0


def test_in_place_exercises_and_stateful_objects_get_the_real_thing(cell):
    cell.run("def f(a, rng):\n    a[0] = rng.draw()")
    score, _ = cell.test(
        "class Counter:\n    n = 0\n    def draw(self):\n        self.n += 1\n        return 5\n"
        "a, counter = [0], Counter()\n"
        "check.function('f', in_place=True)(a, counter)\n"
        "check.equal('changed', lambda: (a, counter.n), ([5], 1))"
    )
    assert score == 2.0


# ------------------------------------------------------------------------------ closed names


ORACLE = '''
import functools

def ridge(peak, bandwidth=1.0):
    """Peak over bandwidth."""
    return peak / bandwidth

def twice(function):
    @functools.wraps(function)
    def wrapped(*a, **k):
        return 2 * function(*a, **k)
    return wrapped

@twice
def doubled(x):
    return x

class Stack:
    def __init__(self, size):
        self.size = size

class Plain:
    pass

cached = functools.lru_cache(ridge)
'''


@pytest.fixture
def oracle(monkeypatch):
    module = types.ModuleType("closed_for_test")
    exec(ORACLE, module.__dict__)
    monkeypatch.setitem(sys.modules, "closed_for_test", module)
    return module


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("ridge", "ridge(100, 10)"),
        ("doubled", "doubled(5)"),
        ("Stack", "Stack(5)"),
        ("Plain", "Plain()"),
    ],
)
def test_closed_through_an_alias_and_open_afterwards(cell, oracle, name, call):
    cell.run(
        f"from closed_for_test import {name} as borrowed\n"
        f"def f():\n    return {call.replace(name, 'borrowed')}\n"
    )
    before = repr(vars(oracle)[name])
    score, lines = cell.test(
        "f = check.function('f')\ncheck.true('v', lambda: f() is not None, '')",
        closes=[f"closed_for_test.{name}"],
    )
    assert score == 0
    assert f"your answer calls syslab's own `{name}`: write this one yourself" in lines[0]
    assert repr(vars(oracle)[name]) == before
    assert eval(call, vars(oracle)) is not None
    assert oracle.Stack(3).size == 3


def test_closed_name_handed_over_as_the_answer(cell, oracle):
    cell.run("from closed_for_test import ridge")
    _, lines = cell.test(
        "f = check.function('ridge')\ncheck.value('v', lambda: f(100, 10), 10)",
        closes=["closed_for_test.ridge"],
    )
    assert "calls syslab's own `ridge`" in lines[0]


def test_what_is_not_plain_python_is_closed_in_its_module(cell, oracle):
    cell.run("import closed_for_test\ndef f():\n    return closed_for_test.cached(4, 2)")
    _, lines = cell.test(
        "check.value('v', check.function('f'), 2)", closes=["closed_for_test.cached"]
    )
    assert "your answer calls syslab's own `cached`" in lines[0]
    assert oracle.cached(4, 2) == 2


def test_the_oracle_stays_open_in_the_test_cell_itself(cell, oracle):
    cell.run("def f(p, b):\n    return p / b")
    score, _ = cell.test(
        "from closed_for_test import ridge\nf = check.function('f')\n"
        "check.value('expected', lambda: f(6, 3), ridge(6, 3))\n"
        "check.true('inside', lambda: f(6, 3) == ridge(6, 3), '')",
        closes=["closed_for_test.ridge"],
    )
    assert score == 2.0


def test_open_again_after_the_answer_raised(cell, oracle):
    cell.run("def f():\n    raise SystemExit(3)")
    cell.test("check.value('v', check.function('f'), 1)", closes=["closed_for_test.ridge"])
    assert oracle.ridge(6, 3) == 2


def test_closing_what_does_not_exist_is_the_authors_mistake():
    with pytest.raises(ValueError, match=r"closes names 'math\.nope', which math does not have"):
        Check("a/x", 1, closes=["math.nope"])
    with pytest.raises(ValueError, match=r"write it as 'package\.module\.name'"):
        Check("a/x", 1, closes=["ridge"])


# ---------------------------------------------------------------------------------- scoring


def weigh(points, *marks):
    check = Check("a/x", points=points)
    with contextlib.redirect_stdout(io.StringIO()):
        for weight, good in marks:
            check.true("t", lambda good=good: good, "no", weight=weight)
        return check.score()


@given(
    st.floats(0.01, 50, allow_nan=False),
    st.lists(st.tuples(st.floats(0.01, 9), st.booleans()), min_size=1, max_size=8),
)
def test_score_stays_between_zero_and_the_points(points, marks):
    score = weigh(points, *marks)
    assert isinstance(score, float)
    assert 0 <= score <= points
    assert (score == points) == (all(good for _, good in marks) or score == points)
    if all(good for _, good in marks):
        assert score == points
    if not any(good for _, good in marks):
        assert score == 0


@pytest.mark.parametrize(
    ("points", "marks", "score"),
    [
        (1.1, [(0.1, True), (0.2, True), (0.7, True)], 1.1),
        (2, [(1, True), (1, True), (1, False)], 1.33),
        (1, [(29, True), (71, False)], 0.29),
        (3, [], 0.0),
    ],
)
def test_score_exactly(points, marks, score):
    assert weigh(points, *marks) == score


def test_wording(cell):
    cell.run("a = 1")
    public = "check.value('p', check.variable('a'), {})\n"
    hidden = "with check.hidden():\n    check.value('h', check.variable('a'), {}, unit='s')\n"
    assert cell.test(public.format(1))[1][-1] == "public checks passed: 2 of 2 points"
    assert cell.test(public.format(2))[1][-1] == "0 of 1 public checks passed: 0 of 2 points"
    both = cell.test(public.format(1) + hidden.format(1))
    assert both[1] == ["PASS  p", "PASS (hidden)  h", "all checks passed: 2 of 2 points"]
    mixed = cell.test(public.format(1) + hidden.format(3))
    assert mixed[1][-1] == "1 of 1 public and 0 of 1 hidden checks passed: 1 of 2 points"
    assert cell.test("")[1][-1] == "no checks ran: 0 of 2 points"


def test_hidden_failures_keep_the_expected_value(cell):
    cell.run("a, b, s = 3.0, 5000.0, 'core'")
    _, lines = cell.test(
        "with check.hidden():\n"
        "    check.value('a', check.variable('a'), 7.0, unit='s', hint='mind the queue')\n"
        "    check.value('b', check.variable('b'), 5.0, unit='s')\n"
        "    check.equal('s', check.variable('s'), 'memory')\n"
        "check.value('a', check.variable('a'), 7.0)"
    )
    assert lines[0] == "FAIL (hidden)  a: got 3 s, too small; mind the queue"
    assert lines[1].startswith("FAIL (hidden)  b: too large by a factor of 1000")
    assert lines[2] == "FAIL (hidden)  s: got 'core', which is not it"
    assert lines[3] == "FAIL  a: got 3, 2.33 times too small"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Check("no-slash", 1),
        lambda: Check("a/b/c", 1),
        lambda: Check("a/b", 0),
        lambda: Check("a/b", -1),
        lambda: Check("a/b", 1, limit_s=0),
        lambda: Check("a/b", 1).value("v", 1, 1, weight=0),
    ],
)
def test_authors_mistakes_are_refused(make):
    with pytest.raises(ValueError, match="must"):
        make()


# --------------------------------------------------------------------------------- recording


def test_the_run_is_recorded_with_whether_there_was_an_answer(cell):
    cell.run("def stub():\n    raise NotImplementedError\ndef wrong():\n    return 3")
    cell.test("check.value('v', check.function('stub'), 1)", key="a/one")
    cell.test("check.value('v', check.function('wrong'), 1)", key="a/two")
    cell.test("check.value('v', check.function('absent'), 1)", key="a/three")
    record = progress.load()
    assert record.entries("check", "a/one")[-1]["answered"] is False
    assert record.entries("check", "a/three")[-1]["answered"] is False
    last = record.entries("check", "a/two")[-1]
    assert (last["answered"], last["score"], last["points"]) == (True, 0.0, 2.0)


def test_recording_never_breaks_a_cell(cell, monkeypatch):
    def broken(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(progress, "record_check", broken)
    score, lines = cell.test("check.true('v', lambda: True, '')")
    assert score == 2.0
    assert lines[-1] == "(progress not saved: disk full)"


# ------------------------------------------------------------------------------- in nbgrader


def test_validate_shows_the_reasons(tmp_path, monkeypatch):
    """The dialogue behind nbgrader's Validate button shows our FAIL lines, and only failures."""
    import nbformat
    from nbgrader.validator import Validator

    monkeypatch.setenv("SYSLAB_NO_PROGRESS", "1")

    def cell(source, **marks):
        made = nbformat.v4.new_code_cell(source)
        if marks:
            made.metadata["nbgrader"] = {
                "schema_version": 3,
                "locked": True,
                "solution": False,
                "task": False,
                **marks,
            }
        return made

    tests = (
        "from syslab.course.checks import Check\n"
        "check = Check('a/{0}', points=2, limit_s=1)\n"
        "check.value('public', check.function('{0}'), 5, wrong={{4: 'you forgot the carry'}})\n"
        "check.score()"
    )
    notebook = nbformat.v4.new_notebook(
        cells=[
            cell("import warnings\ndef right():\n    warnings.warn('x')\n    return 5"),
            cell(tests.format("right"), grade=True, grade_id="test-right", points=2),
            cell("def wrong():\n    return 4"),
            cell(tests.format("wrong"), grade=True, grade_id="test-wrong", points=2),
            cell("def endless():\n    while True: pass"),
            cell(tests.format("endless"), grade=True, grade_id="test-endless", points=2),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "p", "language": "python"}},
    )
    path = tmp_path / "a.ipynb"
    nbformat.write(notebook, path)
    failed = Validator().validate(str(path))["failed"]
    assert ["'wrong'" in f["source"] for f in failed] == [True, False]
    assert failed[0]["raw_error"].strip() == "FAIL  public: you forgot the carry"
    assert failed[1]["raw_error"].strip().startswith("FAIL  public: took longer than 1 s")


def test_importing_checks_stays_light():
    code = "import sys; import syslab.course.checks; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_stub_of_an_earlier_exercise_is_named(capsys):
    """`draw` calls `attainable`: the message must send the learner there."""
    space = {"Check": Check}
    exec(compile("def earlier():\n    raise NotImplementedError()\n", "<answer>", "exec"), space)
    exec(compile("def mine():\n    return earlier()\n", "<answer>", "exec"), space)
    cell = "check = Check('a/mine', points=1)\nmine_ = check.function('mine')\n"
    cell += "check.value('x', lambda: mine_(), 1)\ncheck.score()"
    exec(compile(cell, "<test>", "exec"), space)
    printed = capsys.readouterr().out
    assert "`earlier`, which it calls, is still a stub" in printed


def test_a_long_reason_is_printed_in_lines_and_read_as_one(capsys):
    reason = "the cache stores KV heads and you counted query heads, which is too large by " * 3
    check = Check("a/x", points=1)
    check.true("a label", lambda: False, reason.strip())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= checks.WIDTH
    assert not {line.split()[0] for line in lines[1:]} - set(reason.split())  # whole words
    cell = new_code_cell(outputs=[new_output("stream", text="\n".join([*lines, "PASS  next"]))])
    first, second = scores.checks(cell)
    assert first.text == f"a label: {reason.strip()}"
    assert second.text == "next"
