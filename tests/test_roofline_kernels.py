"""Closed forms of FLOP and bytes against counts made by other means.

FLOP of matrix products: torch's FlopCounterMode. Everything else: a dispatch hook that watches
each operation of an eager program and adds up the elements it computes and the bytes of the
tensors it reads and writes.
"""

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from syslab.roofline import kernels
from syslab.roofline.kernels import Work

ROWS, COLUMNS = 7, 12
VIEWS = {"view", "transpose", "t", "expand", "unsqueeze", "permute", "_unsafe_view", "alias"}


def nbytes(*tensors):
    return sum(t.element_size() * t.nelement() for t in tensors)


class Watch(TorchDispatchMode):
    """Adds up what eager execution does, operation by operation."""

    def __init__(self):
        super().__init__()
        self.flop = self.read_bytes = self.write_bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in VIEWS:
            return out
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        self.read_bytes += nbytes(*tensors)
        self.write_bytes += nbytes(out)
        if name in ("sum", "amax", "mean"):
            self.flop += tensors[0].nelement()  # one operation per element reduced
            self.flop += out.nelement() if name == "mean" else 0  # and the division of a mean
        else:
            self.flop += out.nelement()
        return out


def counted_flop(call):
    # The plain path of torch's attention: its counter does not know the fused CPU kernel.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops()


def test_gemm_flop_as_torch_counts_and_bytes_as_tensors_hold():
    a, b = torch.ones(5, 11, dtype=torch.bfloat16), torch.ones(11, 3, dtype=torch.bfloat16)
    work = kernels.gemm(5, 3, 11, value_bytes=2)
    assert work.flop == counted_flop(lambda: a @ b)
    assert (work.read_bytes, work.write_bytes) == (nbytes(a, b), nbytes(a @ b))


def test_gemm_flop_by_brute_force():
    m, n, k, flop = 2, 3, 4, 0
    for _ in range(m):
        for _ in range(n):
            for _ in range(k):
                flop += 2  # a multiply and an add
    assert kernels.gemm(m, n, k).flop == flop


def test_a_large_square_gemm_does_n_over_3_flop_per_byte():
    assert kernels.gemm(3000, 3000, 3000, value_bytes=2).intensity == pytest.approx(1000)


def test_gemv_against_torch():
    a, x = torch.ones(6, 9), torch.ones(9)
    work = kernels.gemv(6, 9, value_bytes=4)
    assert work.flop == counted_flop(lambda: a @ x.unsqueeze(1))
    assert (work.read_bytes, work.write_bytes) == (nbytes(a, x), nbytes(a @ x))


def test_triad_bytes_with_and_without_the_line_a_store_fetches():
    n = 10
    assert kernels.triad(n).bytes == 24 * n
    assert kernels.triad(n, write_allocate=True).bytes == 32 * n
    assert kernels.triad(n).intensity == pytest.approx(2 / 24)
    assert kernels.triad(n, write_allocate=True).intensity == pytest.approx(2 / 32)
    assert kernels.triad(n, value_bytes=4).bytes == 12 * n


