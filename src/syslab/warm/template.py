"""The warm process: imports the heavy libraries once, then forks a kernel for each request.

Run by `syslab.warm.service` as ``python -m syslab.warm.template LISTENER READY OWNER IDLE_S
MODULE...``: descriptors of the listening socket, of the pipe that is told when it is ready, and of
the one whose closing ends it (-1: none, then IDLE_S seconds without a request do). It stays
single-threaded and never runs a cell, so that a fork is safe and starts clean.

Each connection is one kernel. The client sends one line of JSON::

    {"connection": {...}, "folder": "...", "sockets": "...", "environment": {...},
     "threads": 2, "policy": null, "witness": null}

and gets ``{"pid": 123}`` when the kernel's sockets are bound, then ``{"exit": 0, "exceeded": ""}``
when it has ended (negative: the signal that ended it; and the sandbox's limit it went over), or
``{"error": "..."}``. A client that hangs up, or dies, takes its kernel with it. The line
``{"modules": [...], "compiled": [...]}`` makes the template import and compile more for later
kernels (`syslab.warm.compiled`); it is answered with ``{"ready": true}``.

Two processes stand between: a *watcher*, which holds the connection and unshares the namespaces,
and the kernel, which is process 1 of its own process namespace when it is sandboxed: whatever it
leaves behind ends with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

READY = b'{"ready": true}\n'
# What an IPython kernel imports on its way up, so that a fork need not.
KERNEL_MODULES = (
    "IPython.core.completer",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "comm",
    "faulthandler",
    "ipykernel.datapub",
    "ipykernel.debugger",
    "ipykernel.eventloops",
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "numpy.random",
    "pdb",
    "secrets",
    "syslab.warm.integrity",
    "tornado.platform.asyncio",
)
MAX_REQUEST_BYTES = 1 << 20
ASK_S = 5.0  # for a client to say what it wants
LOOK_S = 0.25  # how often a sandbox's use of memory and processor is looked at


def main(arguments: list[str]) -> int:
    """Import, say that it is ready, and serve until the listening socket's owner is gone."""
    listener = socket.socket(fileno=int(arguments[0]))
    ready, owner = int(arguments[1]), int(arguments[2])
    idle_s = float(arguments[3])
    missing = warm_up(arguments[4:])
    _prepare_sandbox()
    gc.collect()
    gc.freeze()  # a child's collector leaves the template's objects alone, and their pages shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # watchers are nobody's zombies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked for the kernels
    os.write(ready, json.dumps({"ready": True, "missing": missing}).encode() + b"\n")
    os.close(ready)
    watched = [listener] + ([owner] if owner >= 0 else [])
    while True:
        readable, _, _ = select.select(watched, [], [], idle_s or None)
        if not readable or owner in readable:  # nobody asks any more
            if owner < 0:  # nobody else clears up after it
                shutil.rmtree(Path(listener.getsockname()).parent, ignore_errors=True)
            return 0
        connection, _ = listener.accept()
        request = _request(connection)
        if request is not None and "modules" in request:
            _learn(connection, request)
        elif request is not None and os.fork() == 0:
            listener.close()
            if owner >= 0:
                os.close(owner)
            _watch(connection, request)
        connection.close()


def _request(connection: socket.socket) -> dict[str, Any] | None:
    """What a client asks for; None when it hangs up or takes its time, which others have not."""
    connection.settimeout(ASK_S)
    try:
        return _receive(connection)
    except (OSError, ValueError):
        return None
    finally:
        connection.settimeout(None)


def _learn(connection: socket.socket, request: dict[str, Any]) -> None:
    """Import and compile what later kernels need."""
    from syslab.warm import compiled

    try:
        for name in request["modules"]:
            importlib.import_module(name)
        if "matplotlib.pyplot" in request["modules"]:
            _draw()
        compiled.compile_all(request["compiled"])
    except Exception as error:
        _send(connection, {"error": f"{type(error).__name__}: {error}"})
        return
    gc.freeze()
    _send(connection, {"ready": True})


def warm_up(modules: list[str]) -> list[str]:
    """Import `modules` and what a kernel needs, draw one picture; return what is not there."""
    # `-m` put the working folder there; a kernel puts its own.
    sys.path[:] = [entry for entry in sys.path if entry not in ("", os.getcwd())]
    missing = []
    for name in (*KERNEL_MODULES, *modules):
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if "matplotlib" in sys.modules:
        _draw()
    return missing


def _prepare_sandbox() -> None:
    """Find out once what the sandbox needs to know, so that no fork has to."""
    if sys.platform == "linux":
        from syslab.warm import sandbox

        sandbox.support()


