"""Transcripts: points, gates and what is missing, against hand-computed cases."""

import csv
import io
import json
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures" / "class_book"))
import class_book as book_of

from syslab import cli
from syslab.course import manifest, progress
from syslab.course.errors import CourseError
from syslab.grading import book, evidence, transcript, transcript_page

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
EVIL = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Ada has handed in arch-02 and mod-605 (her memo there awaits), Eve nothing."""
    root = book_of.course(tmp_path_factory.mktemp("transcript") / "course")
    with book_of.opened(root) as gradebook:
        for name in ("arch-02", "mod-605", "code-review"):
            book_of.generate(gradebook, name)  # 8 points each in the gradebook
        gradebook.add_student("ada", first_name="Ada", last_name="Lovelace")
        gradebook.add_student("eve", first_name=EVIL, last_name="O'Neil & Sons")
        full = dict(book_of.CELLS)
        book_of.hand_in(gradebook, "ada", full, "arch-02", memo=4.0)
        book_of.hand_in(gradebook, "ada", {**full, "test-level1": 1.0}, "mod-605")
    return root


@pytest.fixture
def course(made, tmp_path, monkeypatch):
    root = book_of.copy(made, tmp_path / "course")
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    return root


def load(root):
    return manifest.load(root / "course.toml", check_folders=False)


def built(root, student=None, records=None):
    with book.reading(root) as gradebook:
        return transcript.build(gradebook, load(root), student, records, NOW)


def only(root, student="ada", **more):
    (found,) = built(root, student, **more)
    return found


def parts(t):
    return {p.id: p for p in t.parts}


def gates(t):
    return {g.id: g for c in t.certificates for g in c.gates}


# ------------------------------------------------------------------------------------- points


def test_points_are_scaled_to_the_manifest_and_awaiting_ones_are_told_apart(course):
    found = parts(only(course))
    assert (found["arch-02"].earned, found["arch-02"].points) == (20.0, 20.0)
    assert found["mod-605"].earned == pytest.approx(20 * 3 / 8)
    assert found["mod-605"].awaiting == pytest.approx(20 * 4 / 8)
    assert found["mod-605"].status == transcript.AWAITING
    assert found["arch-02"].status == transcript.GRADED
    assert found["code-review"].status == transcript.NOT_SUBMITTED
    assert found["mod-610"].status == transcript.NOT_RELEASED  # ready, yet not in this gradebook
    assert found["project-01"].status == transcript.PLANNED


def test_the_total_is_of_the_scored_parts_alone(course):
    t = only(course)
    assert t.total_points == 1000 == sum(p.points for p in t.parts if p.counts)
    assert t.earned == pytest.approx(7.5)  # arch-02 belongs to the architect's certificate
    assert t.awaiting == pytest.approx(10)


def test_a_late_penalty_is_taken_off(course):
    with book_of.opened(course) as gradebook:
        found = gradebook.find_submission_notebook("arch-02", "arch-02", "ada")
        found.late_submission_penalty = 2.0
        gradebook.db.commit()
    part = parts(only(course))["arch-02"]
    assert (part.earned, part.penalty) == (15.0, 5.0)


def test_a_submission_nobody_graded_is_not_zero_points_earned(course):
    with book_of.opened(course) as gradebook:
        book_of.hand_in(gradebook, "eve", {}, "arch-02")
    part = parts(only(course, "eve"))["arch-02"]
    assert (part.status, part.awaiting) == (transcript.NOT_GRADED, 20.0)


# -------------------------------------------------------------------------------------- gates


def test_every_gate_of_the_syllabus_is_there(course):
    t = only(course)
    by = {c.id: [(g.id, g.title) for g in c.gates] for c in t.certificates}
    assert {id for id, _ in by["principal"]} == {
        "total", "each-project", "published", "mentorship-shown",
    }  # fmt: skip
    assert {id for id, _ in by["architect"]} == {"each-module", "capstone", "panel-defence"}
    assert not any(c.earned for c in t.certificates)


def test_the_gates_are_those_of_the_learners_own_page(course):
    """The same grades as the learner's local record give the same verdicts."""
    t = only(course)
    record = progress.Progress(
        {
            "graded": {
                "arch-02": [{"score": 8, "max_score": 8}],
                "mod-605": [{"score": 3, "max_score": 8}],
            }
        }
    )
    expected = {s.gate.id: (s.met, s.stands) for s in record.gates(load(course))}
    assert {g.id: (g.met, g.stands) for g in gates(t).values()} == expected