def test_triad_flop_as_an_eager_program_does_it():
    b, c = torch.ones(10, dtype=torch.float64), torch.ones(10, dtype=torch.float64)
    with Watch() as seen:
        b + 3.0 * c
    assert kernels.triad(10).flop == seen.flop


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_prefill_of_all_pairs_against_torch(kv_heads):
    batch, heads, tokens, head_dim = 2, 4, 6, 8
    q = torch.ones(batch, heads, tokens, head_dim)
    k = v = torch.ones(batch, kv_heads, tokens, head_dim)
    every = [t.repeat_interleave(heads // kv_heads, 1) for t in (k, v)]
    work = kernels.attention_prefill(batch, heads, kv_heads, tokens, head_dim, 4, causal=False)
    assert work.flop == counted_flop(lambda: F.scaled_dot_product_attention(q, *every))
    assert work.read_bytes == nbytes(q, k, v)
    assert work.write_bytes == nbytes(q)


def test_causal_prefill_by_counting_pairs():
    tokens, pairs = 9, 0
    for query in range(tokens):
        for key in range(tokens):
            pairs += key <= query
    work = kernels.attention_prefill(3, 4, 2, tokens, 8, causal=True)
    assert work.flop == 3 * 4 * pairs * 2 * 8 * 2  # two products of 8 multiply-adds per pair


def test_unfused_prefill_as_eager_execution_moves_it():
    batch, heads, tokens, head_dim = 2, 3, 5, 4
    q, k, v = (torch.ones(batch * heads, tokens, head_dim) for _ in range(3))
    with Watch() as seen:
        scores = torch.bmm(q, k.transpose(1, 2))
        torch.bmm(torch.softmax(scores, -1), v)
    work = kernels.attention_prefill(batch, heads, heads, tokens, head_dim, 4, fused=False)
    assert (work.read_bytes, work.write_bytes) == (seen.read_bytes, seen.write_bytes)
    # The mask comes after the product, so causal attention costs the full square here.
    assert work.flop == 2 * counted_flop(lambda: torch.bmm(q, k.transpose(1, 2)))


@pytest.mark.parametrize("kv_heads", [1, 2, 8])
def test_decode_against_torch(kv_heads):
    batch, heads, context, head_dim = 3, 8, 10, 4
    q = torch.ones(batch, heads, 1, head_dim, dtype=torch.bfloat16)
    k, v = (torch.ones(batch, kv_heads, context, head_dim, dtype=torch.bfloat16) for _ in range(2))
    every = [t.repeat_interleave(heads // kv_heads, 1) for t in (k, v)]
    work = kernels.attention_decode(batch, heads, kv_heads, context, head_dim)
    assert work.flop == counted_flop(lambda: F.scaled_dot_product_attention(q, *every))
    assert (work.read_bytes, work.write_bytes) == (nbytes(q, k, v), nbytes(q))


def test_decode_intensity_tends_to_the_group_size_whatever_the_batch():
    one = kernels.attention_decode(1, 64, 8, 100_000, 128).intensity
    many = kernels.attention_decode(256, 64, 8, 100_000, 128).intensity
    assert one == pytest.approx(8, rel=1e-3)
    assert one == pytest.approx(many)
    halved = kernels.attention_decode(1, 64, 8, 100_000, 128, kv_value_bytes=1)
    assert halved.intensity == pytest.approx(16, rel=1e-3)


def test_softmax_unfused_as_eager_execution_does_it():
    x = torch.randn(ROWS, COLUMNS)
    with Watch() as seen:
        powers = torch.exp(x - x.amax(-1, keepdim=True))
        powers / powers.sum(-1, keepdim=True)
    work = kernels.softmax(ROWS, COLUMNS, 4, fused=False)
    assert (work.flop, work.read_bytes, work.write_bytes) == (
        seen.flop,
        seen.read_bytes,
        seen.write_bytes,
    )


def test_softmax_fused_moves_its_operands_once():
    x = torch.randn(ROWS, COLUMNS)
    work = kernels.softmax(ROWS, COLUMNS, 4)
    assert (work.read_bytes, work.write_bytes) == (nbytes(x), nbytes(torch.softmax(x, -1)))
    assert work.flop == kernels.softmax(ROWS, COLUMNS, 4, fused=False).flop


def test_layernorm_unfused_as_eager_execution_does_it():
    x, gain, bias = torch.randn(ROWS, COLUMNS), torch.randn(COLUMNS), torch.randn(COLUMNS)
    with Watch() as seen:
        centred = x - x.mean(-1, keepdim=True)
        variance = torch.square(centred).mean(-1, keepdim=True)
        y = centred * torch.rsqrt(variance + 1e-5) * gain + bias
    assert torch.allclose(y, F.layer_norm(x, [COLUMNS], gain, bias), atol=1e-5)
    work = kernels.layernorm(ROWS, COLUMNS, 4, fused=False)
    assert (work.flop, work.read_bytes, work.write_bytes) == (
        seen.flop,
        seen.read_bytes,
        seen.write_bytes,
    )


def test_layernorm_fused_moves_its_operands_once():
    x, gain, bias = torch.randn(ROWS, COLUMNS), torch.randn(COLUMNS), torch.randn(COLUMNS)
    work = kernels.layernorm(ROWS, COLUMNS, 4)
    assert (work.read_bytes, work.write_bytes) == (nbytes(x, gain, bias), nbytes(x))


@pytest.mark.parametrize("steps", [1, 4])
def test_elementwise_chain_as_eager_execution_does_it(steps):
    x = torch.ones(10)
    with Watch() as seen:
        y = x
        for _ in range(steps):
            y = y * 1.5
    unfused = kernels.elementwise_chain(10, steps, 4, fused=False)
    assert (unfused.flop, unfused.read_bytes, unfused.write_bytes) == (
        seen.flop,
        seen.read_bytes,
        seen.write_bytes,
    )
    fused = kernels.elementwise_chain(10, steps, 4)
    assert fused.bytes == nbytes(x, y)
    assert fused.intensity == pytest.approx(steps * unfused.intensity)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: kernels.gemm(0, 1, 1), "m=0"),
        (lambda: kernels.gemm(1, 1.5, 1), "n=1.5"),
        (lambda: kernels.gemm(1, 1, 1, value_bytes=0), "value_bytes=0"),
        (lambda: kernels.attention_decode(1, 8, 3, 10, 64), "kv_heads=3"),
        (lambda: kernels.attention_prefill(1, 2, 4, 10, 64), "kv_heads=4"),
        (lambda: kernels.elementwise_chain(10, 0), "steps=0"),
        (lambda: Work("x", -1, 0, 0), "flop=-1"),
    ],
)
def test_errors_name_argument_and_value(call, named):
    with pytest.raises(ValueError, match=named):
        call()
