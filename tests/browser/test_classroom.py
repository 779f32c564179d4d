"""An assignment goes round once, in a real browser: Formgrader, assignment list, feedback."""

import html
import re
import time

import nbformat
import pytest

from syslab.course import nbgrader_apps

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAME = "arch-02"
NOTEBOOK = f"work/{NAME}/{NAME}.ipynb"
DRILL = """def drill(tree):
    path = []
    while tree:
        node = max(tree, key=lambda n: n["fraction"])
        path.append(node["name"])
        tree = node["children"]
    return path
"""
LARGEST_LEAF = """def drill(tree):
    leaves = [[top["name"], leaf["name"]] for top in tree for leaf in top["children"]]
    sizes = [leaf["fraction"] for top in tree for leaf in top["children"]]
    return leaves[sizes.index(max(sizes))] if leaves else []
"""
LEVELS = {"Recommendation": 4, "Evidence": 2, "Finding out early": 1}
MARK = 1.75  # a quarter of a point per level


def folder_bytes(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def hidden_lines(course):
    """Lines of the source notebook's hidden tests that stand nowhere in the released one."""
    marker = re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)### END HIDDEN TESTS", re.S)
    source = nbformat.read(course / "source" / NAME / f"{NAME}.ipynb", as_version=4)
    public = (course / "release" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    blocks = [block for cell in source.cells for block in marker.findall(cell.source)]
    lines = {line.strip() for block in blocks for line in block.splitlines()}
    found = {line for line in lines if len(line) > 30 and html.escape(line) not in public}
    return {line for line in found if line.replace('"', '\\"') not in public}


def page_text(path):
    """What a reader of an HTML page sees, white space squeezed."""
    text = re.sub(r"<style.*?</style>|<script.*?</script>", "", path.read_text("utf-8"), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def memo(course):
    """The mark of the written answer and its comment, as the gradebook holds them."""
    from nbgrader.api import Gradebook

    directory = nbgrader_apps.configuration(course).CourseDirectory
    with Gradebook(directory.db_url, directory.course_id) as book:
        student = book.students[0].id
        grade = book.find_grade("memo", NAME, NAME, student)
        return grade.manual_score, book.find_comment("memo", NAME, NAME, student).comment or ""


def wait_for(condition):
    """Until what the page saves by itself has been saved."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_once_round(jupyterlab, course_copy):
    lab = jupyterlab
    course_id = nbgrader_apps.configuration(course_copy).CourseDirectory.course_id
    released = folder_bytes(course_copy / "release" / NAME)

    # The instructor generates and releases.
    lab.visit("START.ipynb")
    formgrader = lab.formgrader()
    lab.shoot("formgrader")
    assert formgrader.frame.locator(".alert").count() == 0, "nothing to warn of on a fresh clone"
    formgrader.press("assign")
    assert folder_bytes(course_copy / "release" / NAME) == released, "generated as committed"
    formgrader.press("release")
    assert formgrader.cell("status").inner_text() == "released"

    # The learner fetches, opens the notebook from the list, answers one exercise wrongly and
    # hands in; then mends it and hands in again.
    listed = lab.assignments()
    lab.shoot("to-fetch")
    listed.row("released", NAME).get_by_role("button", name="Fetch").click()
    listed.row("fetched", NAME).wait_for()
    assert folder_bytes(course_copy / "work" / NAME) == released
    listed.row("fetched", NAME).locator(".assignment-notebooks-link").click()
    listed.row("fetched", NAME).get_by_role("link", name=NAME).wait_for()
    lab.shoot("fetched")
    listed.row("fetched", NAME).get_by_role("link", name=NAME).click()
    lab.wait_for_notebook(NOTEBOOK)
    lab.run_cell("setup")
    assert "FAIL" in lab.answer("drill", LARGEST_LEAF)
    lab.save()
    listed = lab.assignments()
    listed.row("fetched", NAME).get_by_role("button", name="Submit").click()
    listed.row("submitted", NAME).wait_for()
    lab.open(NOTEBOOK)
    assert "FAIL" not in lab.answer("drill", DRILL)
    lab.write("memo", "Fund the second fix: it moves the binding resource.")
    lab.save()
    listed = lab.assignments()
    listed.row("fetched", NAME).get_by_role("button", name="Submit").click()
    inbound = course_copy / "exchange" / course_id / "inbound"
    listed.panel.get_by_text(re.compile(r"\d UTC")).nth(1).wait_for()
    lab.shoot("handed-in-twice")
    assert len(list(inbound.glob(f"*+{NAME}+*"))) == 2

    # The instructor collects and grades; the later submission counts. Once by nbgrader alone,
    # then in the sandbox: the same points.
    formgrader = lab.formgrader()
    formgrader.press("collect")
    formgrader.submissions()
    formgrader.press("autograde")
    assert formgrader.cell("status").inner_text() == "needs manual grading"
    assert formgrader.cell("score").inner_text() == "1 / 20"
    lab.type_in_terminal(f"syslab grade {NAME}", until=r"1 submission: 1 graded\.")
    lab.shoot("graded")

    # The written answer is marked by hand, with its rubric; the page goes out again.
    formgrader = lab.formgrader()
    formgrader.follow("Manual Grading", NAME, NAME, "Submission #1")
    desk = lab.desk(formgrader.frame, "memo")
    for dimension, level in LEVELS.items():
        desk.level(dimension, level).click()
    desk.bank("number").click()
    wait_for(lambda: "this sentence needs" in memo(course_copy)[1].lower())
    wait_for(lambda: memo(course_copy)[0] == MARK)
    assert desk.score.input_value() == f"{MARK:g}"
    lab.shoot("marked")
    formgrader.follow("Manual Grading", "Manage Assignments")
    formgrader.submissions()
    assert formgrader.cell("score").inner_text() == f"{1 + MARK:g} / 20"
    formgrader.press("generate-feedback")
    formgrader.press("release-feedback")

    # The learner fetches the feedback: reasons and points, no hidden test.
    returned = lab.fetch_feedback(NAME)
    lab.shoot("feedback-fetched")
    text = page_text(returned)
    assert "the largest leaf lies elsewhere" in text
    assert "hidden" in text
    assert "BEGIN HIDDEN" not in text
    hidden = hidden_lines(course_copy)
    assert len(hidden) > 20
    assert [line for line in hidden if " ".join(line.split()) in text] == []

    # The page opens with the table: points, the mark with its levels, what is not answered.
    lab.command("docmanager:open", {"path": str(returned.relative_to(course_copy))})
    page = lab.front.frame_locator("iframe")
    page.get_by_text("the largest leaf lies elsewhere").first.wait_for()
    assert page.locator("p.total").inner_text() == f"{1 + MARK:g} of 20 points."
    rows = page.locator("table.result tr")
    drill = rows.filter(has=page.locator('a[href="#test-drill"]'))
    assert drill.locator("td").nth(2).inner_text() == "all 7 checks passed"
    written = rows.filter(has=page.locator('a[href="#memo"]')).inner_text()
    assert f"{MARK:g} of 3" in written
    assert "Finding out early 1/4" in written
    assert "not answered" in rows.filter(has=page.locator('a[href="#test-level1"]')).inner_text()
    lab.shoot("feedback")
    for width in (1440, 900):
        lab.page.set_viewport_size({"width": width, "height": 900})
        assert page.locator("body").evaluate("b => b.scrollWidth - b.clientWidth") <= 0
        lab.shoot(f"feedback-{width}")
    lab.page.set_viewport_size({"width": 1280, "height": 900})

    # The instructor writes the learner's transcript and opens it.
    student = next((course_copy / "submitted").iterdir()).name
    lab.type_in_terminal(
        f"syslab transcript --student {student} --out transcript.html", until=r"\ntranscript\.html"
    )
    lab.command("docmanager:open", {"path": "transcript.html"})
    page = lab.front.frame_locator("iframe")
    page.get_by_text(f"{1 + MARK:g}").first.wait_for()
    assert NAME in page.locator("body").inner_text()
    lab.shoot("transcript")
