"""Serving a language model: what each request waits, under which policy, on which machine.

A run takes a trace, a cost and a policy: ``simulate(synthetic_trace(1000), cost, Policy())``.

- ``trace``, ``synthetic``, ``loaders``: requests, made up or read from public logs;
- ``cost``, ``roofline_cost``, ``calibrate``: how long a step takes, from a data sheet or measured;
- ``policy``, ``scheduler``: who is in the next step (static, continuous, chunked; preemption);
- ``simulate``, ``disaggregate``, ``outcome``: a run, and TTFT, TPOT, E2E and goodput of it;
- ``fleet``: how many replicas, and what a million tokens cost;
- ``speculative``: what to expect of a draft model;
- ``points``, ``points_check``, ``points_fit``: measured serving points of data-centre GPUs;
- ``tiny``, ``ragged``, ``engine``: a real small model, SmolLM2-135M, served on this machine's CPU;
- ``measured``: the file of such measurements, and the simulator's error on a load it never saw;
- ``replay``, ``plot``: the pictures of the kv-cache bench.
"""

from syslab.serving.calibrate import Calibration, MeasuredStep, calibrate
from syslab.serving.cost import StepCost
from syslab.serving.disaggregate import simulate_disaggregated
from syslab.serving.fleet import Fleet, plan_fleet, serve_with, usd_per_million_tokens
from syslab.serving.loaders import find_data, read_azure, read_burstgpt, read_mooncake
from syslab.serving.outcome import Objective, Outcome
from syslab.serving.policy import Policy
from syslab.serving.roofline_cost import model_work, roofline_cost
from syslab.serving.simulate import largest_rate, simulate
from syslab.serving.synthetic import CODE, CONVERSATION, Shape, synthetic_trace
from syslab.serving.trace import Moments, Trace

__all__ = [
    "CODE",
    "CONVERSATION",
    "Calibration",
    "Fleet",
    "MeasuredStep",
    "Moments",
    "Objective",
    "Outcome",
    "Policy",
    "Shape",
    "StepCost",
    "Trace",
    "calibrate",
    "find_data",
    "largest_rate",
    "model_work",
    "plan_fleet",
    "read_azure",
    "read_burstgpt",
    "read_mooncake",
    "roofline_cost",
    "serve_with",
    "simulate",
    "simulate_disaggregated",
    "synthetic_trace",
    "usd_per_million_tokens",
]
