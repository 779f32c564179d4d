"""Points that are forged are never silently given, and honest submissions are never flagged.

The attacks of ``tests/hostile/tampering.py`` go through all of grading in `test_hostile`. Here are
those that know how the witness works, and the honest oddities it must not mind.
"""

import copy
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "mini_course"))
import mini_course as mini

from syslab.course import assignments, guard, scores
from syslab.course.errors import CourseError
from syslab.course.notebooks import canonical
from syslab.course.notebooks.rules import graded
from syslab.grading import execute, peeking, proofs, tamper
from syslab.grading.engines import MODULES
from syslab.warm import integrity, sandbox, service

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="warm kernels need os.fork")

ROOT = Path(__file__).resolve().parent.parent
LIMITS = execute.Limits(cell_s=8, wall_s=60)
ASSIGNMENTS = sorted(p.stem for p in (ROOT / "source").glob("*/*.ipynb") if p.stem == p.parent.name)

WRONG = mini.WRONG["ridge"]
# A tour of the callers in search of what the check expects.
SEARCH = (
    "    while f:\n"
    "        if 'expected' in f.f_locals:\n            return float(f.f_locals['expected'])\n"
    "        f = f.f_back\n    return 0.0"
)
ATTACKS = {
    "writes to every descriptor": (
        "import os\ndef ridge(*_):\n    for fd in range(3, 200):\n"
        '        try:\n            os.write(fd, b\'00 ("score", 2.0, "")\\n\')\n'
        "        except OSError:\n            pass\n    return 0.0"
    ),
    "turns the witness's pipe away": (
        "import os, stat\nfrom syslab.course.checks import Check as C\n"
        "null = os.open('/dev/null', os.O_WRONLY)\nfor fd in range(3, 200):\n"
        "    try:\n        if stat.S_ISFIFO(os.fstat(fd).st_mode):\n            os.dup2(null, fd)\n"
        "    except OSError:\n        pass\nC._reason = lambda self, *a: None\n" + WRONG
    ),
    "patches in the first call, restores when the score is printed": (
        "import sys\nfrom syslab.course import answers as a\n_keep = a.number_problem\n"
        "class Out:\n    def __init__(self, out):\n        self.out = out\n"
        "    def write(self, text):\n        if 'of 2 points' in text:\n"
        "            a.number_problem = _keep\n        return self.out.write(text)\n"
        "    def __getattr__(self, name):\n        return getattr(self.out, name)\n"
        "def ridge(p, b):\n    a.number_problem = lambda *x, **k: None\n"
        "    if not isinstance(sys.stdout, Out):\n        sys.stdout = Out(sys.stdout)\n"
        "    return 0.0"
    ),
    "gives the running check a method of its own": (
        "def ridge(p, b):\n    globals()['check']._reason = lambda *a: None\n    return 0.0"
    ),
    "adds results to the running check": (
        "def ridge(p, b):\n    check._weights.append((1e9, True, False))\n    return 0.0"
    ),
    "makes the score no number": (
        "def ridge(p, b):\n    check.points = float('nan')\n    return 0.0"
    ),
    "puts another object in the check's place": (
        "import contextlib\nclass Fake:\n    def value(self, *a, **k):\n        return True\n"
        "    def hidden(self):\n        return contextlib.nullcontext()\n"
        "    def score(self):\n        return 2.0\n"
        "def ridge(p, b):\n    globals()['check'] = Fake()\n    return 0.0"
    ),
    "runs genuine checks of its own instead of the cell": (
        "ip = get_ipython()\n_run = type(ip).run_cell\n_OWN = '''check = Check('arch-02/ridge', "
        "points=2)\ncheck.value('100 FLOP/s over 10 B/s', 1.0, 1.0)\nwith check.hidden():\n"
        "    check.value('a slow memory', 1.0, 1.0)\n    check.value('bandwidth 2', 1.0, 1.0)\n"
        "    check.value('bandwidth 4', 1.0, 1.0)\ncheck.score()'''\n"
        "def lie(self, raw, *a, **k):\n    if 'Check(' in raw:\n"
        "        type(self).run_cell = _run\n        raw = _OWN\n"
        "    return _run(self, raw, *a, **k)\ntype(ip).run_cell = lie\n" + WRONG
    ),
    "runs genuine checks in a thread": (
        "import threading\ndef ridge(p, b):\n    def work():\n"
        "        mine = Check('arch-02/ridge', points=2)\n"
        "        mine.value('100 FLOP/s over 10 B/s', 10.0, 10.0)\n        mine.score()\n"
        "    other = threading.Thread(target=work)\n    other.start()\n    other.join()\n"
        "    return 0.0"
    ),
    "calls a variable of the test cell": (
        "def ridge(p, b):\n    try:\n        return p / secret_bandwidth_of_the_hidden_test\n"
        "    except NameError:\n        return {10.0: 10.0, 1e12: 989.0}[b]"
    ),
    "compiles in a library's name": (
        f"import numpy\nexec(compile('''import sys\ndef peek():\n    f = sys._getframe(1)\n{SEARCH}"
        "''', numpy.__file__, 'exec'))\ndef ridge(p, b):\n    return peek()"
    ),
    "imports in a library's name": (
        "import importlib.machinery as m, numpy\n"
        "class Loader(m.SourceFileLoader):\n    def get_data(self, path):\n"
        f"        return b'''import sys\ndef peek():\n    f = sys._getframe(1)\n{SEARCH}'''\n"
        "loader, space = Loader('other', numpy.__file__), {}\n"
        "exec(loader.source_to_code(loader.get_data(''), numpy.__file__), space)\n"
        "def ridge(p, b):\n    return space['peek']()"
    ),
    "frames by way of an exception": (
        "def ridge(p, b):\n    try:\n        1 / 0\n    except ZeroDivisionError as e:\n"
        f"        f = e.__traceback__.tb_frame\n{SEARCH}"
    ),
    "frames by way of a generator": (
        "def ridge(p, b):\n    def g():\n        yield it.gi_frame.f_back\n"
        f"    it = g()\n    f = next(it)\n{SEARCH}"
    ),
    "patches numpy from below": (
        "import numpy as np, sys\nhome = sys.modules[np.isclose.__module__]\n"
        "for name in [n for n in sys.modules if n.startswith('numpy.') and 'numeric' in n]:\n"
        "    vars(sys.modules[name])['isclose'] = lambda *a, **k: True\n"
        "    vars(sys.modules[name])['all'] = lambda *a, **k: True\n"
        "np.allclose.__wrapped__.__globals__['isclose'] = lambda *a, **k: True\n" + WRONG
    ),
    "a thread patches and restores": (
        "import threading, time\nfrom syslab.course import answers as a\n_keep = a.number_problem\n"
        "def work():\n    while True:\n        a.number_problem = lambda *x, **k: None\n"
        "        time.sleep(0.0005)\n        a.number_problem = _keep\n        time.sleep(0.0001)\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "def ridge(p, b):\n    time.sleep(0.003)\n    return 0.0"
    ),
    "the class's dictionary by way of gc": (
        "import gc\nfrom syslab.course.checks import Check as C\n"
        "gc.get_referents(C.__dict__)[0]['_reason'] = lambda *a: None\n" + WRONG
    ),
    "silences the audit": (
        "import sys\nfrom syslab.course import checks as c\nc._tell = sys.audit = lambda *a: None\n"
        "c.Check._reason = lambda *a: None\n" + WRONG
    ),
    "a score that prints as it likes": (
        "from syslab.course.checks import Check as C\n_score = C.score\n"
        "class F(float):\n    def __repr__(self):\n        return '2.0'\n"
        "C.score = lambda self: F(_score(self))\n" + WRONG
    ),
    "a type that equals every type": (
        "class M(type):\n    def __eq__(s, o):\n        return True\n"
        "    def __ne__(s, o):\n        return False\n    __hash__ = type.__hash__\n"
        "class A(metaclass=M):\n    def __eq__(s, o):\n        return True\n"
        "    __hash__ = object.__hash__\ndef ridge(p, b):\n    return A()"
    ),
}

