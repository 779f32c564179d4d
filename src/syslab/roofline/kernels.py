"""How much work a kernel is: FLOP and bytes in closed form.

Conventions, the same for every kernel here:

* A multiply and an add are 2 FLOP. An exponential, a division, a square root and a comparison
  are 1 each: the usual counting, and a convention, since their hardware cost differs.
* Attention counts its two matrix products and not its softmax, as FLOP counters do.
* Bytes are *compulsory*: each operand crosses the memory interface once, as if the caches were
  large enough for reuse and empty at the start. A real kernel moves that or more.
* "Fused" keeps intermediate results on the chip; "unfused" writes each of them to memory and
  reads it back, one pass per operation, as eager execution does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """What one kernel call does.

    ``flop`` counts operations; ``read_bytes`` and ``write_bytes`` count memory traffic.
    """

    name: str
    flop: float
    read_bytes: float
    write_bytes: float

    def __post_init__(self):
        for field in ("flop", "read_bytes", "write_bytes"):
            value = getattr(self, field)
            if not value >= 0:
                raise ValueError(f"{field}={value!r} of {self.name!r}: must be 0 or more")

    @property
    def bytes(self) -> float:
        """Read and written bytes together."""
        return self.read_bytes + self.write_bytes

    @property
    def intensity(self) -> float:
        """Arithmetic intensity, FLOP/B (infinite if nothing is moved)."""
        return self.flop / self.bytes if self.bytes else float("inf")


def triad(n: int, value_bytes: float = 8, write_allocate: bool = False) -> Work:
    """STREAM triad ``a = b + s * c`` over ``n`` elements.

    Each element costs 2 FLOP, two reads and a write: 24 B at 8 B a value. With
    ``write_allocate`` the cache first reads the line of ``a`` that it is about to overwrite, as
    ordinary stores do: 32 B.
    """
    _counts(n=n)
    _widths(value_bytes=value_bytes)
    reads = 3 if write_allocate else 2
    return Work("triad", 2 * n, reads * n * value_bytes, n * value_bytes)


def gemm(
    m: int, n: int, k: int, value_bytes: float = 2, out_value_bytes: float | None = None
) -> Work:
    """Matrix product ``C[m, n] = A[m, k] @ B[k, n]``: 2mnk FLOP, each matrix moved once.

    ``out_value_bytes`` is the width of C where it differs (2 for an fp8 product that writes
    bf16).
    """
    _counts(m=m, n=n, k=k)
    out_value_bytes = value_bytes if out_value_bytes is None else out_value_bytes
    _widths(value_bytes=value_bytes, out_value_bytes=out_value_bytes)
    return Work("gemm", 2 * m * n * k, (m * k + k * n) * value_bytes, m * n * out_value_bytes)


def gemv(rows: int, columns: int, value_bytes: float = 2) -> Work:
    """Matrix-vector product ``y[rows] = A[rows, columns] @ x[columns]``.

    At most 2 FLOP per matrix element and one read of it: 1 FLOP/B at 2 B a value, at any size.
    """
    _counts(rows=rows, columns=columns)
    _widths(value_bytes=value_bytes)
    read = (rows * columns + columns) * value_bytes
    return Work("gemv", 2 * rows * columns, read, rows * value_bytes)


def attention_prefill(
    batch: int,
    heads: int,
    kv_heads: int,
    tokens: int,
    head_dim: int,
    value_bytes: float = 2,
    causal: bool = True,
    fused: bool = True,
) -> Work:
    """Self-attention of a whole prompt: Q, K, V of ``tokens`` positions in, O out.

    Parameters
    ----------
    batch, tokens, head_dim : int
        Sequences, positions in each, elements per head.
    heads, kv_heads : int
        Query heads, and key/value heads they share; ``heads`` is a multiple of ``kv_heads``.
    value_bytes : float
        Bytes of an element of Q, K, V, O and of the scores.
    causal : bool
        A fused kernel skips the keys that come after a query: tokens * (tokens + 1) / 2 pairs
        instead of tokens ** 2. An unfused one computes the full square and then masks it.
    fused : bool
        True: the scores never leave the chip (FlashAttention). False: the scores are written,
        read by softmax, written as probabilities and read again, 4 trips of
        batch * heads * tokens ** 2 values.
    """
    _counts(batch=batch, heads=heads, kv_heads=kv_heads, tokens=tokens, head_dim=head_dim)
    _widths(value_bytes=value_bytes)
    _grouped(heads, kv_heads)
    pairs = tokens * (tokens + 1) // 2 if causal and fused else tokens**2
    flop = 4 * batch * heads * pairs * head_dim
    query_bytes = batch * heads * tokens * head_dim * value_bytes
    kv_bytes = 2 * batch * kv_heads * tokens * head_dim * value_bytes
    score_bytes = 0 if fused else 2 * batch * heads * tokens**2 * value_bytes
    return Work(
        "attention prefill", flop, query_bytes + kv_bytes + score_bytes, query_bytes + score_bytes
    )


def attention_decode(
    batch: int,
    heads: int,
    kv_heads: int,
    context: int,
    head_dim: int,
    value_bytes: float = 2,
    kv_value_bytes: float | None = None,
) -> Work:
    """Attention of one new token per sequence over a cache of ``context`` positions.

    The cache stores ``kv_heads`` heads, read once for all the query heads that share them, so
    the intensity tends to ``heads / kv_heads`` FLOP/B at 2 B a value, whatever the batch.
    ``context`` includes the new token; ``kv_value_bytes`` is the cache's width if it differs
    (1 for an fp8 cache). Writing the new token's K and V is not counted.
    """
    _counts(batch=batch, heads=heads, kv_heads=kv_heads, context=context, head_dim=head_dim)
    kv_value_bytes = value_bytes if kv_value_bytes is None else kv_value_bytes
    _widths(value_bytes=value_bytes, kv_value_bytes=kv_value_bytes)
    _grouped(heads, kv_heads)
    flop = 4 * batch * heads * context * head_dim
    query_bytes = batch * heads * head_dim * value_bytes
    kv_bytes = 2 * batch * kv_heads * context * head_dim * kv_value_bytes
    return Work("attention decode", flop, query_bytes + kv_bytes, query_bytes)


def softmax(rows: int, columns: int, value_bytes: float = 2, fused: bool = True) -> Work:
    """Softmax over the last axis of ``[rows, columns]``: 5 FLOP per element.

    The five are compare (maximum), subtract, exponential, add (sum) and divide. Unfused, they
    are five passes: 5 reads and 3 writes of the matrix, and of two values per row.
    """
    _counts(rows=rows, columns=columns)
    _widths(value_bytes=value_bytes)
    elements = rows * columns
    if fused:
        read, write = elements, elements
    else:
        read, write = 5 * elements + 2 * rows, 3 * elements + 2 * rows
    return Work("softmax", 5 * elements, read * value_bytes, write * value_bytes)


def layernorm(rows: int, columns: int, value_bytes: float = 2, fused: bool = True) -> Work:
    """Layer norm over the last axis of ``[rows, columns]`` with a gain and a bias.

    Per element 7 FLOP: add (mean), subtract, square, add (variance), scale, gain, bias; per row
    4: two divisions, epsilon, reciprocal square root. Unfused, 7 reads and 5 writes of the
    matrix, besides the row statistics.
    """
    _counts(rows=rows, columns=columns)
    _widths(value_bytes=value_bytes)
    elements = rows * columns
    if fused:
        read, write = elements + 2 * columns, elements
    else:
        read, write = 7 * elements + 4 * rows + 2 * columns, 5 * elements + 4 * rows
    return Work("layernorm", 7 * elements + 4 * rows, read * value_bytes, write * value_bytes)


def elementwise_chain(n: int, steps: int, value_bytes: float = 2, fused: bool = True) -> Work:
    """``steps`` one-operand operations (scale, add a constant, ReLU, ...) on ``n`` elements.

    Fused they share one read and one write, so intensity grows with ``steps``; unfused each
    step reads and writes the array and intensity stays that of a single step.
    """
    _counts(n=n, steps=steps)
    _widths(value_bytes=value_bytes)
    trips = 1 if fused else steps
    return Work("elementwise chain", steps * n, trips * n * value_bytes, trips * n * value_bytes)


def _counts(**named) -> None:
    for name, value in named.items():
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise ValueError(f"{name}={value!r}: must be a whole number, 1 or more")


def _widths(**named) -> None:
    for name, value in named.items():
        if not value > 0:
            raise ValueError(f"{name}={value!r}: must be more than 0 bytes (0.5 for 4 bits)")


def _grouped(heads: int, kv_heads: int) -> None:
    if kv_heads > heads or heads % kv_heads:
        raise ValueError(
            f"kv_heads={kv_heads!r}: heads={heads} must be a multiple of it (each key/value head "
            "is shared by the same number of query heads)"
        )
