"""Workers on this machine: independent of what the process that asked for them was doing."""

import asyncio
import os
from pathlib import Path

import nbformat
import pytest
from jupyter_core.utils import run_sync

from syslab.grading import engines, execute
from syslab.warm import provisioner, sandbox, service

ROOT = Path(__file__).resolve().parents[1]

if not service._AVAILABLE:
    pytest.skip("warm kernels need os.fork", allow_module_level=True)


def job(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return execute.Job(
        "student",
        "arch-02",
        {"arch-02.ipynb": nbformat.writes(nbformat.v4.new_notebook(cells=cells))},
        {},
        str(ROOT),
        sandboxed=sandbox.support().complete,
    )


@pytest.fixture
def template():
    with service.Template(modules=[]) as made:
        made.wait()
        yield made


@pytest.fixture
def local(monkeypatch):
    monkeypatch.setattr(engines, "MODULES", ())
    made = engines.Local(1)
    yield made
    made.close()


def test_a_worker_does_not_go_on_with_its_parents_event_loop(local):
    """They would share the files that the loop watches: it fails as soon as one is closed."""
    heard, told = os.pipe()
    os.set_blocking(heard, False)

    async def leave_something_to_do():
        asyncio.get_running_loop().create_task(say_so())

    async def say_so():
        await asyncio.sleep(0.01)
        os.write(told, f"{os.getpid()} ".encode())

    run_sync(leave_something_to_do)()
    (done,) = local.run([job("6 * 7")])
    assert not done.error, done.error
    assert not done.ended
    with pytest.raises(BlockingIOError):
        os.read(heard, 100)
    run_sync(asyncio.sleep)(0.05)
    assert os.read(heard, 100).split() == [str(os.getpid()).encode()]


def test_what_fails_before_the_first_cell_is_not_laid_on_the_learner(template, monkeypatch):
    async def never(*_, **__):
        raise RuntimeError("the kernel did not answer")

    monkeypatch.setattr(provisioner._Client, "wait_for_ready", never)
    done = execute.run(job("6 * 7"), template.address)
    assert "the kernel did not answer" in done.error
    assert not done.ended
