"""The house style: same bytes every time, alt text, sliders that fall back to a picture."""

import base64
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from syslab import plotting
from syslab.plotting import Choice, Picture, Slider, figure, live, show, si

ALT = "A line that rises from 0 to 9."
DRAW = """
from syslab.plotting import figure, show
import hashlib
fig, ax = figure()
ax.plot(range(10), range(10), label="rise")
ax.legend()
print(hashlib.sha256(show(fig, alt="A line that rises.").png).hexdigest())
"""


def rising():
    fig, ax = figure()
    ax.plot(range(10), range(10))
    return fig


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_picture_is_the_same_bytes_in_another_process():
    runs = [
        subprocess.run(
            [sys.executable, "-c", DRAW], capture_output=True, text=True, check=True,
            env={"PYTHONPATH": ":".join(p for p in sys.path if p), "PATH": ""},
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert len(runs[0].strip()) == 64


def test_a_picture_is_the_same_bytes_when_drawn_again():
    assert show(rising(), ALT).png == show(rising(), ALT).png


def test_the_png_holds_no_date_and_no_program():
    png = show(rising(), ALT).png
    assert Image.open(io.BytesIO(png)).info == {}
    for chunk in (b"tEXt", b"iTXt", b"tIME"):
        assert chunk not in png


def test_a_picture_carries_its_alt_text():
    data, meta = show(rising(), ALT)._repr_mimebundle_()
    assert data["text/plain"] == f"Figure: {ALT}"
    assert meta["image/png"]["alt"] == ALT
    assert pixels(base64.b64decode(data["image/png"])).shape == (440, 720, 3)


@pytest.mark.parametrize("alt", ["", "plot", None, "a plot"])
def test_alt_text_must_say_something(alt):
    with pytest.raises(ValueError, match="alt="):
        show(rising(), alt)


def test_figures_leave_no_pyplot_window_behind():
    import matplotlib.pyplot as plt

    rising()
    assert plt.get_fignums() == []


def test_lines_differ_in_more_than_colour():
    _, ax = figure()
    lines = [ax.plot([0, 1], [i, i])[0] for i in range(len(plotting.COLOURS))]
    assert len({line.get_color() for line in lines}) == len(lines)
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == len(lines)


def test_panels_and_size():
    fig, axes = figure(640, 400, rows=1, columns=2)
    assert axes.shape == (2,)
    assert tuple(fig.bbox.size) == (640, 400)
    with pytest.raises(ValueError, match="width_px=5"):
        figure(5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.35e12, "3.35 TB/s"), (989.4e12, "989 TB/s"), (999.96e9, "1 TB/s"), (0.5, "0.5 B/s"),
        (45.27e9, "45.3 GB/s"), (1500, "1.5 kB/s"), (0, "0 B/s"),
    ],
)  # fmt: skip
def test_si(value, text):
    assert si(value, "B/s") == text


# --- controls ---


def test_slider_values_hold_ends_and_start():
    values = Slider(1, 4096, 8, log=True, steps=12).values
    assert values[0] == 1
    assert values[-1] == 4096
    assert 8 in values
    assert all(isinstance(v, int) for v in values)
    assert values == sorted(set(values))
    ratios = np.diff(np.log2(values))
    assert np.allclose(ratios, 1)
    assert Slider(0.0, 1.0, 0.5, steps=4).values == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (131_072, "GPUs", "131,072 GPUs"),
        (131_072.0, "", "131,072"),
        (10_000, "tokens", "10,000 tokens"),
        (9_999, "", "9999"),
        (1024, "", "1024"),
        (0.12345, "s", "0.1235 s"),
        (-20_000, "", "-20,000"),
        (3.35e12, "B/s", "3.35e+12 B/s"),
    ],
)
def test_slider_text_writes_numbers_as_people_do(value, unit, text):
    assert Slider(-1e6, 1e13, 1, unit=unit).text(value) == text