HONEST = {
    "as it should be": mini.RIGHT["ridge"],
    "warns and writes to stderr": mini.WARNING["ridge"],
    "definitions that ask for their module": (
        "import collections, dataclasses, enum, typing\n"
        "Row = collections.namedtuple('Row', 'a b')\n"
        "class Pair(typing.NamedTuple):\n    a: float\n    b: float\n"
        "class Kind(enum.Enum):\n    A = 1\n"
        "@dataclasses.dataclass(frozen=True)\nclass D:\n    a: float\n    b: float\n"
        "def ridge(p, b):\n    d = D(p, b)\n    assert d == D(p, b) and Pair(1, 2) == (1, 2)\n"
        "    return d.a / d.b"
    ),
    "logging, settings of libraries": (
        "import logging, random, warnings\nimport numpy as np\nimport matplotlib\n"
        "logging.basicConfig(level=logging.INFO)\nwarnings.filterwarnings('ignore')\n"
        "np.set_printoptions(precision=3)\nnp.seterr(all='ignore')\nrandom.seed(1)\n"
        "matplotlib.rcParams['figure.dpi'] = 80\nlogging.getLogger('x').warning('hello')\n"
        "def ridge(p, b):\n    logging.getLogger('x').warning('again')\n    return np.divide(p, b)"
    ),
    "imports late": (
        "def ridge(p, b):\n    import pandas.plotting, wave, xml.dom.minidom\n"
        "    from fractions import Fraction\n    return float(Fraction(p) / Fraction(b))"
    ),
    "looks at itself": (
        "import gc, inspect, functools\n"
        "def noted(f):\n    @functools.wraps(f)\n    def g(*a):\n        return f(*a)\n"
        "    g.__defaults__ = None\n    return g\n"
        "@noted\ndef ridge(p, b):\n    return p / b\n"
        "inspect.signature(ridge)\nridge.__name__, ridge.__wrapped__.__code__.co_argcount\n"
        "gc.collect()\nif 'ridge' in globals():\n    print(globals()['ridge'](1.0, 2.0))"
    ),
    "profiles, traces its own errors, waits for threads": (
        "import cProfile, concurrent.futures, io, pstats, traceback\n"
        "def ridge(p, b):\n    with concurrent.futures.ThreadPoolExecutor(2) as pool:\n"
        "        return list(pool.map(lambda x: x[0] / x[1], [(p, b)]))[0]\n"
        "watch = cProfile.Profile()\nwatch.runcall(ridge, 1.0, 2.0)\n"
        "pstats.Stats(watch, stream=io.StringIO()).print_stats()\n"
        "try:\n    ridge(1, 0)\nexcept ZeroDivisionError:\n    print(traceback.format_exc()[:20])"
    ),
    "a check of one's own": (
        mini.RIGHT["ridge"] + "\nmine = Check('arch-02/ridge', points=2)\n"
        "mine.value('tried', mine.function('ridge'), 3.0)\nmine.score()"
    ),
    "the test cell, copied": (
        mini.RIGHT["ridge"] + "\ncheck = Check('arch-02/ridge', points=2)\n"
        "ridge_of = check.function('ridge')\n"
        "check.value('100 FLOP/s over 10 B/s', lambda: ridge_of(100.0, 10.0), 10.0,\n"
        "            wrong={0.1: 'that is bandwidth over peak: the ridge is peak over bandwidth'})"
        "\ncheck.score()"
    ),
    "names that hide builtins": "sum = max = print = 3\nlist = 'abc'\n" + mini.RIGHT["ridge"],
}


