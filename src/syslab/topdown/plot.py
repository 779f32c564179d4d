"""Pictures of Top-Down trees.  Colour never carries the meaning alone: hatch and label do too."""

from syslab import plotting
from syslab.topdown.tree import Tree, drill

_STYLE = {
    "retiring": (plotting.GREEN, ""),
    "bad_speculation": (plotting.ORANGE, "//"),
    "front_end_bound": (plotting.SKY, ".."),
    "back_end_bound": (plotting.PURPLE, "\\\\"),
    "smt_contention": (plotting.GREY, "xx"),
}
_LABEL_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 1.2}


def _words(name: str) -> str:
    words = name.replace("_", " ")
    for plain, written in (
        ("front end", "front-end"),
        ("back end", "back-end"),
        ("l1 ", "L1 "),
        ("l2 ", "L2 "),
        ("l3 ", "L3 "),
        ("dram", "DRAM"),
        ("smt", "SMT"),
    ):
        words = words.replace(plain, written)
    return words


def _level1(tree: Tree, name: str) -> str:
    while tree[name].parent is not None:
        name = tree[name].parent
    return name


def plot_workloads(trees: list[Tree]):
    """Stacked bars of the level-1 classes, one bar a workload.

    Returns
    -------
    matplotlib.figure.Figure
    """
    trees = [trees] if isinstance(trees, Tree) else list(trees)
    if not trees:
        raise ValueError("trees is empty; give at least one result of classify()")
    fig, ax = plotting.figure(height_px=130 + 40 * len(trees))
    ax.grid(False)
    names = [node.name for node in trees[0].children() if node.name in _STYLE]
    left = [0.0] * len(trees)
    labels = [tree.counter_set.workload for tree in trees]
    for name in names:
        colour, hatch = _STYLE[name]
        widths = [100 * max(tree[name].fraction, 0) for tree in trees]
        if not any(widths):
            continue
        ax.barh(
            labels,
            widths,
            left=left,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.8,
            label=_words(name),
        )
        for row, (start, width) in enumerate(zip(left, widths, strict=True)):
            if width >= 5:
                ax.text(
                    start + width / 2,
                    row,
                    f"{width:.0f}",
                    ha="center",
                    va="center",
                    fontsize=9,
                    bbox=_LABEL_BOX,
                )
        left = [start + width for start, width in zip(left, widths, strict=True)]
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="share of pipeline slots (%)")
    ax.set_title(f"Top-Down level 1 ({_kinds(trees)} counters)")
    fig.legend(ncols=len(names), loc="outside lower center")
    return fig


def _kinds(trees) -> str:
    return ", ".join(sorted({tree.counter_set.provenance.kind for tree in trees}))


def plot_levels(tree: Tree, lost_only: bool = False):
    """Icicle of one tree: a column a level, area proportional to slots.

    The drilled path is outlined in black and set in bold; classes below 4 % have no label.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.patches import Rectangle

    depth = max(node.level for node in tree.nodes)
    path = {node.name for node in drill(tree, lost_only)}
    fig, ax = plotting.figure(height_px=460)
    ax.grid(False)

    def draw(parent: str | None, top: float) -> None:
        for node in tree.children(parent):
            share = 100 * max(node.fraction, 0)
            colour, hatch = _STYLE[_level1(tree, node.name)]
            x, on_path = node.level - 1, node.name in path
            ax.add_patch(
                Rectangle(
                    (x, top),
                    0.97,
                    share,
                    facecolor=colour,
                    hatch=hatch,
                    edgecolor="white",
                    linewidth=1.0,
                )
            )
            if on_path:
                ax.add_patch(
                    Rectangle(
                        (x, top),
                        0.97,
                        share,
                        fill=False,
                        edgecolor="black",
                        linewidth=2.2,
                        zorder=3,
                    )
                )
            if share >= 4:
                ax.text(
                    x + 0.485,
                    top + share / 2,
                    f"{_words(node.name)}  {share:.0f} %",
                    ha="center",
                    va="center",
                    fontsize=9,
                    zorder=4,
                    bbox=_LABEL_BOX,
                    fontweight="bold" if on_path else "normal",
                )
            draw(node.name, top)
            top += share

    draw(None, 0.0)
    ax.set(xlim=(-0.02, depth), ylim=(100, 0), ylabel="share of pipeline slots (%)")
    ax.set_xticks(
        [level + 0.485 for level in range(depth)], [f"level {level + 1}" for level in range(depth)]
    )
    source = tree.counter_set
    ax.set_title(f"{source.workload} ({source.provenance.kind} counters)")
    ax.spines["bottom"].set_visible(False)
    return fig
