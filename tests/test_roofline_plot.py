"""The roofline picture: what is drawn where, and that its labels can be read."""

import itertools

import pytest

from syslab import plotting
from syslab.plotting import Slider
from syslab.roofline import Ceiling, Roof, kernels, plot
from syslab.roofline.results import Point

ALT = "A roofline with a slope and a flat part."
ROOF = Roof(
    "test machine",
    [Ceiling("fp32", 1e12, "FLOP/s"), Ceiling("bf16", 4e12, "FLOP/s"),
     Ceiling("fp16", 4.1e12, "FLOP/s")],
    [Ceiling("DRAM", 1e11, "B/s"), Ceiling("L2", 8e11, "B/s"), Ceiling("L3", 7e11, "B/s")],
)  # fmt: skip
POINTS = [
    ("triad", 1 / 12, 7e9), ("gemv", 0.5, 4e10), ("softmax", 0.6, 4.5e10),
    ("layernorm", 0.9, 6e10), ("decode", 8, 6e11), ("prefill", 200, 7e11), ("gemm", 340, 9e11),
]  # fmt: skip


def boxes(fig):
    renderer = fig.canvas.get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for t in fig.axes[0].texts]


def line_through(ax, x, y):
    for line in ax.lines:
        data = line.get_xydata()
        if any(abs(px / x - 1) < 1e-9 and abs(py / y - 1) < 1e-9 for px, py in data):
            return line
    raise AssertionError(f"no line passes ({x}, {y})")


def test_the_roof_turns_at_the_ridge():
    ax = plot.plot(ROOF).axes[0]
    slope = line_through(ax, 10, 1e12)
    (x0, y0), (x1, y1) = slope.get_xydata()
    assert y0 / x0 == pytest.approx(1e11)
    assert (x1, y1) == pytest.approx((10, 1e12))
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert "FLOP/B" in ax.get_xlabel()
    assert "FLOP/s" in ax.get_ylabel()


def test_every_point_is_inside_the_frame_and_labelled_once():
    fig = plot.plot(ROOF, POINTS)
    ax = fig.axes[0]
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert all(left < x < right and bottom < y < top for _, x, y in POINTS)
    shown = [text for text, _ in boxes(fig)]
    assert all(shown.count(label) == 1 for label, _, _ in POINTS)


def test_no_label_covers_another():
    fig = plot.plot(ROOF, POINTS)
    plotting.show(fig, ALT)
    # Slanted labels are left out: the box around a slanted text is far larger than the text.
    flat = [(text, box) for text, box in boxes(fig) if "B/s" not in text.replace("FLOP/s", "")]
    assert len(flat) > len(POINTS) + 3
    for (one, a), (two, b) in itertools.combinations(flat, 2):
        assert not a.overlaps(b), f"{one!r} covers {two!r}"


def test_no_label_leaves_the_picture():
    fig = plot.plot(ROOF, POINTS)
    plotting.show(fig, ALT)
    for text, box in boxes(fig):
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= fig.bbox.width, text
        assert box.y1 <= fig.bbox.height, text


def test_every_ceiling_is_named_with_its_value():
    shown = " ".join(text for text, _ in boxes(plot.plot(ROOF)))
    for said in ("fp32  1 TFLOP/s", "bf16  4 TFLOP/s", "DRAM  100 GB/s", "L2  800 GB/s",
                 "L3  700 GB/s", "memory-bound below 10 FLOP/B", "compute-bound"):  # fmt: skip
        assert said in shown


def test_many_points_get_a_legend_by_kernel():
    many = [Point("gemm", "fp32", {"n": n}, n, 1, 1e-9, 1e-9, 1, 1) for n in range(1, 12)]
    many.append(Point("gemv", "bf16", {}, 1, 1, 1e-9, 1e-9, 1, 1))
    ax = plot.plot(ROOF, many).axes[0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["gemm fp32", "gemv bf16"]
    markers = [
        line.get_marker() for line in ax.lines if line.get_label() in ("gemm fp32", "gemv bf16")
    ]
    assert len(set(markers)) == 2  # told apart without colour


def test_a_cloud_of_points_and_a_panel_of_ones_own():
    pandas = pytest.importorskip("pandas")
    fig, axes = plotting.figure(columns=2)
    cloud = pandas.DataFrame({"intensity": [0.001, 1e5], "flops": [1e7, 1e12]})
    assert plot.plot(ROOF, ax=axes[1], title="mine", cloud=cloud) is fig
    assert axes[1].get_title(loc="left") == "mine"
    assert axes[1].get_xlim()[0] < 0.001 < 1e5 < axes[1].get_xlim()[1]
    assert not axes[0].lines


def test_the_picture_is_the_same_bytes_each_time():
    drawn = [plotting.show(plot.plot(ROOF, POINTS), ALT).png for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_numbers_are_those_of_the_picture():
    said = plot.numbers(ROOF, POINTS)
    assert "1 TFLOP/s fp32, 100 GB/s DRAM, ridge 10 FLOP/B" in said
    assert "7 points, 5 left of the ridge (memory-bound) and 2 right of it" in said
    assert "most 90% (gemm), least 67% (layernorm)" in said
    assert plot.numbers(ROOF).count("\n") == 0


def test_a_point_without_speed_is_refused():
    with pytest.raises(ValueError, match="point 'gemm': intensity=2 and flops=0"):
        plot.plot(ROOF, [("gemm", 2, 0)])


# --- with sliders ---


def test_view_by_intensity():
    shown = plot.view(ROOF, intensity=Slider(0.1, 100.0, 1.0, log=True))
    assert "1 FLOP/B, ridge 10 FLOP/B: memory-bound; at most 100 GFLOP/s, 10.0%" in shown.caption
    shown.set(intensity=100.0, precision="bf16")
    assert "ridge 40 FLOP/B: compute-bound; at most 4 TFLOP/s, 100.0%" in shown.caption
    shown.set(bandwidth=0.25)
    assert "ridge 160 FLOP/B: memory-bound; at most 2.5 TFLOP/s" in shown.caption


def test_view_by_batch_takes_intensity_from_the_work():
    width = {"fp32": 4, "bf16": 2, "fp16": 2}
    shown = plot.view(ROOF, work=lambda b, dtype: kernels.gemm(b, 4096, 4096, width[dtype]))
    assert list(shown.controls) == ["batch", "precision", "bandwidth"]
    expected = kernels.gemm(64, 4096, 4096, 2).intensity
    shown.set(batch=64, precision="bf16")
    assert shown.caption.startswith(f"{expected:.3g} FLOP/B")


def test_view_falls_back_to_a_picture_with_alt_text():
    data, meta = plot.view(ROOF)._repr_mimebundle_()
    assert "image/png" in data
    assert "test machine" in meta["image/png"]["alt"]
    assert data["text/plain"].startswith(
        "Slider: intensity 8 FLOP/B, precision fp32, bandwidth 1 x"
    )
