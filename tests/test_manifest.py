"""The manifest: the real one is sound, and every planted error is named with its line."""

import json
import re
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syslab.course import manifest, toml_lines
from syslab.course.errors import CourseError

MINI = """\
[course]
id = "mini"
title = "Mini"
summary = "Small and whole."
total_points = 300

[[tracks]]
id = "principal"
title = "Principal"
summary = "Two modules."
certificate = "Principal"
module_points = 40

[[tracks]]
id = "architect"
title = "Architect"
summary = "Two modules."
certificate = "Architect"
module_points = 40

[[modules]]
id = "arch-01"
track = "architect"
folder = "arch-01-caches"
title = "Caches"  # a comment with [brackets] and "quotes"
outcome = "Read caches."
phase = "One"
level = "expert"
minutes = 90
points = 20
prerequisites = []
status = "ready"
bench = { folder = "ladder", title = "Ladder", minutes = 60 }
assignment = { title = "Caches by hand", minutes = 100 }
lessons = [
    { file = "01-lines.ipynb", title = "Lines", minutes = 40 },
    { file = "02-sets.ipynb", title = "Sets", minutes = 50 },
]

[[modules]]
id = "arch-02"
track = "architect"
folder = "arch-02-roofline"
title = "Roofline"
outcome = "Draw rooflines."
phase = "One"
level = "advanced"
hours = 3
points = 20
prerequisites = ["arch-01"]
status = "planned"
bench = { folder = "roofline" }

[[modules]]
id = "mod-601"
track = "principal"
folder = "mod-601-mindset"
title = "Mindset"
outcome = "Decide."
phase = "Two"
level = "advanced"
hours = 15
points = 20
prerequisites = []
status = "planned"
bench = { folder = "calibration" }

[[modules]]
id = "mod-602"
track = "principal"
folder = "mod-602-scale"
title = "Scale"
outcome = "Size."
phase = "Two"
level = "expert"
hours = 25
points = 20
prerequisites = ["mod-601"]
status = "planned"
bench = { folder = "ring" }

[[projects]]
id = "project-01"
folder = "01-training"
title = "Training"
hours = 100
points = 100
prerequisites = ["mod-602"]
status = "planned"
weights = { depth = 60, narrative = 40 }

[[portfolio]]
id = "code-review"
title = "Code review"
points = 160
prerequisites = ["mod-601"]
status = "planned"

[capstone]
id = "arch-capstone"
track = "architect"
folder = "capstone"
title = "Capstone"
prerequisites = ["arch-02"]
status = "planned"

[[gates]]
id = "total"
certificate = "principal"
kind = "total-points"
title = "200 of 300"
threshold = 200

[[gates]]
id = "each-project"
certificate = "principal"
kind = "each-project"
title = "70 in each project"
threshold = 70

[[gates]]
id = "each-module"
certificate = "architect"
kind = "each-module"
title = "14 in each module"
threshold = 14

[[gates]]
id = "panel"
certificate = "architect"
kind = "evidence"
title = "Panel"
"""

READY_FILES = (
    "lessons/arch-01-caches/01-lines.ipynb",
    "lessons/arch-01-caches/02-sets.ipynb",
    "labs/ladder/bench.ipynb",
    "source/arch-01/arch-01.ipynb",
    "release/arch-01/arch-01.ipynb",
)


@pytest.fixture
def mini(tmp_path):
    """A course folder with the small manifest and every file it calls ready."""
    (tmp_path / "course.toml").write_text(MINI, encoding="utf-8")
    for name in READY_FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}", encoding="utf-8")
    return tmp_path


def line_of(text, piece):
    """The line on which `piece` begins; it must stand in the text exactly once."""
    assert text.count(piece) == 1, f"{piece!r} is there {text.count(piece)} times"
    return text[: text.index(piece)].count("\n") + 1


def findings(text, folder, **options):
    path = folder / "course.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(manifest.ManifestError) as caught:
        manifest.load(path, **options)
    return caught.value.findings


def planted(text, old, new):
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


# ------------------------------------------------------------------------------ the real manifest


@pytest.fixture(scope="module")
def course(request):
    root = request.config.rootpath
    return manifest.load(root / "course.toml", check_folders=False)


