"""An assignment goes round once, in a real browser: release, fetch, submit, grade, feedback."""

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-classroom")]

DRILL = """def drill(tree):
    path = []
    while tree:
        node = max(tree, key=lambda n: n["fraction"])
        path.append(node["name"])
        tree = node["children"]
    return path
"""


def formgrader(lab, page="manage_assignments"):
    lab.page.goto(f"{lab.url}/formgrader/{page}?token=walk")
    lab.page.locator("table tbody tr td").first.wait_for()


def press(lab, column):
    """Click the icon in a column of arch-02's row and read the dialogue that comes back."""
    row = lab.page.locator("tr", has=lab.page.get_by_text("arch-02", exact=True)).first
    row.locator(f"td.{column} a").first.click()
    return outcome(lab, column)


def outcome(lab, name):
    """Read Formgrader's dialogue; it must be the one that reports success."""
    dialogue = lab.page.locator("#success-modal, #error-modal").first
    dialogue.wait_for()
    lab.shoot(name)
    assert dialogue.get_attribute("id") == "success-modal", dialogue.inner_text()[-2000:]


def assignment_list(lab):
    lab.visit("START.ipynb")
    lab.command("nbgrader:open-assignment-list")
    lab.page.locator("#nbgrader-assignment-list").wait_for()
    return lab.page.locator("#nbgrader-assignment-list")


def test_once_round(jupyterlab, course_copy):
    lab = jupyterlab

    formgrader(lab)
    assert "exchange" not in lab.page.locator(".alert, .warning").all_inner_texts()
    press(lab, "assign")
    formgrader(lab)
    press(lab, "release")

    listing = assignment_list(lab)
    listing.get_by_role("button", name="Fetch", exact=True).first.click()
    submit = listing.get_by_role("button", name="Submit", exact=True).first
    submit.wait_for()
    lab.shoot("fetched")
    mine = course_copy / "work" / "arch-02" / "arch-02.ipynb"
    notebook = nbformat.read(mine, as_version=4)
    answer = next(
        c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "drill"
    )
    answer.source = DRILL
    nbformat.write(notebook, mine)
    submit.click()
    listing.locator("#submitted_assignments_list").get_by_text("arch-02").first.wait_for()
    lab.shoot("submitted")

    formgrader(lab)
    press(lab, "collect")
    formgrader(lab, "manage_submissions/arch-02")
    lab.page.locator("td.autograde a").first.click()
    outcome(lab, "autograded")
    formgrader(lab)
    press(lab, "generate-feedback")
    formgrader(lab)
    press(lab, "release-feedback")

    listing = assignment_list(lab)
    listing.get_by_role("button", name="Fetch Feedback").first.click()
    listing.get_by_text("feedback").last.wait_for()
    lab.shoot("feedback")
    returned = list((course_copy / "work" / "arch-02").rglob("feedback/**/arch-02.html"))
    assert len(returned) == 1
    html = returned[0].read_text(encoding="utf-8")
    assert "the largest leaf lies elsewhere" in html
    assert "BEGIN HIDDEN" not in html
    assert "planted fractions" not in html or "as_nodes" not in html
