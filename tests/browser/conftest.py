"""A real JupyterLab on a copy of the course, driven by a real Chromium.

Screenshots of every step go to the folder that SYSLAB_SCREENSHOTS names, else to pytest's own.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from syslab.course import lab

ROOT = Path(__file__).resolve().parents[2]
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
SERVER_S, PATIENCE_MS = 90, 90_000
WINDOW = {"width": 1280, "height": 900}
FROM_THE_OUTER_TESTS = ("SYSLAB_STATE", "SYSLAB_NO_PROGRESS", "SYSLAB_ROOT")

# What the page is asked. `cells()` are those of the notebook in front.
IN_FRONT = "const panel = window.jupyterapp.shell.currentWidget;"
CELLS = f"{IN_FRONT} const cells = [...panel.content.model.cells];"
# Whether the next Run All Cells has come to its end, errors included.
RUN_ALL_ENDED = """() => {
    const {commandExecuted} = window.jupyterapp.commands;
    const ended = () => { window.runAllEnded = true; };
    const look = (_, {id, result}) => {
        if (id !== "notebook:run-all-cells") return;
        commandExecuted.disconnect(look);
        result.then(ended, ended); };
    window.runAllEnded = false;
    commandExecuted.connect(look); }"""
# Formgrader scrolls softly to where the marker left off.
SETTLED = """() => new Promise(done => {
    const look = () => formgrader.loaded && !$("body, html").is(":animated")
        ? done() : setTimeout(look, 50);
    look(); })"""


class Lab:
    """One JupyterLab page: what a person does in it, one method each."""

    def __init__(self, page, url: str, course: Path, shots: Path) -> None:
        self.page, self.url, self.course, self.shots = page, url, course, shots
        self._shot = 0

    @property
    def front(self):
        """The tab in front."""
        return self.page.locator("#jp-main-dock-panel > .lm-DockPanel-widget:not(.lm-mod-hidden)")

    # ---------------------------------------------------------------------------- going places

    def visit(self, path: str) -> None:
        """Load JupyterLab at a notebook and wait for its kernel."""
        self.page.goto(f"{self.url}/lab/tree/{path}?token={TOKEN}")
        self.page.wait_for_function("window.jupyterapp !== undefined")
        self.wait_for_notebook(path)

    def open(self, path: str) -> None:
        """Open a notebook in the running JupyterLab and wait for its kernel."""
        self.command("docmanager:open", {"path": path})
        self.wait_for_notebook(path)

    def wait_for_notebook(self, path: str) -> None:
        """Wait until that notebook is in front and its kernel has nothing to do."""
        self.page.wait_for_function(
            f"""path => {{ {IN_FRONT}
                return panel?.context?.path === path && panel.context.isReady
                    && panel.sessionContext.session?.kernel?.status === 'idle'; }}""",
            arg=path,
        )

    def command(self, name: str, arguments: dict | None = None) -> None:
        """Run a command of JupyterLab and wait until it is done."""
        self.page.evaluate(
            "async ([name, args]) => { await window.jupyterapp.commands.execute(name, args); }",
            [name, arguments or {}],
        )

    def menu(self, *names: str) -> None:
        """Choose from the menu bar."""
        first, *rest = names
        self.page.locator("#jp-MainMenu .lm-MenuBar-item").get_by_text(first, exact=True).click()
        for depth, name in enumerate(rest):
            menu = self.page.locator(".lm-Menu").nth(depth)
            item = menu.locator(".lm-Menu-item").filter(
                has=self.page.locator(".lm-Menu-itemLabel").get_by_text(name, exact=True)
            )
            item.click()

    # ------------------------------------------------------------------------------- notebooks

    def run_all(self) -> None:
        """Choose Run All Cells and wait until JupyterLab says that it is done."""
        self.page.evaluate(RUN_ALL_ENDED)
        self.menu("Run", "Run All Cells")
        # The focus comes back from the menu at its own time, and to the last cell.
        self.page.wait_for_function(
            f"""() => {{ {IN_FRONT}
                return window.runAllEnded
                    && panel.sessionContext.session.kernel.status === 'idle'
                    && panel.content.activeCell.node.contains(document.activeElement); }}"""
        )

    def errors(self) -> list[str]:
        """Names of all errors in the outputs of the notebook in front."""
        return self.page.evaluate(
            f"""() => {{ {CELLS}
                return cells.filter(c => c.type === 'code').flatMap(c => c.outputs.toJSON())
                    .filter(o => o.output_type === 'error').map(o => o.ename); }}"""
        )

    def text_of(self, cell_id: str) -> str:
        """All text in the outputs of that cell."""
        return self.page.evaluate(
            f"""id => {{ {CELLS}
                const outputs = cells.find(c => c.id === id).outputs.toJSON();
                return outputs.flatMap(o => o.text ?? o.data?.['text/plain'] ?? '').join(''); }}""",
            cell_id,
        )

    def cell_with(self, code: str) -> str:
        """Id of the first code cell that contains `code`."""
        return self.page.evaluate(
            f"""code => {{ {CELLS}
                return cells.find(c => c.type === 'code'
                    && c.sharedModel.source.includes(code)).id; }}""",
            code,
        )

    def show_cell(self, cell_id: str, where: str = "center"):
        """Scroll to that cell, make it the active one, and return it, by its place."""
        index = self.page.evaluate(
            f"""async ([id, where]) => {{ {CELLS}
                const index = cells.findIndex(c => c.id === id);
                panel.content.activeCellIndex = index;
                await panel.content.scrollToItem(index, where);
                return index; }}""",
            [cell_id, where],
        )
        return self.front.locator(f'.jp-Cell[data-windowed-list-index="{index}"]')

    def run_cell(self, cell_id: str) -> None:
        """Run one cell and wait until it is done."""
        self.show_cell(cell_id)
        self.command("notebook:run-cell")

    def write(self, cell_id: str, source: str) -> None:
        """Type over what stands in a cell and run it."""
        self.show_cell(cell_id)
        self.command("notebook:enter-edit-mode")
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(source)
        self.command("notebook:run-cell")

    def answer(self, exercise: str, source: str) -> str:
        """Write an answer, run its check, and return what that says."""
        self.write(exercise, source)
        self.run_cell(f"test-{exercise}")
        return self.text_of(f"test-{exercise}")

    def save(self) -> None:
        """Press the keys for saving and wait until it is on disk."""
        self.page.keyboard.press("ControlOrMeta+S")
        self.page.wait_for_function(f"() => {{ {IN_FRONT} return !panel.context.model.dirty; }}")

    # ----------------------------------------------------------------------------- other panels

    def type_in_terminal(self, line: str, until: str) -> None:
        """Open a terminal, type one line at its prompt, and wait for `until` on the screen."""
        self.menu("File", "New", "Terminal")
        self._wait_for_on_screen("[$#%>] *$")
        self.front.locator(".xterm-screen").click()
        self.page.keyboard.type(f"{line}\n")
        self._wait_for_on_screen(until)

    def _wait_for_on_screen(self, pattern: str) -> None:
        # The terminal is drawn, not written, so that its own buffer is asked.
        self.page.wait_for_function(
            f"""pattern => {{ {IN_FRONT}
                const buffer = panel?.content?._term?.buffer?.active;
                if (!buffer) return false;
                const lines = Array.from({{length: buffer.length}},
                    (_, i) => buffer.getLine(i)?.translateToString(true) ?? '');
                return new RegExp(pattern).test(lines.join('\\n').trimEnd()); }}""",
            arg=pattern,
            polling=200,
        )

    def assignments(self) -> "Assignments":
        """Open nbgrader's assignment list, freshly loaded."""
        self.menu("Nbgrader", "Assignment List")
        listed = Assignments(self)
        listed.reload()
        return listed

    def fetch_feedback(self, name: str) -> Path:
        """Fetch the feedback of a submitted assignment from the list; the page's place."""
        listed = self.assignments()
        listed.panel.get_by_role("button", name="Fetch Feedback").click()
        listed.panel.get_by_text("view feedback").first.wait_for()
        (page,) = (self.course / "work" / name / "feedback").rglob(f"{name}.html")
        return page

    def formgrader(self) -> "Formgrader":
        """Open nbgrader's page for instructors."""
        return Formgrader(self)

    def desk(self, frame, cell: str) -> "Desk":
        """Find the rubric beside that cell, in a frame or a page that shows a submission."""
        return Desk(frame, cell)

    def shoot(self, name: str) -> Path:
        """Take a screenshot, numbered in order."""
        self._shot += 1
        path = self.shots / f"{self._shot:02d}-{name}.png"
        self.page.screenshot(path=path)
        return path


