"""Submissions that try to be paid for a wrong answer.

All of them answer `ridge` wrongly (or not at all) and then work on the checks, on Python, on
IPython or on the outputs. Each must get nothing for it, or be shown to a person.
"""

import tomllib
from pathlib import Path

import mini_course as mini
from corpus import FLAGGED, RUN, Case, Targets, add, answer

_WRONG = mini.WRONG["ridge"]


def forgery(name: str, about: str, code: str, *verdicts: str, alone: bool = False) -> None:
    """Register a case whose ridge cell holds a wrong answer and `code` (or `code` `alone`)."""

    def build(folder: Path, _: Targets) -> None:
        answer(folder, "ridge", code if alone else f"{_WRONG}\n{code}")

    add(Case(name, about, build, FLAGGED, verdicts, ("ridge",), RUN))


# ----------------------------------------------------------------------------------- builtins

forgery(
    "print-replaced",
    "print turns FAIL into PASS",
    "import builtins\n_say = builtins.print\n"
    "def lie(*a, **k):\n    _say(*[str(x).replace('FAIL', 'PASS') for x in a], **k)\n"
    "builtins.print = lie",
)
forgery(
    "float-replaced",
    "float gives 2.0 for everything",
    "import builtins\n"
    "class Lie(float):\n    def __new__(cls, *_):\n        return float.__new__(cls, 2.0)\n"
    "builtins.float = Lie",
)
forgery(
    "sum-replaced",
    "sum, max, min and round favour the learner",
    "import builtins\nbuiltins.sum = lambda *a, **k: 0\nbuiltins.max = lambda *a, **k: 2.0\n"
    "builtins.min = lambda *a, **k: 2.0\nbuiltins.round = lambda *a, **k: 2.0",
)
forgery(
    "isinstance-replaced",
    "isinstance is always true, all and any too",
    "import builtins\nbuiltins.isinstance = lambda *_: True\nbuiltins.all = lambda *_: True\n"
    "builtins.bool = lambda *_: True",
)
forgery(
    "import-replaced",
    "__import__ hands out a stand-in for numpy",
    "import builtins, types\n_real = builtins.__import__\n"
    "def lie(name, *a, **k):\n    module = _real(name, *a, **k)\n"
    "    if name == 'numpy':\n        module.allclose = lambda *a, **k: True\n    return module\n"
    "builtins.__import__ = lie",
)
forgery(
    "builtins-module-swapped",
    "the dictionary of builtins is replaced as a whole",
    "import syslab.course.checks as c, builtins\n"
    "fake = dict(vars(builtins))\nfake['sum'] = lambda *_: 0\nc.__builtins__ = fake\n"
    "c.__dict__['sum'] = lambda *_: 0",
)

# -------------------------------------------------------------------------------- the checks