def test_both_tracks_have_all_their_modules(course):
    assert [m.id for m in course.modules_of("architect")] == [f"arch-{n:02d}" for n in range(1, 12)]
    assert [m.id for m in course.modules_of("principal")] == [f"mod-{n}" for n in range(601, 613)]
    assert len(course.projects) == 5


def test_points_are_what_the_course_promises(course):
    assert sum(m.points for m in course.modules_of("principal")) == 240
    assert [p.points for p in course.projects] == [100] * 5
    assert {p.id: p.points for p in course.portfolio} == {
        "code-review": 100,
        "mentorship": 60,
        "writing-speaking": 100,
    }
    assert sum(part.points for part in course.scored_parts) == course.total_points == 1000
    assert {m.points for m in course.modules} == {20}


def test_time_budgets_are_the_syllabus(course):
    assert sum(m.budget_minutes for m in course.modules_of("principal")) == 240 * 60
    assert sum(m.budget_minutes for m in course.modules_of("architect")) == 1495
    assert [p.minutes // 60 for p in course.projects] == [100, 80, 100, 80, 80]


def test_architect_phases_are_prerequisites(course):
    """Foundation 1-2, modeling 3-4, AI 5-7, scale 8-11: a phase needs the whole one before."""
    phases = [(1, 2), (3, 4), (5, 7), (8, 11)]
    for before, (first, last) in zip([None, *phases[:-1]], phases, strict=True):
        wanted = [f"arch-{n:02d}" for n in range(before[0], before[1] + 1)] if before else []
        for n in range(first, last + 1):
            assert list(course.graded_part(f"arch-{n:02d}").prerequisites) == wanted
    assert len({m.phase for m in course.modules_of("architect")}) == 4


def test_gates_are_the_published_ones(course):
    gates = {(g.certificate, g.kind): g.threshold for g in course.gates}
    assert gates[("principal", "total-points")] == 700
    assert gates[("principal", "each-project")] == 70
    assert gates[("architect", "each-module")] == 14
    evidence = {g.id for g in course.gates if g.kind == "evidence"}
    assert evidence == {"published", "mentorship-shown", "capstone", "panel-defence"}


def test_everything_called_ready_is_on_disk(course_root):
    manifest.load(course_root / "course.toml")


def test_a_ready_module_names_its_notebooks(course):
    module = course.graded_part("arch-02")
    assert [n.path for n in module.notebooks] == [
        "lessons/arch-02-topdown-roofline/01-top-down.ipynb",
        "lessons/arch-02-topdown-roofline/02-counter-provenance.ipynb",
        "lessons/arch-02-topdown-roofline/03-roofline.ipynb",
        "lessons/arch-02-topdown-roofline/04-reuse-distance.ipynb",
        "labs/roofline/bench.ipynb",
        "work/arch-02/arch-02.ipynb",
    ]
    assert module.minutes == sum(n.minutes for n in module.notebooks)
    assert course.graded_part("mod-602").minutes == 25 * 60
    assert course.graded_part("arch-02-topdown-roofline") is module


def test_titles_are_those_of_the_notebooks(course):
    for module in course.ready_modules:
        pages = [(n.path, n.title) for n in (*module.lessons, module.bench)]
        for path, title in [*pages, (module.source, module.assignment.title)]:
            cells = json.loads((course.root / path).read_text(encoding="utf-8"))["cells"]
            prose = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
            (heading,) = re.findall(r"^# (.+)$", re.sub(r"(?s)```.*?```", "", prose), re.M)
            assert heading.strip() == title, path


def test_a_graded_notebook_is_worth_what_the_manifest_says(course):
    """Points to the half point; minutes: what the effort cards allow, and the reading on top."""
    for module in course.ready_modules:
        cells = json.loads((course.root / module.source).read_text(encoding="utf-8"))["cells"]
        graded = [c["metadata"].get("nbgrader", {}) for c in cells]
        assert sum(g.get("points", 0) for g in graded if g.get("grade")) == module.points
        text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        most = sum(map(int, re.findall(r"· at most (\d+) minutes ·", text)))
        assert most <= module.assignment.minutes <= 1.25 * most


def test_an_unknown_module_suggests_the_nearest(course):
    with pytest.raises(CourseError, match=r"'arch-2'; did you mean 'arch-02'\?") as caught:
        course.graded_part("arch-2")
    assert "arch-02" in caught.value.fix


# ------------------------------------------------------------------------------- planted errors


def test_the_small_manifest_is_sound(mini):
    course = manifest.load(mini / "course.toml")
    assert course.root == mini
    assert [m.minutes for m in course.modules] == [250, 180, 900, 1500]


PLANTED = {
    "misspelt key": (
        'outcome = "Size."',
        'outcom = "Size."',
        'outcom = "Size."',
        "module 'mod-602' has an unknown key 'outcom'; did you mean 'outcome'?",
    ),
    "misspelt key in a lesson": (
        'title = "Sets", minutes = 50',
        'title = "Sets", minuets = 50',
        '{ file = "02-sets.ipynb"',
        "lesson 2 of module 'arch-01' has an unknown key 'minuets'; did you mean 'minutes'?",
    ),
    "misspelt time": (
        "hours = 25",
        "hour = 25",
        "hour = 25",
        "module 'mod-602' has an unknown key 'hour'; did you mean 'hours'?",
    ),
    "unknown section": (
        "[[portfolio]]",
        "[[portfolios]]",
        "[[portfolios]]",
        "the manifest has an unknown key 'portfolios'; did you mean 'portfolio'?",
    ),
    "lacking key": (
        'title = "Scale"\n',
        "",
        '[[modules]]\nid = "mod-602"',
        "module 'mod-602' lacks the key 'title' (text)",
    ),
    "lacking id": (
        'id = "project-01"\n',
        "",
        "[[projects]]",
        "project number 1 lacks the key 'id' (text)",
    ),
    "text for a number": (
        "hours = 25\npoints = 20",
        'hours = 25\npoints = "twenty"',
        'points = "twenty"',
        "module 'mod-602': points must be a whole number above 0, not text 'twenty'",
    ),
    "truth value for a number": (
        "points = 160",
        "points = true",
        "points = true",
        "portfolio part 'code-review': points must be a whole number above 0, "
        "not a truth value true",
    ),
    "negative time": (
        "hours = 25",
        "hours = -25",
        "hours = -25",
        "module 'mod-602': hours must be a whole number above 0, not the number -25",
    ),
    "empty title": (
        'title = "Mindset"',
        'title = ""',
        'title = ""',
        "module 'mod-601': title must be text, not empty text",
    ),
    "list for a text": (
        'folder = "01-training"',
        'folder = ["01-training"]',
        'folder = ["01-training"]',
        "project 'project-01': folder must be text, not a list",
    ),
    "text for a list": (
        'prerequisites = ["mod-602"]',
        'prerequisites = "mod-602"',
        'prerequisites = "mod-602"',
        "project 'project-01': prerequisites must be a list of ids, not text 'mod-602'",
    ),
    "bad status": (
        'status = "ready"',
        'status = "raady"',
        'status = "raady"',
        "module 'arch-01': status must be one of ready, planned, not text 'raady'; "
        "did you mean 'ready'?",
    ),
    "bad level": (
        'phase = "One"\nlevel = "expert"',
        'phase = "One"\nlevel = "hard"',
        'level = "hard"',
        "module 'arch-01': level must be one of intermediate, advanced, expert, not text 'hard'",
    ),
    "duplicate id": (
        'id = "code-review"',
        'id = "mod-602"  # again',
        'id = "mod-602"  # again',
        "portfolio part 'mod-602': id 'mod-602' is taken since line {id = \"mod-602\"\ntrack}",
    ),
    "duplicate folder": (
        'folder = "capstone"',
        'folder = "01-training" # again',
        'folder = "01-training" # again',
        "[capstone]: folder '01-training' is taken since line {folder = \"01-training\"\n}",
    ),
    "duplicate bench": (
        'bench = { folder = "ring" }',
        'bench = { folder = "roofline" } # again',
        'bench = { folder = "roofline" } # again',
        "the bench of module 'mod-602': folder 'roofline' is taken since line "
        '{bench = { folder = "roofline" }\n}',
    ),
    "folder of another module": (
        'folder = "mod-602-scale"',
        'folder = "mod-620-scale"',
        'folder = "mod-620-scale"',
        "module 'mod-602': folder 'mod-620-scale' must read 'mod-602-topic', "
        "in lower case with hyphens",
    ),
    "unknown track": (
        'track = "principal"\nfolder = "mod-602-scale"',
        'track = "principle"\nfolder = "mod-602-scale"',
        'track = "principle"',
        "module 'mod-602': there is no track 'principle'; did you mean 'principal'?",
    ),
    "no time": (
        "hours = 25\n",
        "",
        '[[modules]]\nid = "mod-602"',
        "module 'mod-602' has no time: give either minutes or hours",
    ),
    "two times": (
        "hours = 25\n",
        "hours = 25\nminutes = 1500\n",
        '[[modules]]\nid = "mod-602"',
        "module 'mod-602' has both minutes and hours: give either minutes or hours",
    ),
    "lesson out of order": (
        '"02-sets.ipynb"',
        '"03-sets.ipynb"',
        '{ file = "03-sets.ipynb"',
        "lesson 2 of module 'arch-01': file must read '02-topic.ipynb', not '03-sets.ipynb'",
    ),
    "ready without an assignment": (
        'assignment = { title = "Caches by hand", minutes = 100 }\n',
        "",
        '[[modules]]\nid = "arch-01"',
        "module 'arch-01' is ready but lists no assignment",
    ),
    "ready with an untimed bench": (
        'bench = { folder = "ladder", title = "Ladder", minutes = 60 }',
        'bench = { folder = "ladder", title = "Ladder" }',
        'bench = { folder = "ladder", title = "Ladder" }',
        "module 'arch-01' is ready but its bench has no minutes",
    ),
    "weights": (
        "narrative = 40",
        "narrative = 30",
        "weights = { depth = 60, narrative = 30 }",
        "project 'project-01': weights add up to 90, not 100",
    ),
    "unknown prerequisite": (
        'prerequisites = ["arch-01"]',
        'prerequisites = ["arch-20"]',
        'prerequisites = ["arch-20"]',
        "module 'arch-02' asks for prerequisite 'arch-20', which no module has; "
        "did you mean 'arch-02'?",
    ),
    "needs itself": (
        'prerequisites = ["arch-01"]',
        'prerequisites = ["arch-02"] # itself',
        'prerequisites = ["arch-02"] # itself',
        "module 'arch-02' waits for itself: arch-02 needs arch-02",
    ),
    "cycle": (
        'prerequisites = []\nstatus = "ready"',
        'prerequisites = ["arch-02"] # cycle\nstatus = "ready"',
        'prerequisites = ["arch-02"] # cycle',
        "module 'arch-01' waits for itself: arch-01 needs arch-02 needs arch-01",
    ),
    "module sum": (
        'certificate = "Architect"\nmodule_points = 40',
        'certificate = "Architect"\nmodule_points = 60',
        "module_points = 60",
        "track 'architect': module_points is 60, but its 2 modules add up to 40",
    ),
    "threshold above what can be reached": (
        "threshold = 14",
        "threshold = 24",
        "threshold = 24",
        "gate 'each-module': threshold 24 is out of range, 1 to 20 points can be reached",
    ),
    "threshold above the total": (
        "threshold = 200",
        "threshold = 301",
        "threshold = 301",
        "gate 'total': threshold 301 is out of range, 1 to 300 points can be reached",
    ),
    "threshold lacking": (
        "threshold = 70\n",
        "",
        '[[gates]]\nid = "each-project"',
        "gate 'each-project' lacks the key 'threshold' (a whole number above 0)",
    ),
    "threshold for evidence": (
        'title = "Panel"\n',
        'title = "Panel"\nthreshold = 5\n',
        "threshold = 5",
        "gate 'panel': evidence is there or not, it takes no threshold",
    ),
    "unknown kind of gate": (
        'kind = "evidence"',
        'kind = "evidense"',
        'kind = "evidense"',
        "gate 'panel': kind must be one of total-points, each-project, each-module, evidence, "
        "not text 'evidense'; did you mean 'evidence'?",
    ),
    "unclosed list": (
        'prerequisites = ["arch-01"]\n',
        'prerequisites = ["arch-01"\n',
        'status = "planned"\nbench = { folder = "roofline" }',
        "not valid TOML at column 1: Unclosed array",
    ),
    "key given twice": (
        'title = "Roofline"\n',
        'title = "Roofline"\ntitle = "Roof"\n',
        'title = "Roof"',
        "not valid TOML at column 15: Cannot overwrite a value",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_named_with_its_line(name, tmp_path):
    old, new, where, message = PLANTED[name]
    text = planted(MINI, old, new)
    found = findings(text, tmp_path, check_folders=False)
    if message.endswith("}"):  # "... since line {piece of text}"
        message, _, piece = message[:-1].partition("{")
        message += str(line_of(text, piece))
    assert [f.message for f in found] == [message]
    assert found[0].line == line_of(text, where)


def test_a_wrong_sum_names_the_shares_and_the_odd_module(tmp_path):
    text = planted(MINI, "hours = 25\npoints = 20", "hours = 25\npoints = 11")
    total, track = findings(text, tmp_path, check_folders=False)
    assert total.line == line_of(text, "total_points = 300")
    assert total.message == (
        "total_points is 300, but the scored parts add up to 291 "
        "(modules 31, projects 100, portfolio 160)"
    )
    assert track.line == line_of(text, 'certificate = "Principal"\nmodule_points') + 1
    assert "add up to 31" in track.message
    assert f"mod-602 on line {line_of(text, 'points = 11')} has 11" in track.message


def test_a_track_without_a_gate(tmp_path):
    text = MINI[: MINI.index('[[gates]]\nid = "each-module"')]
    (finding,) = findings(text, tmp_path, check_folders=False)
    assert finding.line == line_of(text, '[[tracks]]\nid = "architect"')
    assert "track 'architect' has no gate" in finding.message


def test_a_missing_section_is_one_finding(tmp_path):
    text = MINI[: MINI.index("[capstone]")] + MINI[MINI.index("[[gates]]") :]
    (finding,) = findings(text, tmp_path, check_folders=False)
    assert "lacks the key 'capstone'" in finding.message


def test_an_end_too_early_points_at_the_last_line(tmp_path):
    text = MINI + 'summary = """never closed\n'
    (finding,) = findings(text, tmp_path, check_folders=False)
    assert finding.line >= line_of(text, 'summary = """never closed')
    assert "not valid TOML" in finding.message


def test_all_findings_come_at_once_in_order(tmp_path):
    text = MINI
    for name in ("bad status", "unknown prerequisite", "misspelt key", "weights"):
        text = planted(text, PLANTED[name][0], PLANTED[name][1])
    found = findings(text, tmp_path, check_folders=False)
    assert [f.message for f in found] == [
        PLANTED[name][3]
        for name in ("bad status", "unknown prerequisite", "misspelt key", "weights")
    ]
    with pytest.raises(CourseError) as caught:
        manifest.load(tmp_path / "course.toml", check_folders=False)
    shown = str(caught.value)
    assert all(f"course.toml line {f.line}: {f.message}" in shown for f in found)
    assert shown.count("course.toml line") == 4


def test_a_missing_file_says_how_to_get_it_back(tmp_path):
    with pytest.raises(CourseError, match=r"course\.toml does not exist") as caught:
        manifest.load(tmp_path / "course.toml")
    assert "git checkout" in caught.value.fix


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "course.toml").write_bytes(b"[course]\nid = '\xff\xfe'\n")
    with pytest.raises(CourseError, match="not UTF-8 text"):
        manifest.load(tmp_path / "course.toml")


# -------------------------------------------------------------------------------------- folders


@pytest.mark.parametrize(
    ("gone", "where"),
    [
        ("lessons/arch-01-caches/02-sets.ipynb", '{ file = "02-sets.ipynb"'),
        ("labs/ladder/bench.ipynb", 'bench = { folder = "ladder"'),
        ("source/arch-01/arch-01.ipynb", 'id = "arch-01"'),
        ("release/arch-01/arch-01.ipynb", 'id = "arch-01"'),
    ],
)
def test_a_ready_part_that_is_missing(mini, gone, where):
    (mini / gone).unlink()
    (finding,) = findings(MINI, mini)
    assert finding.line == line_of(MINI, where)
    assert finding.message == f"module 'arch-01' is ready, but {gone} is missing"
    manifest.load(mini / "course.toml", check_folders=False)


def test_a_renamed_folder_suggests_the_right_one(mini):
    (mini / "labs/ladder").rename(mini / "labs/laddr")
    stray, missing = findings(MINI, mini)
    assert missing.line == line_of(MINI, 'bench = { folder = "ladder"')
    assert "no folder labs/ladder; did you mean 'laddr'?" in missing.message
    assert stray.message == "the folder labs/laddr belongs to no module; did you mean 'ladder'?"


def test_a_lesson_nobody_lists(mini):
    (mini / "lessons/arch-01-caches/03-ways.ipynb").write_text("{}", encoding="utf-8")
    (finding,) = findings(MINI, mini)
    assert finding.line == line_of(MINI, '[[modules]]\nid = "arch-01"')
    assert "lessons/arch-01-caches/03-ways.ipynb is on disk but not in lessons" in finding.message


def test_a_ready_project_needs_its_brief(mini):
    head, tail = MINI.split("[[projects]]")
    text = head + "[[projects]]" + tail.replace('status = "planned"', 'status = "ready"', 1)
    (finding,) = findings(text, mini)
    assert finding.line == line_of(text, 'folder = "01-training"')
    assert "project 'project-01' is ready, but projects/01-training/README.md" in finding.message


def ready_portfolio(assignment=""):
    """MINI with its portfolio part ready, and this after it."""
    head, tail = MINI.split("[[portfolio]]")
    return (
        head
        + "[[portfolio]]"
        + tail.replace('status = "planned"', f'status = "ready"\n{assignment}', 1)
    )


WORK = 'assignment = { title = "Twelve reviews", minutes = 240 }'


def test_a_ready_portfolio_part_has_an_assignment_of_its_own(mini):
    text = ready_portfolio(WORK)
    lacking = [f.message for f in findings(text, mini)]
    for folder in ("source", "release"):
        page = f"{folder}/code-review/code-review.ipynb"
        assert any("portfolio part 'code-review' is ready" in m and page in m for m in lacking)
        (mini / page).parent.mkdir(parents=True)
        (mini / page).write_text("{}", encoding="utf-8")
    (mini / "course.toml").write_text(text, encoding="utf-8")
    course = manifest.load(mini / "course.toml")
    part = course.graded_part("code-review")
    assert part in course.ready_parts
    assert (part.minutes, part.assignment.path) == (240, "work/code-review/code-review.ipynb")


def test_a_ready_portfolio_part_without_an_assignment(mini):
    (finding,) = findings(ready_portfolio(), mini, check_folders=False)
    assert finding.message == "portfolio part 'code-review' is ready but lists no assignment"


def test_a_misspelt_key_in_the_assignment_of_a_portfolio_part(mini):
    text = ready_portfolio(WORK.replace("minutes", "minuets"))
    (finding,) = findings(text, mini, check_folders=False)
    assert finding.message == (
        "the assignment of portfolio part 'code-review' has an unknown key 'minuets'; "
        "did you mean 'minutes'?"
    )


# ---------------------------------------------------------------------------------------- lines


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number))
    else:
        yield path, value


