"""House style for pictures: readable without colour, the same bytes on every run, with alt text.

``figure()`` makes a figure, ``show(fig, alt=...)`` ends a cell with it, and ``live(...)`` puts
sliders beside it::

    fig, ax = figure()
    ax.plot(x, y)
    show(fig, alt="Throughput rises with batch size and levels off at 64.")
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Okabe and Ito's palette, told apart with any common colour vision. Yellow is left out: it is
# too light for lines on white. Source: jfly.uni-koeln.de/color, "Color Universal Design".
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#6E6E6E"
COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))

DPI = 100
WIDTH_PX, HEIGHT_PX = 720, 440
STYLE = {
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "legend.frameon": False,
    "legend.fontsize": 9,
}
_LIVE_COMPRESSION, _STILL_COMPRESSION = 1, 9


def figure(width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX, rows: int = 1, columns: int = 1):
    """Return ``(fig, ax)`` in the house style; ``ax`` is an array for more than one panel.

    The figure belongs to no window: it appears only where ``show`` ends a cell. Successive lines
    differ in dash as well as in colour. The style also holds for what is added to it later
    (legends, text), so it is set for the whole process.
    """
    import matplotlib
    from cycler import cycler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for name, value in (("width_px", width_px), ("height_px", height_px)):
        if not 100 <= value <= 4000:
            raise ValueError(f"{name}={value!r}: must be 100 to 4000 pixels")
    lines = cycler(color=COLOURS) + cycler(linestyle=LINES)
    matplotlib.rcParams.update({**STYLE, "axes.prop_cycle": lines})
    fig = Figure(figsize=(width_px / DPI, height_px / DPI), layout="constrained")
    FigureCanvasAgg(fig)
    return fig, fig.subplots(rows, columns)


@dataclass(frozen=True)
class Picture:
    """A still picture with its alt text; the value that a plotting cell ends with."""

    png: bytes
    alt: str
    width_px: int

    def __repr__(self) -> str:
        return f"Figure: {self.alt}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"image/png": b64encode(self.png).decode(), "text/plain": repr(self)}
        return data, {"image/png": {"alt": self.alt, "width": self.width_px}}


def show(fig, alt: str) -> Picture:
    """Return ``fig`` as a picture with ``alt`` text, to end a notebook cell with.

    ``alt`` says in a sentence what a reader should see; it is stored with the output and read
    aloud by screen readers. The PNG holds no date, so running the cell again stores the same
    bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    _needs_alt(alt)
    if not isinstance(fig.canvas, FigureCanvasAgg):  # plt.close() leaves a canvas without pixels
        FigureCanvasAgg(fig)
    fig.canvas.draw()
    return Picture(_png(fig, _STILL_COMPRESSION), alt, int(fig.bbox.width))


@dataclass(frozen=True)
class Slider:
    """A number the reader moves: from ``low`` to ``high``, at first ``start``.

    With ``log=True`` it moves in equal ratios (``steps`` of them) and ``low`` is above 0. Whole
    numbers stay whole when ``low``, ``high`` and ``start`` are ints.
    """

    low: float
    high: float
    start: float
    log: bool = False
    steps: int = 60
    unit: str = ""

    def __post_init__(self):
        if not self.low < self.high:
            raise ValueError(f"low={self.low!r}: must be below high={self.high!r}")
        if not self.low <= self.start <= self.high:
            raise ValueError(f"start={self.start!r}: must be {self.low!r} to {self.high!r}")
        if self.log and self.low <= 0:
            raise ValueError(f"low={self.low!r}: must be above 0 with log=True")

    @property
    def values(self) -> list[float]:
        """Every value it can take, ``start`` among them."""
        whole = all(isinstance(v, int) for v in (self.low, self.high, self.start))
        if self.log:
            ratio = self.high / self.low
            spots = [self.low * ratio ** (i / self.steps) for i in range(self.steps + 1)]
        else:
            width = (self.high - self.low) / self.steps
            spots = [self.low + i * width for i in range(self.steps + 1)]
        spots[0], spots[-1] = self.low, self.high  # not what rounding makes of them
        # Three significant digits are all that a label shows; the ends and the start stay.
        spots = [round(v) if whole else float(f"{v:.3g}") for v in spots[1:-1]]
        return sorted({self.low, *spots, self.high, self.start})

    def text(self, value) -> str:
        """Return ``value`` as its label shows it: four digits, from 10,000 on in whole numbers."""
        shown = f"{value:,.0f}" if 9999.5 <= abs(value) < 1e9 else f"{value:.4g}"
        return f"{shown} {self.unit}".strip()


@dataclass(frozen=True)
class Choice:
    """One of several ``options``, at first ``start`` (default the first).

    The reader moves through them as on a slider, with the option's name beside it.
    """

    options: Sequence
    start: object = None

    def __post_init__(self):
        if not self.options:
            raise ValueError("options=[]: give at least one")
        if self.start is None:
            object.__setattr__(self, "start", self.options[0])
        if self.start not in self.options:
            raise ValueError(f"start={self.start!r}: must be one of {list(self.options)!r}")

    @property
    def values(self) -> list:
        """Every option."""
        return list(self.options)

    def text(self, value) -> str:
        """Return ``value`` as its label shows it."""
        return str(value)


