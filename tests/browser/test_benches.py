"""Benches with live parts, in a real browser: run from top to bottom, then driven by keyboard."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE_MS = 300_000  # a bench measures; on a busy machine that takes its time

# The cells that end in a view, each with the key that moves its first control from where it stands.
BENCHES = {
    "tail-latency": {"views.tail_view()": "ArrowRight", "views.storm_view()": "ArrowRight"},
    "kv-cache": {
        "plot.memory_view()": "ArrowRight",
        "plot.latency_view(": "ArrowRight",
        "plot.allocation_view(": "ArrowRight",
        "plot.load_view(trace": "ArrowRight",
    },
    "incident": {
        'console(LOOKS[0], "': "ArrowLeft",  # it ends at the minute of the look
        'console(LOOKS[2], "': "ArrowLeft",
        "plotting.live(wait": "ArrowRight",
        "plotting.live(turn": "End",  # a list to choose from; its arrow keys move JupyterLab's cell
    },
    "code-review": {"plotting.live(move": "ArrowRight"},
}


@pytest.mark.parametrize("bench", BENCHES)
def test_a_bench_runs_and_its_controls_redraw(jupyterlab, bench):
    lab = jupyterlab
    lab.page.set_default_timeout(PATIENCE_MS)
    lab.visit(f"labs/{bench}/bench.ipynb")
    lab.run_all()
    assert lab.errors() == []
    for number, (code, key) in enumerate(BENCHES[bench].items()):
        cell = lab.cell_with(code)
        lab.show_cell(cell, "start")
        output = lab.front.locator(".jp-Cell.jp-mod-active .jp-Cell-outputArea")
        picture = output.locator("img.widget-image")
        picture.wait_for()
        assert picture.count() == 1
        picture.scroll_into_view_if_needed()
        lab.shoot(f"{bench}-{number}")
        before, said = picture.get_attribute("src"), output.inner_text()
        control = output.locator("[role=slider], select").first
        control.focus()
        for _ in range(3):
            control.press(key)
        lab.page.wait_for_function(
            "([image, before]) => image.src !== before", arg=[picture.element_handle(), before]
        )
        lab.page.wait_for_function(
            "([output, said]) => output.innerText !== said", arg=[output.element_handle(), said]
        )
        lab.shoot(f"{bench}-{number}-moved")