def test_every_value_of_the_real_manifest_stands_on_its_line(course_root):
    text = (course_root / "course.toml").read_text(encoding="utf-8")
    lines = toml_lines.index(text)
    rows = text.split("\n")
    checked = 0
    for path, value in leaves(tomllib.loads(text)):
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        assert shown in rows[lines[path] - 1], path
        checked += 1
    assert checked > 250


def test_lines_in_the_corners_of_the_format():
    text = "\n".join(
        [
            "# [not.a.table]",  # 1
            'title = """first',  # 2
            "second ] # no comment",  # 3
            '"""',  # 4
            "a.'b c'.d = 1.5",  # 5
            "when = 2024-01-02T03:04:05Z",  # 6
            "list = [ # comment ]",  # 7
            "  [1, 2],",  # 8
            "  { x = 'y # z', w = [",  # 9
            "    3 ] },",  # 10
            "]",  # 11
            "[[outer]]",  # 12
            "[[outer.inner]]",  # 13
            "k = 1",  # 14
            "[[outer.inner]]",  # 15
            "k = 2",  # 16
            "[outer.side]",  # 17
            'k = "a\\"]"',  # 18
            "[[outer]]",  # 19
            "[[outer.inner]]",  # 20
            "k = 3",  # 21
        ]
    )
    lines = toml_lines.index(text)
    wanted = {
        ("title",): 2,
        ("a", "b c", "d"): 5,
        ("when",): 6,
        ("list",): 7,
        ("list", 0): 8,
        ("list", 0, 1): 8,
        ("list", 1): 9,
        ("list", 1, "w", 0): 10,
        ("outer", 0): 12,
        ("outer", 0, "inner", 0, "k"): 14,
        ("outer", 0, "inner", 1, "k"): 16,
        ("outer", 0, "side", "k"): 18,
        ("outer", 1, "inner", 0, "k"): 21,
    }
    assert {path: lines[path] for path in wanted} == wanted
    assert all(path in lines for path, _ in leaves(tomllib.loads(text)))