class Assignments:
    """nbgrader's list of released, downloaded and submitted assignments, in front."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.panel = lab.page.locator("#nbgrader-assignment-list")

    def reload(self) -> None:
        self.panel.locator("#refresh_assignments_list").click()
        for part in ("released", "fetched", "submitted"):
            loading = self.panel.locator(f"#{part}_assignments_list_loading")
            loading.wait_for(state="hidden")

    def row(self, part: str, name: str):
        """The row of an assignment under `released`, `fetched` or `submitted`."""
        rows = self.panel.locator(f"#{part}_assignments_list > .list_item")
        return rows.filter(has_text=name).first


class Formgrader:
    """nbgrader's page for instructors, inside JupyterLab."""

    def __init__(self, lab) -> None:
        self.lab = lab
        lab.menu("Nbgrader", "Formgrader")
        self.frame = lab.front.frame_locator("iframe[src*=formgrader]")
        self._table_is_there()

    def _table_is_there(self) -> None:
        self.frame.locator(".dataTables_wrapper, .dt-container").first.wait_for()

    def cell(self, column: str):
        return self.frame.locator(f"#main-table td.{column}").first

    def press(self, column: str) -> str:
        """Press the one icon of a column, answer the dialogue, return what it said."""
        self.cell(column).locator("a").click()
        dialogue = self.frame.locator(".modal.in")
        dialogue.locator(".modal-title").wait_for()
        self.lab.shoot(column)
        said = dialogue.inner_text()
        assert dialogue.locator(".modal-title").inner_text() == "Success", said
        dialogue.get_by_role("button", name="OK").click()
        self.frame.locator(".modal").wait_for(state="detached")
        return said

    def follow(self, *names: str) -> None:
        """Follow links, one page after another."""
        for name in names:
            self.frame.locator("body").evaluate("body => { body.dataset.left = 'yes'; }")
            self.frame.get_by_role("link", name=name, exact=True).first.click()
            self.frame.locator("body:not([data-left])").wait_for()

    def submissions(self) -> None:
        """Follow the number of submissions to the page that lists them."""
        self.cell("num-submissions").locator("a").click()
        self.cell("autograde").wait_for()
        self._table_is_there()


