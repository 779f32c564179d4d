"""`syslab nb check`: a clean notebook passes, and every rule refuses the defect it is there for."""

import copy

import nbformat
import pytest
from nbformat import v4

from syslab import facts
from syslab.course.notebooks import canonical, contract
from syslab.course.notebooks.rules import constants, graded, reading

H100 = facts.hardware("H100 SXM")
RULES = {rule.__name__.replace("_", "-") for rule in contract.RULES + contract.GRADED_RULES}


def ran(source, *outputs, **metadata):
    cell = v4.new_code_cell(source, execution_count=1, metadata=metadata)
    cell.outputs = list(outputs)
    return cell


def stream(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


def picture(plain="Figure: a line that rises"):
    data = {"image/png": "aGk=\n", "text/plain": plain}
    return v4.new_output("execute_result", data, execution_count=1)


def lesson():
    """Clean, and full of what a careless rule would refuse."""
    return [
        v4.new_markdown_cell(
            "# Roofline of the H100, 2022 edition\n\n"
            "Llama-3 70B and a 405B model on Python 3.11, v1.2.3, PCIe 5.0 ×16, in 2009.\n"
            "A 64 × 64 tile; an 8 B word, a 64 B line, 4 bytes a value; 100 % or 0 %.\n"
            "`80 GB` in code, $2.0\\,GB/s$ in a formula, a [link](http://x.org/3 GB).\n"
            "An A100 80GB moves 2.04<!--= bw/1e12 | .2f --> TB/s. At most 8 minutes, 3 points.\n\n"
            "```\n# no heading, 5 GB/s\n```\n\n"
            "| device | GB/s |\n|---|---|\n| H100 | 3 |\n\n1. one\n2. two\n\n"
            "![A roofline with two ceilings](attachment:roofline.png)"
        ),
        ran(
            "x, y, z = 1024, 1e9, 1e12\nhalf, ridge, seed = 0.5, 335, 20240613\n"
            "cap = 80e9 + 2**30 + 16 * 2**30\nflops = 2 * 4096**3\nprint(x)",
            stream("1024\n"),
        ),
        ran("show()", picture()),
        ran("print('peak', 3)", stream("peak 3\n")),
        ran("live()", picture("Slider: n 3\nFigure: a dot that moves\n3 items")),
        ran("clock()", stream("Wall time: 3 ms\n"), tags=["nbval-ignore-output"]),
    ]


CARD = "Difficulty 2/5 · Importance 4/5 · at most 8 minutes · 2 points"
STUB = (
    'def ridge(peak: float, bandwidth: float) -> float:\n    """FLOP/B at the ridge."""\n'
    "    ### BEGIN SOLUTION\n    return peak / bandwidth\n    ### END SOLUTION"
)
TEST = (
    'check = Check("a/ridge", points=2)\nridge_ = check.function("ridge")\n'
    'check.value("v", lambda: ridge_(6, 3), 2)\n'
    "### BEGIN HIDDEN TESTS\nwith check.hidden():\n"
    '    check.value("h", lambda: ridge_(9, 3), 3)\n### END HIDDEN TESTS\ncheck.score()'
)


def mark(**fields):
    base = {"schema_version": 3, "solution": False, "grade": False, "locked": False, "task": False}
    return {**base, **fields}


def assignment():
    return [
        v4.new_markdown_cell("# Assignment"),
        v4.new_markdown_cell(f"## Ridge\n\n{CARD}\n\nDefine `ridge(peak, bandwidth)`."),
        ran(STUB, nbgrader=mark(grade_id="ridge", solution=True)),
        ran(TEST, nbgrader=mark(grade_id="test-ridge", grade=True, locked=True, points=2)),
        v4.new_markdown_cell(f"## Memo\n\n{CARD}\n\nWrite `memo`."),
        v4.new_markdown_cell(
            "My answer.",
            metadata={"nbgrader": mark(grade_id="memo", solution=True, grade=True, points=2)},
        ),
    ]


def findings(tmp_path, cells, folder="lessons", tidy=True, spoil=None):
    notebook = v4.new_notebook(cells=copy.deepcopy(cells))
    if tidy:
        canonical.canonicalise(notebook)
    if spoil:
        spoil(notebook)
    path = tmp_path / folder / "a.ipynb"
    path.parent.mkdir(exist_ok=True)
    path.write_text(canonical.dumps(notebook), encoding="utf-8")
    found = contract.check(path, tmp_path)
    assert all(f.path == f"{folder}/a.ipynb" and f.rule in RULES for f in found)
    return [f"{f.rule}: {f.message}" for f in found]


def test_clean_notebooks_pass(tmp_path):
    assert findings(tmp_path, lesson()) == []
    assert findings(tmp_path, assignment(), "source") == []


def set_at(index, **changes):
    def spoil(notebook):
        for name, value in changes.items():
            notebook.cells[index][name] = value

    return spoil


# Each row: what is planted after canonicalising, the rule and words that must answer it.
STORED = [
    ("random id", set_at(2, id="b1f7c0de"), "form: the id should be"),
    ("cell metadata", set_at(1, metadata={"execution": {}}), "form: stray metadata ['execution']"),
    ("notebook metadata", lambda n: n.metadata.update(widgets={}), "form: stray metadata"),
    ("unknown tag", set_at(1, metadata={"tags": ["todo"]}), "form: unknown tag 'todo'"),
    ("trailing blank", set_at(1, source="print(x) "), "form: not in canonical form"),
    ("stripped", set_at(1, execution_count=None), "execution: never executed"),
    ("out of order", set_at(1, execution_count=5), "execution: executed as 5, expected 1"),
    (
        "widget id",
        lambda n: n.cells[2].outputs[0].data.update({canonical.WIDGET_VIEW: {"model_id": "b1"}}),
        "leaks: a widget's random model id",
    ),
]


@pytest.mark.parametrize(("spoil", "said"), [r[1:] for r in STORED], ids=[r[0] for r in STORED])
def test_stored_defects(tmp_path, spoil, said):
    found = findings(tmp_path, lesson(), spoil=spoil)
    assert any(line.startswith(said) for line in found), found


PLANTED = [
    ("empty cell", ran(""), "execution: empty code cell"),
    (
        "error",
        ran("1/0", v4.new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])),
        "execution: stored error ZeroDivisionError",
    ),
    ("cell marker", ran("x = 1\n# %% part two\ny = 2"), "form: a line begins with `# %%`"),
    ("home in source", ran("open('/home/me/data.csv')"), "leaks: a local path ('/home/me"),
    ("home in prose", v4.new_markdown_cell("see /Users/me/x"), "leaks: a local path"),
    ("temp in output", ran("p", stream("/tmp/x.bin\n")), "leaks: a local path ('/tmp/x.bin')"),
    (
        "package path",
        ran("p", stream("/x/lib/python3.11/site-packages/numpy\n")),
        "leaks: a local path",
    ),
    ("windows path", ran("p", stream("C:\\Users\\me\n")), "leaks: a local path"),
    ("address", ran("f", stream("<function f at 0x7f3a9c2b>\n")), "leaks: a memory address"),
    ("timing", ran("t", stream("12 ms per loop\n")), "leaks: a clock reading is stored"),
    ("stderr", ran("w", stream("UserWarning\n", "stderr")), "leaks: stderr is stored"),
    ("second title", v4.new_markdown_cell("# Another title"), "style: 2 top headings"),
    ("emoji", v4.new_markdown_cell("## Done \U0001f389"), "style: emoji in the heading"),
    ("unfinished", v4.new_markdown_cell("TODO: explain"), "style: unfinished text: 'TODO'"),
    ("wall of text", v4.new_markdown_cell("word " * 230), "style: 230 words in one cell"),
    (
        "wall of code",
        ran("\n".join(f"x{i} = {i}" for i in range(31))),
        "style: 31 lines of code",
    ),
    ("no alt in prose", v4.new_markdown_cell("![](a.png)"), "pictures: the picture needs alt"),
    (
        "no alt",
        ran("plot()", picture("<Figure size 640x480 with 1 Axes>"), stream("3\n")),
        "pictures: the picture has no alt text",
    ),
    ("no twin", ran("plot()", picture()), "pictures: the picture has no numeric twin"),
    ("typed number", v4.new_markdown_cell("It moves 3.35 TB/s."), "prose-numbers: '3.35 TB/s'"),
    ("loose tag", v4.new_markdown_cell("3 GB<!--= x -->"), "prose-numbers: a <!--= … -->"),
    ("typed constant", ran("bw = 3.35e12"), "constants: 3.35e12 is bandwidth of H100 SXM"),
    ("syntax", ran("x ="), "constants: does not parse"),
]


