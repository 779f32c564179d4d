"""Does this counter count what it says?  Run kernels whose work is known, and fit a line.

    reading = gain * truth + offset

A gain other than 1 is a wrong unit or a systematic over- or undercount; an offset is overhead
counted along; what is left is noise, or a counter that does not follow the work at all.
"""

from dataclasses import dataclass

import numpy as np

KNOWN_WORK = {
    "triad": {
        "flops": lambda n: 2 * n,
        "bytes": lambda n: 24 * n,
        "bytes_with_write_allocate": lambda n: 32 * n,
    },
    "dot": {"flops": lambda n: 2 * n, "bytes": lambda n: 16 * n},
    "matmul": {"flops": lambda n: 2 * n**3},
}
"""Work of the kernels on n doubles (n x n matrices), by quantity.

triad reads two doubles and writes one, 24 B; a cache that fetches a line before writing to it
moves 32 B.
"""

DEFECTS = {
    "sound": (1.0, 0.0),
    "fma_counted_once": (0.5, 0.0),
    "vector_counted_once": (0.25, 0.0),
    "speculative_work_counted": (1.18, 0.0),
    "start_up_counted": (1.0, 2.5e5),
}
"""Gain and offset of counters that are wrong in a known way."""


@dataclass(frozen=True)
class Calibration:
    """A fitted line and what it says about the counter.

    Parameters
    ----------
    gain, offset : float
        ``reading = gain * truth + offset``; the offset is in counts.
    gain_error, offset_error : float
        Standard errors of the two.
    residual : float
        Root mean square of (reading - line) / line: the noise that the line leaves.
    verdict : {"usable", "usable after correction", "not usable"}
    reasons : tuple of str
        Why, one sentence each.
    """

    gain: float
    offset: float
    gain_error: float
    offset_error: float
    residual: float
    verdict: str
    reasons: tuple[str, ...]

    @property
    def scale_error(self) -> float:
        """gain - 1: 0.18 is an overcount of 18 %, -0.5 half of the work."""
        return self.gain - 1

    def correct(self, reading):
        """Estimate of the true count behind a reading."""
        if self.verdict == "not usable":
            raise ValueError(f"this counter cannot be corrected: {'; '.join(self.reasons)}")
        return (np.asarray(reading, dtype=float) - self.offset) / self.gain


def fit(truth, readings, tolerance: float = 0.02, noise_limit: float = 0.05) -> Calibration:
    """Fit a counter's readings to known counts.

    Noise is taken as proportional to the count, so small and large kernels weigh the same.

    Parameters
    ----------
    truth, readings : array_like, shape (n,)
        Known and read counts; at least 3 different sizes.
    tolerance : float
        A gain within ``1 +- tolerance`` needs no correction, nor an offset below ``tolerance``
        of the smallest truth.
    noise_limit : float
        Relative residual above which no line describes the counter.
    """
    truth = np.asarray(truth, dtype=float)
    readings = np.asarray(readings, dtype=float)
    if truth.shape != readings.shape or truth.ndim != 1:
        raise ValueError(
            f"truth has shape {truth.shape}, readings {readings.shape}; "
            "give two 1-D arrays of one length"
        )
    if np.unique(truth).size < 3:
        raise ValueError(f"truth has {np.unique(truth).size} different sizes; use at least 3")
    if truth.min() <= 0:
        raise ValueError(f"truth holds {truth.min()}; known counts are positive")

    design = np.column_stack([np.ones_like(truth), 1 / truth])  # divided by truth: equal weights
    (gain, offset), *_ = np.linalg.lstsq(design, readings / truth, rcond=None)
    left = readings / truth - design @ [gain, offset]
    variance = float(left @ left) / max(truth.size - 2, 1)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * variance)
    line = gain * truth + offset
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = float(np.sqrt(np.mean(((readings - line) / line) ** 2)))
    verdict, reasons = _judge(gain, offset, errors, residual, truth.min(), tolerance, noise_limit)
    return Calibration(
        float(gain), float(offset), float(errors[0]), float(errors[1]), residual, verdict, reasons
    )


def _judge(gain, offset, errors, residual, smallest, tolerance, noise_limit):
    if gain <= 3 * errors[0] or not np.isfinite(residual):
        return "not usable", ("the reading does not grow with the work",)
    if residual > noise_limit:
        return "not usable", (
            f"readings scatter {residual:.1%} about the line, more than {noise_limit:.0%}",
        )
    reasons = []
    if abs(gain - 1) > tolerance:
        kind = "over" if gain > 1 else "under"
        reasons.append(f"{kind}counts: {gain:.3f} counts per unit of work")
    if abs(offset) > max(tolerance * smallest, 3 * errors[1]):
        reasons.append(f"a constant {offset:+.3g} counts is read along with the work")
    if reasons:
        return "usable after correction", tuple(reasons)
    return "usable", (f"gain {gain:.3f} and offset are within {tolerance:.0%}",)


def synthetic_readings(
    truth, gain: float = 1.0, offset: float = 0.0, noise: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Readings of a made-up counter: ``(gain * truth + offset) * (1 + noise * normal)``.

    Parameters
    ----------
    truth : array_like, shape (n,)
    gain, offset : float
        For instance ``*DEFECTS["fma_counted_once"]``.
    noise : float
        Relative standard deviation of one reading, 0 or more.
    seed : int
    """
    if noise < 0:
        raise ValueError(f"noise is {noise}; it must be 0 or more")
    truth = np.asarray(truth, dtype=float)
    scatter = 1 + noise * np.random.default_rng(seed).standard_normal(truth.shape)
    return np.rint(np.maximum((gain * truth + offset) * scatter, 0))
