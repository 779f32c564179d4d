"""Draw a roofline: still, with measured points, or with sliders.

Both axes are logarithmic: x is arithmetic intensity in FLOP/B, y is FLOP/s. A memory ceiling is
a slanted line, a compute ceiling a flat one; they meet at the ridge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from syslab import plotting
from syslab.plotting import COLOURS, GREY, MARKERS, Choice, Live, Slider, si

from .kernels import Work
from .model import Ceiling, Roof, attainable, ridge_point

BATCH = Slider(1, 4096, 8, log=True, steps=48)
INTENSITY = Slider(0.1, 10_000.0, 8.0, log=True, steps=60, unit="FLOP/B")
LABELLED_POINTS = 9  # more than these get a legend instead of a label each
_SHADES = {"memory-bound": "#E8F1F8", "compute-bound": "#FBF1E2"}


def plot(
    roof: Roof,
    points: Iterable = (),
    ax=None,
    title: str | None = None,
    cloud=None,
    labels: bool | None = None,
):
    """Draw ``roof`` with all its ceilings, and ``points`` under it.

    Parameters
    ----------
    roof : Roof
        Its first two ceilings are drawn bold, with the ridge; the others thin.
    points : iterable
        ``(label, intensity, flops)`` tuples, or measured ``Point`` objects.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure in the house style.
    title : str, optional
        By default the name of the roof.
    cloud : DataFrame, optional
        Many points, columns ``intensity`` and ``flops``, drawn as small dots without labels.
    labels : bool, optional
        Whether each point is labelled where it stands. By default if there are at most 9;
        otherwise a legend names the kernels.

    Returns
    -------
    matplotlib Figure
        End the cell with ``plotting.show(fig, alt=...)`` and print ``numbers(roof, points)``.
    """
    fig = None
    if ax is None:
        fig, ax = plotting.figure()
    marks = [_mark(point) for point in points]
    _frame(ax, roof, marks, cloud)
    ax.set_title(title or roof.name)
    _shade(ax, roof)
    _draw_ceilings(ax, roof)
    if cloud is not None:
        ax.plot(
            cloud["intensity"], cloud["flops"], ".", ms=2, color=COLOURS[0], alpha=0.25, zorder=2
        )
    _draw_points(ax, marks)
    labelled = len(marks) <= LABELLED_POINTS if labels is None else labels
    if marks and not labelled:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4)
    flat = _label_flat(ax, roof.compute)
    ax.figure.canvas.draw()  # settles the layout: what follows needs final pixels
    for text in flat:
        text.remove()
    _label_flat(ax, roof.compute)
    _label_slanted(ax, roof.memory)
    if labelled and marks:
        _label_points(ax, marks, roof)
    return fig or ax.figure


def numbers(roof: Roof, points: Iterable = ()) -> str:
    """Return the numbers to read from the picture, as a few lines of text."""
    lines = [
        f"{roof.name}: {si(roof.peak, 'FLOP/s')} {roof.compute[0].name}, "
        f"{si(roof.bandwidth, 'B/s')} {roof.memory[0].name}, ridge {roof.ridge:.3g} FLOP/B"
    ]
    marks = [_mark(point) for point in points]
    if marks:
        left = sum(intensity < roof.ridge for _, intensity, _ in marks)
        lines.append(
            f"{len(marks)} points, {left} left of the ridge (memory-bound) and "
            f"{len(marks) - left} right of it"
        )
        shares = [(flops / roof.attainable(x), label) for label, x, flops in marks]
        (least, worst), (most, best) = min(shares), max(shares)
        lines.append(f"share of the roof: most {most:.0%} ({best}), least {least:.0%} ({worst})")
    return "\n".join(lines)


def view(
    roof: Roof,
    work: Callable[[int, str], Work] | None = None,
    batch: Slider = BATCH,
    intensity: Slider = INTENSITY,
    alt: str | None = None,
) -> Live:
    """Return a roofline with sliders, to end a cell with.

    Precision picks one of the roof's compute ceilings; bandwidth scales its first memory
    ceiling. Without ``work`` a slider sets the intensity; with it a slider sets the batch, and
    ``work(batch, precision)`` returns the ``Work`` whose intensity is marked.
    """
    precisions = {ceiling.name: ceiling for ceiling in roof.compute}
    bandwidth = Slider(0.25, 4.0, 1.0, log=True, steps=32, unit="x")
    first = {"batch": batch} if work else {"intensity": intensity}
    fig, ax = plotting.figure()
    ax.set_title(roof.name)
    low, high = 0.05, 20_000.0
    top = 3 * max(ceiling.value for ceiling in roof.compute)
    bottom = min(0.25 * roof.bandwidth * 0.2, top / 1e5)
    _log_axes(ax, (low, high), (bottom, top))
    for ceiling in roof.compute:
        ax.axhline(ceiling.value, color="#BBBBBB", lw=1, ls="--", zorder=1)
    _label_flat(ax, roof.compute)
    moving = {"animated": True}
    (line,) = ax.plot([], [], color="black", lw=2.4, ls="-", **moving)
    (drop,) = ax.plot([], [], color=GREY, lw=1, ls=":", **moving)
    (spot,) = ax.plot([], [], "o", color=COLOURS[1], ms=10, **moving)
    (ridge_mark,) = ax.plot([], [], "D", color=COLOURS[0], ms=7, **moving)
    note = ax.annotate("", (1, 1), (0, 0), textcoords="offset points", animated=True, zorder=6)

    def draw(precision: str, bandwidth: float, **setting) -> str:
        peak, rate = precisions[precision].value, roof.bandwidth * bandwidth
        at = work(setting["batch"], precision).intensity if work else setting["intensity"]
        ridge = ridge_point(peak, rate)
        reach = attainable(at, peak, rate)
        line.set_data([low, ridge, high], [attainable(low, peak, rate), peak, peak])
        ridge_mark.set_data([ridge], [peak])
        spot.set_data([at], [reach])
        drop.set_data([at, at], [bottom, reach])
        note.xy = (at, reach)
        right = at > np.sqrt(low * high)
        note.set(text=si(reach, "FLOP/s"), ha="right" if right else "left")
        note.set_position((-10 if right else 10, -14))
        side = "memory-bound" if at < ridge else "compute-bound"
        return (
            f"{at:.3g} FLOP/B, ridge {ridge:.3g} FLOP/B: {side}; "
            f"at most {si(reach, 'FLOP/s')}, {reach / peak:.1%} of the {precision} peak"
        )

    alt = alt or (
        f"Roofline of {roof.name}: attainable FLOP/s rises with intensity along "
        f"{si(roof.bandwidth, 'B/s')} and is flat at {si(roof.peak, 'FLOP/s')} from "
        f"{roof.ridge:.3g} FLOP/B on; a dot marks the kernel, a diamond the ridge."
    )
    controls = first | {"precision": Choice(list(precisions)), "bandwidth": bandwidth}
    return plotting.live(draw, fig, alt, **controls)


def _mark(point) -> tuple[str, float, float]:
    if hasattr(point, "intensity"):
        return f"{point.kernel} {point.dtype}", point.intensity, point.flops
    label, intensity, flops = point
    if not (intensity > 0 and flops > 0):
        raise ValueError(
            f"point {label!r}: intensity={intensity!r} and flops={flops!r} must be > 0"
        )
    return str(label), float(intensity), float(flops)


def _frame(ax, roof: Roof, marks: Sequence, cloud) -> None:
    """Choose limits that hold every point and a decade on each side of the ridge."""
    x = [roof.ridge / 30, roof.ridge * 10, *(m[1] for m in marks)]
    y = [max(c.value for c in roof.compute), *(m[2] for m in marks)]
    for name, values in (("intensity", x), ("flops", y)):
        if cloud is not None and len(cloud):
            values += [cloud[name].min(), cloud[name].max()]
    low = min(x) / 2
    y.append(roof.attainable(low))
    _log_axes(ax, (low, max(x) * 2), (min(y) / 2, max(y) * 2.5))


def _log_axes(ax, x_limits, y_limits) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set(xscale="log", yscale="log", xlim=x_limits, ylim=y_limits)
    ax.set_xlabel("arithmetic intensity, FLOP/B")
    ax.set_ylabel("performance, FLOP/s")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: si(v, "")))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(base=10, numticks=20))
        axis.set_minor_formatter(NullFormatter())
    ax.tick_params(which="minor", length=0)


def _shade(ax, roof: Roof) -> None:
    (left, right), ridge = ax.get_xlim(), roof.ridge
    ax.axvspan(left, ridge, color=_SHADES["memory-bound"], zorder=0, lw=0)
    ax.axvspan(ridge, right, color=_SHADES["compute-bound"], zorder=0, lw=0)
    style = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points", "va": "bottom"}
    style |= {"fontsize": 9, "color": GREY}
    ax.annotate(f"memory-bound below {ridge:.3g} FLOP/B", (ridge, 0), (-6, 5), ha="right", **style)
    ax.annotate("compute-bound", (ridge, 0), (6, 5), ha="left", **style)


def _draw_ceilings(ax, roof: Roof) -> None:
    left, right = ax.get_xlim()
    highest = max(c.value for c in roof.compute)
    fastest = max(c.value for c in roof.memory)
    bold, thin = {"color": "black", "lw": 2.4, "ls": "-"}, {"color": GREY, "lw": 1.1, "ls": "--"}
    for index, ceiling in enumerate(roof.memory):
        x = np.array([left, (highest if index else roof.peak) / ceiling.value])
        ax.plot(x, ceiling.value * x, zorder=3, **(thin if index else bold))
    for index, ceiling in enumerate(roof.compute):
        start = ceiling.value / (fastest if index else roof.bandwidth)
        ax.plot([start, right], [ceiling.value] * 2, zorder=3, **(thin if index else bold))
    ax.plot([roof.ridge], [roof.peak], "D", color="black", ms=6, zorder=4)


def _label_flat(ax, ceilings: Sequence[Ceiling]) -> list:
    """Label flat lines outside the frame on the right, pushed apart where lines lie close."""
    height = 15  # pixels a label needs
    wanted = ax.transData.transform([(1, c.value) for c in ceilings])[:, 1]
    order = np.argsort(wanted)
    at = wanted[order].copy()
    for _ in range(10 * len(at)):
        for i in range(len(at) - 1):
            short = height - (at[i + 1] - at[i])
            if short > 0.01:
                at[i] -= short / 2
                at[i + 1] += short / 2
    labels = []
    for index, pixel in zip(order, at, strict=True):
        ceiling = ceilings[index]
        shift = (pixel - wanted[index]) * 72 / ax.figure.dpi
        labels.append(
            ax.annotate(
                f"{ceiling.name}  {si(ceiling.value, 'FLOP/s')}",
                (1, ceiling.value), xycoords=("axes fraction", "data"), xytext=(5, shift),
                textcoords="offset points", ha="left", va="center", fontsize=9,
                color=GREY if index else "black", annotation_clip=False,
            )
        )  # fmt: skip
    return labels


def _label_slanted(ax, memory: Sequence[Ceiling]) -> None:
    """Write along each slanted line; lines too close for a label each share one."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    frame = ax.get_window_extent()
    decade = frame.width / np.log10(right / left), frame.height / np.log10(top / bottom)  # pixels
    angle = np.degrees(np.arctan2(decade[1], decade[0]))
    groups: list[list[Ceiling]] = []
    for ceiling in sorted(memory, key=lambda c: -c.value):
        above = groups[-1][-1].value / ceiling.value if groups else np.inf
        crowded = np.log10(above) * decade[1] * np.cos(np.radians(angle)) < 15
        if crowded and memory[0] not in (ceiling, groups[-1][-1]):
            groups[-1].append(ceiling)
        else:
            groups.append([ceiling])
    for group in groups:
        highest = group[0].value
        x = max(left, bottom / highest) * (right / left) ** 0.02
        ax.annotate(
            ",  ".join(f"{c.name}  {si(c.value, 'B/s')}" for c in group),
            (x, highest * x), xytext=(0, 2), textcoords="offset points",
            rotation=angle, rotation_mode="anchor", ha="left", va="bottom", fontsize=9,
            color="black" if memory[0] in group else GREY, zorder=3.5,
        )  # fmt: skip


