"""Rubrics: every file of the course is in order, every mistake is named, the page shows them."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.server_extensions.formgrader import handlers

from syslab.course import nbgrader_apps
from syslab.grading import marking, rubric
from syslab.grading.rubric import RubricError

ROOT = Path(__file__).resolve().parent.parent
WITH_RUBRIC = sorted(path.parent.name for path in ROOT.glob("source/*/rubric.toml"))
WITH_SAMPLES = sorted(path.parent.name for path in ROOT.glob("source/*/rubric-samples.toml"))

SOUND = """assignment = "a"
cell = "memo"
points = 3
words_at_most = 100

[[dimension]]
name = "Facts"
points = 2
asks = "Which?"
levels = ["none", "one", "two", "three", "all <b>of</b> them"]

[[dimension]]
name = "Tone"
points = 1
asks = "How?"
levels = ["none", "one", "two", "three", "all"]

[comments]
number = "Which number?"
"""
SAMPLES = """[[sample]]
name = "good"
levels = [3, 4]
why = ["because of facts", "because of tone"]
text = "A *sample* of the memo."
"""


def written(name):
    """Grade id and points of every hand-marked cell of an assignment's notebooks."""
    found = {}
    for path in (ROOT / "source" / name).glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            marks = cell.metadata.get("nbgrader", {})
            if marks.get("grade") and marks.get("solution"):
                found[marks["grade_id"]] = marks["points"]
    return found


# -------------------------------------------------------------------------- the course's files


def test_every_assignment_with_a_hand_marked_cell_has_a_rubric():
    names = {path.parent.name for path in ROOT.glob("source/*/*.ipynb")}
    assert {name for name in names if written(name)} == set(WITH_RUBRIC)


@pytest.mark.parametrize("name", WITH_RUBRIC)
def test_a_rubric_covers_its_notebook_to_the_point(name):
    read = rubric.load(ROOT / "source" / name / rubric.RUBRIC)
    assert read.assignment == name
    assert {cell: read.points(cell) for cell in read.cells} == written(name)
    for dimension in read.dimensions:
        assert dimension.worth == tuple(dimension.points * k / 4 for k in range(5))
    for cell, points in written(name).items():
        assert marking.desk(ROOT / "source" / name, cell, points).problems == ()


@pytest.mark.parametrize("name", WITH_SAMPLES)
def test_marked_samples_are_read_whole_whatever_their_form(name):
    folder = ROOT / "source" / name
    read = rubric.load(folder / rubric.RUBRIC)
    samples = rubric.load_samples(folder / rubric.SAMPLES, read)
    assert [s.name for s in samples] == ["excellent", "good", "acceptable", "insufficient"]
    worth = {d.name: d.worth for d in read.dimensions}
    totals = []
    for sample in samples:
        assert [m.dimension for m in sample.marks] == list(worth)
        assert all(len(m.why) > 5 for m in sample.marks)
        assert all(len(text) > 20 for text in sample.texts.values())
        totals.append(sum(worth[m.dimension][m.level] for m in sample.marks))
    said = re.findall(r"^(?:human_)?points = ([\d.]+)", (folder / rubric.SAMPLES).read_text(), re.M)
    assert totals == [float(points) for points in said]


# ------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("points = 3\n", "points = \n", "not valid TOML"),
        ('cell = "memo"\n', "", "The cell is missing: write `cell"),
        ("points = 3\n", "", "Points are missing"),
        ("points = 3\n", "points = 4\n", "add up to 3 points; the rubric gives the cell 4"),
        ("points = 2\n", "", "Dimension 'Facts': `points` is None"),
        ("points = 2\n", 'points = "2"\n', "Dimension 'Facts': `points` is '2'"),
        ('"two", "three", "all"]', '"two", "all"]', "Dimension 'Tone' has 4 levels; write 5"),
        ('levels = ["none", "one", "two", "three", "all"]', "", "`levels` must be a list of 5"),
        ('name = "Tone"', 'name = "Facts"', "2 dimensions are called 'Facts'"),
        ('name = "Tone"', 'name = "Tone; style"', "a semicolon in its name"),
        ('name = "Tone"\n', "", "Dimension 2: `name` is missing"),
        ('asks = "How?"', 'ask = "How?"', "`ask` is not known"),
        ('asks = "How?"', 'asks = "How?"\ncell = "other"', "`cell` is 'other'; the rubric is for"),
        ('"Which number?"', "3", "[comments]: `number` is 3"),
        ('"Which number?"', '"Rubric: no"', "like the line of levels"),
        ("words_at_most = 100", 'words_at_most = "many"', "`words_at_most` is 'many'"),
        ("words_at_most = 100", "words = 100", "`words` is not a key of a rubric"),
    ],
)
def test_a_mistake_is_named_with_what_to_write(tmp_path, old, new, said):
    assert old in SOUND
    path = tmp_path / "rubric.toml"
    path.write_text(SOUND.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RubricError) as caught:
        rubric.load(path)
    assert any(said in mistake for mistake in caught.value.mistakes), caught.value.mistakes


