"""Percent text and back: the identity when nothing is edited; edits keep what they should."""

from pathlib import Path

import pytest
from nbformat import v4

from syslab.course.errors import CourseError
from syslab.course.notebooks import canonical, command, text

ROOT = Path(__file__).resolve().parent.parent

CODE = [
    "%matplotlib inline\nx = 1",
    "!ls",
    "%%time\nx = 1",
    "?x",
    "x?",
    "# only a comment",
    "def f():\n\n\n    return 1\n\n\nx = 2",
    '"""a docstring"""',
    "'''\n# text\n'''",
    "x = 1\n# + jupytext's own marker\ny = 2\n# -",
    "# [markdown]",
    "# %load foo",
    "# !ls",
    "ls = 1\nls",
    "await foo()",
    "# tags=[1]",
    "    # oddly indented",
    "s = '×µ→'",
]
MARKDOWN = [
    "# Title\n\ntext",
    "```python\n# %% not a cell\n```",
    "'''",
    '"""\nfoo\n"""',
    "%%time",
    "    indented",
    "295<!--= facts.x | .0f --> FLOP/B",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "$x_1$ \\alpha **b** _c_",
    "<details><summary>Answer</summary>\n\n42\n</details>",
]
META = {
    "nbgrader": {
        "grade": True,
        "grade_id": "test-x",
        "locked": True,
        "points": 2.5,
        "schema_version": 3,
        "solution": False,
        "task": False,
    },
    "tags": ["slider", "expected-picture:x"],
}


def there_and_back(notebook):
    return canonical.canonicalise(text.apply(text.view(notebook), notebook))


@pytest.mark.parametrize("source", CODE)
def test_code_survives(source):
    cells = [v4.new_markdown_cell("# T"), v4.new_code_cell(source, execution_count=1)]
    cells[1].outputs = [v4.new_output("stream", name="stdout", text="out\n")]
    notebook = canonical.canonicalise(v4.new_notebook(cells=[*cells, v4.new_code_cell("z")]))
    assert canonical.dumps(there_and_back(notebook)) == canonical.dumps(notebook)


@pytest.mark.parametrize("source", MARKDOWN)
def test_markdown_survives(source):
    cells = [v4.new_markdown_cell(s) for s in ("# T", source, "last")]
    notebook = canonical.canonicalise(v4.new_notebook(cells=cells))
    assert canonical.dumps(there_and_back(notebook)) == canonical.dumps(notebook)


@pytest.mark.parametrize("make", [v4.new_code_cell, v4.new_markdown_cell, v4.new_raw_cell])
def test_nbgrader_metadata_survives(make):
    notebook = canonical.canonicalise(v4.new_notebook(cells=[make("x = 1", metadata=META)]))
    back = there_and_back(notebook)
    assert back.cells[0].metadata == META
    assert canonical.dumps(back) == canonical.dumps(notebook)


@pytest.mark.parametrize("path", command.notebooks(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_notebook_of_the_course_survives(path):
    notebook = canonical.read(path)
    assert canonical.dumps(there_and_back(notebook)) == path.read_text(encoding="utf-8")


def test_metadata_comes_from_the_text():
    source = (
        '# %% nbgrader={"grade": false, "grade_id": "ridge", "solution": true}\nx = 1\n\n'
        '# %% [markdown] tags=["expected-picture:ridge"]\n# text\n'
    )
    code, markdown = text.apply(source, None).cells
    assert code.metadata["nbgrader"] == {"grade": False, "grade_id": "ridge", "solution": True}
    assert (markdown.cell_type, markdown.metadata["tags"]) == (
        "markdown",
        ["expected-picture:ridge"],
    )


def test_unchanged_code_keeps_outputs_and_changed_code_does_not():
    def cell(source, said):
        made = v4.new_code_cell(source, execution_count=3)
        made.outputs = [v4.new_output("stream", name="stdout", text=said)]
        return made

    before = v4.new_notebook(cells=[cell("a", "1"), cell("b", "2"), cell("a", "3"), cell("d", "4")])
    edited = "# %%\na\n\n# %% [markdown]\n# new\n\n# %%\nb + 1\n\n# %%\nd\n\n# %%\na\n"
    merged = text.apply(edited, before)
    said = [c.outputs[0].text if c.outputs else None for c in merged.cells if c.cell_type == "code"]
    assert said == ["1", None, "4", "3"]
    assert merged.cells[2].execution_count is None


def test_attachments_survive_an_edit():
    def shown(source, image, **metadata):
        cell = v4.new_markdown_cell(source, metadata=metadata)
        cell["attachments"] = {"expected.png": {"image/png": image}}
        return cell

    before = v4.new_notebook(
        cells=[
            shown("The ridge: ![a long alt](attachment:expected.png)", "QQ=="),
            shown("![another](attachment:expected.png)", "Qg==", tags=["expected-picture:two"]),
            shown("![gone](attachment:expected.png)", "Qw=="),
        ]
    )
    edited = (
        '# %% [markdown] tags=["expected-picture:two"]\n'
        "# All new words, ![other](attachment:expected.png)\n\n"
        "# %% [markdown]\n# The ridge point: ![a long alt](attachment:expected.png)\n\n"
        "# %% [markdown]\n# no picture any more\n"
    )
    images = [
        cell.get("attachments", {}).get("expected.png", {}).get("image/png")
        for cell in text.apply(edited, before).cells
    ]
    assert images == ["Qg==", "QQ==", None]


@pytest.mark.parametrize("source", ["", "x = 1\n", "# just a comment\n", "#%% half a marker"])
def test_text_without_cells_is_refused(source):
    with pytest.raises(CourseError, match="has no `# %%` line") as caught:
        text.apply(source, None)
    assert "syslab nb view" in caught.value.fix


def test_outputs_as_comments():
    cell = v4.new_code_cell("show()", execution_count=1)
    cell.outputs = [
        v4.new_output("stream", name="stdout", text="a\nb\n"),
        v4.new_output("display_data", {"image/png": "QQ==", "text/plain": "Figure: a line"}),
        v4.new_output("error", ename="ValueError", evalue="no", traceback=[]),
    ]
    shown = text.view(v4.new_notebook(cells=[cell]), outputs=True)
    assert shown.splitlines()[-4:] == [
        "#> a",
        "#> b",
        "#> [picture] Figure: a line",
        "#> ValueError: no",
    ]
    assert "#>" not in text.view(v4.new_notebook(cells=[cell]))