def _draw_points(ax, marks: Sequence) -> None:
    kinds = list(dict.fromkeys(label for label, _, _ in marks))
    for index, kind in enumerate(kinds):
        xy = [(x, y) for label, x, y in marks if label == kind]
        ax.plot(
            *zip(*xy, strict=True), MARKERS[index % len(MARKERS)], label=kind, ls="",
            color=COLOURS[(index + index // len(MARKERS)) % len(COLOURS)],
            markeredgecolor="white", markeredgewidth=0.6, ms=8, zorder=5,
        )  # fmt: skip


def _label_points(ax, marks: Sequence, roof: Roof) -> None:
    """Label each point on the first side of it where the label covers nothing."""
    renderer = ax.figure.canvas.get_renderer()
    frame = ax.get_window_extent(renderer)
    taken = [text.get_window_extent(renderer) for text in ax.texts]
    dots = ax.transData.transform([(x, y) for _, x, y in marks])
    along = np.geomspace(*ax.get_xlim(), 200)
    line = ax.transData.transform(np.column_stack([along, roof.attainable(along)]))
    for (label, x, y), dot in zip(marks, dots, strict=True):
        text = ax.annotate(label, (x, y), (0, 0), textcoords="offset points", fontsize=9, zorder=6)
        others = [other for other in dots if other is not dot]

        def cost(side, text=text, others=others):
            dx, dy, ha = side
            text.set(ha=ha, position=(dx, dy))
            box = text.get_window_extent(renderer)
            inside = frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1)
            return (
                3 * sum(box.overlaps(other) for other in taken)
                + 3 * sum(box.padded(5).contains(*other) for other in others)
                + any(box.contains(*spot) for spot in line)
                + 5 * (not inside)
            )

        cost(min(_SIDES, key=cost))  # leaves the label on its best side
        taken.append(text.get_window_extent(renderer))


# Where a label may stand: offset in points and alignment, the nearest places first.
_SIDES = [
    (8, -4, "left"), (-8, -4, "right"), (6, -15, "left"), (-6, 7, "right"), (0, -18, "center"),
    (0, 9, "center"), (-6, -15, "right"), (6, 7, "left"), (0, -30, "center"), (0, 21, "center"),
    (8, -28, "left"), (-8, 20, "right"), (-8, -28, "right"), (8, 20, "left"),
]  # fmt: skip