def test_all_mistakes_are_told_at_once_and_a_flood_is_counted(tmp_path):
    path = tmp_path / "rubric.toml"
    path.write_text(SOUND.replace("asks", "ask"), encoding="utf-8")
    with pytest.raises(RubricError) as caught:
        rubric.load(path)
    assert len(caught.value.mistakes) == 4  # unknown and missing, twice
    path.write_text('cell = "memo"\npoints = 1\n' + "[[dimension]]\n" * 9, encoding="utf-8")
    with pytest.raises(RubricError) as caught:
        rubric.load(path)
    assert caught.value.mistakes[-1].startswith("And ")
    assert len(caught.value.mistakes) == rubric.SHOWN + 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("levels = [3, 4]", "levels = [3]", "its levels and the rubric differ in Facts, Tone"),
        ("levels = [3, 4]", "levels = [3, 5]", "the level of 'Tone' is 5, not 0 to 4"),
        ("text = ", "txt = ", "it needs one text for each of memo"),
        ("[[sample]]", "", "It holds no sample"),
    ],
)
def test_a_mistake_in_the_samples_leaves_the_rubric_usable(tmp_path, old, new, said):
    (tmp_path / "rubric.toml").write_text(SOUND, encoding="utf-8")
    (tmp_path / "rubric-samples.toml").write_text(SAMPLES.replace(old, new), encoding="utf-8")
    shown = marking.desk(tmp_path, "memo", 3)
    assert len(shown.dimensions) == 2
    assert shown.samples == ()
    assert shown.problem_in == "rubric-samples.toml"
    assert said in shown.problems[0]


# ------------------------------------------------------------------------------------ the page


@pytest.fixture
def course(tmp_path):
    """A course with one autograded submission, `memo`, and the repository's configuration."""
    root = tmp_path / "course"
    (root / "source" / "a").mkdir(parents=True)
    (root / "source" / "a" / "rubric.toml").write_text(SOUND, encoding="utf-8")
    (root / "source" / "a" / "rubric-samples.toml").write_text(SAMPLES, encoding="utf-8")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    place = root / "autograded" / "ada" / "a"
    place.mkdir(parents=True)
    notebook = nbformat.v4.new_notebook()
    for name, solution, kind in [("memo", True, "markdown"), ("test-x", False, "code")]:
        cell = getattr(nbformat.v4, f"new_{kind}_cell")("Five words of an answer")
        cell.metadata["nbgrader"] = {
            "grade": True, "solution": solution, "grade_id": name, "points": 3, "task": False,
            "locked": not solution, "schema_version": 3, "score": 1, "comment": "Well.",
        }  # fmt: skip
        notebook.cells.append(cell)
    nbformat.write(notebook, place / "a.ipynb")
    return root


def formgrader_page(root, **changes):
    """The page that Formgrader makes of the submission."""
    config = nbgrader_apps.configuration(root)
    config.HTMLExporter.template_name = "formgrade"
    if "extra_template_basedirs" not in config.HTMLExporter:
        config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    resources = {
        "assignment_id": "a", "notebook_id": "a", "submission_id": "1", "index": 0, "total": 1,
        "base_url": "", "student": "ada", "first_name": "", "last_name": "", "notebook_path": "",
    } | changes  # fmt: skip
    return export(root, config, resources)


def export(root, config, resources):
    filename = root / "autograded" / "ada" / "a" / "a.ipynb"
    return HTMLExporter(config=config).from_filename(str(filename), resources=resources)[0]


