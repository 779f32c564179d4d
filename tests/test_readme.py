"""What the documents say is so: tables, commands, links and dependencies."""

import argparse
import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from syslab import cli
from syslab.course import manifest, readme
from syslab.course.errors import CourseError

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], key=lambda p: p.relative_to(ROOT).as_posix()
)
CODE = re.compile(r"^```[a-z]*\n(?P<block>.*?)^```|`(?P<inline>[^`\n]+)`", re.M | re.S)
LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def name(path):
    return path.relative_to(ROOT).as_posix()


def commands(program):
    """(document, command line) of every `program ...` in the documents' code."""
    found = []
    for path in DOCUMENTS:
        for match in CODE.finditer(path.read_text(encoding="utf-8")):
            for line in (match["block"] or match["inline"]).split("\n"):
                line = re.sub(r"\s+#.*$", "", line.strip()).removeprefix(".venv/bin/")
                if line.startswith(program + " "):
                    found.append((name(path), line.split(" > ")[0]))
    return sorted(set(found))


def test_the_documents_are_there():
    assert {"README.md", "CONTRIBUTING.md", "AGENTS.md"} <= {name(p) for p in DOCUMENTS}
    assert {"docs/learner.md", "docs/instructor.md", "docs/ai-assistants.md"} <= {
        name(p) for p in DOCUMENTS
    }


# --------------------------------------------------------------------------------------- tables


@pytest.fixture
def course():
    return manifest.load(ROOT / "course.toml", check_folders=False)


def test_the_tables_of_the_readme_are_up_to_date(course):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.render(text, course) == text, "run `syslab readme`"


def test_the_table_says_honestly_what_is_ready(course):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for module in course.modules:
        (row,) = re.findall(rf"^\| \[?{module.id} .*$", text, re.M)
        assert row.endswith("| **ready** |" if module.ready else "| planned |")
        assert (f"(lessons/{module.folder}/)" in row) == module.ready


def test_points_in_the_readme_add_up(course):
    rows = re.findall(r"^\| .+ \| (\d+) \| \d+ of \d+ \|$", readme.points(course), re.M)
    assert sum(map(int, rows)) == course.total_points == 1000


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A course of README and manifest alone, which the command then works on."""
    for file in ("README.md", "course.toml"):
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    text = (tmp_path / "course.toml").read_text(encoding="utf-8")
    (tmp_path / "course.toml").write_text(
        text.replace('status = "ready"', 'status = "planned"'), encoding="utf-8"
    )
    monkeypatch.setenv("SYSLAB_ROOT", str(tmp_path))
    assert cli.main(["readme"]) == 0
    return tmp_path


def test_a_stale_table_is_found_and_written(copy, capsys):
    assert cli.main(["readme", "--check"]) == 0
    before = (copy / "README.md").read_text(encoding="utf-8")
    text = (copy / "course.toml").read_text(encoding="utf-8")
    (copy / "course.toml").write_text(
        text.replace('title = "Tail latency and scale-out"', 'title = "Tails | and more"'),
        encoding="utf-8",
    )
    capsys.readouterr()
    assert cli.main(["readme", "--check"]) == readme.OUT_OF_DATE
    said = capsys.readouterr().out
    assert "Tails" in said
    assert "run `syslab readme`" in said
    assert (copy / "README.md").read_text(encoding="utf-8") == before
    assert cli.main(["readme", "--write"]) == 0
    after = (copy / "README.md").read_text(encoding="utf-8")
    assert r"arch-08 Tails \| and more |" in after
    changed = [a for a, b in zip(after.split("\n"), before.split("\n"), strict=True) if a != b]
    assert len(changed) == 1
    assert cli.main(["readme", "--check"]) == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.replace("<!-- end of generated: modules -->", ""), "block 'modules' exactly"),
        (lambda t: t.replace("<!-- generated: points -->", ""), "block 'points' exactly once"),
        (lambda t: t.replace("generated: points", "generated: poimts"), "'poimts', which nothing"),
        (
            lambda t: t + "\n<!-- generated: points -->\n<!-- end of generated: points -->\n",
            "block 'points' exactly once",
        ),
    ],
)
def test_damaged_markers_are_refused_and_nothing_is_written(damage, message, course):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    with pytest.raises(CourseError, match=message):
        readme.render(damage(text), course)


# ------------------------------------------------------------------------------------- commands


def test_the_documents_name_commands_at_all():
    assert {line.split()[1] for _, line in commands("syslab")} >= {
        "start",
        "check",
        "submit",
        "grade",
        "reveal",
        "progress",
        "doctor",
        "nb",
        "readme",
        "release",
        "demo",
    }


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(message)


@pytest.mark.parametrize(("document", "line"), commands("syslab"))
def test_every_syslab_command_in_the_documents_exists(document, line):
    words = shlex.split(line)[1:]
    assert words[0] in cli.COMMANDS, f"{document}: {line}"
    command = cli.COMMANDS[words[0]]
    module = importlib.import_module(command.module)
    parser = _Parser(prog=words[0], exit_on_error=False)
    getattr(module, command.add_arguments)(parser)
    assert callable(getattr(module, command.run))
    if len(words) == 1:
        return  # named in passing
    if words[0] == "nb" and len(words) == 2:
        words.append("any.ipynb")  # an action named in passing
    parser.parse_args(words[1:])


@pytest.mark.parametrize(("document", "line"), commands("make"))
def test_every_make_target_in_the_documents_exists(document, line):
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert line.split()[1] in targets, f"{document}: {line}"


def test_every_nbgrader_command_in_the_documents_exists():
    from nbgrader.apps.nbgraderapp import NbGraderApp

    known = NbGraderApp().subcommands
    for document, line in commands("nbgrader"):
        assert line.split()[1] in known, f"{document}: {line}"


# ---------------------------------------------------------------------------------------- links


def anchors(path):
    titles = re.findall(r"^#{1,6} (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_resolves(document):
    text = document.read_text(encoding="utf-8")
    for match in LINK.finditer(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        target = match["target"]
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        there = (document.parent / file).resolve() if file else document
        assert there.exists(), f"{name(document)}: {target}"
        assert there.is_relative_to(ROOT), f"{name(document)}: {target} leaves the repository"
        assert not anchor or anchor in anchors(there), f"{name(document)}: no heading #{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_pictures_have_alt_text(document):
    text = document.read_text(encoding="utf-8")
    for alt in re.findall(r"!\[([^\]]*)\]\(", text):
        assert len(alt.split()) >= 5, f"{name(document)}: alt text {alt!r} says too little"


LOOKED_UP = {"verdicts.md"}  # a table made from the code; nobody reads it from top to bottom


@pytest.mark.parametrize(
    "document", sorted(d for d in ROOT.glob("docs/*.md") if d.name not in LOOKED_UP), ids=name
)
def test_a_page_stays_a_page(document):
    assert len(document.read_text(encoding="utf-8").split("\n")) <= 120


# --------------------------------------------------------------------------------- dependencies


def test_every_dependency_has_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [
        *project["project"]["dependencies"],
        *(d for extra in project["project"]["optional-dependencies"].values() for d in extra),
        *project["tool"]["syslab"]["no-deps"],
    ]
    asked = {re.match(r"[A-Za-z0-9_.-]+", d).group().lower() for d in asked}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("## Dependencies") : text.index("## Commits")]
    rows = dict(re.findall(r"^\| ([a-z0-9_.-]+) \| (.+) \|$", table, re.M))
    rows.pop("package", None)
    assert set(rows) == asked
    assert all(len(reason.split()) >= 2 for reason in rows.values())
