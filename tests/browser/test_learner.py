"""A learner's first evening, in a real browser: from START to the points."""

import re
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser-learner")]

LESSON = "lessons/arch-02-topdown-roofline/01-top-down.ipynb"
NOTEBOOK = "work/arch-02/arch-02.ipynb"

QUERY_HEADS = """def decode_attention(batch, context, heads, kv_heads, head_dim, value_bytes):
    flop = 4 * batch * heads * context * head_dim
    return flop, 2 * batch * heads * context * head_dim * value_bytes
"""
DRILL = """def drill(tree):
    path = []
    while tree:
        node = max(tree, key=lambda n: n["fraction"])
        path.append(node["name"])
        tree = node["children"]
    return path
"""


def syslab(course, environment, *words):
    """Run the command in the course, as in JupyterLab's terminal; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "syslab", *words],
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_a_learners_walk(jupyterlab, course_copy, environment):
    lab = jupyterlab

    # START: nothing in the way, and it knows what is next.
    lab.visit("START.ipynb")
    assert lab.page.locator(".jp-Dialog").count() == 0
    lab.run_all()
    assert lab.errors() == []
    start = lab.text_of("principal-ai-systems-2")
    assert "Next:" in start
    assert "Top-Down" in start
    lab.shoot("start")

    # A lesson runs from top to bottom; its slider moves the picture.
    lab.open(LESSON)
    lab.run_all()
    assert lab.errors() == []
    lab.show_cell(lab.cell_printing("Slider:"))
    panel = lab.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    picture = panel.locator(".jupyter-widgets img").first
    picture.wait_for()
    lab.shoot("slider")
    before = picture.get_attribute("src")
    handle = panel.locator(".noUi-handle").first
    handle.focus()
    handle.press("ArrowRight")
    lab.page.wait_for_function(
        "([image, before]) => image.src !== before", arg=[picture.element_handle(), before]
    )
    lab.shoot("slider-moved")

    # A quick check answers at once.
    lab.show_cell(lab.cell_printing("Quick check:"))
    radio = panel.locator(".widget-radio-box input[type=radio]").first
    radio.wait_for()
    radio.click()
    said = panel.locator(".widget-html", has_text=re.compile("Right|Not quite")).first
    said.wait_for()
    lab.shoot("quick-check")

    # The graded notebook: a wrong answer is answered by name, a right one earns its point.
    assert "added" in syslab(course_copy, environment, "start", "arch-02")
    lab.open(NOTEBOOK)
    lab.run_cell("setup")
    lab.run_cell("counter-sets")
    lab.answer("decode", QUERY_HEADS)
    wrong = lab.text_of("test-decode")
    assert "the cache stores KV heads" in wrong
    assert "0.75" in wrong
    lab.shoot("wrong-answer")
    lab.answer("drill", DRILL)
    right = lab.text_of("test-drill")
    assert "public checks passed: 1 of 1 points" in right
    lab.shoot("right-answer")

    # Validate says the same, and the work is handed in and graded.
    lab.command("docmanager:save")
    panel.get_by_role("button", name="Validate").click()
    dialog = lab.page.locator(".jp-Dialog")
    dialog.wait_for()
    lab.shoot("validate")
    report = dialog.inner_text()
    assert "decode" in report
    assert "the cache stores KV heads" in report
    dialog.get_by_role("button", name=re.compile("ok|dismiss|close", re.I)).first.click()
    assert "submitted arch-02" in syslab(course_copy, environment, "submit", "arch-02").lower()
    graded = syslab(course_copy, environment, "grade", "--mine", "arch-02")
    assert re.search(r"drill\s+1 of 1", graded)

    # START shows the points.
    lab.visit("START.ipynb")
    lab.run_all()
    assert re.search(r"arch-02.*1\.\d+ of 20", lab.text_of("principal-ai-systems-2"), re.S)
    lab.shoot("points")
