"""From counters to a tree of slots, and the path worth following."""

from dataclasses import dataclass

from syslab.topdown.counterset import CounterSet
from syslab.topdown.formulas import FORMULAS, slots_by_class

# Counters of one run are read at slightly different moments; beyond this share of the slots a
# negative class means that they do not belong together.
SKEW = 0.01


@dataclass(frozen=True)
class Node:
    """One class: its name, slots, fraction of all slots, parent (None at level 1) and level."""

    name: str
    slots: float
    fraction: float
    parent: str | None
    level: int


@dataclass(frozen=True)
class Tree:
    """All classes of one run.  ``tree["memory_bound"]`` is a Node."""

    counter_set: CounterSet
    nodes: tuple[Node, ...]

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"no class {name!r}; classes: {', '.join(n.name for n in self.nodes)}")

    def children(self, parent: str | None = None) -> tuple[Node, ...]:
        """Classes directly below ``parent``; level 1 when it is None."""
        return tuple(node for node in self.nodes if node.parent == parent)


def classify(counter_set: CounterSet) -> Tree:
    """Share out the slots of a run over the Top-Down classes of its CPU.

    Raises
    ------
    KeyError
        An event that a formula needs was not counted.
    ValueError
        The counts cannot belong to one run: no cycles, slots that do not add up, or a class
        below -1 % of the slots.
    """
    total = counter_set.slots
    if total <= 0:
        raise ValueError(f"{counter_set.workload!r} has {counter_set.cycles} cycles; count again")
    formulas, slots = FORMULAS[counter_set.cpu], slots_by_class(counter_set)
    nodes = []
    for name, formula in formulas.items():
        level, up = 1, formula.parent
        while up is not None:
            level, up = level + 1, formulas[up].parent
        nodes.append(Node(name, slots[name], slots[name] / total, formula.parent, level))
    tree = Tree(counter_set, tuple(nodes))
    _refuse_impossible(tree)
    return tree


def _refuse_impossible(tree: Tree) -> None:
    advice = "the counters are not of one run: count them in one group, or scale them first"
    for node in tree.nodes:
        if node.fraction < -SKEW:
            raise ValueError(f"{node.name} would be {node.fraction:.1%} of the slots; {advice}")
    covered = sum(node.fraction for node in tree.children())
    if abs(covered - 1) > SKEW:
        raise ValueError(f"the level-1 classes cover {covered:.1%} of the slots; {advice}")


def dominant(tree: Tree, parent: str | None = None, lost_only: bool = False) -> Node:
    """The largest class below ``parent``.  ``lost_only`` leaves out retiring."""
    candidates = [n for n in tree.children(parent) if not (lost_only and n.name == "retiring")]
    if not candidates:
        raise ValueError(f"{parent!r} has no classes below it; it is the end of the drill")
    return max(candidates, key=lambda node: node.fraction)


def drill(tree: Tree, lost_only: bool = False) -> tuple[Node, ...]:
    """Follow the largest class from level 1 down to a leaf."""
    path = [dominant(tree, lost_only=lost_only)]
    while tree.children(path[-1].name):
        path.append(dominant(tree, path[-1].name))
    return tuple(path)


def render(tree: Tree, full: bool = False, lost_only: bool = False) -> str:
    """The tree as text: level 1, and below it the drilled path alone unless ``full``."""
    source = tree.counter_set
    path = {node.name for node in drill(tree, lost_only)}
    lines = [
        f"{source.workload}: {source.cpu}, {source.width} slots/cycle, "
        f"IPC {source.ipc:.2f} [{source.provenance.kind} counters]"
    ]

    def walk(parent: str | None) -> None:
        for node in tree.children(parent):
            mark = ">" if node.name in path else " "
            name = "  " * (node.level - 1) + node.name
            bar = "#" * round(40 * max(node.fraction, 0))
            lines.append(f"{mark} {name:<24}{100 * node.fraction:6.1f} %  {bar}".rstrip())
            if full or node.name in path:
                walk(node.name)

    walk(None)
    return "\n".join(lines)
