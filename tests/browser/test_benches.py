"""Benches with live parts, in a real browser: run from top to bottom, then driven by keyboard."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE_MS = 300_000  # a bench measures; on a busy machine that takes its time

# What the cells that end in a view contain.
BENCHES = {
    "tail-latency": ["views.tail_view()", "views.storm_view()"],
    "kv-cache": [
        "plot.memory_view()",
        "plot.latency_view(",
        "plot.allocation_view(",
        "plot.load_view(trace",
    ],
    "incident": [
        'console(LOOKS[0], "',
        'console(LOOKS[2], "',
        "plotting.live(wait",
        "plotting.live(turn",
    ],
    "code-review": ["plotting.live(move"],
}


def step(control):
    """Move a control by one arrow key, away from its end, and see that it keeps the focus."""
    value, most = (control.get_attribute(f"aria-value{name}") for name in ("now", "max"))
    control.press("ArrowLeft" if value == most else "ArrowRight")
    control.page.wait_for_function(
        "([control, value]) => control.ariaValueNow !== value",
        arg=[control.element_handle(), value],
    )
    assert control.evaluate("control => control === document.activeElement")


@pytest.mark.parametrize("bench", BENCHES)
def test_a_bench_runs_and_its_controls_redraw(jupyterlab, bench):
    lab = jupyterlab
    lab.page.set_default_timeout(PATIENCE_MS)
    lab.visit(f"labs/{bench}/bench.ipynb")
    lab.run_all()
    assert lab.errors() == []
    for number, code in enumerate(BENCHES[bench]):
        output = lab.show_cell(lab.cell_with(code), "start").locator(".jp-Cell-outputArea")
        picture = output.locator("img.widget-image")
        picture.wait_for()
        assert picture.count() == 1
        picture.scroll_into_view_if_needed()
        lab.shoot(f"{bench}-{number}")
        before, said = picture.get_attribute("src"), output.inner_text()
        controls = output.get_by_role("slider").all()
        assert output.locator("select, input").count() == 0, "what JupyterLab takes the keys from"
        for _ in range(3):
            step(controls[0])
        lab.page.wait_for_function(
            "([image, before]) => image.src !== before", arg=[picture.element_handle(), before]
        )
        lab.page.wait_for_function(
            "([output, said]) => output.innerText !== said", arg=[output.element_handle(), said]
        )
        for control in controls[1:]:
            step(control)
        lab.shoot(f"{bench}-{number}-moved")
