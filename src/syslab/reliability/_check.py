"""Checks that every part of the package makes of its arguments."""

import math

import numpy as np


def share(name: str, value: float, *, open_below: bool = False, open_above: bool = False) -> float:
    """Return ``value`` as a float, from 0 to 1, or raise ValueError naming the argument."""
    low_ok = value > 0 if open_below else value >= 0
    high_ok = value < 1 if open_above else value <= 1
    if not (low_ok and high_ok):  # also true of NaN
        left, right = "(" if open_below else "[", ")" if open_above else "]"
        raise ValueError(
            f"{name}={value!r}: must be a share in {left}0, 1{right}; write 99.9 % as 0.999"
        )
    return float(value)


def positive(name: str, value: float, unit: str = "") -> float:
    """Return ``value`` as a float above 0 and finite, or raise ValueError."""
    if not (value > 0 and math.isfinite(value)):
        of = f" {unit}" if unit else ""
        raise ValueError(f"{name}={value!r}: must be a finite number{of} above 0")
    return float(value)


def not_negative(name: str, value: float, unit: str = "") -> float:
    """Return ``value`` as a float of 0 or more and finite, or raise ValueError."""
    if not (value >= 0 and math.isfinite(value)):
        of = f" {unit}" if unit else ""
        raise ValueError(f"{name}={value!r}: must be a finite number{of} of 0 or more")
    return float(value)


def count(name: str, value: int, least: int = 1) -> int:
    """Return ``value`` as an int of at least ``least``, or raise ValueError."""
    if isinstance(value, bool) or int(value) != value or value < least:
        raise ValueError(f"{name}={value!r}: must be a whole number, {least} or more")
    return int(value)


def counts(bad, total, per: str = "minute") -> tuple[np.ndarray, np.ndarray]:
    """Return both as float arrays of one shape, 0 <= bad <= total everywhere.

    ``per`` is what one value stands for, "minute" or "day"; errors name it.
    """
    bad, total = np.atleast_1d(np.asarray(bad, float)), np.atleast_1d(np.asarray(total, float))
    if bad.shape != total.shape or bad.ndim != 1:
        raise ValueError(
            f"bad has shape {bad.shape} and total {total.shape}; give one number per {per} in each"
        )
    if not ((bad >= 0) & (bad <= total)).all():
        at = int(np.argmin((bad >= 0) & (bad <= total)))
        raise ValueError(
            f"{per} {at}: bad={bad[at]:g} of total={total[at]:g}; every {per} needs "
            "0 <= bad <= total"
        )
    return bad, total