class Desk:
    """The rubric beside one cell, and Formgrader's own boxes of that cell."""

    def __init__(self, frame, cell) -> None:
        self.panel = frame.locator(f'.syslab-desk[data-cell="{cell}"]')
        self.marked = frame.locator(".syslab-marked").filter(has=self.panel)
        self.score = self.marked.locator("input.score")
        self.comment = self.marked.locator("textarea.comment")
        self.status = self.panel.get_by_role("status")
        frame.locator(f'.syslab-desk[data-cell="{cell}"]:not([aria-busy])').wait_for()
        frame.locator("body").evaluate(SETTLED)

    def level(self, dimension, number):
        group = self.panel.get_by_role("radiogroup", name=re.compile(f"^{dimension}"))
        return group.get_by_role("radio").nth(number)

    def bank(self, key):
        return self.panel.get_by_role("button", name=re.compile(f"^{key}"))

    def chosen(self):
        return [
            int(button.get_attribute("data-level"))
            for button in self.panel.get_by_role("radio", checked=True).all()
        ]

    def placed(self):
        """Where the rubric stands from the answer: (to the right, below), in pixels of a gap."""
        # Both in one moment: Formgrader scrolls softly.
        return self.marked.evaluate(
            """marked => {
                const [answer, rubric] = [".syslab-answer", ".syslab-desk"]
                    .map(name => marked.querySelector(name).getBoundingClientRect());
                return [rubric.left - answer.right, rubric.top - answer.bottom]; }"""
        )


@pytest.fixture(scope="module")
def course_copy(tmp_path_factory):
    """The course as git has it, changes included, in a folder of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    copy = tmp_path_factory.mktemp("browser") / "course"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def environment(course_copy):
    """The environment that `make lab` gives JupyterLab, with a fresh record."""
    with pytest.MonkeyPatch.context() as patch:
        for name in FROM_THE_OUTER_TESTS:
            patch.delenv(name, raising=False)
        return lab.lab_environment(course_copy)


@pytest.fixture(scope="module")
def command(environment):
    """``command(folder, program, *words)`` runs it as in JupyterLab's terminal; what it printed."""

    def run(folder, program, *words):
        done = subprocess.run(
            [Path(sys.executable).parent / program, *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def server(course_copy, environment):
    """JupyterLab started as `make lab` starts it; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lab.exchange_dir(course_copy)
    extra = [f"--IdentityProvider.token={TOKEN}", "--expose-app-in-browser"]
    command = lab.lab_command(course_copy, port=port, browser=False, extra=extra)
    url = f"http://localhost:{port}"
    log = course_copy.parent / "server.log"
    with log.open("w") as file, _running(command, course_copy, environment, file) as process:
        deadline = time.monotonic() + SERVER_S
        while not _answers(f"{url}/api/status?token={TOKEN}"):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield url


@contextmanager
def _running(command, folder, environment, log):
    """Run a server in a session of its own, and end all of it afterwards."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()  # JupyterLab ends its kernels and terminals itself
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def jupyterlab(server, course_copy, needs_program, request, tmp_path_factory):
    """JupyterLab in a browser window."""
    chromium = needs_program("chromium")
    from playwright.sync_api import sync_playwright

    named = os.environ.get("SYSLAB_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    shots = folder / request.module.__name__.rpartition(".")[2].removeprefix("test_")
    shots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
        page = browser.new_page(viewport=WINDOW)
        page.set_default_timeout(PATIENCE_MS)
        yield Lab(page, server, course_copy, shots)
        browser.close()