def _draw() -> None:
    """Load fonts and the text layout, on a canvas of its own."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    axes.loglog([1, 10], [1, 10], label="warm")
    axes.set_xlabel("warm")
    axes.legend()
    FigureCanvasAgg(figure).print_png(io.BytesIO())


# ------------------------------------------------------------------------------- the watcher


def _watch(connection: socket.socket, request: dict[str, Any]) -> NoReturn:
    """Fork the kernel and tell the client how it ends; end it when the client is gone."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        status = _run(connection, request)
    except BaseException as error:
        _send(connection, {"error": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(status)


def _run(connection: socket.socket, request: dict[str, Any]) -> int:
    policy = _policy(request.get("policy"))
    if policy is not None:
        from syslab.warm import sandbox

        sandbox.isolate()
    bound, report = os.pipe()
    kernel = os.fork()
    if kernel == 0:
        os.close(bound)
        connection.close()
        _become_kernel(request, policy, report)
    os.close(report)
    with os.fdopen(bound, "rb") as pipe:
        said = pipe.readline()
    if said:
        _send(connection, {"error": json.loads(said)["error"]} if said != READY else _pid(kernel))
    exceeded = _end_when_alone(connection, kernel, policy)
    _, status = os.waitpid(kernel, 0)
    code = os.waitstatus_to_exitcode(status)
    ended = {"exit": code, "exceeded": exceeded}
    _send(connection, ended if said else {"error": f"the kernel ended with {code}"})
    return 0


def _pid(kernel: int) -> dict[str, int]:
    return {"pid": kernel}


def _end_when_alone(connection: socket.socket, kernel: int, policy: Any) -> str:
    """Return when the kernel has ended; end it when the client hangs up, or it uses too much.

    Returns
    -------
    The limit that all its processes together went over, empty for none.
    """
    meter, look_s = None, None
    if policy is not None:
        from syslab.warm import sandbox

        meter, look_s = sandbox.Meter(kernel, policy), LOOK_S
    ended = os.pidfd_open(kernel) if hasattr(os, "pidfd_open") else -1
    watched = [connection] + ([ended] if ended >= 0 else [])
    exceeded = ""
    while True:
        readable, _, _ = select.select(watched, [], [], look_s if ended >= 0 else 0.05)
        if ended < 0 and os.waitid(os.P_PID, kernel, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return exceeded
        if ended in readable:
            _end_group(kernel)  # what it left in its process group
            return exceeded
        if connection in readable and not _alive(connection):
            _end_group(kernel)
            return exceeded
        if meter is not None and not exceeded:
            exceeded = meter.exceeded() or ""
            if exceeded:
                _end_group(kernel)


def _end_group(kernel: int) -> None:
    for end in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(kernel, signal.SIGKILL)


def _alive(connection: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        return bool(connection.recv(1))
    return False


def _policy(fields: dict[str, Any] | None) -> Any:
    if fields is None:
        return None
    from syslab.warm import sandbox

    given = dict(fields)
    given["limits"] = sandbox.Limits(**given["limits"])
    given["readable"] = tuple(Path(p) for p in given["readable"])
    given["scratch"], given["sockets"] = Path(given["scratch"]), Path(given["sockets"])
    return sandbox.Policy(**given)


def _receive(connection: socket.socket) -> dict[str, Any] | None:
    text = b""
    while not text.endswith(b"\n"):
        part = connection.recv(65536)
        if not part or len(text) > MAX_REQUEST_BYTES:
            return None
        text += part
    return json.loads(text)


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(message).encode() + b"\n")


# -------------------------------------------------------------------------------- the kernel


def _become_kernel(request: dict[str, Any], policy: Any, report: int) -> NoReturn:
    status = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(request["environment"])
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        os.chdir(request["folder"])
        # Inside, no file can be made beside the sockets.
        _connection_file(request).write_text(json.dumps(request["connection"]), encoding="utf-8")
        witness = request.pop("witness", None)  # its key must not stay where it could be found
        pipe = -1 if witness is None else os.open(witness["pipe"], os.O_WRONLY | os.O_NONBLOCK)
        if policy is not None:
            from syslab.warm import sandbox

            sandbox.confine(policy, keep=(report,) if witness is None else (report, pipe))
        _own_randomness(int(request["threads"]))
        app = _initialised(request)
        if witness is not None:
            app.shell.history_manager.store_inputs = lambda *_: None  # no text of a test in `In`
            app.shell.ask_exit = lambda: None  # quit() in an answer is not to race the next cell
            _start_witness(pipe, **witness)
            witness = None
        os.write(report, READY)
        os.close(report)
        report = -1
        app.start()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 0
    except BaseException as error:
        if report >= 0:
            said = {"error": f"{type(error).__name__}: {error}"}
            os.write(report, json.dumps(said).encode() + b"\n")
    finally:
        os._exit(status)


def _start_witness(descriptor: int, key: str, reporter: str, modules: list[str], **_: Any) -> None:
    from syslab.warm import integrity

    integrity.start(descriptor, bytes.fromhex(key), reporter, modules)


def _own_randomness(threads: int) -> None:
    """Numbers of its own in every fork, as in a kernel that was started; and its threads."""
    for name in ("numpy", "torch"):
        module = sys.modules.get(name)
        if module is not None and name == "numpy":
            module.random.seed()
        elif module is not None:
            module.seed()
            module.set_num_threads(threads)


def _connection_file(request: dict[str, Any]) -> Path:
    return Path(request["sockets"]) / "connection.json"


def _initialised(request: dict[str, Any]) -> Any:
    """An IPython kernel application, its sockets bound."""
    from ipykernel.kernelapp import IPKernelApp

    file = _connection_file(request)
    IPKernelApp.log_connection_info = lambda self: None
    sys.argv = ["ipykernel_launcher.py", "-f", str(file)]
    app = IPKernelApp.instance()
    app.initialize(
        [
            "-f",
            str(file),
            "--HistoryManager.enabled=False",
            "--IPKernelApp.log_level=ERROR",
        ]
    )
    return app


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
