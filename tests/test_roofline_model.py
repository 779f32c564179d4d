"""The roofline model against hand-worked numbers and its own geometry."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syslab.roofline import (
    Ceiling,
    Roof,
    attainable,
    bound_by,
    datasheet_roof,
    ridge_point,
    time_bounds,
)

positive = st.floats(1e-3, 1e18)


def test_ridge_and_roof_of_a_hand_worked_machine():
    # 16 FLOP/s over 2 B/s: the roofs meet at 8 FLOP/B.
    assert ridge_point(16, 2) == 8
    assert attainable(4, 16, 2) == 8
    assert attainable(8, 16, 2) == 16
    assert attainable(1000, 16, 2) == 16
    assert attainable(0, 16, 2) == 0


def test_attainable_takes_arrays_and_keeps_their_shape():
    reach = attainable(np.array([[1, 8], [16, 0.5]]), 16, 2)
    assert reach.tolist() == [[2, 16], [16, 1]]
    assert isinstance(attainable(1, 16, 2), float)
    assert attainable([1, 2], 16, 2).tolist() == [2, 4]


@given(intensity=positive, peak=positive, bandwidth=positive)
def test_time_at_the_roof_is_the_lower_bound(intensity, peak, bandwidth):
    flop, moved = intensity * 1e6, 1e6
    lower, upper = time_bounds(flop, moved, peak, bandwidth)
    assert flop / attainable(intensity, peak, bandwidth) == pytest.approx(lower)
    assert lower <= upper <= 2 * lower


@given(peak=positive, bandwidth=positive)
def test_both_roofs_meet_at_the_ridge(peak, bandwidth):
    at = ridge_point(peak, bandwidth)
    assert at * bandwidth == pytest.approx(peak)
    assert attainable(at / 2, peak, bandwidth) == pytest.approx(peak / 2)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: ridge_point(0, 1), "peak=0"),
        (lambda: ridge_point(1, -2), "bandwidth=-2"),
        (lambda: attainable(-1, 1, 1), "intensity=-1"),
        (lambda: attainable([1, math.nan], 1, 1), "intensity=nan"),
        (lambda: attainable(1, math.inf, 1), "peak=inf"),
        (lambda: time_bounds(-5, 1, 1, 1), "flop=-5"),
        (lambda: time_bounds(1, -6, 1, 1), "bytes=-6"),
        (lambda: Ceiling("x", 0, "B/s"), "value=0"),
        (lambda: Ceiling("x", 1, "GB/s"), "unit='GB/s'"),
        (lambda: bound_by(0, [Ceiling("x", 1, "B/s")]), "intensity=0"),
        (lambda: bound_by(1, []), "ceilings=[]"),
        (lambda: Roof("m", [], [Ceiling("x", 1, "B/s")]), "compute=()"),
        (lambda: Roof("m", [Ceiling("x", 1, "B/s")], [Ceiling("x", 1, "B/s")]), "'x' in B/s"),
    ],
)
def test_errors_name_argument_and_value(call, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        call()


def test_a_peak_given_as_text_is_refused_by_name():
    with pytest.raises(TypeError, match="peak='1e12'"):
        attainable(1, "1e12", 1e9)


def test_bound_by_names_the_lowest_ceiling_and_what_lifting_it_gains():
    peak, scalar = Ceiling("peak", 1000, "FLOP/s"), Ceiling("no SIMD", 125, "FLOP/s")
    dram = Ceiling("DRAM", 100, "B/s")
    # At 2 FLOP/B: DRAM allows 200, scalar code 125, the peak 1000.
    bound = bound_by(2, [peak, scalar, dram], flops=50)
    assert bound.ceiling == scalar
    assert bound.attainable == 125
    assert bound.headroom == pytest.approx(200 / 125)
    assert bound.efficiency == pytest.approx(50 / 125)
    assert "no SIMD" in str(bound)
    # At 1 FLOP/B memory is lowest.
    assert bound_by(1, [peak, scalar, dram]).ceiling == dram
    assert bound_by(1, [dram]).headroom == math.inf


def test_a_roof_is_its_first_ceilings():
    roof = Roof(
        "m",
        [Ceiling("bf16", 100, "FLOP/s"), Ceiling("fp32", 50, "FLOP/s")],
        [Ceiling("DRAM", 10, "B/s"), Ceiling("L2", 40, "B/s")],
    )
    assert (roof.peak, roof.bandwidth, roof.ridge) == (100, 10, 10)
    assert roof.attainable(5) == 50
    # Of a roof, only the first two bind; fp32's ceiling does not bound a bf16 kernel.
    assert bound_by(8, roof).ceiling.name == "DRAM"
    assert len(roof.ceilings) == 4


def test_datasheet_roof_takes_dense_peaks_from_the_registry():
    roof = datasheet_roof("H100 SXM", "bf16", "fp8")
    # The published ridge: 989.4e12 / 3.35e12.
    assert roof.ridge == pytest.approx(295.3, abs=0.1)
    assert [c.name for c in roof.compute] == ["bf16", "fp8"]
    assert roof.compute[1].value == pytest.approx(2 * roof.peak, rel=1e-3)
