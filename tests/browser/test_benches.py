"""The two benches with live parts, in a real browser: run from top to bottom, then driven."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE_MS = 300_000  # a bench measures; on a busy machine that takes its time

BENCHES = {
    "labs/tail-latency/bench.ipynb": ("views.tail_view()", "views.storm_view()"),
    "labs/kv-cache/bench.ipynb": (
        "plot.memory_view()",
        "plot.latency_view(",
        "plot.allocation_view(",
        "plot.load_view(trace",
    ),
}


@pytest.mark.parametrize("bench", BENCHES)
def test_a_bench_runs_and_its_controls_redraw(jupyterlab, bench):
    lab = jupyterlab
    lab.page.set_default_timeout(PATIENCE_MS)
    lab.visit(bench)
    lab.run_all()
    assert lab.errors() == []
    name = bench.split("/")[1]
    for number, code in enumerate(BENCHES[bench]):
        cell = lab.cell_with(code)
        lab.show_cell(cell, "start")
        output = lab.front.locator(".jp-Cell.jp-mod-active .jp-Cell-outputArea")
        picture = output.locator("img.widget-image")
        picture.wait_for()
        assert picture.count() == 1
        lab.shoot(f"{name}-{number}")
        before, said = picture.get_attribute("src"), output.inner_text()
        slider = output.get_by_role("slider").first
        slider.focus()
        for _ in range(3):
            slider.press("ArrowRight")
        lab.page.wait_for_function(
            "([image, before]) => image.src !== before", arg=[picture.element_handle(), before]
        )
        lab.page.wait_for_function(
            "([output, said]) => output.innerText !== said", arg=[output.element_handle(), said]
        )
        lab.shoot(f"{name}-{number}-moved")
