"""Top-Down analysis: which part of the pipeline lost the slots?

The method is A. Yasin's (ISPASS 2014).  A core that can accept ``width`` micro-operations a
cycle has ``width * cycles`` slots.  Every slot is either used by work that retires, or lost to
bad speculation, to the front end, or to the back end.  Look into the largest class only.

counterset   CounterSet: the counters of one run, and where they came from
formulas     the formula of every class, with its source
tree         classify(), dominant(), drill(), render()
synthetic    counter sets made from stated fractions, for named AI workloads
plot         stacked bars and an icicle of a tree
"""

from syslab.topdown.counterset import CounterSet, Provenance, misses_in_flight
from syslab.topdown.formulas import FORMULAS, Formula
from syslab.topdown.plot import plot_levels, plot_workloads
from syslab.topdown.synthetic import WORKLOADS, Recipe, planted, synthesize, workload
from syslab.topdown.tree import Node, Tree, classify, dominant, drill, render

__all__ = [
    "FORMULAS",
    "WORKLOADS",
    "CounterSet",
    "Formula",
    "Node",
    "Provenance",
    "Recipe",
    "Tree",
    "classify",
    "dominant",
    "drill",
    "misses_in_flight",
    "planted",
    "plot_levels",
    "plot_workloads",
    "render",
    "synthesize",
    "workload",
]
