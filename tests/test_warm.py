"""Warm kernels: the same answers as stock ones, nothing shared, nothing left behind."""

import asyncio
import os
import re
import signal
import time

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from syslab.course import assignments, workbook
from syslab.warm import provisioner, service

if not service._AVAILABLE:  # Windows
    pytest.skip("warm kernels need os.fork", allow_module_level=True)


@pytest.fixture(scope="module")
def template():
    with service.Template(modules=["numpy"]) as made:
        made.wait()
        yield made


def notebook(*sources):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])


def outputs(made):
    """What the cells gave, without the parts that name a process."""
    found = []
    for cell in made.cells:
        for output in cell.outputs:
            fields = {k: v for k, v in output.items() if k not in ("traceback", "metadata")}
            if "text" in fields:
                fields["text"] = re.sub(r"ipykernel_\d+", "ipykernel", fields["text"])
            found.append(fields)
    return found


def run(template, made, **options):
    client = NotebookClient(
        made, km=provisioner.manager(template.address), allow_errors=True, **options
    )
    client.execute(cleanup_kc=True)
    return made


CELLS = {
    "text and a value": "print('a', 3)\n3 + 4",
    "an error": "1 / 0",
    "names": "sorted(n for n in globals() if not n.startswith('_'))",
    "main": "__name__, __import__('__main__').__dict__ is globals()",
    "warning": "import warnings\nwarnings.warn('mind')\n0",
    "shell": "!echo from the shell",
    "magic": "%%capture kept\nprint('kept')",
    "rich output": "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))",
    "input is refused": "input('?')",
    "await": "import asyncio\nawait asyncio.sleep(0)\n'slept'",
    "module of the folder": "import mine\nmine.x",
    "recursion limit": "import sys\nsys.getrecursionlimit(), sys.gettrace(), '' in sys.path",
    "signal": "import signal\nsignal.getsignal(signal.SIGINT)",
    "native output": "import os\nos.write(1, b'raw\\n')",
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_warm_kernel_answers_as_a_stock_one(template, tmp_path, cell):
    (tmp_path / "mine.py").write_text("x = 42")
    place = {"resources": {"metadata": {"path": str(tmp_path)}}}
    stock = notebook(CELLS[cell])
    NotebookClient(stock, kernel_name="python3", allow_errors=True, **place).execute()
    warm = run(template, notebook(CELLS[cell]), **place)
    assert outputs(warm) == outputs(stock)


def test_pictures_are_drawn(tmp_path):
    with service.Template(modules=["matplotlib.pyplot"]) as template:
        made = run(template, notebook("import matplotlib.pyplot as p\np.plot([1, 2])\np.show()"))
    (picture,) = made.cells[0].outputs
    assert picture.data["image/png"].startswith("iVBOR")


def test_kernels_share_nothing_and_their_random_numbers_differ(template):
    source = "import numpy\nseen = 'seen' in globals()\nseen, float(numpy.random.rand())"
    first, second = (run(template, notebook(source)).cells[0].outputs[0] for _ in range(2))
    assert first.data["text/plain"].startswith("(False")
    assert second.data["text/plain"].startswith("(False")
    assert first.data["text/plain"] != second.data["text/plain"]


def _kernel(template, folder):
    manager = provisioner.manager(template.address)
    warm = manager.provisioner
    warm.sockets = str(folder)
    import asyncio

    asyncio.run(manager.start_kernel())
    return manager, warm.kernel


def _ends(pid, within_s=10.0):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie":
            return True
        time.sleep(0.02)
    return False


def test_a_kernel_ends_with_its_client(template, tmp_path):
    """A grader that is killed closes its connections; no kernel may go on without it."""
    _, kernel = _kernel(template, tmp_path)
    assert psutil.pid_exists(kernel.pid)
    kernel.connection.close()
    assert _ends(kernel.pid)


def test_how_a_kernel_ended_is_known(template, tmp_path):
    _, kernel = _kernel(template, tmp_path)
    assert kernel.poll() is None
    os.kill(kernel.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while kernel.poll(0.1) is None and time.monotonic() < deadline:
        pass
    assert kernel.poll() == -signal.SIGKILL


def test_a_dying_kernel_is_an_error_and_not_a_wait(template):
    made = notebook("import os\nos._exit(3)")
    client = NotebookClient(made, km=provisioner.manager(template.address), allow_errors=True)
    with pytest.raises(DeadKernelError):
        client.execute()


def test_a_kernel_is_ready_even_if_its_first_word_was_missed(template):
    """It publishes to those who have subscribed by then, and a busy machine may be late."""

    async def start():
        manager = provisioner.manager(template.address)
        await manager.start_kernel()
        client = manager.client()
        client.start_channels()
        listening = client.iopub_channel.socket
        listening.unsubscribe(b"")
        asyncio.get_running_loop().call_later(0.5, listening.subscribe, b"")
        try:
            await client.wait_for_ready(timeout=20)
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)

    asyncio.run(start())


def test_a_kernel_that_ends_before_it_is_ready_is_not_waited_for(template):
    async def start():
        manager = provisioner.manager(template.address)
        await manager.start_kernel()
        manager.provisioner.kernel.signal(signal.SIGKILL)
        client = manager.client()
        client.start_channels()
        try:
            with pytest.raises(RuntimeError, match="before its first cell"):
                await client.wait_for_ready(timeout=None)
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)

    asyncio.run(start())


