"""Performance counters: what they mean, whether they are right, and how to get them.

provenance    MetricDefinition, EventFile, lint(): is a formula pinned to what it was written for?
formula       arithmetic on event names, with units
calibration   fit(): reading = gain * truth + offset, and a verdict
multiplexing  phased_workload(), multiplex(): what taking turns does to a count
live          available(), read(): hardware counters of this machine, if it has any
simulated     simulate(): compiled kernels under cachegrind (simulated, not measured)
pipeline      analyse(): inner loops in llvm-mca's pipeline model (modelled, not measured)
recordings    recorded(), recorded_loop(): stored runs of both
kernels       the C kernels
"""

from syslab.counters.calibration import Calibration, fit, synthetic_readings
from syslab.counters.formula import Formula
from syslab.counters.kernels import KERNELS, ToolMissing
from syslab.counters.live import Availability, CountersUnavailable, available, read
from syslab.counters.multiplexing import ScaledCount, multiplex, phased_workload
from syslab.counters.pipeline import PipelineReport, analyse
from syslab.counters.provenance import (
    EventFile,
    Finding,
    MetricDefinition,
    event_files,
    lint,
    load_event_file,
)
from syslab.counters.recordings import recorded, recorded_loop
from syslab.counters.simulated import Cache, FunctionCounts, Simulation, simulate

__all__ = [
    "KERNELS",
    "Availability",
    "Cache",
    "Calibration",
    "CountersUnavailable",
    "EventFile",
    "Finding",
    "Formula",
    "FunctionCounts",
    "MetricDefinition",
    "PipelineReport",
    "ScaledCount",
    "Simulation",
    "ToolMissing",
    "analyse",
    "available",
    "event_files",
    "fit",
    "lint",
    "load_event_file",
    "multiplex",
    "phased_workload",
    "read",
    "recorded",
    "recorded_loop",
    "simulate",
    "synthetic_readings",
]
