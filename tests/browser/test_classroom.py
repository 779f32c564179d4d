"""An assignment goes round once, in a real browser: Formgrader, assignment list, feedback."""

import html
import re

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

    # The instructor collects, grades and returns; the later submission counts.
    formgrader = lab.formgrader()
    formgrader.press("collect")
    formgrader.submissions()
    formgrader.press("autograde")
    assert formgrader.cell("status").inner_text() == "needs manual grading"
    assert formgrader.cell("score").inner_text() == "1 / 20"
    formgrader.press("generate-feedback")
    formgrader.press("release-feedback")

    # The learner fetches the feedback: reasons and points, no hidden test.
    listed = lab.assignments()
    listed.panel.get_by_role("button", name="Fetch Feedback").click()
    listed.panel.get_by_text("view feedback").first.wait_for()
    lab.shoot("feedback-fetched")
    (returned,) = (course_copy / "work" / NAME / "feedback").rglob(f"{NAME}.html")
    text = page_text(returned)
    assert "the largest leaf lies elsewhere" in text
    assert "hidden" in text
    assert "BEGIN HIDDEN" not in text
    hidden = hidden_lines(course_copy)
    assert len(hidden) > 20
    assert [line for line in hidden if " ".join(line.split()) in text] == []
    lab.command("docmanager:open", {"path": str(returned.relative_to(course_copy))})
    page = lab.front.frame_locator("iframe")
    page.get_by_text("the largest leaf lies elsewhere").first.wait_for()
    lab.shoot("feedback")