def test_what_it_would_take_adds_up(course):
    (line,) = gates(only(course))["total"].takes
    assert line.startswith("692.5 more points")
    assert "10 await a human's mark" in line
    assert "100 are in work not handed in" in line  # code-review
    assert "2.5 were lost in graded work" in line
    assert "880 are in parts that are not open yet" in line
    assert 7.5 + 10 + 100 + 2.5 + 880 == 1000


def test_a_module_below_its_gate_says_how_far(course):
    with book_of.opened(course) as gradebook:
        gradebook.find_grade("memo", "arch-02", "arch-02", "ada").manual_score = 1.2
        gradebook.db.commit()
    takes = gates(only(course))["each-module"].takes
    assert "arch-02 has 13: 1 more" in takes
    assert any(line.startswith("not open yet: arch-01, arch-03") for line in takes)


def test_points_that_await_a_mark_and_would_close_the_gate_are_named(course):
    with book_of.opened(course) as gradebook:
        grade = gradebook.find_grade("memo", "arch-02", "arch-02", "ada")
        grade.manual_score, grade.needs_manual_grade = None, True
        gradebook.db.commit()
    assert "arch-02 has 10: 4 more, and 10 await a mark" in gates(only(course))["each-module"].takes


def everything(course_manifest, share):
    """Every part of the course handed in at `share` of its points."""
    return {
        p.id: book.Handed(p.id, "ada", p.points * share, p.points, 0, 0, False, None, 0)
        for p in (
            *course_manifest.modules, *course_manifest.projects, *course_manifest.portfolio
        )
    }  # fmt: skip


@pytest.mark.parametrize(("share", "met"), [(0.7, True), (0.699, False), (1.0, True)])
def test_certificates_at_their_very_edge(course, share, met):
    plan = load(course)
    records = [
        evidence.Record("ada", g.id, "2026-11-01", "https://example.org/x")
        for g in plan.gates
        if g.kind == "evidence"
    ]
    t = transcript.of(plan, book.Student("ada"), {}, everything(plan, share), records)
    assert [c.earned for c in t.certificates] == [met, met]
    assert all(g.takes == () for g in gates(t).values()) is met


def test_evidence_alone_or_points_alone_earn_nothing(course):
    plan = load(course)
    t = transcript.of(plan, book.Student("ada"), {}, everything(plan, 1.0))
    assert not any(c.earned for c in t.certificates)
    assert {g.id for g in gates(t).values() if not g.met} == {
        g.id for g in plan.gates if g.kind == "evidence"
    }


# ----------------------------------------------------------------------------------- evidence


def kept(root, text):
    file = root / "evidence.csv"
    file.write_text(text, encoding="utf-8")
    return evidence.load(load(root), ["ada", "eve"], file)


def test_evidence_is_read_by_student(course):
    found = kept(course, "student,gate,date,link\nada,published,2026-11-03,https://example.org/p\n")
    assert [r.gate for r in found["ada"]] == ["published"]
    gate = gates(only(course, records=found))["published"]
    assert gate.met
    assert "2026-11-03" in gate.stands
    assert "example.org" in gate.stands


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("adda,published,2026-11-03,x", "line 2: no student 'adda' in the gradebook; did you mean"),
        ("ada,total,2026-11-03,x", "takes no evidence"),
        ("ada,published,3.11.2026,x", "must read YYYY-MM-DD"),
        ("ada,published,2026-11-03,", "the link is missing"),
    ],
)
def test_evidence_that_cannot_hold_names_its_line(course, line, said):
    with pytest.raises(CourseError, match=said):
        kept(course, f"student,gate,date,link\n{line}\n")


def test_no_evidence_file_is_no_evidence_and_a_named_one_must_exist(course):
    assert evidence.load(load(course), ["ada"]) == {}
    with pytest.raises(CourseError, match="does not exist"):
        evidence.load(load(course), ["ada"], course / "nothing.csv")


# ------------------------------------------------------------------------------------- output


