"""Alert rules: semantics by hand, by a second implementation, and by Prometheus itself."""

import dataclasses

import numpy as np
import pytest

from syslab.incident import (
    Case,
    Condition,
    Level,
    Ratio,
    Rule,
    burn_alert,
    confirm,
    evaluate,
    generate,
    rule,
    rule_file,
    standing_rules,
)
from syslab.reliability import SLO, BurnRule, holds, workbook_rules

SLO_999 = SLO(0.999)
X = Level("x")


def fires(rule, **series):
    return evaluate(rule, series).fires.astype(int).tolist()


# ------------------------------------------------------------------ by hand


def test_for_counts_from_the_first_minute_that_held():
    x = [0, 1, 1, 1, 1, 0, 1, 0]
    assert fires(rule("A", Condition(X, 0.5)), x=x) == x
    assert fires(rule("A", Condition(X, 0.5), for_min=2), x=x) == [0, 0, 0, 1, 1, 0, 0, 0]


def test_one_minute_without_starts_pending_anew():
    x = [1, 1, 0, 1, 1, 1, 0, 0]
    assert fires(rule("A", Condition(X, 0.5), for_min=2), x=x) == [0, 0, 0, 0, 0, 1, 0, 0]


def test_keep_holds_on_after_the_last_minute_that_held():
    x = [1, 0, 1, 0, 0, 0, 0]
    assert fires(rule("A", Condition(X, 0.5), keep_min=2), x=x) == [1, 1, 1, 1, 1, 0, 0]


def test_above_and_below_are_strict():
    assert fires(rule("A", Condition(X, 1)), x=[1, 2]) == [0, 1]
    assert fires(rule("A", Condition(X, 1, above=False)), x=[1, 0]) == [0, 1]


def test_a_window_holds_as_many_samples_as_minutes():
    ones = rule("A", Condition(Level("x", 3, "sum"), 1.5))
    assert fires(ones, x=[1, 0, 1, 0, 1, 1, 0]) == [0, 0, 1, 0, 1, 1, 1]
    assert fires(rule("A", Condition(Level("x", 2, "min"), 0)), x=[1, 1, 0, 1, 1]) == [
        1,
        1,
        0,
        0,
        1,
    ]
    assert fires(rule("A", Condition(Level("x", 2, "max"), 0)), x=[0, 1, 0, 0]) == [0, 1, 1, 0]


def test_no_traffic_is_neither_good_nor_bad():
    ratio = Ratio("bad", "all", 1)
    series = {"bad": [0, 0, 1], "all": [0, 9, 9]}
    assert evaluate(rule("A", Condition(ratio, 0.05)), series).fires.tolist() == [
        False,
        False,
        True,
    ]
    below = rule("A", Condition(ratio, 0.05, above=False))
    assert evaluate(below, series).fires.tolist() == [False, True, False]


def test_intervals_and_evaluation_interval():
    x = [0, 1, 1, 0, 0, 1, 1, 1]
    firing = evaluate(rule("A", Condition(X, 0.5)), {"x": x})
    assert firing.intervals == ((1, 3), (5, 8))
    every_two = evaluate(rule("A", Condition(X, 0.5)), {"x": x}, interval_min=2)
    assert every_two.minutes.tolist() == [0, 2, 4, 6]
    assert every_two.intervals == ((2, 4), (6, 8))


def test_burn_alert_holds_when_the_burn_rule_does():
    rng = np.random.default_rng(0)
    total = rng.integers(500, 1500, 900)
    bad = rng.binomial(total, np.where((np.arange(900) % 300) > 240, 0.03, 0.0004))
    for one in workbook_rules():
        found = evaluate(burn_alert("B", SLO_999, one, "bad", "all"), {"bad": bad, "all": total})
        assert (found.fires == holds(one, bad, total, SLO_999)).all()
    assert found.rule.severity == "ticket"