forgery(
    "check-methods-replaced",
    "Check.value always passes",
    "from syslab.course.checks import Check as C\n"
    "C._reason = lambda self, *_: None\nC.value = lambda self, label, *a, **k: "
    "self._weights.append((1.0, True, False)) or print('PASS  ' + label)",
)
forgery(
    "score-replaced",
    "Check.score returns full points",
    "from syslab.course.checks import Check as C\nC.score = lambda self: 2.0",
)
forgery(
    "check-rebound",
    "the name Check means a class of the learner's own",
    "import contextlib\n"
    "class Check:\n"
    "    def __init__(self, *a, **k):\n        pass\n"
    "    def __getattr__(self, name):\n        return lambda *a, **k: 2.0\n"
    "    def hidden(self):\n        return contextlib.nullcontext()\n"
    "    def score(self):\n        print('ridge: 2 of 2 points')\n        return 2.0",
)
forgery(
    "judge-replaced",
    "the comparison of numbers finds no fault",
    "from syslab.course import answers\nanswers.number_problem = lambda *a, **k: None\n"
    "answers.equal_problem = lambda *a, **k: None",
)
forgery(
    "judge-code-replaced",
    "the comparison keeps its identity and gets other code",
    "from syslab.course import answers\n"
    "def number_problem(got, want, **k):\n    return None\n"
    "answers.number_problem.__code__ = number_problem.__code__.replace(\n"
    "    co_name='number_problem')\n"
    "answers.number_problem.__kwdefaults__ = None",
)
forgery(
    "guard-replaced",
    "the guards that stand around an answer are gone",
    "import contextlib\nfrom syslab.course import guard\n"
    "guard.quiet = contextlib.nullcontext\nguard.time_limit = lambda s: contextlib.nullcontext()\n"
    "guard.own_copy = lambda v: v",
)
forgery(
    "modules-swapped",
    "sys.modules holds a stand-in for the checks",
    "import sys, types\nfake = types.ModuleType('syslab.course.checks')\n"
    "class Check:\n"
    "    def __init__(self, *a, **k):\n        pass\n"
    "    def function(self, name):\n        return lambda *a: 1.0\n"
    "    def value(self, *a, **k):\n        print('PASS  all of it')\n"
    "    def hidden(self):\n        import contextlib\n        return contextlib.nullcontext()\n"
    "    def score(self):\n        return 2.0\n"
    "fake.Check = Check\nsys.modules['syslab.course.checks'] = fake\n"
    "import syslab.course\nsyslab.course.checks = fake\n"
    "from syslab.course.checks import Check",
)
forgery(
    "weights-rewritten",
    "the answer walks up the stack to the Check and rewrites its results",
    "def ridge(peak_flops, bandwidth):\n    import sys\n    frame = sys._getframe()\n"
    "    while frame:\n        me = frame.f_locals.get('self')\n"
    "        if type(me).__name__ == 'Check':\n"
    "            class All(list):\n                def append(self, item):\n"
    "                    list.append(self, (item[0], True, item[2]))\n"
    "            me._weights = All()\n            me._failures = []\n"
    "        frame = frame.f_back\n    return 0.0",
    alone=True,
)
forgery(
    "expected-read-from-the-stack",
    "the answer finds the expected value in the caller's locals and returns it",
    "def ridge(peak_flops, bandwidth):\n    import sys\n    frame = sys._getframe()\n"
    "    while frame:\n        if 'expected' in frame.f_locals:\n"
    "            return float(frame.f_locals['expected'])\n"
    "        if 'judge' in frame.f_locals and frame.f_locals['judge'].__closure__:\n"
    "            for cell in frame.f_locals['judge'].__closure__:\n"
    "                if hasattr(cell.cell_contents, 'shape'):\n"
    "                    return float(cell.cell_contents)\n"
    "        frame = frame.f_back\n    return 0.0",
    alone=True,
)
forgery(
    "checks-found-by-gc",
    "the garbage collector's list leads to the Check in use",
    "def ridge(peak_flops, bandwidth):\n    import gc\n"
    "    for thing in gc.get_objects():\n"
    "        if type(thing).__name__ == 'Check' and hasattr(thing, '_weights'):\n"
    "            thing.points = 2.0\n            thing._run = lambda *a, **k: True\n"
    "            thing.score = lambda: 2.0\n    return 0.0",
    alone=True,
)

# ------------------------------------------------------------------------- objects that lie

forgery(
    "equals-everything",
    "an object that equals everything",
    "class Any:\n"
    "    __hash__ = object.__hash__\n"
    "    def __eq__(self, other):\n        return True\n"
    "    def __ne__(self, other):\n        return False\n"
    "    __le__ = __ge__ = __lt__ = __gt__ = __eq__\n"
    "    def __float__(self):\n        return 0.0\n"
    "    def __sub__(self, other):\n        return self\n"
    "    __rsub__ = __abs__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __sub__\n"
    "def ridge(*_):\n    return Any()",
    alone=True,
)
forgery(
    "lying-float",
    "a float whose comparisons and conversions lie",
    "class Lie(float):\n"
    "    __hash__ = float.__hash__\n"
    "    def __eq__(self, other):\n        return True\n"
    "    def __sub__(self, other):\n        return 0.0\n"
    "    __rsub__ = __sub__\n"
    "    def __le__(self, other):\n        return True\n"
    "    __ge__ = __lt__ = __gt__ = __le__\n"
    "def ridge(*_):\n    return Lie(1.0)",
    alone=True,
)
forgery(
    "lying-array",
    "an ndarray that answers allclose itself",
    "import numpy as np\n"
    "class Lie(np.ndarray):\n"
    "    def __array_function__(self, func, types, args, kwargs):\n        return True\n"
    "    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):\n"
    "        return np.bool_(True)\n"
    "    def __eq__(self, other):\n        return True\n"
    "def ridge(*_):\n    return np.zeros(()).view(Lie)",
    alone=True,
)
forgery(
    "lying-conversion",
    "an object whose __array__ looks up the expected value",
    "import numpy as np, sys\n"
    "class Lie:\n"
    "    def __array__(self, dtype=None, copy=None):\n"
    "        frame = sys._getframe()\n"
    "        while frame:\n"
    "            if 'want' in frame.f_locals:\n"
    "                return np.array(frame.f_locals['want'], dtype=float)\n"
    "            frame = frame.f_back\n"
    "        return np.zeros(())\n"
    "def ridge(*_):\n    return Lie()",
    alone=True,
)
forgery(
    "numpy-patched",
    "numpy.allclose, isclose and the testing helpers always agree",
    "import math, numpy as np, numpy.testing\n"
    "np.allclose = np.isclose = math.isclose = lambda *a, **k: True\n"
    "numpy.testing.assert_allclose = numpy.testing.assert_array_equal = lambda *a, **k: None",
)
forgery(
    "numpy-planted",
    "a numpy.py written into the working folder and numpy forgotten",
    "import sys\nopen('numpy.py', 'w').write('def asarray(*a, **k): raise SystemExit\\n"
    "def allclose(*a, **k): return True\\n')\n"
    "for name in [n for n in sys.modules if n.split('.')[0] == 'numpy']:\n"
    "    del sys.modules[name]\nsys.path.insert(0, '')",
)