@pytest.mark.parametrize(("cell", "said"), [r[1:] for r in PLANTED], ids=[r[0] for r in PLANTED])
def test_planted_cells(tmp_path, cell, said):
    found = findings(tmp_path, [*lesson(), cell])
    assert any(line.startswith(said) for line in found), found


def test_no_title_at_all(tmp_path):
    found = findings(tmp_path, [v4.new_markdown_cell("## Only this")])
    assert found == ["style: 0 top headings; a notebook has one"]


def replaced(index, old, new):
    def spoil(cells):
        assert old in cells[index].source
        cells[index].source = cells[index].source.replace(old, new)

    return spoil


def marked(index, **fields):
    return lambda cells: cells[index].metadata["nbgrader"].update(fields)


GRADED = [
    ("no card", replaced(1, CARD, "easy"), "the cell above must be the lead-in"),
    ("card of another form", replaced(1, "·", "-"), "the cell above must be the lead-in"),
    ("card promises more", replaced(1, "2 points", "3 points"), "the effort card promises 3"),
    ("name not told", replaced(1, "`ridge(", "`knee("), "the lead-in must name `ridge`"),
    ("no solution", replaced(2, "### BEGIN SOLUTION", "#"), "no ### BEGIN SOLUTION"),
    ("no docstring", replaced(2, '"""FLOP/B at the ridge."""', "pass"), "has no docstring"),
    ("untyped argument", replaced(2, "peak: float", "peak"), "`ridge` has an untyped signature"),
    ("untyped result", replaced(2, " -> float", ""), "`ridge` has an untyped signature"),
    ("broken stub", replaced(2, "return peak", "return = peak"), "does not parse"),
    ("other grade id", marked(3, grade_id="check-ridge"), "must be 'test-ridge'"),
    ("id twice", marked(3, grade_id="ridge"), "grade id 'ridge' is used twice"),
    ("no id", marked(2, grade_id=""), "nbgrader metadata without a grade id"),
    ("unlocked", marked(3, locked=False), "the test cell must be locked"),
    ("other points", marked(3, points=3), "Check has 2 points, nbgrader has 3"),
    ("no points", marked(3, points=0), "a test cell is worth points"),
    ("other key", replaced(3, '"a/ridge"', '"a/knee"'), "Check names 'a/knee'"),
    ("no Check", replaced(3, 'Check("a/ridge", points=2)', "None"), "no Check("),
    ("no score", replaced(3, "\ncheck.score()", ""), "the last line must be check.score()"),
    ("no hidden tests", replaced(3, "### BEGIN HIDDEN TESTS", "#"), "no ### BEGIN HIDDEN"),
    ("hidden by marker only", replaced(3, "with check.hidden():", "if 1:"), "under `with check"),
    ("test elsewhere", lambda c: c.insert(3, ran("pass")), "the next cell must be its test cell"),
    ("stub elsewhere", lambda c: c.insert(3, ran("pass")), "the cell above must be the answer"),
    ("loose solution", lambda c: c.append(ran(STUB)), "region in a cell nbgrader does not know"),
    ("memo without card", replaced(4, CARD, ""), "a written answer needs a lead-in"),
    ("memo promises more", replaced(4, "2 points", "9 points"), "the effort card promises 9"),
    (
        "memo in code",
        lambda c: c.__setitem__(5, ran("x", nbgrader=c[5].metadata["nbgrader"])),
        "a written answer is a Markdown cell",
    ),
]


