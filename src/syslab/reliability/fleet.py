"""From the life of one unit to the interruptions of a job that needs thousands.

A synchronous job stops when any of its units fails. With independent, exponential lives of mean
``M`` the job of ``N`` units is interrupted every ``M / N`` on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from syslab.reliability import _check


def job_mtti_h(unit_mttf_h: float, units: int) -> float:
    """Return the mean time to interruption of a job of ``units``, hours."""
    return _check.positive("unit_mttf_h", unit_mttf_h, "of hours") / _check.count("units", units)


def unit_mttf_h(interruptions: float, units: int, hours: float) -> float:
    """Return the mean time to failure of one unit, hours, from a job's interruptions.

    Charges every interruption to the units, so a job's software and network count as well.
    """
    _check.positive("interruptions", interruptions)
    return _check.count("units", units) * _check.positive("hours", hours) / interruptions


def expected_interruptions(unit_mttf_h: float, units: int, hours: float) -> float:
    """Return how many interruptions a job of ``units`` meets in ``hours``, on average."""
    return _check.not_negative("hours", hours, "of hours") / job_mtti_h(unit_mttf_h, units)


def survival(unit_mttf_h: float, units: int, hours: float) -> float:
    """Return the probability that a job of ``units`` runs ``hours`` without interruption."""
    return math.exp(-expected_interruptions(unit_mttf_h, units, hours))


def hours_at_survival(unit_mttf_h: float, units: int, probability: float) -> float:
    """Return for how many hours a job survives with ``probability``."""
    _check.share("probability", probability, open_below=True)
    return -math.log(probability) * job_mtti_h(unit_mttf_h, units)


def yearly_failure_share(unit_mttf_h: float) -> float:
    """Return the share of units that fail within a year (8,760 h)."""
    return -math.expm1(-365 * 24 / _check.positive("unit_mttf_h", unit_mttf_h, "of hours"))


@dataclass(frozen=True)
class Run:
    """A published training run and what interrupted it.

    Attributes
    ----------
    hours : float
    gpus, interruptions, planned, unexpected : int
    causes : dict of str to int
        Unexpected interruptions by cause.
    """

    hours: float
    gpus: int
    interruptions: int
    planned: int
    unexpected: int
    causes: dict[str, int]

    @property
    def mtti_h(self) -> float:
        """Mean time between unexpected interruptions, hours."""
        return self.hours / self.unexpected

    @property
    def gpu_mttf_h(self) -> float:
        """Life of one GPU if every unexpected interruption were charged to a GPU, hours."""
        return unit_mttf_h(self.unexpected, self.gpus, self.hours)

    def share(self, *causes: str) -> float:
        """Return the share of unexpected interruptions with one of ``causes``."""
        unknown = [cause for cause in causes if cause not in self.causes]
        if unknown:
            raise ValueError(f"causes={unknown!r}: not in the table; known: {list(self.causes)}")
        return sum(self.causes[cause] for cause in causes) / self.unexpected


def llama3_405b() -> Run:
    """Return 54 days of Llama 3 405B on 16,384 H100 (arXiv:2407.21783, section 3.3.4)."""
    from syslab import facts

    group = "llama3_causes."
    causes = {n.removeprefix(group): n for n in facts.constant_names() if n.startswith(group)}
    return Run(
        hours=facts.constant("llama3_run.duration") / 3600,
        gpus=facts.constant("llama3_run.gpus"),
        interruptions=facts.constant("llama3_run.interruptions"),
        planned=facts.constant("llama3_run.planned"),
        unexpected=facts.constant("llama3_run.unexpected"),
        causes={cause: facts.constant(name) for cause, name in causes.items()},
    )
