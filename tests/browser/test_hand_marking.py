"""An instructor marks a written answer in Formgrader, with its rubric beside it."""

import shutil
import time

import nbformat
import pytest

from syslab.course import nbgrader_apps

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAME, STUDENT = "mod-610", "ada"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 900, "height": 900}

ATTACK = """<img src="nowhere" onerror="window.ran = 'handler'">
<script>window.ran = "script"</script>
<iframe srcdoc="<script>parent.ran = 'frame'</script>"></iframe>
<a id="trap" href="javascript:window.ran = 'link'">more</a>"""


@pytest.fixture(scope="module")
def graded(course_copy, command):
    """The course with one submission of `NAME`, autograded: the demonstration's answers."""
    shutil.copytree(
        course_copy / "autograded" / "demo-typical" / NAME,
        course_copy / "submitted" / STUDENT / NAME,
    )
    spoil(course_copy / "submitted" / STUDENT / NAME / f"{NAME}.ipynb")
    command(course_copy, "nbgrader", "generate_assignment", NAME, "--force")
    command(course_copy, "nbgrader", "autograde", NAME)
    return course_copy


def spoil(path):
    """Add to one written answer what would give its author full marks if the page ran it."""
    notebook = nbformat.read(path, as_version=4)
    marks = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]
    notebook.cells[marks.index("postmortem-actions")].source += f"\n\n{ATTACK}\n"
    nbformat.write(notebook, path)


class Book:
    """What the gradebook holds about the submission."""

    def __init__(self, course) -> None:
        self.directory = nbgrader_apps.configuration(course).CourseDirectory

    def cell(self, name):
        """Score (None before a person gave one), whether it waits for one, and the comment."""
        from nbgrader.api import Gradebook

        with Gradebook(self.directory.db_url, self.directory.course_id) as book:
            grade = book.find_grade(name, NAME, NAME, STUDENT)
            comment = book.find_comment(name, NAME, NAME, STUDENT)
            return grade.manual_score, grade.needs_manual_grade, comment.manual_comment

    def wait_for(self, name, expected):
        deadline = time.monotonic() + 20
        while (found := self.cell(name)) != expected and time.monotonic() < deadline:
            time.sleep(0.2)
        assert found == expected


