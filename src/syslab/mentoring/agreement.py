"""How far raters agree, beyond what chance or a shared scale gives.

Sources: Cohen, Educational and Psychological Measurement 20 (1960) 37-46, weights: Psychological
Bulletin 70 (1968) 213-220; Shrout and Fleiss, Psychological Bulletin 86 (1979) 420-428;
Krippendorff, Content Analysis (2004), chapter 11.
"""

import numpy as np


def cohen_kappa(a, b, weights: str | None = None) -> float:
    """Agreement of two raters on categories, corrected for chance: 1 full, 0 as by chance.

    Parameters
    ----------
    a, b : sequence, shape (n,)
        Categories; numbers with ``weights``.
    weights : None or "quadratic"
        None counts every disagreement alike, "quadratic" by the square of its distance.

    Returns
    -------
    float
        nan when both use one and the same category throughout: then chance explains everything.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"a and b: shapes {a.shape} and {b.shape}; give two lists of one length")
    labels, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    if weights is None:
        cost = 1 - np.eye(len(labels))
    elif weights == "quadratic":
        cost = np.subtract.outer(labels, labels).astype(float) ** 2
    else:
        raise ValueError(f"weights={weights!r}: must be None or 'quadratic'")
    table = np.zeros((len(labels), len(labels)))
    np.add.at(table, (places[: len(a)], places[len(a) :]), 1 / len(a))
    by_chance = np.outer(table.sum(axis=1), table.sum(axis=0))
    chance = (cost * by_chance).sum()
    return float("nan") if chance == 0 else float(1 - (cost * table).sum() / chance)


def icc(ratings, average: bool = False, consistency: bool = False) -> float:
    """Intraclass correlation of a full table, two-way random effects.

    Parameters
    ----------
    ratings : array, shape (n, k)
        Candidates by raters, no gaps.
    average : bool
        Reliability of the mean of the k raters instead of one rater's.
    consistency : bool
        Ignore that some raters are more lenient: Shrout and Fleiss' ICC(3), not ICC(2).
    """
    x = np.asarray(ratings, float)
    if x.ndim != 2 or min(x.shape) < 2 or np.isnan(x).any():
        raise ValueError(f"ratings: shape {x.shape}; give candidates x raters, 2 or more, no nan")
    n, k = x.shape
    rows = k * ((x.mean(1) - x.mean()) ** 2).sum() / (n - 1)
    columns = n * ((x.mean(0) - x.mean()) ** 2).sum() / (k - 1)
    rest = ((x - x.mean(1)[:, None] - x.mean(0) + x.mean()) ** 2).sum() / ((n - 1) * (k - 1))
    lenience = 0.0 if consistency else (columns - rest) / n
    size = 1 if average else k
    below = rows + (0 if average else (k - 1) * rest) + size * lenience
    return float((rows - rest) / below)


def krippendorff_alpha(ratings) -> float:
    """Agreement of any number of raters with gaps, interval scale: 1 - observed / expected.

    Parameters
    ----------
    ratings : array, shape (n, k)
        Candidates by raters, nan where a rater did not see the candidate. Candidates seen by
        fewer than two raters cannot be paired and are left out.
    """
    x = np.asarray(ratings, float)
    if x.ndim != 2:
        raise ValueError(f"ratings: shape {x.shape}; give candidates x raters")
    x = x[(~np.isnan(x)).sum(axis=1) >= 2]
    values = x[~np.isnan(x)]
    if len(values) < 2:
        raise ValueError("ratings: no candidate was seen by two raters")
    observed = 0.0
    for row in x:
        seen = row[~np.isnan(row)]
        # Sum over ordered pairs of (a - b)^2 is 2 m sum(x^2) - 2 (sum x)^2.
        observed += 2 * (len(seen) * (seen**2).sum() - seen.sum() ** 2) / (len(seen) - 1)
    n = len(values)
    chance = 2 * (n * (values**2).sum() - values.sum() ** 2) / (n - 1)
    return float("nan") if chance == 0 else float(1 - observed / chance)
