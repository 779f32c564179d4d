"""Every graded cell is proven: the stub scores nothing, right answers everything, wrong ones less.

The answers stand in tests/proofs/<assignment>.toml. All trials of an assignment run together, in
forks of one process, so the first test of an assignment takes its time and the others none.
"""

import functools
import os
from pathlib import Path

import pytest
from nbformat import v4

from syslab.course.errors import CourseError
from syslab.course.notebooks import canonical
from syslab.grading import proofs
from syslab.grading.proofs import NOISY, REFERENCE, RIGHT, STUB, WRONG, Variant

ROOT = Path(__file__).resolve().parent.parent
ASSIGNMENTS = sorted(p.stem for p in (ROOT / "source").glob("*/*.ipynb") if p.stem == p.parent.name)
MIN_WRONG, MIN_RIGHT = 2, 1

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="proofs need os.fork")


def source(assignment):
    return ROOT / "source" / assignment / f"{assignment}.ipynb"


@functools.cache
def trials(assignment):
    file = ROOT / "tests" / "proofs" / f"{assignment}.toml"
    return proofs.variants(canonical.read(source(assignment)), file)


@functools.cache
def outcomes(assignment):
    return {o.variant: o for o in proofs.prove(source(assignment), trials(assignment))}


def all_trials():
    for assignment in ASSIGNMENTS:
        for trial in trials(assignment):
            group = pytest.mark.xdist_group(f"proofs-{assignment}")
            yield pytest.param(assignment, trial, id=f"{assignment} {trial}", marks=group)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_every_exercise_has_enough_proofs(assignment):
    made = {
        name: {WRONG: 0, RIGHT: 0} for name in proofs.exercises(canonical.read(source(assignment)))
    }
    for trial in trials(assignment):
        if trial.kind in (WRONG, RIGHT):
            made[trial.exercise][trial.kind] += 1
    lacking = {n: c for n, c in made.items() if c[WRONG] < MIN_WRONG or c[RIGHT] < MIN_RIGHT}
    assert made
    assert lacking == {}


@needs_fork
@pytest.mark.parametrize(("assignment", "trial"), list(all_trials()))
def test_proof(assignment, trial):
    outcome = outcomes(assignment)[trial]
    shown = f"{outcome.score} of {outcome.points}\n{outcome.output}"
    assert outcome.error == "", shown
    assert outcome.stderr == "", "nbgrader would take this for a failure"
    if trial.kind == STUB:
        assert outcome.score == 0, shown
    elif trial.kind == WRONG:
        assert outcome.score < outcome.points, shown
        # A long reason is printed in several lines.
        assert " ".join(trial.message.split()) in " ".join(outcome.output.split()), shown
    else:
        assert outcome.raised == "", f"the answer itself raises {outcome.raised}"
        assert outcome.score == outcome.points, shown
        assert "all checks passed" in outcome.output, shown


# ------------------------------------------------------------------------- the prover itself


STUB_CELL = '''def ridge(peak: float, bandwidth: float) -> float:
    """FLOP/B at the ridge."""
    ### BEGIN SOLUTION
    return peak / bandwidth
    ### END SOLUTION'''
TEST_CELL = """check = Check("a/ridge", points=2, limit_s=1)
ridge_ = check.function("ridge")
check.value("worked", lambda: ridge_(6, 3), 2, wrong={0.5: "turned round"})
### BEGIN HIDDEN TESTS
with check.hidden():
    check.value("other", lambda: ridge_(9, 3), 3)
### END HIDDEN TESTS
check.score()"""
PROOFS = """
[[ridge.wrong]]
name = "upside down"
message = "turned round"
code = "def ridge(p, b): return b / p"
[[ridge.wrong]]
name = "constant"
message = "FAIL (hidden)  other"
code = "def ridge(p, b): return 2.0"
[[ridge.wrong]]
name = "endless"
message = "took longer"
code = '''
def ridge(p, b):
    while True: pass
'''
[[ridge.right]]
name = "with a helper from above"
code = "def ridge(p, b): return share(p, b)"
"""


@pytest.fixture
def scratch(tmp_path):
    """An assignment of one exercise and its proofs; returns (write, notebook path, proofs path)."""
    folder = tmp_path / "source" / "a"
    folder.mkdir(parents=True)
    (folder / "data.txt").write_text("1")

    def write(
        first="", stub=STUB_CELL, test=TEST_CELL, proofs_text=PROOFS, last="print(ridge(4, 2))"
    ):
        def cell(text, **marks):
            base = {"schema_version": 3, "grade": False, "solution": False, "locked": False}
            return v4.new_code_cell(text, metadata={"nbgrader": {**base, "task": False, **marks}})

        cells = [
            v4.new_code_cell(f"from syslab.course.checks import Check\n{first}"),
            v4.new_code_cell(
                "open('data.txt', 'a').write('2')\ndef share(a, b):\n    return a / b"
            ),
            cell(stub, grade_id="ridge", solution=True),
            cell(test, grade_id="test-ridge", grade=True, locked=True, points=2),
            v4.new_code_cell(last),
        ]
        path = folder / "a.ipynb"
        canonical.write(canonical.canonicalise(v4.new_notebook(cells=cells)), path)
        (tmp_path / "a.toml").write_text(proofs_text)
        return path, tmp_path / "a.toml"

    return write