@pytest.mark.parametrize(("spoil", "said"), [r[1:] for r in GRADED], ids=[r[0] for r in GRADED])
def test_graded_defects(tmp_path, spoil, said):
    cells = assignment()
    spoil(cells)
    found = findings(tmp_path, cells, "source")
    assert any(said in line and line.startswith("triplets:") for line in found), found


def test_the_graded_contract_binds_source_only(tmp_path):
    cells = assignment()
    del cells[1]
    assert findings(tmp_path, cells, "lessons") == []


def test_stubs_may_define_variables_and_classes(tmp_path):
    for stub in (
        "ridge: float = None\n### BEGIN SOLUTION\nridge = 3.0\n### END SOLUTION",
        "class ridge:\n    ### BEGIN SOLUTION\n    x = 1\n    ### END SOLUTION",
    ):
        cells = assignment()
        cells[2].source = stub
        assert findings(tmp_path, cells, "source") == []
        cells[1].source = cells[1].source.replace("`ridge", "`knee")
        assert "must name `ridge`" in findings(tmp_path, cells, "source")[0]


def test_every_rule_is_proven_here():
    rows = [r[2] for r in STORED + PLANTED]
    assert {row.split(":")[0] for row in rows} | {"triplets"} == RULES


# --------------------------------------------------------------------------- finer points


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("70B against 70 B", ["70 B"]),
        ("a 128 B line, 64 B, 1,024 bytes", ["128 B", "1,024 bytes"]),
        ("48 KiB and 2 MiB, 40 ms", ["48 KiB", "2 MiB", "40 ms"]),
        ("8× too large, 1× is the same, 2.5×", ["8×", "2.5×"]),
        ("3 × 4 × 5 and 8×8", []),
        ("12 %, 12%, 100 %, 100%", ["12 %", "12%"]),
        ("**295** FLOP/B and *5* ms", ["295** FLOP/B", "5* ms"]),
        ("1.5e12 FLOP/s", ["1.5e12 FLOP/s"]),
        ("the A100 80GB, a 700 W board", ["700 W"]),
        ("H100 SXM 80 GB", ["80 GB"]),
        ("| 40 GB/s |", ["40 GB/s"]),
        ("- 5 ms", ["5 ms"]),
        ("## 5 ms is long", ["5 ms"]),
        ("3 GBs, 4 msec, 5 Watts", []),
    ],
)
def test_what_counts_as_a_number_with_a_unit(text, found):
    assert reading.typed(text) == found