# ----------------------------------------------------------------------------------- properties


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=4, max_size=4))
def test_the_total_is_accepted_exactly_when_the_parts_add_up(tmp_path_factory, points):
    """Points of both scored modules, the project and the portfolio part, drawn freely."""
    first, second, project, portfolio = points
    text = MINI
    for marker, worth in (
        ("hours = 15\npoints = 20", first),
        ("hours = 25\npoints = 20", second),
        ("hours = 100\npoints = 100", project),
        ('title = "Code review"\npoints = 160', portfolio),
    ):
        text = planted(text, marker, marker.rpartition(" ")[0] + f" {worth}")
    text = planted(
        text,
        'certificate = "Principal"\nmodule_points = 40',
        f'certificate = "Principal"\nmodule_points = {first + second}',
    )
    text = text.replace("threshold = 200", "threshold = 1").replace(
        "threshold = 70", "threshold = 1"
    )
    folder = tmp_path_factory.mktemp("sums")
    good = planted(text, "total_points = 300", f"total_points = {sum(points)}")
    (folder / "course.toml").write_text(good, encoding="utf-8")
    course = manifest.load(folder / "course.toml", check_folders=False)
    assert sum(part.points for part in course.scored_parts) == sum(points)
    wrong = planted(text, "total_points = 300", f"total_points = {sum(points) + 1}")
    (finding,) = findings(wrong, folder, check_folders=False)
    assert finding.line == line_of(wrong, "total_points = ")
    assert f"add up to {sum(points)}" in finding.message


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_gives_a_traceback(tmp_path_factory, data):
    """Whatever a slip of the hand does to the file, the answer is a course or a finding."""
    rows = MINI.split("\n")
    row = data.draw(st.integers(0, len(rows) - 1))
    change = data.draw(st.sampled_from(["drop", "double", "cut", "swap", "retype"]))
    if change == "drop":
        del rows[row]
    elif change == "double":
        rows.insert(row, rows[row])
    elif change == "cut":
        rows[row] = rows[row][: data.draw(st.integers(0, len(rows[row])))]
    elif change == "swap":
        other = data.draw(st.integers(0, len(rows) - 1))
        rows[row], rows[other] = rows[other], rows[row]
    else:
        value = data.draw(st.sampled_from(["7", '"x"', "[]", "{}", "[{}]", "true", "1.5", '["a"]']))
        rows[row] = rows[row].split("=")[0] + f"= {value}" if "=" in rows[row] else rows[row]
    path = tmp_path_factory.mktemp("damage") / "course.toml"
    path.write_text("\n".join(rows), encoding="utf-8")
    found = damage_found(path)
    assert all(1 <= f.line <= len(rows) + 1 and f.message for f in found)


def damage_found(path):
    try:
        manifest.load(path, check_folders=False)
    except manifest.ManifestError as error:
        return error.findings
    return ()