def tried(path, file):
    found = proofs.prove(path, proofs.variants(canonical.read(path), file))
    return {outcome.variant.name: outcome for outcome in found}


@needs_fork
def test_the_prover_tells_right_from_wrong(scratch):
    path, file = scratch()
    found = tried(path, file)
    assert {name: o.score for name, o in found.items()} == {
        STUB: 0,
        REFERENCE: 2,
        NOISY: 2,
        "upside down": 0,
        "constant": 1,
        "endless": 0,
        "with a helper from above": 2,
    }
    assert "turned round" in found["upside down"].output
    assert "still the stub" in found[STUB].output
    assert all(o.stderr == "" and o.error == "" and o.points == 2 for o in found.values())
    assert (path.parent / "data.txt").read_text() == "1"


@needs_fork
def test_a_written_answer_builds_on_what_the_stub_cell_gives(scratch):
    stub = "given = 3\nridge = None\n### BEGIN SOLUTION\nridge = 2 * given\n### END SOLUTION"
    path, file = scratch(
        stub=stub,
        test='check = Check("a/ridge", points=2)\n'
        'check.value("v", check.variable("ridge"), 6)\ncheck.score()',
        proofs_text='[[ridge.right]]\nname = "sum"\ncode = "ridge = given + given"\n'
        '[[ridge.wrong]]\nname = "nothing"\nmessage = "still None"\ncode = "pass"\n',
        last="",
    )
    found = tried(path, file)
    assert [found[name].score for name in (STUB, "sum", "nothing", NOISY)] == [0, 2, 0, 2]
    assert found[STUB].raised == "NotImplementedError"
    assert found["sum"].raised == ""
    assert "still None" in found["nothing"].output


@needs_fork
def test_the_prover_sees_a_check_that_leaks_or_breaks(scratch, monkeypatch):
    monkeypatch.setenv("SYSLAB_TRIAL_LIMIT_S", "3")
    path, file = scratch(
        first="import os, sys",
        test="import warnings\nwarnings.warn('from the check')\nname = ridge\n"
        "if ridge(1, 2) == 2:\n    os._exit(3)\n0",
    )
    found = tried(path, file)
    assert "from the check" in found[REFERENCE].stderr
    assert "ends with 0, not with check.score()" in found[REFERENCE].error
    assert found[STUB].error.startswith("NotImplementedError")
    assert found["upside down"].error == "the process died"


@needs_fork
def test_a_trial_that_never_ends_is_killed(scratch, monkeypatch):
    path, file = scratch(test="import time\nif ridge(6, 3) == 0.5:\n    time.sleep(99)\n2.0")
    monkeypatch.setenv("SYSLAB_TRIAL_LIMIT_S", "2")
    found = tried(path, file)
    assert found["upside down"].error == "took longer than 2 s"
    assert found[REFERENCE].score == 2


@needs_fork
def test_a_failing_cell_outside_the_exercises_is_named(scratch):
    path, file = scratch(last="1 / 0")
    with pytest.raises(CourseError, match=r"\[top-3\] stopped with ZeroDivisionError"):
        tried(path, file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[knee.wrong]]\nname='a'\nmessage='b'\ncode='c'", "no exercise 'knee'"),
        ("[[ridge.wong]]\nname='a'\nmessage='b'\ncode='c'", "[ridge] has 'wong'"),
        ("[[ridge.wrong]]\nname='a'\ncode='c'", "give it code, message, name"),
        ("[[ridge.right]]\nname='a'\nmessage='b'\ncode='c'", "give it code, name"),
        ("[[ridge.right]]\nname='a'\ncode=' '", "give it code, name"),
        ("[[ridge.right]]\nname='a'\ncode='c'\n" * 2, "'a' twice"),
        ("[[ridge", "is not readable"),
    ],
)
def test_a_proofs_file_is_held_to_its_form(scratch, text, said):
    path, file = scratch(proofs_text=text)
    with pytest.raises(CourseError) as caught:
        proofs.variants(canonical.read(path), file)
    assert said in str(caught.value)


def test_without_a_proofs_file_the_notebooks_own_answers_remain(scratch):
    path, file = scratch()
    file.unlink()
    kinds = [v.kind for v in proofs.variants(canonical.read(path), file)]
    assert kinds == [STUB, REFERENCE, NOISY]


def test_a_system_without_fork_is_told(scratch, monkeypatch):
    path, _ = scratch()
    monkeypatch.delattr(os, "fork", raising=False)
    with pytest.raises(CourseError, match=r"proofs need os\.fork"):
        proofs.prove(path, [Variant("ridge", STUB, STUB)])