def test_the_rubric_stands_beside_the_hand_marked_cell_only(course):
    html = formgrader_page(course)
    assert html.count('data-cell="memo"') == 1
    assert 'data-cell="test-x"' not in html
    assert html.count('role="radio"') == 10
    assert re.findall(r'data-points="([\d.]+)"', html)[1:6] == ["0.0", "0.5", "1.0", "1.5", "2.0"]
    assert "all &lt;b&gt;of&lt;/b&gt; them" in html
    assert "5 words of at most 100" in html
    assert 'data-text="Which number?"' in html
    assert "<strong>good</strong>: 2.5 of 3" in html
    assert "A <em>sample</em> of the memo." in html
    assert "because of tone" in html
    assert not re.search(r"""<(?:script|link|img)[^>]+syslab""", html)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("rubric.toml", "points = \n", "rubric.toml has a mistake"),
        ("rubric.toml", SOUND.replace('"memo"', '"other"'), "no dimension for the cell `memo`"),
        ("rubric.toml", SOUND.replace("points = 3", "points = 2").replace("= 2\nas", "= 1\nas"),
         "the notebook gives the cell 3"),
        ("rubric-samples.toml", "", "rubric-samples.toml has a mistake"),
        ("rubric-samples.toml", 'x = "', "rubric-samples.toml has a mistake"),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_in_the_page(course, file, text, said):
    (course / "source" / "a" / file).write_text(text, encoding="utf-8")
    html = formgrader_page(course)
    assert said in html
    assert 'class="score tabbable"' in html, "Formgrader itself goes on working"
    assert "TOMLDecodeError" not in html
    assert ('role="radio"' in html) == (file == "rubric-samples.toml")


def test_nothing_of_it_without_source_or_rubric_and_outside_formgrader(course):
    assert "syslab-desk" not in formgrader_page(course, submission_id="")
    assert "syslab-desk" not in formgrader_page(course, assignment_id="b")
    (course / "source" / "a" / "rubric.toml").rename(course / "rubric.toml")
    without = formgrader_page(course)
    assert "syslab" not in without
    assert 'id="memo"' in without, "the page is nbgrader's own"
    (course / "rubric.toml").rename(course / "source" / "a" / "rubric.toml")
    elsewhere = course.parent / "elsewhere"
    shutil.copytree(course, elsewhere)
    (elsewhere / "nbgrader_config.py").write_text(
        (course / "nbgrader_config.py").read_text()
        + f"\nc.CourseDirectory.root = {str(course / 'other')!r}\n"
    )
    assert "syslab" not in formgrader_page(elsewhere), "another course's submission"


def test_the_page_is_otherwise_nbgraders_own(course):
    """Without our lines the page is, line by line, what stock nbgrader makes."""
    ours = re.sub(r' nonce="[^"]+"', "", formgrader_page(course))
    (course / "nbgrader_config.py").write_text("c = get_config()\n")
    stock = formgrader_page(course)
    assert "syslab" not in stock
    stock, changed = re.subn(r'<script type="text/x-mathjax-config">.*?</script>', "", stock,
                             flags=re.S)  # fmt: skip
    assert changed == 1
    kept = iter([line.strip() for line in ours.splitlines() if line.strip()])
    lost = [line for line in map(str.strip, stock.splitlines()) if line and line not in kept]
    assert lost == []


def test_only_the_scripts_of_the_page_itself_are_allowed(course):
    place = course / "autograded" / "ada" / "a" / "a.ipynb"
    notebook = nbformat.read(place, as_version=4)
    notebook.cells[0].source = "<script>alert(1)</script>"
    nbformat.write(notebook, place)
    html, again = formgrader_page(course), formgrader_page(course)
    (nonce,) = set(re.findall(r"'nonce-([^']+)'", html))
    assert nonce not in again, "a new one for every page"
    head, body = html.split("</head>", 1)
    assert head.index("Content-Security-Policy") < head.index("<script")
    scripts = re.findall(r"<script[^>]*>", html)
    allowed = [tag for tag in scripts if f'nonce="{nonce}"' in tag]
    assert all(tag in allowed for tag in re.findall(r"<script[^>]*>", head))
    assert "<script>alert(1)</script>" in body
    assert len(scripts) - len(allowed) == 2, "the answer's, and nbgrader's two tooltips"
    (policy,) = re.findall(r"<meta[^>]+Content-Security-Policy[^>]*>", html)
    for word in ("unsafe-inline", "unsafe-eval", "'self'", "https:"):
        assert word not in policy


def test_the_feedback_page_shows_nothing_of_it(course):
    config = nbgrader_apps.configuration(course)
    step = GenerateFeedback(coursedir=CourseDirectory(config=config), config=config)
    marks = {"score": 1, "max_score": 6, "late_penalty": 0}
    html = export(course, step.config, {"nbgrader": {"notebook": "a", "student": "ada", **marks}})
    assert "Five words of an answer" in html
    for secret in ("syslab", "Which number?", "sample", "because of"):
        assert secret not in html, secret
