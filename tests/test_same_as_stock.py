"""Well-behaved submissions get the grades of stock ``nbgrader autograde``, cell by cell."""

import importlib.util
from pathlib import Path

import pytest

from syslab.course import assignments
from syslab.grading import batch, engines

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(folder.name for folder in (ROOT / "release").iterdir())
SUBMISSIONS = 2  # another exercise is left unanswered in each


@pytest.fixture(scope="module")
def bench():
    """The benchmark that grades the same class both ways."""
    path = ROOT / "benchmarks" / "bench_grading.py"
    spec = importlib.util.spec_from_file_location("bench_grading", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_grades_are_those_of_stock_nbgrader(bench, name, tmp_path, monkeypatch):
    stock = bench.make_class(tmp_path / "stock", name, SUBMISSIONS)
    ours = bench.make_class(tmp_path / "ours", name, SUBMISSIONS)
    bench.stock(stock, name)
    monkeypatch.setenv("SYSLAB_ROOT", str(ours))
    monkeypatch.setenv("SYSLAB_STATE", str(ours / ".syslab"))
    monkeypatch.chdir(ours)
    found = assignments.find(name, ours)
    rows = batch.grade(found, lambda: engines.Local(1, engines.imported_by(found)))
    assert [(row.state, row.verdicts) for row in rows] == [("graded", ())] * SUBMISSIONS
    expected = bench.scores(stock, name)
    assert expected
    assert bench.scores(ours, name) == expected