class Engine:
    """Runs jobs one after another on one template."""

    def __init__(self, template):
        self.template = template

    def run(self, jobs):
        for job in jobs:
            yield execute.run(job, self.template.address)

    def close(self):
        self.template.close()


@pytest.fixture(scope="module")
def engine():
    made = Engine(service.Template(MODULES))
    made.template.wait()
    yield made
    made.close()


def job(name, notebook, root, files=None, **changes):
    return execute.Job(
        student="somebody",
        assignment=name,
        notebooks={f"{name}.ipynb": nbformat.writes(notebook) if notebook else ""},
        files=files or {},
        course=str(root),
        limits=LIMITS,
        sandboxed=sandbox.support().complete,
        **changes,
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory, engine):
    """The small course: its root and the reference run."""
    root = mini.build(tmp_path_factory.mktemp("course"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYSLAB_STATE", str(root / ".syslab"))
        found = assignments.find(mini.NAME, root)
        return root, tamper.reference(found, engine, job(mini.NAME, None, root))


def handed_in(small, engine, ridge):
    """Points by grade id and verdicts for a submission whose ridge cell holds `ridge`."""
    root, reference = small
    notebook = mini.instructor_notebook()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "ridge":
            cell.source = ridge
    done = execute.run(
        job(mini.NAME, notebook, root, modules=reference.loaded_first), engine.template.address
    )
    assert done.error == ""
    ran = nbformat.reads(done.notebooks[mini.NOTEBOOK], as_version=4)
    points = {cell.grade_id: cell.points for cell in scores.of(ran)}
    return points, tamper.judge(done, reference), done


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forged_score_is_flagged_or_nothing(attack, small, engine):
    points, verdicts, _ = handed_in(small, engine, ATTACKS[attack])
    assert points["test-ridge"] == 0 or any(verdict.flagged for verdict in verdicts)


@pytest.mark.parametrize("oddity", HONEST)
def test_an_honest_oddity_is_not(oddity, small, engine):
    points, verdicts, _ = handed_in(small, engine, HONEST[oddity])
    assert [verdict.message for verdict in verdicts] == []
    assert points == {"test-ridge": 2.0, "test-attainable": 3.0, "memo": None}


@pytest.mark.parametrize("answer", [WRONG, "raise NotImplementedError", "def ridge(:", ""])
def test_nor_is_an_honest_failure(answer, small, engine):
    points, verdicts, _ = handed_in(small, engine, answer)
    assert (points["test-ridge"], points["test-attainable"]) == (0, 3)
    assert verdicts == []


def test_the_reference_is_run_once_and_kept(small, engine, monkeypatch):
    root, reference = small
    monkeypatch.setenv("SYSLAB_STATE", str(root / ".syslab"))
    found = assignments.find(mini.NAME, root)
    again = tamper.reference(found, None, job(mini.NAME, None, root))
    assert again == reference
    ridge = reference.cells[mini.NOTEBOOK]["test-ridge"]
    assert [c.label for c in ridge.checks][:2] == ["100 FLOP/s over 10 B/s", "a slow memory"]
    assert [c.hidden for c in ridge.checks] == [False, True, True, True]
    assert any(names.get("Check") for names in ridge.names.values()) or ridge.names
    file = root / ".syslab" / "grading" / mini.NAME / "reference.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(AttributeError):  # damaged: made anew, which needs an engine
        tamper.reference(found, None, job(mini.NAME, None, root))


def test_a_reference_without_full_points_stops_the_run(tmp_path, engine, monkeypatch):
    root = mini.build(tmp_path)
    monkeypatch.setenv("SYSLAB_STATE", str(root / ".syslab"))
    path = root / "source" / mini.NAME / mini.NOTEBOOK
    mini.answer(path, {"ridge": WRONG})
    with pytest.raises(CourseError, match=r"0 of 2 points for test-ridge"):
        tamper.reference(assignments.find(mini.NAME, root), engine, job(mini.NAME, None, root))


# ------------------------------------------------------------------- the course's own answers


def _submission(assignment, kind, number):
    """A submission that answers every exercise with its `number`-th proof of a kind."""
    source = canonical.read(ROOT / "source" / assignment / f"{assignment}.ipynb")
    trials = proofs.variants(source, ROOT / "tests" / "proofs" / f"{assignment}.toml")
    stubs = proofs._stubs(source)
    notebook, cells = copy.deepcopy(source), []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if graded.is_stub(cell) and graded.is_test(notebook.cells[index + 1]):
            exercise = proofs._exercise(notebook.cells[index + 1])
            mine = [t for t in trials if t.exercise == exercise and t.kind == kind]
            stub = stubs[cell.metadata["nbgrader"]["grade_id"]]
            if mine:
                cells.append(nbformat.v4.new_code_cell(stub))
                cell.source = mine[number % len(mine)].code
            else:
                cell.source = stub
        cells.append(cell)
    notebook.cells = cells
    return notebook


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_proven_answers_are_not_flagged(assignment, engine, tmp_path, monkeypatch):
    monkeypatch.setenv("SYSLAB_STATE", str(tmp_path))
    folder = ROOT / "source" / assignment
    files = {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and p.suffix != ".ipynb" and "__pycache__" not in p.parts
    }
    like = replace(job(assignment, None, ROOT, files), limits=execute.Limits())
    reference = tamper.reference(assignments.find(assignment, ROOT), engine, like)
    name = f"{assignment}.ipynb"
    for kind in (proofs.RIGHT, proofs.WRONG, proofs.STUB):
        text = nbformat.writes(_submission(assignment, kind, 0))
        sent = replace(like, notebooks={name: text}, modules=reference.loaded_first)
        done = execute.run(sent, engine.template.address)
        assert (done.error, done.ended) == ("", {})
        assert [v.message for v in tamper.judge(done, reference)] == [], kind


# -------------------------------------------------------------------------------------- parts


def _line(key, number, said):
    import hashlib

    text = ascii(said).encode()
    return integrity._sign(hashlib.blake2b, key, number, text) + b" " + text


def test_a_line_counts_once_and_in_its_place():
    key, said = b"k" * 32, ("score", 2.0, "ab")
    line = _line(key, 3, said)
    assert integrity.verified(line, key, 3) == said
    assert integrity.verified(line, key, 4) is None
    assert integrity.verified(line, b"l" * 32, 3) is None
    assert integrity.verified(line.replace(b"2.0", b"9.0"), key, 3) is None
    assert integrity.verified(b"", key, 0) is None
    assert integrity.verified(_line(key, 0, ("score", float("nan"), "")), key, 0)[0] == "alarm"


class Liar:
    def __eq__(self, other):
        return True


class Polite:
    def __eq__(self, other):
        return NotImplemented if not isinstance(other, Polite) else True


def test_an_object_that_equals_everything_is_known():
    import numpy as np

    assert guard.equals_anything(Liar())
    assert guard.equals_anything([1, (2, Liar())])
    assert guard.equals_anything({"a": Liar()})
    for value in (Polite(), 1.0, np.float64(2), np.ones(3), [1, [2]], "x", None, {"a": (1,)}):
        assert not guard.equals_anything(value)


def _known():
    return peeking.texts(mini.instructor_notebook())


def _notebook(source):
    marks = mini._marks("ridge", solution=True)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, metadata=marks)])


