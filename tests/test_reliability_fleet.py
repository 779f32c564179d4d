"""Availability, fleets and checkpoints: enumeration, published counts, and simulation."""

import itertools
import math

import numpy as np
import pytest

from syslab import facts
from syslab.reliability import (
    availability,
    best_interval_s,
    daly_interval_s,
    downtime_min,
    efficiency,
    expected_interruptions,
    first_order_loss,
    hours_at_survival,
    job_mtti_h,
    k_of,
    k_of_n,
    llama3_405b,
    mttr_for,
    nines,
    parallel,
    series,
    simulate_efficiency,
    survival,
    unit_mttf_h,
    yearly_failure_share,
    young_interval_s,
)

# ------------------------------------------------------------------ availability


def enumerated(k, parts):
    """Add up the probabilities of all 2^n states in which at least k parts are up."""
    total = 0.0
    for state in itertools.product((True, False), repeat=len(parts)):
        p = math.prod(a if up else 1 - a for a, up in zip(parts, state, strict=True))
        total += p * (sum(state) >= k)
    return total


@pytest.mark.parametrize("parts", [(0.9,), (0.99, 0.9, 0.5), (0.999, 0.99, 0.95, 0.8, 0.7)])
def test_composition_against_enumeration(parts):
    assert series(*parts) == pytest.approx(enumerated(len(parts), parts))
    assert parallel(*parts) == pytest.approx(enumerated(1, parts))
    for k in range(1, len(parts) + 1):
        assert k_of(k, parts) == pytest.approx(enumerated(k, parts))


@pytest.mark.parametrize(("k", "n"), [(1, 2), (2, 3), (3, 5)])
def test_k_of_n_equal_parts(k, n):
    assert k_of_n(k, n, 0.97) == pytest.approx(enumerated(k, [0.97] * n))
    assert k_of_n(n, n, 0.97) == pytest.approx(series(*[0.97] * n))
    assert k_of_n(1, n, 0.97) == pytest.approx(parallel(*[0.97] * n))


def test_common_cause_by_drawing_it():
    rng, n, q, beta = np.random.default_rng(3), 400_000, 0.1, 0.2
    common = rng.random(n) < beta * q
    alone = rng.random((n, 3)) < 1 - (1 - q) / (1 - beta * q)
    down = alone | common[:, None]
    assert down.mean() == pytest.approx(q, abs=0.002)  # each part is as unavailable as before
    up = (~down).sum(axis=1)
    assert k_of_n(2, 3, 1 - q, beta) == pytest.approx((up >= 2).mean(), abs=0.0015)


def test_common_cause_takes_the_nines_of_redundancy():
    alone, shared = k_of_n(1, 2, 0.999), k_of_n(1, 2, 0.999, beta=0.1)
    assert nines(alone) == pytest.approx(6)
    assert nines(shared) == pytest.approx(4, abs=0.01)  # 10 % of 0.001 is what is left
    assert k_of_n(1, 5, 0.99, beta=1) == pytest.approx(0.99)
    assert k_of_n(1, 1, 0.99, beta=0.3) == pytest.approx(0.99)


def test_up_and_down_times():
    assert availability(999, 1) == pytest.approx(0.999)
    assert mttr_for(0.999, 999) == pytest.approx(1)
    rng = np.random.default_rng(4)
    up, down = rng.exponential(100, 100_000), rng.exponential(3, 100_000)
    assert availability(100, 3) == pytest.approx(up.sum() / (up.sum() + down.sum()), abs=5e-4)
    assert downtime_min(0.999) == pytest.approx(43.2)
    assert nines(1.0) == math.inf


# ------------------------------------------------------------------ fleets


def test_llama3_counts_as_published():
    # The Llama 3 Herd of Models, arXiv:2407.21783, section 3.3.4 and table 5.
    run = llama3_405b()
    assert (run.hours, run.gpus, run.interruptions) == (54 * 24, 16_384, 466)
    assert run.planned + run.unexpected == run.interruptions
    assert sum(run.causes.values()) == run.unexpected == 419
    assert run.mtti_h == pytest.approx(3.09, abs=0.005)
    assert run.gpu_mttf_h == pytest.approx(50_677, abs=1)  # 5.8 years
    assert job_mtti_h(run.gpu_mttf_h, run.gpus) == pytest.approx(run.mtti_h)


# Table 5 of arXiv:2407.21783, typed row by row from the text of the paper itself, and compared
# with two other copies: glennklockwood.com/garden/component-reliability, and the counts that
# datacenterdynamics.com quotes ("Meta report details hundreds of GPU and HBM3 related
# interruptions to Llama 3 training run": 148, 72, 19, 17, 35, 2 CPUs, 419 in all).
TABLE_5 = {
    "gpu": 148, "gpu_hbm3": 72, "software": 54, "network": 35, "host_maintenance": 32,
    "gpu_sram": 19, "gpu_processor": 17, "nic": 7, "nccl_timeout": 7, "gpu_silent": 6,
    "gpu_thermal": 6, "ssd": 3, "power_supply": 3, "chassis": 2, "io_board": 2, "dependency": 2,
    "cpu": 2, "memory": 2,
}  # fmt: skip


def test_llama3_causes_row_by_row():
    assert llama3_405b().causes == TABLE_5
    assert llama3_405b().planned == 47  # automated maintenance and operators' own
    assert facts.constant("llama3_run.effective_time") == 0.9  # "higher than 90 %"


