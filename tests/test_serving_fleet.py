"""Fleet plans and speculative decoding: by hand, by exhaustion, by simulation, as published."""

import numpy as np
import pytest

from syslab.serving import (
    Objective,
    Policy,
    StepCost,
    Trace,
    plan_fleet,
    serve_with,
    synthetic_trace,
    usd_per_million_tokens,
)
from syslab.serving.speculative import (
    accept_or_replace,
    acceptance_rate,
    best_draft_tokens,
    expected_tokens,
    simulate_steps,
    speedup,
)

COST = StepCost(overhead_s=2e-3, weights_s=1e-2, token_s=6e-5, cached_token_s=1e-7)


def test_price_of_a_million_tokens():
    assert usd_per_million_tokens(3.6, 1000) == pytest.approx(1)
    assert usd_per_million_tokens(8 * 2.95, 4000) == pytest.approx(8 * 2.95 / 14.4)


def test_fleet_by_hand():
    # Four prompts at once, one engine step of 1 s each: one replica serves the last after 4 s.
    trace = Trace([0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1])
    cost, policy = StepCost(overhead_s=1.0), Policy(max_sequences=1)
    for limit, replicas in ((4, 1), (2, 2), (1, 4)):
        fleet = plan_fleet(
            trace, cost, policy, Objective(limit + 0.1, 1), usd_per_gpu_hour=2.0,
            gpus_per_replica=8, attainment=1,
        )  # fmt: skip
        assert fleet.replicas == replicas
        assert fleet.gpus == 8 * replicas
        assert fleet.usd_per_hour == 16 * replicas
        assert fleet.output_tokens_per_s == pytest.approx(4 / limit)
        assert fleet.usd_per_million_output_tokens == pytest.approx(
            16 * replicas / (4 / limit * 3600) * 1e6
        )
        assert fleet.usd_per_million_tokens == fleet.usd_per_million_output_tokens / 2
        assert fleet.busy_share == pytest.approx(1)


def test_fleet_is_the_smallest_by_exhaustion():
    trace = synthetic_trace(1500, seed=2, requests_per_s=12)
    policy, objective = Policy("chunked", 128, 512), Objective(1.0, 0.04)
    fleet = plan_fleet(trace, COST, policy, objective, usd_per_gpu_hour=1, attainment=0.95)

    def share(replicas):
        runs = serve_with(replicas, trace, COST, policy)
        return sum(run.good(objective).sum() for run in runs) / len(trace)

    assert fleet.replicas > 1
    assert share(fleet.replicas) == pytest.approx(fleet.attainment)
    assert fleet.attainment >= 0.95
    assert all(share(n) < 0.95 for n in range(1, fleet.replicas))


def test_an_impossible_objective_says_so():
    trace = synthetic_trace(50)
    with pytest.raises(ValueError, match=r"0\.0% of the requests meet it on 50"):
        plan_fleet(trace, COST, Policy(), Objective(1e-3, 1e-3), usd_per_gpu_hour=1)
    with pytest.raises(ValueError, match="replicas=0"):
        serve_with(0, trace, COST, Policy())
    with pytest.raises(ValueError, match="tokens_per_s=0"):
        usd_per_million_tokens(1, 0)


def test_expected_tokens_by_enumeration():
    for a in (0.0, 0.3, 0.8, 1.0):
        for k in (0, 1, 4, 7):
            stop = [a**i * (1 - a) * (i + 1) for i in range(k)]  # i accepted, then a rejection
            assert expected_tokens(a, k) == pytest.approx(sum(stop) + a**k * (k + 1))


def test_published_speculation():
    # Leviathan et al., ICML 2023, Table 1 (operations and speed with c = 0, alpha and gamma).
    for a, k, faster in ((0.6, 2, 1.96), (0.7, 3, 2.53), (0.8, 2, 2.44), (0.8, 5, 3.69),
                         (0.9, 2, 2.71), (0.9, 10, 6.86)):  # fmt: skip
        assert round(speedup(a, k, 0), 2) == faster


def test_closed_form_against_simulation():
    for a, k in ((0.5, 3), (0.8, 5), (0.95, 8)):
        tokens = simulate_steps(a, k, 200_000, seed=1)
        error = tokens.std() / np.sqrt(tokens.size)
        assert abs(tokens.mean() - expected_tokens(a, k)) < 4 * error
        assert tokens.min() >= 1
        assert tokens.max() <= k + 1


def test_best_number_of_guesses():
    for a, c in ((0.6, 0.05), (0.8, 0.1), (0.9, 0.02)):
        best = best_draft_tokens(a, c)
        assert speedup(a, best, c) == max(speedup(a, k, c) for k in range(33))
    assert best_draft_tokens(0.3, 0.5) == 0  # guessing costs more than it brings
    assert speedup(0.8, 4, 0.1, check_cost=3) < 1  # a large batch: checking is not free


def test_accepted_or_replaced_tokens_are_the_targets():
    p, q = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.1, 0.6, 0.1, 0.2])
    draw = np.random.default_rng(0)
    drawn = [accept_or_replace(p, q, draw) for _ in range(40_000)]
    counts = np.bincount([token for token, _ in drawn], minlength=4) / 40_000
    assert counts == pytest.approx(p, abs=0.01)
    accepted = np.mean([ok for _, ok in drawn])
    assert accepted == pytest.approx(acceptance_rate(p, q), abs=0.01)
    assert acceptance_rate(p, q) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: expected_tokens(1.2, 3), "acceptance=1.2"),
        (lambda: expected_tokens(0.5, -1), "draft_tokens=-1"),
        (lambda: speedup(0.5, 2, -1), "draft_cost=-1"),
        (lambda: acceptance_rate([0.5, 0.6], [1, 0]), "target"),
        (lambda: acceptance_rate([1, 0], [1]), "one vocabulary"),
    ],
)
def test_errors(call, says):
    with pytest.raises(ValueError, match=says):
        call()
