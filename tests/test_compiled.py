"""Machine code that a reference run needed reaches sandboxed kernels, and only that way."""

import ast
from pathlib import Path

import nbformat
import numpy as np
import pytest

from syslab.grading import execute
from syslab.warm import compiled, sandbox, service

ROOT = Path(__file__).resolve().parents[1]
MODULE, NAME = "syslab.reuse._compiled", "stack_distances"
HOW = f"""\
from {MODULE} import {NAME}
import numpy as np
before = len({NAME}.signatures)
known = {NAME}(np.array([1, 0, 1]), 2).tolist()
compiled_for_it = len({NAME}.signatures) - before
narrow = {NAME}(np.array([1, 0, 1], dtype=np.int32), 2).tolist()
before, compiled_for_it, known, narrow"""

if not service._AVAILABLE:
    pytest.skip("warm kernels need os.fork", allow_module_level=True)


@pytest.fixture(scope="module")
def functions():
    """What a process that used the function tells of it."""
    from syslab.reuse._compiled import stack_distances

    stack_distances(np.array([1, 0, 1]), 2)
    return tuple(tuple(one) for one in compiled.signatures() if one[:2] == [MODULE, NAME])


@pytest.fixture(scope="module")
def template():
    with service.Template(modules=["numba"]) as made:
        made.wait()
        yield made


def run(template, modules, functions):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(HOW)])
    done = execute.run(
        execute.Job(
            "student",
            "arch-02",
            {"arch-02.ipynb": nbformat.writes(notebook)},
            {},
            str(ROOT),
            sandboxed=sandbox.support().complete,
            modules=modules,
            compiled=functions,
        ),
        template.address,
    )
    assert not done.error, done.error
    (output,) = nbformat.reads(done.notebooks["arch-02.ipynb"], as_version=4).cells[0].outputs
    return ast.literal_eval(output.data["text/plain"])


@pytest.mark.slow
def test_kernels_inherit_machine_code_and_compile_what_is_new(template, functions):
    alone = run(template, (), ())
    assert alone[:2] == (0, 1)  # each would compile it again
    taught = run(template, (MODULE,), functions)
    assert taught[:2] == (1, 0)
    assert taught[2:] == alone[2:] == ([-1, -1, 1], [-1, -1, 1])


def test_the_signatures_are_those_in_use(functions):
    assert [one[:2] for one in functions] == [(MODULE, NAME)]


def test_what_a_template_cannot_learn_is_an_error(template):
    with pytest.raises(service.WarmError, match="no_such_module"):
        service.teach(template.address, ["no_such_module"])
    service.teach(template.address, ["json"])  # and it goes on