# ------------------------------------------------------------------ said clearly


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rule("no good", Condition(X, 1)), "letters, digits and _ only"),
        (lambda: Rule("A", ()), "any_of has no conditions"),
        (lambda: rule("A", Condition(X, 1), for_min=-1), "for_min=-1"),
        (lambda: Level("x", 5), "give both or neither"),
        (lambda: Level("x", 5, "avg"), "how='avg': must be one of max, min, sum"),
        (lambda: Ratio("a", "b", 0), "window_min=0"),
        (lambda: Condition(X, float("nan")), "threshold=nan"),
        (lambda: evaluate(rule("A", Condition(X, 1)), {"y": [1]}), "rule A reads x, which"),
        (lambda: evaluate(rule("A", Condition(X, 1)), {"x": [np.nan]}), "holds NaN or inf"),
        (lambda: burn_alert("A", SLO_999, workbook_rules(), "b", "t"), "two alerts"),
        (lambda: Level("9 x").promql, "letters, digits, _ : and - only"),
        (
            lambda: evaluate(
                rule("A", Condition(X, 1), Condition(Level("y"), 1)), {"x": [1], "y": [1, 2]}
            ),
            "one sample per minute in each",
        ),
    ],
)
def test_errors_say_what_to_do(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_rule_file_reads_as_prometheus_rules_do():
    yaml = pytest.importorskip("yaml")
    one = burn_alert(
        "Burn", SLO_999, workbook_rules()[:2], "m-a:bad", "m-a:all", for_min=2, keep_min=3
    )
    (group,) = yaml.safe_load(rule_file([one]))["groups"]
    (found,) = group["rules"]
    assert (found["alert"], found["for"], found["keep_firing_for"]) == ("Burn", "2m", "3m")
    assert found["labels"] == {"severity": "page"}
    assert found["expr"] == (
        "((sum_over_time(m_a:bad[3599s]) / sum_over_time(m_a:all[3599s])) > 0.0144"
        " and (sum_over_time(m_a:bad[299s]) / sum_over_time(m_a:all[299s])) > 0.0144)"
        " or ((sum_over_time(m_a:bad[21599s]) / sum_over_time(m_a:all[21599s])) > 0.006"
        " and (sum_over_time(m_a:bad[1799s]) / sum_over_time(m_a:all[1799s])) > 0.006)"
    )


# ------------------------------------------------------------------ a second implementation


def replayed(rule, series):
    """Evaluate minute by minute, with dates of state changes, as the Prometheus source does."""
    out, active_at, keep_since, state = [], None, None, "inactive"
    length = len(next(iter(series.values())))

    def measure(m, now):
        def last(name, w):
            return [float(v) for v in series[name][max(0, now - w + 1) : now + 1]]

        if isinstance(m, Ratio):
            total = sum(last(m.total, m.window_min))
            return sum(last(m.bad, m.window_min)) / total if total else float("nan")
        pick = {"max": max, "min": min, "sum": sum, None: lambda v: v[-1]}[m.how]
        return pick(last(m.name, m.window_min or 1))

    def true(c, now):
        value = measure(c.measure, now)
        return value > c.threshold if c.above else value < c.threshold

    for now in range(length):
        if any(all(true(c, now) for c in group) for group in rule.any_of):
            keep_since = None
            if state == "inactive":
                state, active_at = "pending", now
            if state == "pending" and now - active_at >= rule.for_min:
                state = "firing"
        elif state == "firing" and rule.keep_min:
            keep_since = now if keep_since is None else keep_since
            if now - keep_since >= rule.keep_min:
                state = "inactive"
        else:
            state = "inactive"
        out.append(state == "firing")
    return out


def random_case(seed):
    """Draw series with outages, quiet times and noise, and rules of every form."""
    rng = np.random.default_rng(seed)
    minutes = 240
    total = rng.integers(0, 300, minutes) * (rng.random(minutes) > 0.15)
    ratio = np.full(minutes, 0.0004)
    for _ in range(4):
        start = int(rng.integers(0, minutes - 20))
        ratio[start : start + int(rng.integers(1, 60))] = rng.uniform(0.002, 0.2)
    series = {
        "gw:bad": rng.binomial(total, ratio),
        "gw:all": total,
        "gw:p99-s": rng.random(minutes),
    }
    long_min = int(rng.integers(5, 70))
    burn = BurnRule(float(rng.uniform(1, 30)), long_min, int(rng.integers(1, long_min + 1)))
    slow = BurnRule(float(rng.uniform(1, 10)), 120, 10)
    level = Level("gw:p99-s", int(rng.integers(1, 6)), str(rng.choice(["max", "min"])))
    pause = {"for_min": int(rng.integers(0, 5)), "keep_min": int(rng.integers(0, 9))}
    rules = (
        burn_alert("Burn", SLO_999, burn, "gw:bad", "gw:all", for_min=pause["for_min"]),
        burn_alert("Either", SLO_999, (burn, slow), "gw:bad", "gw:all", **pause),
        rule("Worst", Condition(level, float(rng.uniform(0.3, 0.9))), **pause),
        rule(
            "Both",
            Condition(Level("gw:p99-s"), 0.3),
            Condition(Level("gw:bad", 4, "sum"), 2),
            severity="ticket",
        ),
        rule("Quiet", Condition(Level("gw:all", 3, "max"), 150, above=False), for_min=1),
    )
    return Case(series, [evaluate(r, series) for r in rules])


@pytest.mark.parametrize("seed", range(12))
def test_against_a_second_implementation(seed):
    case = random_case(seed)
    for firing in case.firings:
        assert firing.fires.tolist() == replayed(firing.rule, case.series), firing.rule.name


def test_the_random_cases_are_worth_comparing():
    firings = [f for seed in range(12) for f in random_case(seed).firings]
    assert sum(len(f.intervals) for f in firings) > 100
    assert sum(bool((f.fires != f.holds).any()) for f in firings) > 15


# ------------------------------------------------------------------ Prometheus


@pytest.fixture
def promtool(needs_program):
    return needs_program("promtool", "apt-get install prometheus")


@pytest.mark.parametrize("seed", range(20))
def test_prometheus_fires_at_the_same_minutes(promtool, seed):
    verdict = confirm([random_case(seed)], every=1 if seed < 4 else 8, program=promtool)
    assert verdict.agrees, verdict.output[-3000:]


def test_prometheus_confirms_several_cases_at_once(promtool):
    one = burn_alert("Burn", SLO_999, workbook_rules()[:2], "gw:bad", "gw:all")
    cases = []
    for seed in range(20, 26):
        series = random_case(seed).series
        cases.append(Case(series, [evaluate(one, series)]))
    verdict = confirm(cases, every=4, program=promtool)
    assert verdict.agrees, verdict.output[-3000:]


@pytest.mark.parametrize("shift", [-1, 1])
def test_prometheus_refuses_what_is_a_minute_off(promtool, shift):
    case = random_case(3)
    firing = next(f for f in case.firings if f.intervals and not f.fires.all())
    wrong = dataclasses.replace(firing, fires=np.roll(firing.fires, shift))
    verdict = confirm([Case(case.series, [wrong])], program=promtool)
    assert not verdict.agrees
    assert "FAILED" in verdict.output


def test_prometheus_refuses_a_window_one_minute_longer(promtool):
    series = {"x": np.r_[np.zeros(10), 5, np.zeros(20)]}
    asked, other = (rule("A", Condition(Level("x", w, "max"), 1)) for w in (6, 7))
    right = evaluate(asked, series)
    assert confirm([Case(series, [right])], program=promtool).agrees
    wrong = dataclasses.replace(evaluate(other, series), rule=asked)
    assert not confirm([Case(series, [wrong])], program=promtool).agrees


def test_prometheus_pages_in_a_generated_incident_as_we_do(promtool):
    series = generate(4, "noisy-neighbour").at(359).series
    firings = [evaluate(r, series) for r in standing_rules()]
    assert any(f.intervals for f in firings)
    verdict = confirm([Case(series, firings)], every=20, program=promtool)
    assert verdict.agrees, verdict.output[-3000:]


def test_prometheus_at_another_evaluation_interval(promtool):
    series = random_case(5).series
    rules = [f.rule for f in random_case(5).firings]
    firings = [evaluate(r, series, interval_min=3) for r in rules]
    verdict = confirm([Case(series, firings)], interval_min=3, program=promtool)
    assert verdict.agrees, verdict.output[-3000:]


def test_without_promtool_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="apt-get install prometheus"):
        confirm([random_case(1)])


def test_two_rules_of_one_name_are_refused():
    series = {"x": np.ones(5)}
    firings = [evaluate(rule("A", Condition(X, t)), series) for t in (0, 1)]
    with pytest.raises(ValueError, match="two rules are called A"):
        confirm([Case(series, firings)], program="/bin/true")