@pytest.mark.parametrize("code", ["3.35e12", "3.35 * 1e12", "3350 * 10**9", "f(3.35e12)", "989e12"])
def test_typed_constants(code):
    notebook = v4.new_notebook(cells=[v4.new_code_cell(f"x = {code}")])
    assert list(constants.constants(notebook, None))


@pytest.mark.parametrize(
    "code",
    [
        "3.35",
        "335",
        "3.36e12",
        "80e9",
        "1e12",
        "989",
        "312",
        "2**35",
        "1 << 40",
        "1e9 + 7",
        "'3.35e12'",
    ],
)
def test_innocent_literals(code):
    notebook = v4.new_notebook(cells=[v4.new_code_cell(f"%time\nx = {code}")])
    assert list(constants.constants(notebook, None)) == []


def test_the_constant_rule_knows_devices_and_models():
    values = {name: value for value, name in constants._registry()}
    assert values["bandwidth of H100 SXM"] == H100.bandwidth
    assert any(name.endswith("of Llama-3 70B") for name in values)


def test_the_effort_card():
    card = graded.CARD.search(
        "x\n\nDifficulty 3/5 · Importance 5/5 · at most 1 minute · 1.5 points"
    )
    assert (card["minutes"], card["points"]) == ("1", "1.5")
    assert not graded.CARD.search(CARD.replace("2/5", "6/5"))


def test_findings_read_as_one_line(tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell("# T", id="x")]), path)
    (first, *_) = contract.check(path)
    assert str(first) == f"{path} [x] form: the id should be 't-1': run `syslab nb fmt`"