def test_what_is_known_of_the_tests():
    known = _known()
    assert "secret_bandwidth_of_the_hidden_test" in known.test_names
    assert "ridge" not in known.test_names
    assert any("a slow memory" in line for line in known.hidden_lines)


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    return In[-1]",
        "x = _ih",
        "get_ipython().history_manager",
        "getattr(get_ipython(), 'user_ns')",
        "def f():\n    return [v for v in globals().values()]",
        "def f():\n    return globals()['ridge_of']",
        "vars().get('ridge_of')",
        "from syslab.course.oracles import arch_02",
        "import importlib\nimportlib.import_module('syslab.course.oracles.arch_02')",
        "import inspect\ndef f():\n    return inspect.stack()",
        "def f():\n    return ridge_of(1, 2)",
    ],
)
def test_reading_the_tests_shows_in_the_text(source):
    assert list(peeking.signs(_notebook(source), _known(), {"ridge"}))


@pytest.mark.parametrize(
    "source",
    [
        "In = 3\nprint(In)",
        "def f(In):\n    return In + 1",
        "if 'x' in globals():\n    pass",
        "globals()['mine'] = 3",
        "ridge_of = 4\ndef f():\n    return ridge_of",
        "history = [1]\nhistory[0]",
        "not python at all",
    ],
)
def test_honest_text_shows_nothing(source):
    assert list(peeking.signs(_notebook(source), _known(), {"ridge"})) == []


def test_a_hidden_line_that_is_shown():
    known = _known()
    notebook = _notebook("print(1)")
    line = known.hidden_lines[0]
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"> {line}")]
    assert list(peeking.signs(notebook, known, ()))
    traceback = nbformat.v4.new_output("error", ename="E", evalue=line, traceback=[line])
    notebook.cells[0].outputs = [traceback]
    assert list(peeking.signs(notebook, known, ())) == []


def test_evidence_survives_the_spool(small, engine):
    _, reference = small
    _, _, done = handed_in(small, engine, mini.RIGHT["ridge"])
    kept = replace(done, evidence=json.loads(json.dumps(done.evidence)))
    assert tamper.judge(kept, reference) == []
    kept.evidence[mini.NOTEBOOK]["test-ridge"].pop()
    assert [v.code for v in tamper.judge(kept, reference)] == ["early-exit"]
    kept.evidence[mini.NOTEBOOK].clear()
    assert [v.code for v in tamper.judge(kept, reference)] == ["score-unproven"]