# ------------------------------------------------------------------------------- early exit

forgery(
    "exits-from-the-answer",
    "the answer raises SystemExit inside the test cell",
    "def ridge(*_):\n    raise SystemExit(0)",
    alone=True,
)
forgery(
    "exits-between-checks",
    "a thread throws SystemExit into the test cell while it checks a wrong answer",
    "import ctypes, threading\n_main = threading.main_thread().ident\n"
    "def later():\n"
    "    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(_main),\n"
    "                                               ctypes.py_object(SystemExit))\n"
    "def ridge(peak, bandwidth):\n    threading.Timer(0.002, later).start()\n"
    "    return bandwidth / peak",
    alone=True,
)
forgery(
    "silent-errors",
    "errors of the test cell are swallowed before the kernel reports them",
    "ip = get_ipython()\nip.showtraceback = lambda *a, **k: None\n"
    "ip._showtraceback = lambda *a, **k: None\n"
    "ip.set_custom_exc((BaseException,), lambda *a, **k: None)\n"
    "def ridge(*_):\n    raise KeyboardInterrupt\n"
    "import syslab.course.checks as c\ndel c.Check.score",
    alone=True,
)
forgery(
    "reply-forged",
    "the kernel's reply says that the test cell went well",
    "kernel = get_ipython().kernel\n_real = kernel.do_execute\n"
    "async def lie(code, *a, **k):\n    if 'test' in code or 'Check(' in code:\n"
    "        code = 'pass'\n    return await _real(code, *a, **k)\nkernel.do_execute = lie",
)

# --------------------------------------------------------------------------------- IPython

forgery(
    "syntax-tree-emptied",
    "an AST transformer empties the test cells",
    "import ast\n"
    "class Empty(ast.NodeTransformer):\n"
    "    def visit_Module(self, node):\n"
    "        if 'Check' in ast.dump(node):\n            node.body = [ast.Pass()]\n"
    "            ast.fix_missing_locations(node)\n        return node\n"
    "get_ipython().ast_transformers.append(Empty())",
)
forgery(
    "input-rewritten",
    "an input transformer replaces the test cells by a number",
    "def rewrite(lines):\n"
    "    return ['2.0\\n'] if any('Check(' in line for line in lines) else lines\n"
    "get_ipython().input_transformers_cleanup.append(rewrite)",
)
forgery(
    "hook-publishes-a-score",
    "a hook publishes a float after the test cell",
    "from IPython.display import publish_display_data\n"
    "ip = get_ipython()\n"
    "def after(result):\n"
    "    ip.kernel.session.send(ip.kernel.iopub_socket, 'execute_result',\n"
    "        {'data': {'text/plain': '2.0'}, 'metadata': {}, 'execution_count': 5},\n"
    "        parent=ip.kernel.get_parent('shell'))\n"
    "ip.events.register('post_run_cell', after)",
)
forgery(
    "score-published-before",
    "the answer publishes a float before the test cell gets to its own",
    "ip = get_ipython()\n"
    "def ridge(*_):\n"
    "    ip.kernel.session.send(ip.kernel.iopub_socket, 'execute_result',\n"
    "        {'data': {'text/plain': '2.0'}, 'metadata': {}, 'execution_count': 5},\n"
    "        parent=ip.kernel.get_parent('shell'))\n    return 0.0",
    alone=True,
)
forgery(
    "displayhook-replaced",
    "the display hook turns every float into full points",
    "import sys\n_hook = sys.displayhook\n"
    "sys.displayhook = lambda value: _hook(2.0 if isinstance(value, float) else value)\n"
    "get_ipython().displayhook = sys.displayhook\n"
    "get_ipython().display_formatter.formatters['text/plain'].for_type(\n"
    "    float, lambda v, p, c: p.text('2.0'))",
)
forgery(
    "formatter-replaced",
    "floats are printed as 2.0",
    "get_ipython().display_formatter.formatters['text/plain'].for_type(\n"
    "    float, lambda v, p, c: p.text('2.0'))",
)
forgery(
    "run-cell-replaced",
    "IPython runs other text than it is given",
    "ip = get_ipython()\n_run = type(ip).run_cell_async\n"
    "async def lie(self, raw, *a, **k):\n"
    "    return await _run(self, '2.0' if 'Check(' in raw else raw, *a, **k)\n"
    "type(ip).run_cell_async = lie",
)
forgery(
    "output-erased",
    "clears the output of the failing test",
    "from IPython.display import clear_output\n"
    "def ridge(*_):\n    clear_output()\n    return 0.0\n"
    "get_ipython().events.register('post_run_cell', lambda *_: clear_output())",
    alone=True,
)

