"""A real JupyterLab on a copy of the course, driven by a real Chromium."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from syslab.course import lab

TOKEN = "walk"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 120_000


class Lab:
    """One JupyterLab page: what a person does in it, one method each."""

    def __init__(self, page, url: str, course: Path, shots: Path) -> None:
        self.page, self.url, self.course, self.shots = page, url, course, shots
        self._shot = 0

    def visit(self, path: str) -> None:
        """Load the Lab at a notebook and wait for its kernel."""
        self.page.goto(f"{self.url}/lab/tree/{path}?token={TOKEN}")
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=PATIENCE_MS)
        self._wait_for_kernel(path)

    def open(self, path: str) -> None:
        """Open a notebook in the running Lab and wait for its kernel."""
        self.command("docmanager:open", {"path": path})
        self._wait_for_kernel(path)

    def command(self, name: str, arguments: dict | None = None) -> None:
        """Run a command of JupyterLab and wait until it is done."""
        self.page.evaluate(
            "async ([name, args]) => { await window.jupyterapp.commands.execute(name, args) }",
            [name, arguments or {}],
        )

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def errors(self) -> list[str]:
        """Names of all errors in the outputs of the current notebook."""
        return self.page.evaluate(
            """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
                .filter(c => c.type === 'code')
                .flatMap(c => c.outputs.toJSON())
                .filter(o => o.output_type === 'error').map(o => o.ename)"""
        )

    def text_of(self, cell_id: str) -> str:
        """All text printed by the cell with that id."""
        return self.page.evaluate(
            """id => { const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells];
                const cell = cells.find(c => c.id === id);
                return cell.outputs.toJSON().map(o => o.text ?? (o.data ?? {})['text/plain'] ?? '')
                    .flat().join(''); }""",
            cell_id,
        )

    def show_cell(self, cell_id: str) -> None:
        """Scroll to the cell with that id and make it the active one."""
        self.page.evaluate(
            """async id => { const panel = window.jupyterapp.shell.currentWidget;
                const cells = [...panel.content.model.cells];
                const index = cells.findIndex(c => c.id === id);
                panel.content.activeCellIndex = index;
                await panel.content.scrollToItem(index, 'center'); }""",
            cell_id,
        )

    def cell_printing(self, text: str) -> str:
        """Id of the first cell with `text` in its outputs."""
        return self.page.evaluate(
            """text => { const panel = window.jupyterapp.shell.currentWidget;
                const cells = [...panel.content.model.cells];
                return cells.find(c => c.type === 'code'
                    && JSON.stringify(c.outputs.toJSON()).includes(text)).id; }""",
            text,
        )

    def run_cell(self, cell_id: str) -> None:
        """Run one cell and wait until it is done."""
        self.show_cell(cell_id)
        self.command("notebook:run-cell")

    def answer(self, exercise: str, source: str) -> None:
        """Type an answer over what stands in its cell, run it and its check."""
        self.show_cell(exercise)
        self.command("notebook:enter-edit-mode")
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(source)
        self.command("notebook:run-cell")
        self.run_cell(f"test-{exercise}")

    def shoot(self, name: str) -> Path:
        """Take a screenshot, numbered in order."""
        self._shot += 1
        path = self.shots / f"{self._shot:02d}-{name}.png"
        self.page.screenshot(path=path)
        return path

    def _wait_for_kernel(self, path: str) -> None:
        self.page.wait_for_function(
            """path => { const w = window.jupyterapp.shell.currentWidget;
                return w && w.context && w.context.path === path && w.context.isReady
                    && w.sessionContext.session?.kernel?.status === 'idle'; }""",
            arg=path,
            timeout=PATIENCE_MS,
        )


@pytest.fixture(scope="module")
def course_copy(tmp_path_factory):
    """The course as git has it, in a folder of its own."""
    root = Path(__file__).resolve().parents[2]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    copy = tmp_path_factory.mktemp("browser") / "course"
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def environment(course_copy):
    """The environment that `make lab` gives JupyterLab, with a fresh record."""
    base = {
        name: value
        for name, value in os.environ.items()
        if name not in ("SYSLAB_STATE", "SYSLAB_NO_PROGRESS", "SYSLAB_ROOT")
    }
    return lab.lab_environment(course_copy, base)


@pytest.fixture(scope="module")
def server(course_copy, environment):
    """JupyterLab started as `make lab` starts it; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lab.exchange_dir(course_copy)
    extra = [f"--IdentityProvider.token={TOKEN}", "--expose-app-in-browser"]
    command = lab.lab_command(course_copy, port=port, browser=False, extra=extra)
    url = f"http://127.0.0.1:{port}"
    log = course_copy.parent / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=course_copy, env=environment, stdout=file, stderr=file
        )
    try:
        for _ in range(240):
            if process.poll() is not None:
                pytest.fail(f"JupyterLab ended at start:\n{log.read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(f"{url}/api?token={TOKEN}", timeout=2):
                    break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail(f"JupyterLab did not answer:\n{log.read_text()[-2000:]}")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")
def jupyterlab(server, course_copy, chromium, tmp_path_factory):
    """The Lab in a browser window of 1280 x 900."""
    from playwright.sync_api import sync_playwright

    named = os.environ.get("SYSLAB_SCREENSHOTS")
    shots = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    shots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        yield Lab(page, server, course_copy, shots)
        browser.close()


@pytest.fixture(scope="module")
def chromium():
    """Path of Chromium; missing means a skip with the install line, and a failure in CI."""
    from syslab.course import programs

    entry = next(p for p in programs.PROGRAMS if p.name == "chromium")
    path = entry.path()
    if path is None:
        said = f"not proven here: chromium is missing; {programs.install_line([entry])}"
        if os.environ.get("CI") and not os.environ.get("SYSLAB_ALLOW_UNPROVEN"):
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
    return path