def test_an_answer_is_marked_with_its_rubric(jupyterlab, graded, command):
    lab, page = jupyterlab, jupyterlab.page
    book = Book(graded)

    # By the menu to the submission; the rubric is there, with levels, samples and comments.
    page.set_viewport_size(WIDE)
    lab.visit("START.ipynb")
    formgrader = lab.formgrader()
    formgrader.follow("Manual Grading", NAME, NAME, "Submission #1")
    desk = lab.desk(formgrader.frame, "postmortem-impact")
    assert formgrader.frame.locator(".syslab-desk").count() == 3
    assert formgrader.frame.locator(".syslab-problem").count() == 0
    right, below = desk.placed()
    assert 0 <= right < 40
    assert below < 0
    assert desk.panel.get_by_role("radio").count() == 2 * 5
    assert desk.panel.locator("details[open]").count() == 0
    desk.panel.locator("summary").filter(has_text="excellent: 2 of 2").click()
    assert "88,073" in desk.panel.locator("details[open]").inner_text()
    desk.panel.locator("summary").first.click()

    # One level of two: the sum is shown, and the cell still waits for its mark.
    desk.level("Impact and detection", 3).click()
    desk.level("Impact and detection", 3).scroll_into_view_if_needed()
    book.wait_for("postmortem-impact", (None, True, "Rubric: Impact and detection 3/4"))
    assert desk.score.input_value() == ""
    assert desk.score.get_attribute("placeholder") == "0.75"
    assert "0.75 of 2 so far" in desk.status.inner_text()

    # The second one and two comments, in quick succession; one comment is taken back.
    desk.level("Timeline", 2).click()
    desk.bank("source").click()
    desk.bank("clock").click()
    desk.bank("clock").click()
    source = desk.bank("source").get_attribute("data-text")
    levels = "Rubric: Impact and detection 3/4; Timeline 2/4"
    book.wait_for("postmortem-impact", (1.25, False, f"{levels}\n\n{source}"))
    assert desk.score.input_value() == "1.25"
    desk.panel.evaluate("panel => panel.scrollIntoView({block: 'center'})")
    lab.shoot("marked-in-jupyterlab")

    # What the marker types stays when a level is changed.
    desk.comment.press_sequentially(" And well dated.")
    desk.level("Timeline", 3).click()
    text = f"{levels.replace('2/4', '3/4')}\n\n{source} And well dated."
    book.wait_for("postmortem-impact", (1.5, False, text))

    # In a page of its own, narrow: below the answer, with the levels as they were left.
    address = formgrader.frame.locator("body").evaluate("() => window.location.href")
    page.set_viewport_size(NARROW)
    page.goto(address)
    desk = lab.desk(page, "postmortem-impact")
    right, below = desk.placed()
    assert right < 0
    assert 0 <= below < 40
    assert desk.chosen() == [3, 3]
    assert desk.status.inner_text() == "1.5 of 2"
    desk.panel.evaluate("panel => window.scrollBy(0, panel.getBoundingClientRect().top - 350)")
    page.wait_for_timeout(700)  # Formgrader scrolls softly to where it left off
    lab.shoot("narrow")

    # By keyboard alone: from the comment box into the rubric, a digit, arrows and Enter.
    desk = lab.desk(page, "postmortem-causes")
    desk.comment.focus()
    page.keyboard.press("Tab")
    page.locator(".syslab-level:focus").wait_for()  # a function would be refused by the page's CSP
    assert desk.level("Causes", 0).evaluate("button => button === document.activeElement")
    page.keyboard.press("4")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    book.wait_for("postmortem-causes", (1.25, False, "Rubric: Causes 4/4; Blamelessness 1/4"))
    assert desk.level("Blamelessness", 1).evaluate("b => b === document.activeElement")
    page.wait_for_timeout(700)
    lab.shoot("by-keyboard")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")  # Clear levels
    book.wait_for("postmortem-causes", (None, True, ""))

    # Nothing that the learner wrote runs in the marker's page; what nbgrader wrote does.
    trap = page.locator("#trap")
    trap.scroll_into_view_if_needed()
    trap.click()
    assert page.evaluate("() => window.ran") is None
    name = page.locator(".navbar a.name-shown")
    assert not name.is_visible()
    page.locator(".navbar .glyphicon.name-hidden").click()
    assert name.inner_text().strip() == STUDENT

    # A score given by hand is kept, and the difference is told.
    desk = lab.desk(page, "postmortem-impact")
    desk.score.fill("1")
    desk.score.press("Escape")
    book.wait_for("postmortem-impact", (1.0, False, text))
    assert desk.status.inner_text() == "1.5 of 2; the score box says 1"

    # The learner reads levels and comments, and nothing else of it.
    command(graded, "nbgrader", "generate_feedback", NAME)
    feedback = (graded / "feedback" / STUDENT / NAME / f"{NAME}.html").read_text("utf-8")
    assert "Impact and detection 3/4; Timeline 3/4" in feedback
    assert "And well dated." in feedback
    for secret in ("syslab-desk", "88,073", "detection is not judged"):
        assert secret not in feedback

    # A mistake in the file: a sentence in the page, and Formgrader's boxes as ever.
    rubric = graded / "source" / NAME / "rubric.toml"
    rubric.write_text(rubric.read_text("utf-8").replace("[[dimension]]", "[[dimension]", 1))
    page.set_viewport_size(WIDE)
    page.reload()
    problem = page.get_by_role("alert").first
    problem.wait_for()
    assert "It is not valid TOML" in problem.inner_text()
    assert page.get_by_role("radio").count() == 0
    assert page.locator("input.score").count() > 3
    problem.scroll_into_view_if_needed()
    lab.shoot("mistake")