def test_slider_texts_tell_its_values_apart():
    slider = Slider(1024, 131_072, 16_384, log=True, steps=28, unit="GPUs")
    texts = [slider.text(value) for value in slider.values]
    assert [texts[0], texts[-1]] == ["1024 GPUs", "131,072 GPUs"]
    assert "16,384 GPUs" in texts
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Slider(2, 1, 1), "low=2"),
        (lambda: Slider(1, 2, 3), "start=3"),
        (lambda: Slider(0, 2, 1, log=True), "low=0"),
        (lambda: Choice([]), "options="),
        (lambda: Choice(["a"], "b"), "start='b'"),
    ],
)
def test_controls_refuse_what_they_cannot_do(make, named):
    with pytest.raises(ValueError, match=named):
        make()


# --- live ---


def moving_line(animated):
    fig, ax = figure()
    ax.set(xlim=(0, 10), ylim=(0, 2000))
    (line,) = ax.plot([], [], lw=3, animated=animated)
    x = np.linspace(3, 9, 50)  # clear of the frame, which either way of drawing puts elsewhere

    def draw(power, scale):
        line.set_data(x, scale * x**power)
        return f"power {power}, scale {scale}"

    return live(draw, fig, ALT, power=Slider(1, 3, 1), scale=Choice([1, 2]))


@pytest.mark.parametrize("animated", [True, False])
def test_a_move_changes_the_picture_and_moving_back_restores_it(animated):
    shown = moving_line(animated)
    start = pixels(shown.start)
    moved = pixels(shown.set(power=2))
    assert (moved != start).any()
    assert shown.caption == "power 2, scale 1"
    assert (pixels(shown.set(power=1)) == start).all()


def test_the_kept_background_draws_the_same_picture_as_drawing_all():
    quick, whole = moving_line(True), moving_line(False)
    assert (pixels(quick.set(power=2, scale=2)) == pixels(whole.set(power=2, scale=2))).all()


def test_the_bundle_reads_without_a_kernel():
    shown, again = moving_line(True), moving_line(True)
    data, meta = shown._repr_mimebundle_()
    assert pixels(base64.b64decode(data["image/png"])).shape == (440, 720, 3)
    assert "application/vnd.jupyter.widget-view+json" in data
    assert meta["image/png"]["alt"] == ALT
    assert data["text/plain"].startswith("Slider: power 1, scale 1; run this cell to move it;")
    assert "power 1, scale 1" in data["text/plain"].splitlines()[-1]
    # All but the widget's random id is the same on every run, moved in between or not.
    again.set(power=3)
    other, _ = again._repr_mimebundle_()
    for key in ("text/plain", "image/png"):
        assert data[key] == other[key]


def test_the_widget_redraws_when_its_slider_moves():
    shown = moving_line(True)
    image = shown.widget.children[1]
    before = image.value
    shown._inputs["power"].value = 3
    assert image.value != before
    assert shown.values == {"power": 3, "scale": 1}
    assert shown.widget.children[2].value == "power 3, scale 1"


def test_no_control_gives_its_keys_to_jupyterlab():
    # A list that has the focus does: arrow keys leave the cell there, and "a" inserts one.
    shown = live(
        lambda **values: None, rising(), ALT,
        power=Slider(1, 3, 1), scale=Choice([1, 2]), model=Choice(["only"]),
    )  # fmt: skip
    power, scale, model = shown.widget.children[0].children
    assert type(scale) is type(power)
    assert (scale.value, [label for label, _ in scale.options]) == (1, ["1", "2"])
    scale.value = 2
    assert shown.values["scale"] == 2
    assert model.disabled, "nothing to choose, so nothing that takes the focus"
    assert not power.disabled
    assert not scale.disabled


def test_live_refuses_what_it_cannot_show():
    fig = rising()
    with pytest.raises(ValueError, match="controls"):
        live(lambda: None, fig, ALT)
    with pytest.raises(TypeError, match="n=3"):
        live(lambda n: None, fig, ALT, n=3)
    with pytest.raises(ValueError, match="'shape' is no control"):
        moving_line(True).set(shape=1)


def test_a_picture_can_be_compared_and_printed():
    assert repr(Picture(b"", ALT, 720)) == f"Figure: {ALT}"
