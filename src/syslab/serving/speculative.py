"""Speculative decoding: what is to be expected of a small model that guesses ahead.

A draft model proposes ``draft_tokens`` tokens; the large model checks all of them in one step and
keeps those up to the first rejection, plus one token of its own. After Leviathan et al., "Fast
inference from transformers via speculative decoding", ICML 2023. The closed forms assume that
each guess is accepted with the same probability, independently.
"""

from __future__ import annotations

import numpy as np


def expected_tokens(acceptance: float, draft_tokens: int) -> float:
    """Return the tokens that one step of the large model yields on average.

    ``(1 - a ** (k + 1)) / (1 - a)`` for acceptance ``a`` and ``k`` guesses: 1 without guesses,
    ``k + 1`` if all are right.

    Examples
    --------
    >>> expected_tokens(0.8, 4)
    3.3616
    """
    _legal(acceptance, draft_tokens)
    if acceptance == 1:
        return float(draft_tokens + 1)
    return round((1 - acceptance ** (draft_tokens + 1)) / (1 - acceptance), 12)


def speedup(acceptance: float, draft_tokens: int, draft_cost: float, check_cost=1.0) -> float:
    """Return how many times faster tokens come than without speculation.

    Parameters
    ----------
    draft_cost : float
        Time of one draft step over that of one ordinary step of the large model.
    check_cost : float
        Time of a step that checks ``draft_tokens + 1`` tokens over that of an ordinary one. 1
        while reading the weights takes longer than multiplying by them, so at small batch; more
        when the batch is large, which is where speculation stops paying.
    """
    if not draft_cost >= 0:
        raise ValueError(f"draft_cost={draft_cost!r}: must be 0 or more")
    if not check_cost > 0:
        raise ValueError(f"check_cost={check_cost!r}: must be above 0")
    step = draft_tokens * draft_cost + check_cost
    return expected_tokens(acceptance, draft_tokens) / step


def best_draft_tokens(acceptance: float, draft_cost: float, most: int = 32) -> int:
    """Return the number of guesses with the highest speedup; 0 if guessing does not pay."""
    return max(range(most + 1), key=lambda k: speedup(acceptance, k, draft_cost))


def acceptance_rate(target, draft) -> float:
    """Return how likely a guess from ``draft`` is accepted: the overlap of two distributions.

    ``sum(min(p, q))`` over the vocabulary; each of ``target`` and ``draft`` sums to 1.
    """
    p, q = _distribution("target", target), _distribution("draft", draft)
    if p.shape != q.shape:
        raise ValueError(f"draft has shape {q.shape} and target {p.shape}: one vocabulary")
    return float(np.minimum(p, q).sum())


def accept_or_replace(target, draft, draw: np.random.Generator) -> tuple[int, bool]:
    """Draw a guess from ``draft`` and let ``target`` accept or replace it.

    Accepted with probability ``min(1, p / q)``, else replaced by a draw from the rest,
    ``max(0, p - q)`` normalised. The result is distributed exactly as ``target``.
    """
    p, q = _distribution("target", target), _distribution("draft", draft)
    guess = int(draw.choice(q.size, p=q))
    if draw.random() * q[guess] <= p[guess]:
        return guess, True
    rest = np.maximum(p - q, 0)
    return int(draw.choice(p.size, p=rest / rest.sum())), False


def simulate_steps(acceptance: float, draft_tokens: int, steps: int, seed: int = 0) -> np.ndarray:
    """Return the tokens yielded by each of ``steps`` steps, guess by guess."""
    _legal(acceptance, draft_tokens)
    accepted = np.random.default_rng(seed).random((steps, draft_tokens)) < acceptance
    return 1 + np.cumprod(accepted, axis=1).sum(axis=1)


def _legal(acceptance: float, draft_tokens: int) -> None:
    if not 0 <= acceptance <= 1:
        raise ValueError(f"acceptance={acceptance!r}: must be a probability, 0 to 1")
    if isinstance(draft_tokens, bool) or int(draft_tokens) != draft_tokens or draft_tokens < 0:
        raise ValueError(f"draft_tokens={draft_tokens!r}: must be a whole number, 0 or more")


def _distribution(name: str, values) -> np.ndarray:
    values = np.asarray(values, float)
    if values.ndim != 1 or (values < 0).any() or not np.isclose(values.sum(), 1):
        raise ValueError(f"{name} must be one row of probabilities that sum to 1")
    return values / values.sum()
