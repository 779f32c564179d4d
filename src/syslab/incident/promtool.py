"""The same rules in the real Prometheus engine.

``promtool test rules`` loads a rule file, feeds it series and compares what fires with what a
test file expects. It does not report what fires; it only agrees or refuses. So the expectations
are written from our own :func:`~syslab.incident.alerts.evaluate`, and promtool is asked to agree.

    verdict = confirm([Case(series, [evaluate(rule, series)])])
    verdict.agrees, verdict.output
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syslab.incident.alerts import Firing, Rule, checked_series, metric_name

RULES_FILE, TEST_FILE = "rules.yml", "test.yml"


@dataclass(frozen=True)
class Case:
    """One set of series, and what the rules are expected to do on it."""

    series: Mapping[str, np.ndarray]
    firings: Sequence[Firing]


@dataclass(frozen=True)
class Verdict:
    """What promtool said: whether it ``agrees``, and its ``output``."""

    agrees: bool
    output: str


def installed() -> str | None:
    """Return where promtool is, or None."""
    return shutil.which("promtool")


def rule_file(rules: Iterable[Rule], interval_min: int = 1) -> str:
    """Return a Prometheus rule file (YAML) with ``rules`` in one group."""
    lines = ["groups:", "  - name: course", f"    interval: {interval_min}m", "    rules:"]
    for rule in rules:
        lines += [f"      - alert: {rule.name}", f'        expr: "{rule.promql}"']
        if rule.for_min:
            lines.append(f"        for: {rule.for_min}m")
        if rule.keep_min:
            lines.append(f"        keep_firing_for: {rule.keep_min}m")
        lines += ["        labels:", f"          severity: {rule.severity}"]
    return "\n".join(lines) + "\n"


def expectation_file(cases: Sequence[Case], interval_min: int = 1, every: int = 1) -> str:
    """Return a unit-test file (YAML) that expects what ``cases`` say.

    Parameters
    ----------
    every : int
        Expect something at every such evaluation, and at the two on either side of each change
        in any case; 1 for all of them.
    """
    lines = [f"rule_files: [{RULES_FILE}]", f"evaluation_interval: {interval_min}m", "tests:"]
    for case in cases:
        names = dict.fromkeys(name for f in case.firings for name in f.rule.names)
        lines += ["  - interval: 1m", "    input_series:"]
        for name in names:
            lines += [
                f"      - series: '{metric_name(name)}'",
                f"        values: '{_values(case.series[name])}'",
            ]
        lines.append("    alert_rule_test:")
        for firing in case.firings:
            lines += _expectations(firing, every)
    return "\n".join(lines) + "\n"


def confirm(
    cases: Sequence[Case], interval_min: int = 1, every: int = 1, program: str | None = None
) -> Verdict:
    """Ask promtool whether the rules fire as ``cases`` say.

    Raises
    ------
    FileNotFoundError
        promtool is not installed; says how to install it.
    ValueError
        Two different rules have one name, or a series is missing.
    """
    program = program or installed()
    if program is None:
        raise FileNotFoundError(
            "promtool is not on the PATH; it comes with Prometheus: apt-get install prometheus "
            "(macOS: brew install prometheus)"
        )
    rules: dict[str, Rule] = {}
    for case in cases:
        for firing in case.firings:
            checked_series(firing.rule, case.series)
            if rules.setdefault(firing.rule.name, firing.rule) != firing.rule:
                raise ValueError(f"two rules are called {firing.rule.name}; rename one")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, RULES_FILE).write_text(rule_file(rules.values(), interval_min))
        Path(folder, TEST_FILE).write_text(expectation_file(cases, interval_min, every))
        done = subprocess.run(
            [program, "test", "rules", TEST_FILE],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
    return Verdict(done.returncode == 0, done.stdout + done.stderr)


def _expectations(firing: Firing, every: int) -> list[str]:
    wanted = np.zeros(len(firing.fires), bool)
    wanted[::every] = True
    changes = np.flatnonzero(np.diff(firing.fires.astype(np.int8)))
    wanted[changes] = wanted[changes + 1] = True
    wanted[-1] = True
    lines = []
    for i in np.flatnonzero(wanted):
        lines += [
            f"      - eval_time: {firing.minutes[i]}m",
            f"        alertname: {firing.rule.name}",
        ]
        if firing.fires[i]:
            lines.append(
                f"        exp_alerts: [{{exp_labels: {{severity: {firing.rule.severity}}}}}]"
            )
    return lines


def _values(values) -> str:
    return " ".join(_literal(v) for v in np.asarray(values, float).tolist())


def _literal(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