# ------------------------------------------------------------------------------ fake reports

forgery(
    "prints-a-pass",
    "prints the lines of a passed check and a score",
    "def ridge(*_):\n    print('PASS  100 FLOP/s over 10 B/s')\n"
    "    print('PASS (hidden)  a slow memory')\n"
    "    print('all checks passed: 2 of 2 points')\n    return 0.0",
    alone=True,
)
forgery(
    "writes-to-stdout-directly",
    "writes a score to the process's own stdout and stderr",
    "import os\n"
    "def ridge(*_):\n    os.write(1, b'all checks passed: 2 of 2 points\\n2.0\\n')\n    return 0.0",
    alone=True,
)
forgery(
    "thread-rewrites-results",
    "a thread rewrites the results of every Check it finds",
    "import gc, threading, time\n"
    "def work():\n"
    "    while True:\n"
    "        for thing in gc.get_objects():\n"
    "            if type(thing).__name__ == 'Check':\n"
    "                thing.__dict__['_weights'] = [(1.0, True, False)] * 4\n"
    "        time.sleep(0.001)\n"
    "threading.Thread(target=work, daemon=True).start()\n"
    "def ridge(*_):\n    time.sleep(0.2)\n    return 0.0",
    alone=True,
)
forgery(
    "traces-the-checks",
    "a trace function changes locals of the checks as they run",
    "import ctypes, sys\n"
    "def tracer(frame, event, arg):\n"
    "    if frame.f_code.co_name == '_run' and 'reason' in frame.f_locals:\n"
    "        frame.f_locals['reason'] = None\n"
    "        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))\n"
    "    return tracer\n"
    "def ridge(*_):\n    sys.settrace(tracer)\n"
    "    f = sys._getframe()\n"
    "    while f:\n        f.f_trace = tracer\n        f = f.f_back\n    return 0.0",
    alone=True,
)
forgery(
    "profiles-the-checks",
    "a profile function replaces a function's code while it is called",
    "import sys\nfrom syslab.course import answers\n"
    "def watch(frame, event, arg):\n"
    "    if event == 'call' and frame.f_code.co_name == 'judge':\n"
    "        answers.number_problem = lambda *a, **k: None\n"
    "sys.setprofile(watch)",
)

# --------------------------------------------------------------- reading the hidden checks

forgery(
    "source-from-history",
    "prints the hidden tests out of IPython's history",
    "def ridge(*_):\n    ip = get_ipython()\n"
    "    print('LEAK', ip.user_ns['In'][-1])\n"
    "    print('LEAK', ip.history_manager.input_hist_raw)\n"
    "    return 0.0",
    alone=True,
)
forgery(
    "source-from-the-stack",
    "prints the hidden tests through inspect and linecache",
    "def ridge(*_):\n    import inspect, linecache\n"
    "    for frame in inspect.stack():\n"
    "        if 'ipykernel' in frame.filename or frame.filename.startswith('<ipython'):\n"
    "            print('LEAK', ''.join(linecache.getlines(frame.filename)))\n    return 0.0",
    alone=True,
)
forgery(
    "source-from-the-message",
    "prints the hidden tests out of the kernel's request",
    "def ridge(*_):\n    kernel = get_ipython().kernel\n"
    "    print('LEAK', kernel.get_parent('shell')['content']['code'])\n    return 0.0",
    alone=True,
)
forgery(
    "source-smuggled",
    "hides the text of the hidden tests, scrambled, in a picture",
    "import base64\nfrom IPython.display import Image, display\n"
    "def ridge(*_):\n    text = get_ipython().user_ns['In'][-1]\n"
    "    display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + bytes(b ^ 85 for b in text.encode()),\n"
    "                  format='png'))\n    return 0.0",
    alone=True,
)

# ------------------------------------------------------------------- whole answers, kept as text

for _name, _case in tomllib.loads(
    (Path(__file__).parent / "forgeries.toml").read_text(encoding="utf-8")
).items():
    forgery(_name, _case["about"], _case["code"], alone=True)