class Page(HTMLParser):
    """What a reader gets: tags in order, their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.attributes = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data):
        self.text += data


def test_html_escapes_names_and_links(course):
    evil = "https://example.org/<img src=x onerror=alert(1)>"
    records = {"eve": [evidence.Record("eve", "published", "2026-11-03", evil)]}
    text = transcript_page.page(only(course, "eve", records=records))
    page = Page(text)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert EVIL in page.text
    assert "O'Neil & Sons" in page.text
    assert "&lt;script&gt;" in text


def test_html_is_accessible_in_form(course):
    page = Page(transcript_page.page(only(course)))
    attributes = dict(zip(page.tags, page.attributes, strict=True))
    assert attributes["html"] == {"lang": "en"}
    assert page.tags.count("h1") == 1
    assert "main" in page.tags
    assert "title" in page.tags
    heads = [a for t, a in zip(page.tags, page.attributes, strict=True) if t == "th"]
    assert heads
    assert all(a.get("scope") in ("col", "row") for a in heads)
    assert page.tags.count("caption") == 4
    assert "not met" in page.text  # told in words, not by colour
    assert not {"img", "link", "iframe"} & set(page.tags)  # nothing is fetched


def test_html_tells_every_part_and_gate(course):
    t = only(course)
    text = Page(transcript_page.page(t)).text
    for part in t.parts:
        assert f"{part.id} {part.title}" in text
    for gate in gates(t).values():
        assert gate.title in text
        assert all(line in text for line in gate.takes)
    assert "7.5 of 1,000 points" in " ".join(text.split())


@pytest.mark.browser
def test_the_fullest_page_is_one_sheet_of_paper_and_fits_a_phone(course, tmp_path, needs_program):
    """Every part handed in below its gate, late, awaiting marks: the longest lines there are."""
    import re

    from playwright.sync_api import sync_playwright

    plan = load(course)
    handed = {
        id: book.Handed(id, "ada", h.points * 0.4321, h.points, 1, h.points * 0.35, True, None, 9e4)
        for id, h in everything(plan, 1.0).items()
    }
    student = book.Student("ada", "Augusta Ada", "King, Countess of Lovelace " * 2)
    page_file = tmp_path / "page.html"
    t = transcript.of(plan, student, {}, handed, made="2026-11-22 09:00 UTC")
    page_file.write_text(transcript_page.page(t), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=needs_program("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 380, "height": 800})
        page.goto(page_file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        sheet = page.pdf(prefer_css_page_size=True)
        browser.close()
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", sheet)) == 1


def test_file_names_stay_in_their_folder_and_differ():
    def of(id):
        return transcript.Transcript(id, id, "", 0, 0, 1000, "", (), ())

    names = transcript_page.file_names([of(i) for i in ("../../etc", "Ada", "ada", "..", "index")])
    assert len({n.casefold() for n in names}) == 5
    assert all("/" not in n and "\\" not in n and not n.startswith(".") for n in names)
    assert "index.html" not in names


def test_json_has_a_schema_and_no_more_than_csv_can_hold(course):
    data = json.loads(transcript.to_json(built(course)))
    assert data["schema"] == "syslab-transcript-1"
    ada, eve = data["transcripts"]
    assert (ada["student"], ada["earned"], ada["made"]) == ("ada", 7.5, "2026-11-22 09:00 UTC")
    assert {c["id"]: c["earned"] for c in ada["certificates"]} == {
        "architect": False,
        "principal": False,
    }
    assert eve["name"].startswith(EVIL)


def test_csv_is_one_line_per_student_and_part(course):
    rows = list(csv.DictReader(io.StringIO(transcript.to_csv(built(course)))))
    count = len(only(course).parts)
    assert len(rows) == 2 * count == 2 * (23 + 5 + 3)
    mine = {r["part"]: r for r in rows if r["student"] == "ada"}
    assert mine["mod-605"]["points"] == "7.5"
    assert mine["mod-605"]["awaiting_points"] == "10"
    counted = [r for r in mine.values() if r["counts_in_total"] == "yes"]
    assert sum(float(r["max_points"]) for r in counted) == 1000


def test_queries_do_not_grow_with_the_class(course):
    def build(gradebook):
        return lambda: transcript.build(gradebook, load(course), now=NOW)

    with book_of.opened(course) as gradebook:
        _, few = book_of.counted(gradebook, build(gradebook))
        for n in range(15):
            book_of.hand_in(gradebook, f"x{n}", {"test-ridge": 1.0})
        many, more = book_of.counted(gradebook, build(gradebook))
    assert len(many) == 17
    assert few == more <= 7


# ------------------------------------------------------------------------------- command line


def test_command_in_every_format(course, tmp_path, capsys):
    assert cli.main(["transcript", "--student", "ada"]) == 0
    assert "7.5 of 1,000 points, 10 await" in capsys.readouterr().out
    assert cli.main(["transcript", "--student", "ada", "--format", "html"]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")
    assert cli.main(["transcript", "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["transcripts"]) == 2
    assert cli.main(["transcript", "--out", str(tmp_path / "class.csv")]) == 0
    assert (tmp_path / "class.csv").read_text().startswith("student,name,part")
    assert cli.main(["transcript", "--out", str(tmp_path / "pages")]) == 0
    assert sorted(p.name for p in (tmp_path / "pages").iterdir()) == [
        "ada.html", "eve.html", "index.html",
    ]  # fmt: skip
    assert EVIL not in (tmp_path / "pages" / "index.html").read_text()


def test_command_refuses_what_it_cannot_do(course, tmp_path, capsys):
    def fails(*words):
        assert cli.main(["transcript", *words]) == 2
        return capsys.readouterr().err

    assert "did you mean 'ada'" in fails("--student", "adaa")
    assert "name a folder" in fails("--format", "html")
    assert "name a folder" in fails("--out", str(tmp_path / "all.html"))
    assert "folder is missing" in fails("--out", str(tmp_path / "no" / "x.csv"))


def test_no_gradebook_and_no_student_say_what_to_do(tmp_path, monkeypatch, capsys):
    root = book_of.course(tmp_path / "course")
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    assert cli.main(["transcript"]) == 2
    assert "there is no gradebook" in capsys.readouterr().err
    with book_of.opened(root) as gradebook:
        book_of.generate(gradebook)
    assert cli.main(["transcript"]) == 2
    assert "holds no student yet" in capsys.readouterr().err


def test_a_penalty_older_than_the_marks_is_said(tmp_path, monkeypatch, capsys):
    root = book_of.course(tmp_path / "course", late="percent_per_day = 10")
    monkeypatch.setenv("SYSLAB_ROOT", str(root))
    with book_of.opened(root) as gradebook:
        book_of.generate(gradebook)
        book_of.hand_in(gradebook, "ada", book_of.CELLS, at="2026-11-01 13:00:00 UTC", memo=4.0)
        found = gradebook.find_submission_notebook("arch-02", "arch-02", "ada")
        found.late_submission_penalty = 0.4  # a tenth of the 4 points before the memo was marked
        gradebook.db.commit()
    assert cli.main(["transcript", "--student", "ada"]) == 0
    assert "generate_feedback arch-02 --force" in capsys.readouterr().err
    with book_of.opened(root) as gradebook:
        found = gradebook.find_submission_notebook("arch-02", "arch-02", "ada")
        found.late_submission_penalty = 0.8
        gradebook.db.commit()
    assert cli.main(["transcript", "--student", "ada"]) == 0
    assert capsys.readouterr().err == ""


def test_a_class_is_listed_with_the_modules_of_both_tracks(course):
    """Who takes the architect track alone has no point of the 1,000, and is not to look idle."""
    everybody = built(course)
    text = transcript.to_text(everybody)
    header, *rows = text.splitlines()
    columns = header.split("  ")
    assert [c.strip() for c in columns if "modules" in c] == [
        "architect modules",
        "principal modules",
    ]
    ada = next(t for t in everybody if t.student == "ada")
    points = next(row for row in rows if row.split()[0] == "ada").split()[1:4]
    assert points == [
        f"{value:g}" for value in (ada.earned, ada.modules("architect"), ada.modules("principal"))
    ]
    assert ada.modules("architect") == sum(
        p.earned for p in ada.parts if p.kind == "module" and p.track == "architect"
    )
    assert ada.modules("architect") > 0