def live(draw: Callable[..., str | None], fig, alt: str, **controls: Slider | Choice) -> Live:
    """Return ``fig`` with a control per keyword, to end a notebook cell with.

    Parameters
    ----------
    draw : callable
        ``draw(**values)`` moves what is drawn (``line.set_data(...)``) and may return a line of
        text to stand under the picture, such as the numbers to read from it. Artists made with
        ``animated=True`` are drawn over a kept background, which makes a move several times
        faster; everything else, axes included, then stays as it was first drawn. Without any
        such artist the whole figure is drawn anew.
    fig : matplotlib Figure
        From ``figure()``.
    alt : str
        What the picture shows at its default setting.
    **controls : Slider or Choice
        By the names ``draw`` takes.
    """
    return Live(draw, fig, alt, controls)


class Live:
    """Sliders beside a picture. Without a running kernel the picture of the start remains.

    ``set(name=value)`` moves a control from code and redraws, as moving the slider does.
    """

    def __init__(self, draw, fig, alt, controls):
        _needs_alt(alt)
        if not controls:
            raise ValueError("controls: give at least one, such as batch=Slider(1, 256, 8)")
        for name, control in controls.items():
            if not isinstance(control, Slider | Choice):
                raise TypeError(f"{name}={control!r}: must be a Slider or a Choice")
        self.alt = alt
        self.controls = controls
        self.values = {name: control.start for name, control in controls.items()}
        self._draw, self._fig = draw, fig
        self._moving, self._background = [], None
        self.caption = draw(**self.values) or ""
        self.start = self._render(_STILL_COMPRESSION)
        self.start_caption = self.caption
        self._widget = self._image = self._text = None
        self._inputs = {}

    def set(self, **values) -> bytes:
        """Move controls to ``values``, redraw, and return the new picture as PNG bytes."""
        for name in values:
            if name not in self.controls:
                raise ValueError(f"{name!r} is no control here; there are {list(self.controls)}")
        self.values.update(values)
        self.caption = self._draw(**self.values) or ""
        png = self._render(_LIVE_COMPRESSION)
        if self._widget is not None:
            self._image.value = png
            self._text.value = self.caption
        return png

    @property
    def widget(self):
        """The ipywidgets box, made when first asked for."""
        if self._widget is None:
            self._build()
        return self._widget

    def __repr__(self) -> str:
        said = ", ".join(
            f"{name.replace('_', ' ')} {self.controls[name].text(self.controls[name].start)}"
            for name in self.controls
        )
        text = f"Slider: {said}; run this cell to move it; the picture shows the default setting"
        return f"{text}\nFigure: {self.alt}" + (
            f"\n{self.start_caption}" if self.start_caption else ""
        )

    def _repr_mimebundle_(self, include=None, exclude=None):
        data = {"image/png": b64encode(self.start).decode(), "text/plain": repr(self)}
        shown = self.widget._repr_mimebundle_()
        shown = shown[0] if isinstance(shown, tuple) else shown
        view = "application/vnd.jupyter.widget-view+json"
        if view in (shown or {}):
            data[view] = shown[view]
        return data, {"image/png": {"alt": self.alt, "width": int(self._fig.bbox.width)}}

    def _render(self, compression: int) -> bytes:
        canvas = self._fig.canvas
        if self._background is None:
            canvas.draw()  # leaves out animated artists
            self._moving = sorted(
                (a for a in self._fig.findobj(lambda a: a.get_animated()) if a.axes is not None),
                key=lambda artist: artist.get_zorder(),
            )
            # Constrained layout has run; from here on nothing may shift under the background.
            self._fig.set_layout_engine("none")
            self._background = canvas.copy_from_bbox(self._fig.bbox)
        elif self._moving:
            canvas.restore_region(self._background)
        else:
            canvas.draw()
        for artist in self._moving:
            artist.axes.draw_artist(artist)
        return _png(self._fig, compression)

    def _build(self) -> None:
        import ipywidgets as widgets

        wide = {"description_width": "initial"}
        for name, control in self.controls.items():
            options = [(control.text(v), v) for v in control.values]
            # JupyterLab takes arrow keys and letters away from a list: they would leave the cell,
            # insert or delete one. A slider keeps its keys, but cannot be drawn with one option.
            single = len(options) == 1
            made = (widgets.Dropdown if single else widgets.SelectionSlider)(
                options=options,
                value=self.values[name],
                description=name.replace("_", " "),
                disabled=single,
                style=wide,
                layout={"width": "34em"},
            )
            made.observe(lambda change, name=name: self.set(**{name: change["new"]}), "value")
            self._inputs[name] = made
        self._text = widgets.Label(self.caption)
        png = self.start if self.values == self._starts() else self._render(_LIVE_COMPRESSION)
        self._image = widgets.Image(value=png, format="png", width=int(self._fig.bbox.width))
        self._widget = widgets.VBox(
            [widgets.HBox(list(self._inputs.values()), layout={"flex_flow": "row wrap"}),
             self._image, self._text]
        )  # fmt: skip

    def _starts(self) -> dict:
        return {name: control.start for name, control in self.controls.items()}


def si(value: float, unit: str) -> str:
    """Return ``value`` in three digits with an SI prefix: ``si(3.35e12, "B/s")``, 3.35 TB/s."""
    if not value > 0:
        return f"{value:.3g} {unit}"
    for power, prefix in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 0.9995 * 10**power:
            return f"{_three_digits(value / 10**power)} {prefix}{unit}"
    return f"{_three_digits(value)} {unit}"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"


def _png(fig, compression: int) -> bytes:
    """Encode what is on the canvas now. Pillow writes no date and no program name."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(fig.canvas.buffer_rgba())[..., :3]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", compress_level=compression)
    return file.getvalue()


def _needs_alt(alt: str) -> None:
    if not isinstance(alt, str) or len(alt.split()) < 3:
        raise ValueError(f"alt={alt!r}: say in a sentence what the picture shows")
