"""Fit a ``StepCost`` to measured steps.

For a fixed knee and a fixed ramp, step time is linear in the counts, with ``max(tokens, knee)``
in place of tokens and ``min(tokens, ramp)`` beside it. So the fit is a non-negative least-squares
problem for each pair from a grid, and the pair with the smallest error wins. Residuals are
relative (each row is divided by its measured time), so that a 10 ms decode step counts as much
as a 1 s prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from syslab.serving.cost import StepCost

KNEES = tuple(np.unique(np.round(2.0 ** np.arange(0, 10.01, 0.25)).astype(int)))
RAMPS = (2, 3, 4, 6, 8, 12, 16)
TERMS = (
    "overhead_s", "token_s", "pair_s", "cached_token_s", "sample_s", "sequence_s", "ramp_s",
)  # fmt: skip


@dataclass(frozen=True)
class MeasuredStep:
    """One timed step: what was in it, as for ``StepCost.step_s``, and how long it took."""

    seconds: float
    prompts: tuple[tuple[int, int], ...] = ()
    contexts: tuple[int, ...] = ()
    prompts_finished: int | None = None

    @property
    def samples(self) -> int:
        whole = len(self.prompts) if self.prompts_finished is None else self.prompts_finished
        return whole + len(self.contexts)

    @property
    def tokens(self) -> int:
        return sum(count for _, count in self.prompts) + len(self.contexts)

    def predicted_s(self, cost: StepCost) -> float:
        """Return what a cost says of this step."""
        return cost.step_s(self.prompts, self.contexts, self.prompts_finished)


@dataclass(frozen=True)
class Calibration:
    """A fitted cost and how well it describes the steps it was fitted to.

    ``median_error`` and ``worst_error`` are relative: ``|predicted / measured - 1|``.
    """

    cost: StepCost
    knee_tokens: int
    steps: int
    median_error: float
    worst_error: float


def calibrate(steps: Sequence[MeasuredStep], terms: Sequence[str] = TERMS) -> Calibration:
    """Fit the parts of a step's time to measured steps (dense models, no window).

    Parameters
    ----------
    steps : sequence of MeasuredStep
        At least twice as many as terms, and varied: a part is found only if its count varies
        independently of the others.
    terms : sequence of str
        Which attributes of ``StepCost`` may differ from 0.

    Notes
    -----
    Below the knee the overhead and the reading of the weights cannot be told apart unless some
    steps lie above it; their sum is what is determined.
    """
    unknown = set(terms) - set(TERMS)
    if unknown:
        raise ValueError(f"terms holds {sorted(unknown)}: choose from {', '.join(TERMS)}")
    if len(steps) < 2 * len(terms):
        raise ValueError(
            f"steps={len(steps)} of them: {len(terms)} terms need at least {2 * len(terms)}"
        )
    if any(not step.seconds > 0 for step in steps):
        raise ValueError("steps holds a measured time of 0 s or less: time each step")
    if "ramp_s" in terms and "token_s" not in terms:
        raise ValueError("terms has ramp_s without token_s: a ramp is a surcharge on token_s")
    columns = [term for term in TERMS if term in terms]
    rows = np.array([_counts(step) for step in steps])[:, [TERMS.index(t) for t in columns]]
    seconds = np.array([step.seconds for step in steps])
    knees = KNEES if "token_s" in columns else (0,)
    ramps = RAMPS if "ramp_s" in columns else (0,)
    fits = [_fit(rows, seconds, columns, knee, ramp) for knee in knees for ramp in ramps]
    _, knee, ramp, found = min(fits, key=lambda fit: fit[0])
    values = dict(zip(columns, found, strict=True))
    weights_s = knee * values.get("token_s", 0.0)
    if values.get("ramp_s", 0.0) * ramp < 1e-6 * seconds.min():  # none to speak of
        values["ramp_s"], ramp = 0.0, 0
    cost = StepCost(weights_s=weights_s, ramp_tokens=ramp, **values)
    errors = np.array([abs(step.predicted_s(cost) / step.seconds - 1) for step in steps])
    return Calibration(cost, int(knee), len(steps), float(np.median(errors)), float(errors.max()))


def _counts(step: MeasuredStep) -> tuple[float, ...]:
    """Return the factors of the terms, in the order of ``TERMS``."""
    pairs = sum(n * (start + (n + 1) / 2) for start, n in step.prompts)
    cached = sum(step.contexts) + sum(start for start, _ in step.prompts)
    sequences = len(step.prompts) + len(step.contexts)
    return 1.0, step.tokens, pairs, cached, step.samples, sequences, step.tokens


def _fit(rows, seconds, columns, knee, ramp):
    """Return ``(error, knee, ramp, values)`` of the non-negative least-squares fit for one pair."""
    from scipy.optimize import nnls

    factors = rows.copy()
    for term, bend, at in (("token_s", np.maximum, knee), ("ramp_s", np.minimum, ramp)):
        if term in columns:
            place = columns.index(term)
            factors[:, place] = bend(factors[:, place], at)
    relative = factors / seconds[:, None]
    size = np.linalg.norm(relative, axis=0)
    size[size == 0] = 1.0
    values, error = nnls(relative / size, np.ones(seconds.size))
    return error, knee, ramp, [float(v) for v in values / size]
