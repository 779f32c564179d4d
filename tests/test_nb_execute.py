"""Running notebooks in a kernel: what is stored, what is kept, and how a failure reads."""

import os
import re
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat import v4

from syslab import cli
from syslab.course.errors import CourseError
from syslab.course.notebooks import canonical, execute

QUESTIONS = """
[which]
question = "Which?"
answer = "a"
choices = { a = "this", b = "that" }
feedback = { a = "Yes.", b = "No." }
"""
PLOT = "from syslab.plotting import figure, show\nfig, ax = figure()\nax.plot([1, 2], [3, 4])\n"


def code(source, *tags, **nbgrader):
    metadata = {"tags": list(tags)} if tags else {}
    if nbgrader:
        metadata["nbgrader"] = nbgrader
    return v4.new_code_cell(source, metadata=metadata)


def text(source, *tags):
    return v4.new_markdown_cell(source, metadata={"tags": list(tags)} if tags else {})


@pytest.fixture
def make(tmp_path):
    """Write a notebook of the given cells; return its path."""

    def write(*cells, name="a.ipynb"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        canonical.write(canonical.canonicalise(v4.new_notebook(cells=list(cells))), path)
        return path

    return write


def printed(cell):
    return "".join(o.text for o in cell.outputs if o.output_type == "stream")


def test_running_again_changes_no_byte(make, tmp_path):
    (tmp_path / "questions.toml").write_text(QUESTIONS)
    path = make(
        text("# T\n\nThe sum is 3<!--= x | d -->."),
        code("x = 1 + 2\nprint(x)\n{'b', 'a', 'c'}"),
        code(PLOT + "show(fig, alt='A line that rises from 3 to 4.')"),
        code(
            PLOT.replace("show", "live, Slider")
            + "line, = ax.plot([0], [0])\n"
            + "def draw(n):\n    line.set_ydata([n])\n    return f'{n} items'\n"
            + "live(draw, fig, alt='A dot that moves up.', n=Slider(1, 9, 3))"
        ),
        code("from syslab.course.lesson import quick_check, predict\nquick_check('which')"),
        code("predict('p', None, low=1, high=9)"),
        code("h = display('first', display_id=True)"),
        code("h.update('second')"),
        code("import time\nprint(time.time_ns())", "nbval-ignore-output"),
    )
    execute.run(path)
    first = path.read_bytes()
    execute.run(path)
    assert path.read_bytes() == first

    notebook = canonical.read(path)
    outputs = [cell.outputs for cell in notebook.cells[1:]]
    assert outputs[0][0].text == "3\n"
    assert "image/png" in outputs[1][0].data
    assert outputs[1][0].metadata["image/png"]["alt"] == "A line that rises from 3 to 4."
    assert set(outputs[2][0].data) == {"image/png", "text/plain"}
    assert outputs[3][0].data["text/plain"].startswith("Quick check: Which?")
    assert set(outputs[3][0].data) == {"text/plain"}
    assert outputs[5][0].data["text/plain"] == "'second'"
    assert [cell.execution_count for cell in notebook.cells[1:]] == list(range(1, 9))
    assert str(tmp_path) not in first.decode()
    assert "iopub" not in first.decode()

    time.sleep(0.01)
    execute.run(path, remeasure=True)
    again = canonical.read(path)
    assert printed(again.cells[-1]) != printed(notebook.cells[-1])
    again.cells[-1].outputs = notebook.cells[-1].outputs
    assert canonical.dumps(again) == first.decode()


def test_strict_nbval_agrees_with_what_is_stored(make, tmp_path):
    (tmp_path / "questions.toml").write_text(QUESTIONS)
    path = make(
        text("# T"),
        code(PLOT + "print(7)\nshow(fig, alt='A line that rises from 3 to 4.')"),
        code("from syslab.course.lesson import quick_check\nquick_check('which')"),
        code("import time\nprint(time.time_ns())", "nbval-ignore-output"),
    )
    execute.run(path)
    settings = os.path.join(os.path.dirname(__file__), "nbval_sanitize.cfg")
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "-p", "no:cacheprovider"]
    command += [f"--nbval-sanitize-with={settings}", str(path)]
    environment = {**os.environ, "SYSLAB_NO_PROGRESS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "3 passed" in done.stdout, done.stdout
    path.write_text(path.read_text().replace('"7\\n"', '"8\\n"'))
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "1 failed" in done.stdout


def test_clock_readings_are_renewed_when_their_code_changed(make):
    path = make(text("# T"), code("print('a')", "nbval-ignore-output"))
    execute.run(path)
    notebook = canonical.read(path)
    notebook.cells[1].source = "print('b')"
    execute.run(path, notebook=notebook)
    assert printed(canonical.read(path).cells[1]) == "b\n"


def test_a_failure_is_short_clean_and_writes_nothing(make):
    lines = "\n".join(f"filler_{i} = {i}" for i in range(60))
    path = make(
        text("# Deep trouble"),
        code("print('fine')"),
        code(
            f"{lines}\ndef deeper(n):\n    return deeper(n - 1) if n else [][0]\n"
            "first = 1\ndeeper(40)"
        ),
    )
    before = path.read_bytes()
    with pytest.raises(CourseError) as caught:
        execute.run(path)
    said = str(caught.value)
    assert f"{path} [deep-trouble-3] stopped with IndexError: list index out of range" in said
    assert "(at `deeper(40)`)" in said
    assert "\x1b" not in said
    assert "filler_3" not in said
    assert len(said.splitlines()) <= 16
    assert caught.value.fix.endswith("the stored notebook is unchanged")
    assert path.read_bytes() == before


def test_a_syntax_error_names_its_line(make):
    path = make(text("# T"), code("x = 1\ny = = 2"))
    with pytest.raises(CourseError, match=r"\[t-2\] stopped with SyntaxError: invalid syntax"):
        execute.run(path)


def test_prose_that_disagrees_writes_nothing(make):
    path = make(text("# T\n\nThat is 4<!--= x | d -->, or 5<!--= nope -->."), code("x = 3"))
    before = path.read_bytes()
    with pytest.raises(CourseError) as caught:
        execute.run(path)
    assert "prose says 4, x gives 3" in str(caught.value)
    assert "NameError: name 'nope' is not defined" in str(caught.value)
    assert path.read_bytes() == before


def test_prose_must_not_rest_on_a_clock_reading(make):
    path = make(text("# T\n\n3<!--= x | d -->"), code("x = 3", "nbval-ignore-output"))
    with pytest.raises(CourseError, match="rests on a clock reading"):
        execute.run(path)


def test_a_kernel_that_dies_is_told_apart(make):
    path = make(text("# T"), code("import os\nos._exit(1)"))
    with pytest.raises(CourseError, match=r"\[t-2\]: the kernel died"):
        execute.run(path)


def test_a_cell_that_hangs(make, monkeypatch):
    monkeypatch.setattr(execute, "CELL_TIMEOUT_S", 1)
    path = make(text("# T"), code("while True: pass"))
    with pytest.raises(CourseError, match=r"\[t-2\] ran longer than 1 s"):
        execute.run(path)


def test_a_missing_kernel_says_what_to_do(make, monkeypatch):
    monkeypatch.setitem(canonical.KERNELSPEC, "name", "no-such-kernel")
    path = make(text("# T"), code("1"))
    with pytest.raises(CourseError, match="kernel 'no-such-kernel' is not installed") as caught:
        execute.run(path)
    assert "make lab" in caught.value.fix
    assert "syslab doctor" in caught.value.fix


def test_no_port_is_opened_and_nothing_is_left(make, capfd, monkeypatch, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("s")
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = make(
        text("# T"),
        code(
            "from ipykernel.kernelapp import IPKernelApp as App\n"
            "import os\nprint(App.instance().transport, os.environ['SYSLAB_NO_PROGRESS'])"
        ),
    )
    execute.run(path)
    assert printed(canonical.read(path).cells[1]) == (
        "ipc 1\n" if os.name == "posix" else "tcp 1\n"
    )
    assert list(scratch.iterdir()) == []
    assert "SYSLAB_NO_PROGRESS" not in os.environ
    assert "encrypt" not in "".join(capfd.readouterr()).lower()


def test_expected_pictures_travel_with_the_lead_in(make):
    drawing = PLOT + "print(3)\nshow(fig, alt='A line that rises from 3 to 4.')"
    picture = text("# T\n\n![what you get](attachment:expected.png)", "expected-picture:draw")
    path = make(picture, code(drawing, grade_id="draw", solution=True))
    execute.run(path)
    lead, cell = canonical.read(path).cells
    image = cell.outputs[1].data["image/png"].replace("\n", "")
    assert lead.attachments == {"expected.png": {"image/png": image}}
    nbformat.validate(canonical.read(path))

    path = make(picture, code("1", grade_id="draw", solution=True), name="b.ipynb")
    with pytest.raises(CourseError, match="cell 'draw' drew no picture"):
        execute.run(path)


# ------------------------------------------------------------------------------ the command


@pytest.fixture
def course(tmp_path, monkeypatch):
    """An empty course whose root is the current folder."""
    (tmp_path / "course.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nb(*args):
    return cli.main(["nb", *map(str, args)])


def test_apply_creates_executes_and_reports(course, capsys):
    edited = course / "edited.py"
    edited.write_text("# %% [markdown]\n# # Title\n\n# %%\nprint(6 * 7)\n")
    path = course / "lessons" / "m" / "01.ipynb"
    assert nb("apply", path, "--text", edited) == 0
    assert printed(canonical.read(path).cells[1]) == "42\n"
    assert nb("check") == 0
    capsys.readouterr()
    assert nb("view", path, "--outputs") == 0
    assert "#> 42" in capsys.readouterr().out

    edited.write_text(edited.read_text().replace("# # Title", "# # Title\n#\n# Some 5 GB."))
    assert nb("apply", path, "--text", edited) == 1
    assert "'5 GB' is typed by hand" in capsys.readouterr().out


def test_apply_that_fails_leaves_the_notebook(course, capsys):
    edited = course / "edited.py"
    edited.write_text("# %% [markdown]\n# # Title\n\n# %%\nx = 1\n")
    path = course / "a.ipynb"
    assert nb("apply", path, "--text", edited) == 0
    before = path.read_bytes()
    edited.write_text("# %% [markdown]\n# # Title\n\n# %%\n1 / 0\n")
    assert nb("apply", path, "--text", edited) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err
    edited.write_text("no cells\n")
    assert nb("apply", path, "--text", edited) == 2
    assert nb("apply", path, "--text", course / "absent.py") == 2
    assert path.read_bytes() == before


def test_apply_without_running(course, capsys):
    edited = course / "edited.py"
    edited.write_text("# %% [markdown]\n# # Title\n\n# %%\n1 / 0\n")
    assert nb("apply", course / "a.ipynb", "--text", edited, "--no-run") == 0
    assert nb("check", course / "a.ipynb") == 1
    assert "never executed" in capsys.readouterr().out


def test_fmt_run_minutes_and_check(course, capsys):
    folder = course / "labs" / "bench"
    folder.mkdir(parents=True)
    path = folder / "bench.ipynb"
    cells = [v4.new_markdown_cell("# Title"), v4.new_code_cell("print(1)", metadata={"x": 1})]
    nbformat.write(v4.new_notebook(cells=cells), path)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "bench-checkpoint.ipynb").write_text("{")
    assert nb("check") == 1
    assert "run `syslab nb fmt`" in capsys.readouterr().out
    assert nb("fmt") == 0
    assert "rewritten" in capsys.readouterr().out
    assert nb("fmt") == 0
    assert capsys.readouterr().out == ""
    assert nb("run") == 0
    assert nb("check") == 0
    assert "1 notebooks: nothing to refuse" in capsys.readouterr().out
    assert nb("minutes") == 0
    assert re.match(r"\s+5  .*bench\.ipynb\n", capsys.readouterr().out)


def test_check_looks_at_all_notebooks_even_when_one_is_damaged(course, capsys):
    (course / "lessons").mkdir()
    (course / "lessons" / "a.ipynb").write_text("{")
    nbformat.write(v4.new_notebook(), course / "lessons" / "b.ipynb")
    assert nb("check") == 1
    out = capsys.readouterr().out
    assert "a.ipynb is not a readable notebook" in out
    assert "lessons/b.ipynb [notebook]" in out
    assert nb("check", course / "absent.ipynb") == 1
    assert "does not exist" in capsys.readouterr().out
