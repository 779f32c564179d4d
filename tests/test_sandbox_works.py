"""What a notebook does must work in the sandbox as it does outside of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from syslab.warm import sandbox

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "fixtures" / "sandbox")]
import works  # noqa: E402
from conftest import NOT_PROVEN, unproven_is_failure  # noqa: E402


@pytest.fixture(scope="module")
def outcomes():
    """Run all of it in children of one warm process; return name → outcome."""
    found = sandbox.support()
    if not found.complete:
        said = f"{NOT_PROVEN}: the sandbox; {' '.join(found.missing)}"
        if unproven_is_failure():
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    package = Path(sandbox.__file__).parents[2]
    said = subprocess.run(
        [sys.executable, works.__file__],
        env=os.environ | single | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert said.returncode == 0, said.stderr
    return dict(json.loads(line) for line in said.stdout.splitlines() if line.startswith('["'))


@pytest.mark.slow
@pytest.mark.parametrize("name", works.WORKS)
def test_it_works_inside(name, outcomes):
    """The function ends by itself and returns what it does outside."""
    _, expected = works.WORKS[name]
    assert outcomes[name]["error"] is None
    assert outcomes[name]["value"] == expected