def test_the_environment_is_the_one_given(template, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    made = notebook("import os\nsorted(k for k in os.environ if 'SECRET' in k or k == 'ONLY')")
    manager = provisioner.manager(template.address, environment={"ONLY": "this"})
    NotebookClient(made, km=manager).execute()
    assert made.cells[0].outputs[0].data["text/plain"] == "['ONLY']"


def test_the_template_itself_holds_no_secret(tmp_path, monkeypatch):
    """A kernel can read the variables that its template was started with."""
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    with service.Template(modules=[]) as template:
        made = run(template, notebook("b'hunter2' in open('/proc/self/environ', 'rb').read()"))
    assert made.cells[0].outputs[0].data["text/plain"] == "False"


def test_a_template_that_is_gone_is_named(tmp_path):
    template = service.Template(modules=[])
    template.wait()
    template.close()
    with pytest.raises(service.WarmError, match="does not answer"):
        service.fork(template.address, {"key": b""}, folder=tmp_path, sockets=tmp_path)
    assert not template.folder.exists()


def test_a_missing_module_is_left_out(tmp_path):
    with service.Template(modules=["no_such_module_here"]) as template:
        made = run(template, notebook("6 * 7"))
    assert made.cells[0].outputs[0].data["text/plain"] == "42"


def test_a_check_leaves_nothing_behind(template, tmp_path, monkeypatch):
    """Neither the kernel's sockets nor its connection file."""
    found = assignments.find("arch-02")
    made = provisioner.manager(template.address)
    monkeypatch.setattr(workbook, "_warm_manager", lambda: made)
    monkeypatch.setattr(service.tempfile, "tempdir", str(tmp_path))
    ran = workbook.execute(notebook("6 * 7"), tmp_path, found)
    assert ran.cells[0].outputs[0].data["text/plain"] == "42"
    assert made.provisioner is None or not made.has_kernel
    assert list(tmp_path.iterdir()) == []


def test_a_resident_template_is_found_again_and_leaves_when_idle(tmp_path):
    first = service.resident(tmp_path, modules=[], idle_s=1.0)
    assert service.resident(tmp_path, modules=[], idle_s=1.0) == first
    folder = os.path.dirname(first)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        time.sleep(1.5)  # longer than its patience
        again = service.resident(tmp_path, modules=[], idle_s=1.0)
        if again != first:
            break
    assert again != first, "the idle template went away, and another was started"
    assert folder != os.path.dirname(again)
    assert not os.path.exists(folder)


def test_somebody_elses_folder_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(service.tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"syslab-resident-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"syslab-resident-{os.getuid()}").chmod(0o777)
    with pytest.raises(service.WarmError, match="not this user's alone"):
        service.resident(modules=[])
