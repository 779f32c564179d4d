"""How much of the beginning to leave out.

A simulation starts with empty queues, so its first requests wait less than requests do in the
long run.  Leaving them out removes that bias; leaving out too much wastes the run.
"""

import numpy as np


def mser(values, batch: int = 5) -> int:
    """Number of leading values to drop, by the rule MSER-5 (White, Simulation 1997).

    Average every `batch` values, then drop as many batches as make the standard error of the mean
    of the rest smallest; at most half, because the rule is blind near the end.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        In the order in which they were observed.
    batch : int

    Returns
    -------
    int
        A multiple of `batch`.
    """
    values = np.asarray(values, dtype=float)
    count = values.size // batch
    if count < 4:
        return 0
    means = values[: count * batch].reshape(count, batch).mean(axis=1)
    means = means - means.mean()  # keeps the difference of sums below accurate
    kept = np.arange(count, 0, -1)
    total = np.cumsum(means[::-1])[::-1]
    squares = np.cumsum(means[::-1] ** 2)[::-1]
    error = (squares - total**2 / kept) / kept**2
    return int(np.argmin(error[: count // 2 + 1])) * batch


def check_warmup(warmup: float | str) -> None:
    """Raise ValueError unless `warmup` is "mser" or a share in [0, 1)."""
    if warmup != "mser" and not (isinstance(warmup, int | float) and 0 <= warmup < 1):
        raise ValueError(
            f"warmup is {warmup!r}; it is the share of requests to leave out, in [0, 1), or 'mser'"
        )
