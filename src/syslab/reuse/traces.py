"""Byte addresses of access patterns met in AI systems.

Every generator returns an int64 array of byte addresses in program order; `lines` turns them into
line numbers.  Patterns that touch whole rows or whole token entries give one address per line.
"""

import numpy as np

LINE_BYTES = 64


def lines(addresses, line_bytes: int = LINE_BYTES) -> np.ndarray:
    """Line number of every byte address.  Elements per line is line_bytes / element_bytes."""
    _positive(line_bytes=line_bytes)
    return np.asarray(addresses, dtype=np.int64) // line_bytes


def streaming(elements: int, passes: int = 1, element_bytes: int = 8) -> np.ndarray:
    """Read an array from end to end, ``passes`` times."""
    return strided(elements, element_bytes, passes)


def strided(accesses: int, stride_bytes: int, passes: int = 1) -> np.ndarray:
    """``accesses`` addresses ``stride_bytes`` apart, ``passes`` times over."""
    _positive(accesses=accesses, stride_bytes=stride_bytes, passes=passes)
    return np.tile(np.arange(accesses, dtype=np.int64) * stride_bytes, passes)


def uniform(footprint_lines: int, accesses: int, seed: int = 0) -> np.ndarray:
    """Each access to a line drawn uniformly from ``footprint_lines``."""
    _positive(footprint_lines=footprint_lines, accesses=accesses)
    return np.random.default_rng(seed).integers(0, footprint_lines, accesses) * LINE_BYTES


def zipf(footprint_lines: int, accesses: int, exponent: float = 1.0, seed: int = 0) -> np.ndarray:
    """Each access to a line of popularity rank r with probability proportional to 1 / r^exponent.

    Ranks are scattered over the addresses.
    """
    _positive(footprint_lines=footprint_lines, accesses=accesses)
    return _zipf_items(footprint_lines, accesses, exponent, seed) * LINE_BYTES


def embedding(
    rows: int, row_bytes: int, lookups: int, exponent: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Lookups of whole rows of an embedding table, popularity as in `zipf`."""
    _positive(rows=rows, row_bytes=row_bytes, lookups=lookups)
    starts = _zipf_items(rows, lookups, exponent, seed) * row_bytes
    first, last = starts // LINE_BYTES, (starts + row_bytes - 1) // LINE_BYTES
    return _whole_lines(first, last)


def kv_decode(prompt_tokens: int, new_tokens: int, bytes_per_token: int) -> np.ndarray:
    """KV-cache traffic of decoding: every step sweeps the cache so far, then appends one token.

    Parameters
    ----------
    prompt_tokens, new_tokens : int
    bytes_per_token : int
        Of the part of the cache that is modelled, for instance one layer and one KV head:
        2 x head_dim x bytes per value.
    """
    _positive(prompt_tokens=prompt_tokens, new_tokens=new_tokens, bytes_per_token=bytes_per_token)
    steps = []
    for tokens in range(prompt_tokens, prompt_tokens + new_tokens):
        used = tokens * bytes_per_token
        sweep = np.arange(0, used, LINE_BYTES, dtype=np.int64)
        append = (
            np.arange(
                used // LINE_BYTES, (used + bytes_per_token - 1) // LINE_BYTES + 1, dtype=np.int64
            )
            * LINE_BYTES
        )
        steps += [sweep, append]
    return np.concatenate(steps)


def matmul(
    n: int,
    order: str = "ijk",
    block: int | None = None,
    element_bytes: int = 8,
    bases: tuple[int, int, int] | None = None,
) -> np.ndarray:
    """Loads and stores of C = A B on row-major n x n matrices, as a compiler would emit them.

    - ``ijk``: A[i,k] and B[k,j] in the inner loop, C[i,j] stored once after it.
    - ``ikj``: A[i,k] loaded once, then B[k,j], C[i,j] loaded and C[i,j] stored for every j.
    - ``blocked``: ``ikj`` inside tiles of ``block`` x ``block`` (n must be a multiple).

    Parameters
    ----------
    bases : three ints, optional
        Byte addresses of A, B and C; one after the other from 0 when left out.
    """
    _positive(n=n, element_bytes=element_bytes)
    a, b, c = bases or (0, n * n * element_bytes, 2 * n * n * element_bytes)
    if order == "ijk":
        return _ijk(n, a, b, c, element_bytes)
    if order == "ikj":
        return _tile(n, n, a, b, c, element_bytes)
    if order != "blocked":
        raise ValueError(f"order is {order!r}; it must be 'ijk', 'ikj' or 'blocked'")
    if not block or block < 1 or n % block:
        raise ValueError(f"block is {block}; it must divide n = {n}")
    tile = _tile(n, block, a, b, c, element_bytes)
    is_a, is_b = (tile < b), (tile >= b) & (tile < c)
    if not a < b < c:
        raise ValueError(f"bases is {bases}; blocked order needs A below B below C")
    row, column = n * block * element_bytes, block * element_bytes
    tiles = range(n // block)
    shifts = (
        (ii * row + kk * column, kk * row + jj * column, ii * row + jj * column)
        for ii in tiles
        for kk in tiles
        for jj in tiles
    )
    return np.concatenate(
        [tile + np.where(is_a, sa, np.where(is_b, sb, sc)) for sa, sb, sc in shifts]
    )


def _ijk(n: int, a: int, b: int, c: int, size: int) -> np.ndarray:
    i, j = np.divmod(np.arange(n * n, dtype=np.int64), n)
    k = np.arange(n, dtype=np.int64)
    out = np.empty((n * n, 2 * n + 1), np.int64)
    out[:, 0 : 2 * n : 2] = a + (i[:, None] * n + k) * size
    out[:, 1 : 2 * n : 2] = b + (k * n + j[:, None]) * size
    out[:, 2 * n] = c + (i * n + j) * size
    return out.reshape(-1)


def _tile(n: int, block: int, a: int, b: int, c: int, size: int) -> np.ndarray:
    """The i-k-j loop over the first ``block`` rows and columns of n x n matrices."""
    i, k = np.divmod(np.arange(block * block, dtype=np.int64), block)
    j = np.arange(block, dtype=np.int64)
    out = np.empty((block * block, 3 * block + 1), np.int64)
    out[:, 0] = a + (i * n + k) * size
    out[:, 1::3] = b + (k[:, None] * n + j) * size
    out[:, 2::3] = c + (i[:, None] * n + j) * size
    out[:, 3::3] = out[:, 2::3]
    return out.reshape(-1)


def _zipf_items(items: int, draws: int, exponent: float, seed: int) -> np.ndarray:
    if exponent < 0:
        raise ValueError(f"exponent is {exponent}; it must be 0 (uniform) or more")
    rng = np.random.default_rng(seed)
    cumulative = np.cumsum(np.arange(1, items + 1, dtype=np.float64) ** -exponent)
    ranks = np.searchsorted(cumulative, rng.random(draws) * cumulative[-1], side="right")
    return rng.permutation(items)[np.minimum(ranks, items - 1)]


def _whole_lines(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Addresses of lines first[i]..last[i] for every i, in order."""
    counts = last - first + 1
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return (np.repeat(first, counts) + offset) * LINE_BYTES


def _positive(**values) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
