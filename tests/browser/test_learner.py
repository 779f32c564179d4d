"""A learner's first evening, in a real browser: from START to the points."""

import re

import pytest

from syslab.course import lesson

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOME_PAGE = "principal-ai-systems-2"
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


def test_a_learners_evening(jupyterlab, course_copy, command):
    lab = jupyterlab
    page = lab.page

    # START: nothing in the way, and it knows what is next.
    lab.visit("START.ipynb")
    lab.shoot("opened")
    assert page.locator(".jp-Dialog").count() == 0
    assert page.locator(".jp-toastContainer :text('news')").count() == 0
    lab.run_all()
    assert lab.errors() == []
    assert "Next: read the lesson" in lab.text_of(HOME_PAGE)
    lab.show_cell(HOME_PAGE, "start")
    lab.shoot("start")

    # Its link leads to the lesson, which runs from top to bottom.
    lab.front.get_by_role("link", name="Top-Down", exact=False).first.click()
    lab.wait_for_notebook(LESSON)
    lab.shoot("lesson-opened")
    lab.run_all()
    assert lab.errors() == []

    # The slider moves the picture and the line below it. There is one picture, not two.
    lab.show_cell(lab.cell_with("plotting.live("), "start")
    slider = lab.front.get_by_role("slider").first
    picture = lab.front.locator("img.widget-image").first
    picture.wait_for()
    output = lab.front.locator(".jp-OutputArea-output", has=page.locator("img.widget-image")).first
    assert output.locator("img").count() == 1
    lab.shoot("slider")
    before, said = picture.get_attribute("src"), output.inner_text()
    slider.focus()
    for _ in range(4):
        slider.press("ArrowRight")
    page.wait_for_function(
        "([image, before]) => image.src !== before", arg=[picture.element_handle(), before]
    )
    assert "4 in flight" in said
    output.get_by_text("8 in flight").wait_for()
    lab.shoot("slider-moved")

    # A quick check answers a wrong choice and a right one.
    lab.show_cell(lab.cell_with('quick_check("td-empty-slots")'), "start")
    question = lesson.questions(course_copy / LESSON.rpartition("/")[0])["td-empty-slots"]
    choices = lab.front.locator(".widget-vbox", has=page.locator(".syslab-choice")).first
    choices = choices.locator(".syslab-choice")
    letters = list(question.choices)
    wrong = next(letter for letter in letters if letter != question.answer)
    for letter, opening in ((wrong, "Not quite."), (question.answer, "Right.")):
        choices.nth(letters.index(letter)).click()
        lab.front.get_by_text(f"{opening} {question.feedback[letter]}").wait_for()
        lab.shoot(f"quick-check-{letter}")
    # So does the keyboard, from one choice to another.
    choices.nth(letters.index(question.answer)).focus()
    steps = letters.index(wrong) - letters.index(question.answer)
    for key in [*["Tab" if steps > 0 else "Shift+Tab"] * abs(steps), "Space"]:
        page.keyboard.press(key)
    lab.front.get_by_text(f"Not quite. {question.feedback[wrong]}").wait_for()

    # The command of START works in JupyterLab's own terminal.
    lab.type_in_terminal("syslab start arch-02", until="Open +work/arch-02/arch-02.ipynb")
    lab.shoot("terminal")

    # A wrong answer is answered by name, a right one earns its point.
    lab.open(NOTEBOOK)
    lab.run_cell("setup")
    lab.run_cell("counter-sets")
    said = lab.answer("decode", QUERY_HEADS)
    assert "FAIL" in said
    assert "the cache stores KV heads" in " ".join(said.split())
    assert "0.75 of 1.5 points" in said
    lab.shoot("wrong-answer")
    said = lab.answer("drill", DRILL)
    assert "FAIL" not in said
    assert "public checks passed: 1 of 1 points" in said
    lab.shoot("right-answer")
    lab.save()

    # Validate runs the notebook afresh and says the same.
    lab.front.get_by_role("button", name="Validate").click()
    results = page.locator(".jp-Dialog", has_text="Validation Results")
    results.wait_for()
    lab.shoot("validate")
    report = " ".join(results.inner_text().split())
    assert "the cache stores KV heads" in report
    assert "the largest leaf lies elsewhere: " not in report
    results.get_by_role("button", name="Ok").click()
    results.wait_for(state="detached")

    # Handed in from the assignment list, where it then stands.
    listed = lab.assignments()
    lab.shoot("assignments")
    listed.row("fetched", "arch-02").get_by_role("button", name="Submit").click()
    listed.row("submitted", "arch-02").wait_for()
    lab.shoot("submitted")
    inbound = course_copy / "exchange" / "principal-ai-systems" / "inbound"
    assert len(list(inbound.glob("*+arch-02+*"))) == 1

    # Graded with the hidden checks; START shows the points.
    said = command(course_copy, "syslab", "grade", "--mine", "arch-02")
    assert re.search(r"drill\s+1 of 1 +passed", said), said
    points = re.search(r"([\d.]+) of 20 points", said).group(1)
    lab.open("START.ipynb")
    lab.run_all()
    assert lab.errors() == []
    assert re.search(rf"arch-02 .*{re.escape(points)} of 20", lab.text_of(HOME_PAGE)), points
    lab.show_cell(HOME_PAGE, "start")
    lab.shoot("points")