@pytest.mark.parametrize(
    ("cause", "printed"),
    [
        ("gpu_hbm3", 17.2), ("software", 12.9), ("network", 8.4), ("host_maintenance", 7.6),
        ("gpu_sram", 4.5), ("gpu_processor", 4.1), ("nic", 1.7), ("gpu_silent", 1.4), ("ssd", 0.7),
        ("cpu", 0.5),
    ],
)  # fmt: skip
def test_llama3_shares_as_printed(cause, printed):
    assert 100 * llama3_405b().share(cause) == pytest.approx(printed, abs=0.05)


def test_llama3_the_one_share_that_is_not_what_was_counted():
    # Table 5 prints 30.1 % beside 148 of 419, and the text adds the printed shares up to 58.7 %.
    run = llama3_405b()
    assert run.share("gpu") == pytest.approx(0.353, abs=0.0005)
    assert facts.constant("llama3_run.gpu_share_printed") == 0.301
    gpu = [cause for cause in run.causes if cause.startswith("gpu")]
    others = run.share(*(c for c in gpu if c != "gpu"))
    assert 0.301 + others == pytest.approx(
        facts.constant("llama3_run.gpu_issues_printed"), abs=0.002
    )
    assert run.share(*gpu) == pytest.approx(268 / 419)
    with pytest.raises(ValueError, match="not in the table"):
        run.share("gremlins")


def test_interruptions_of_a_simulated_fleet():
    rng, units, mttf, hours = np.random.default_rng(5), 500, 1000.0, 40.0
    jobs = np.array([rng.exponential(mttf, units).min() for _ in range(4000)])
    assert jobs.mean() == pytest.approx(job_mtti_h(mttf, units), rel=0.05)
    assert (jobs > 3).mean() == pytest.approx(survival(mttf, units, 3), abs=0.02)
    assert expected_interruptions(mttf, units, hours) == pytest.approx(20)
    assert unit_mttf_h(20, units, hours) == pytest.approx(mttf)


def test_survival_and_its_inverse():
    assert survival(50_000, 16_384, 0) == 1
    hours = hours_at_survival(50_000, 16_384, 0.5)
    assert survival(50_000, 16_384, hours) == pytest.approx(0.5)
    assert yearly_failure_share(8760) == pytest.approx(1 - math.exp(-1))


# ------------------------------------------------------------------ checkpoints

MTTI_S = 3.09 * 3600


@pytest.mark.parametrize(("cost_s", "minutes"), [(60, 19.3), (300, 43.1)])
def test_youngs_interval_for_the_published_run(cost_s, minutes):
    # Young, CACM 17(9), 1974: sqrt(2 delta M), with the Llama 3 run's M of 3.09 h.
    assert young_interval_s(cost_s, MTTI_S) / 60 == pytest.approx(minutes, abs=0.05)


def test_young_minimises_the_first_order_loss():
    best = young_interval_s(300, MTTI_S)
    grid = np.linspace(0.5 * best, 2 * best, 3001)
    loss = [first_order_loss(t, 300, MTTI_S, 120) for t in grid]
    assert grid[np.argmin(loss)] == pytest.approx(best, rel=0.001)


@pytest.mark.parametrize("cost_s", [10, 60, 300, 1800])
def test_daly_is_nearer_to_the_optimum_than_young(cost_s):
    best = best_interval_s(cost_s, MTTI_S)
    grid = np.linspace(0.3 * best, 3 * best, 20_001)
    kept = [efficiency(t, cost_s, MTTI_S) for t in grid]
    assert grid[np.argmax(kept)] == pytest.approx(best, rel=0.001)
    young, daly = young_interval_s(cost_s, MTTI_S), daly_interval_s(cost_s, MTTI_S)
    assert abs(daly - best) < 0.05 * abs(young - best)


def test_daly_for_a_save_longer_than_twice_the_life():
    assert daly_interval_s(1000, 400) == 400  # Daly 2006, equation 37, second case


@pytest.mark.parametrize("interval_s", [300, 2400, 9000])
@pytest.mark.parametrize("restart_s", [0, 600])
def test_expected_efficiency_against_simulation(interval_s, restart_s):
    exact = efficiency(interval_s, 120, MTTI_S, restart_s)
    played = simulate_efficiency(interval_s, 120, MTTI_S, restart_s, failures=40_000, seed=11)
    assert abs(played.efficiency - exact) < 4 * played.error
    assert played.error < 0.005
    again = simulate_efficiency(interval_s, 120, MTTI_S, restart_s, failures=40_000, seed=11)
    assert again == played


def test_simulation_tells_a_wrong_formula():
    played = simulate_efficiency(2400, 120, MTTI_S, 600, failures=40_000, seed=11)
    assert abs(played.efficiency - efficiency(2400, 120, MTTI_S)) > 10 * played.error


def test_first_order_agrees_where_losses_are_small():
    exact = 1 - efficiency(young_interval_s(1, 1e6), 1, 1e6)
    assert first_order_loss(young_interval_s(1, 1e6), 1, 1e6) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: series(), "parts is empty"),
        (lambda: parallel(0.9, 99), r"parts\[1\]=99"),
        (lambda: k_of_n(3, 2, 0.9), "k=3: must not exceed n=2"),
        (lambda: k_of_n(1, 2, 0.9, beta=2), "beta=2"),
        (lambda: availability(0, 1), "mttf_h=0"),
        (lambda: job_mtti_h(1000, 0), "units=0"),
        (lambda: young_interval_s(-1, 100), "cost_s=-1"),
        (lambda: efficiency(0, 1, 100), "interval_s=0"),
    ],
)
def test_errors_name_argument_value_and_range(call, said):
    with pytest.raises(ValueError, match=said):
        call()
