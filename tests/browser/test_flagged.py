"""An instructor settles a flagged submission in Formgrader; its learner reads points and reason."""

import time

import nbformat
import pytest

from syslab.course import nbgrader_apps

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAME, FLAGGED = "arch-02", "drill"
# A wrong answer, and a print that turns every FAIL into PASS.
ANSWER = """import builtins
say = builtins.print
builtins.print = lambda *a, **k: say(*[str(x).replace("FAIL", "PASS") for x in a], **k)

def drill(tree):
    leaves = [[top["name"], leaf["name"]] for top in tree for leaf in top["children"]]
    sizes = [leaf["fraction"] for top in tree for leaf in top["children"]]
    return leaves[sizes.index(max(sizes))] if leaves else []
"""
COMMENT = "Public checks fail without the other print: no points for this one."
MEMO = 1.5


@pytest.fixture(scope="module")
def graded(course_copy, command):
    """The course after `syslab grade` on one submission that replaced `print`; what it said."""
    work = course_copy / "work"
    work.mkdir(exist_ok=True)
    command(course_copy, "nbgrader", "generate_assignment", NAME, "--force")
    command(course_copy, "nbgrader", "release_assignment", NAME)
    command(work, "nbgrader", "fetch_assignment", NAME)
    path = work / NAME / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in notebook.cells}
    cells[FLAGGED].source = ANSWER
    cells["memo"].source = "Fund the second fix: it moves the binding resource."
    nbformat.write(notebook, path)
    command(work, "nbgrader", "submit", NAME)
    return command(course_copy, "syslab", "grade", NAME)


def waiting(course):
    """Names of the cells that wait for a person, as the gradebook holds them."""
    from nbgrader.api import Gradebook

    directory = nbgrader_apps.configuration(course).CourseDirectory
    with Gradebook(directory.db_url, directory.course_id) as book:
        found = book.find_submission_notebook(NAME, NAME, book.students[0].id)
        return {grade.name for grade in found.grades if grade.needs_manual_grade}


def test_a_flagged_submission_is_settled(jupyterlab, graded, course_copy):
    lab = jupyterlab
    assert "tampered: `builtins.print` was replaced" in graded
    assert "1 to look at before their points are returned" in graded
    every = waiting(course_copy)
    assert {f"test-{FLAGGED}", "memo"} < every

    # The learner cannot fetch the page yet.
    lab.visit("START.ipynb")
    listed = lab.assignments()
    listed.row("submitted", NAME).wait_for()
    assert listed.panel.get_by_text("view feedback").count() == 0

    # The instructor finds it on the list and opens it.
    formgrader = lab.formgrader()
    lab.shoot("assignments")
    formgrader.submissions()
    assert formgrader.cell("status").inner_text() == "needs manual grading"
    lab.shoot("submissions")
    formgrader.follow("Manual Grading", NAME, NAME)
    formgrader.cell("needs-manual-grade").locator(".glyphicon-ok").wait_for()
    lab.shoot("on-the-list")
    formgrader.follow("Submission #1")
    lab.desk(formgrader.frame, "memo")
    page = formgrader.frame
    assert "builtins.print was replaced" in page.locator("p.syslab-verdict").inner_text()
    page.locator("p.syslab-verdict").scroll_into_view_if_needed()
    lab.shoot("why")
    page.get_by_text("builtins.print =").scroll_into_view_if_needed()
    lab.shoot("opened")

    # Every score waits: those of the machine are typed over, one is refused with a comment.
    boxes = {box.get_attribute("id"): box for box in page.locator("input.score").all()}
    assert boxes.keys() == every
    assert page.locator("input.score.needs_manual_grade").count() == len(every)
    assert float(boxes[f"test-{FLAGGED}"].get_attribute("placeholder")) > 0
    settled = {f"test-{FLAGGED}": 0.0, "memo": MEMO}
    for name, box in boxes.items():
        box.fill(str(settled.get(name, box.get_attribute("placeholder"))))
        box.press("Escape")
    answer = page.locator(".nbgrader_cell").filter(has=page.get_by_text("builtins.print ="))
    answer.locator("textarea.comment").fill(COMMENT)
    answer.locator("textarea.comment").press("Escape")
    deadline = time.monotonic() + 60
    while waiting(course_copy):
        assert time.monotonic() < deadline, waiting(course_copy)
        time.sleep(0.2)
    assert page.locator("input.score.needs_manual_grade").count() == 0
    answer.scroll_into_view_if_needed()
    lab.shoot("settled")

    # Nothing waits any more, and the page goes out.
    formgrader.follow("Manual Grading", "Manage Assignments")
    formgrader.submissions()
    assert formgrader.cell("status").inner_text() == "graded"
    assert formgrader.cell("score").inner_text() == f"{MEMO:g} / 20"
    formgrader.press("generate-feedback")
    formgrader.press("release-feedback")

    # The learner reads the points, what the flag was for, and what the instructor says to it.
    returned = lab.fetch_feedback(NAME)
    lab.command("docmanager:open", {"path": str(returned.relative_to(course_copy))})
    page = lab.front.frame_locator("iframe")
    page.locator("p.total").wait_for()
    assert page.locator("p.total").inner_text() == f"{MEMO:g} of 20 points."
    assert "builtins.print was replaced" in page.locator("p.verdict").inner_text()
    assert "a person has looked" in page.locator("p.verdict").inner_text()
    assert page.locator("table.result").get_by_text("checks passed").count() == 0
    rows = page.locator("table.result tr")
    drill = rows.filter(has=page.locator(f'a[href="#test-{FLAGGED}"]'))
    assert drill.locator("td.points").inner_text() == "0 of 1"
    assert COMMENT in drill.inner_text()
    lab.shoot("feedback")
