"""Retries multiply load exactly when there is too much of it."""

from syslab.queueing.distributions import check_count, check_positive


def retry_amplification(failure: float, attempts: int, layers: int = 1) -> float:
    """Tries that reach the lowest layer for one request at the top.

    Parameters
    ----------
    failure : float
        Probability, in [0, 1], that one try at the lowest layer fails, independent of the others.
        A layer above fails when all tries below it have: with failure ** attempts.
    attempts : int
        Most tries that one layer makes.
    layers : int
        Layers of callers that each retry on their own: their factors multiply.

    Examples
    --------
    >>> retry_amplification(1.0, 3, layers=3)
    27.0
    """
    check_count("attempts", attempts)
    check_count("layers", layers)
    if not 0 <= failure <= 1:
        raise ValueError(f"failure is {failure}; a probability lies in [0, 1]")
    tries = 1.0
    for _ in range(layers):
        tries *= sum(failure**i for i in range(attempts))
        failure **= attempts
    return tries


def overload_state(
    arrival_rate: float, capacity: float, attempts: int, budget: float | None = None
) -> str:
    """Whether a storm of retries, once begun, keeps itself alive.

    In a storm every try times out, so that each request costs all its tries and the load is
    arrival_rate · attempts, or with a budget at most arrival_rate · (1 + budget).  The terms are
    those of Bronson et al., *Metastable Failures in Distributed Systems* (HotOS 2021).

    Parameters
    ----------
    arrival_rate, capacity : float
        First tries per second, and requests per second that all servers can do.
    attempts : int
        Tries per request at most, the first included.
    budget : float or None
        Retries per first try that a retry budget lets through.

    Returns
    -------
    str
        ``"overloaded"`` without any retry; ``"vulnerable"``: works until a trigger starts a storm,
        which then outlives the trigger; ``"stable"``: any storm dies down.
    """
    check_positive("arrival_rate", arrival_rate)
    check_positive("capacity", capacity)
    check_count("attempts", attempts)
    if arrival_rate >= capacity:
        return "overloaded"
    factor = attempts if budget is None else min(attempts, 1 + budget)
    return "vulnerable" if arrival_rate * factor >= capacity else "stable"
