"""A witness inside the kernel: what the checks found, told to the outside as it happens.

`start` installs an audit hook, which Python code cannot take out again. The hook writes to a
pipe, each line numbered and signed with a key that only the hook and the reader know: code that
runs in the kernel can neither take a line back nor make one up. It writes

``check``  what a check found: which, from which statement of the test cell, and whether it passed;
``names``  the library objects that this statement means by its names;
``score``  what a cell's checks came to;
``alarm``  something that no answer has a reason to do: looking at the frames or the garbage
           collector's list, tracing, giving a library's function other code, reaching into
           memory; or that a function the checks rest on is no longer the one it was.

The class that reports, and what its reports rest on, is named by the caller: this module knows
nothing of the course.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import sysconfig
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

PREFIX = "syslab.check."  # audit events of the reporting class: ask, judge, done, score
MAX_LINE_BYTES = 4000  # a write of up to 4,096 bytes to a pipe is whole or not at all
MAX_LINES = 20_000

# What the answers rest on at every check, and what else a test cell may call. IPython itself
# takes some builtins away or puts others in their place while a cell runs.
NEAR = (
    "builtins", "math", "numbers", "numpy", "numpy._core.numeric", "numpy._core.fromnumeric",
    "numpy._core.multiarray", "numpy._core.umath", "numpy._core._methods",
)  # fmt: skip
FAR = (
    "syslab", "numpy", "collections", "contextlib", "copy", "functools", "itertools", "operator",
    "random", "statistics", "time", "pandas", "torch",
)  # fmt: skip
UNUSED = ("numpy.f2py", "numpy.ma", "numpy._typing", "numpy.polynomial", "numpy.testing")
SHALLOW = ("pandas", "torch")  # of these the module itself, not all that is below it
AROUND = (  # classes of others whose methods run around every answer
    "contextlib:ExitStack", "contextlib:_GeneratorContextManager", "contextlib:redirect_stderr",
    "warnings:catch_warnings", "numpy:errstate",
)  # fmt: skip
OURS = "syslab."
# Doing it by way of these is doing it.
PASSES = (
    "concurrent.futures.thread", "copy", "ctypes", "functools", "inspect",
    "IPython.utils.frame",
)  # fmt: skip
SET_BY_IPYTHON = frozenset(("exit", "quit", "input", "display", "get_ipython", "open"))

_FRAME_ATTRIBUTES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame")
_CODE_ATTRIBUTES = ("__code__", "__defaults__", "__kwdefaults__")
_GUARD = os.path.join(str(Path(__file__).resolve().parents[1]), "course", "guard.py")
BETWEEN = "something stands between the test cell and its checks"
_MEMORY = ("ctypes.PyObj_FromPtr", "ctypes.cdata", "ctypes.cdata/buffer", "ctypes.string_at")


def start(descriptor: int, key: bytes, reporter: str, modules: Iterable[str]) -> None:
    """Install the witness.

    Parameters
    ----------
    descriptor
        Where it writes: a pipe, kept open for as long as the process lives.
    key
        Signs the lines, at most 64 bytes.
    reporter
        ``"package.module:Class"`` whose methods raise the audit events `PREFIX`.
    modules
        Imported beforehand, so that what they hold is known to be theirs.
    """
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    module, _, attribute = reporter.partition(":")
    owner = importlib.import_module(module)
    os.set_inheritable(descriptor, False)
    hook = _hook(_writer(descriptor, key), getattr(owner, attribute), module)
    sys.addaudithook(hook)


def verified(line: bytes, key: bytes, number: int) -> tuple[Any, ...] | None:
    """What line `number` (from 0) says; None when it is not the witness's own."""
    import ast
    import hashlib
    import hmac

    signature, _, text = line.partition(b" ")
    if not hmac.compare_digest(signature, _sign(hashlib.blake2b, key, number, text)):
        return None
    try:
        said = ast.literal_eval(text.decode("ascii"))
    except (ValueError, SyntaxError):  # a score that is no number
        return ("alarm", "witness", "a report could not be read")
    return said if isinstance(said, tuple) else None


def _sign(blake2b: Any, key: bytes, number: int, text: bytes) -> bytes:
    signed = blake2b(b"%d %b" % (number, text), key=key, digest_size=12)
    return signed.hexdigest().encode("ascii")


# ------------------------------------------------------- from here on: runs beside hostile code
#
# Whatever runs later must not be found through a name that the learner's code can bind again:
# the functions below are closures over all they use.


def _writer(descriptor: int, key: bytes) -> Callable[[tuple[Any, ...]], None]:
    import _blake2

    write, getpid, to_ascii, size = os.write, os.getpid, ascii, len
    blake2b, failed, most, many = _blake2.blake2b, OSError, MAX_LINE_BYTES, MAX_LINES
    owner, number = getpid(), 0

    def tell(said: tuple[Any, ...]) -> None:
        nonlocal number
        if getpid() != owner:  # a fork of the kernel is not the kernel
            if said[0] == "alarm":  # but what it sees may get back: an unsigned line says so
                write(descriptor, b"fork\n")
            return
        if number > many:
            return
        text = to_ascii(said).encode("ascii")
        if size(text) > most:
            text = to_ascii((said[0], "too long")).encode("ascii")
        signed = blake2b(b"%d %b" % (number, text), key=key, digest_size=12)
        number += 1
        try:
            write(descriptor, b"%b %b\n" % (signed.hexdigest().encode("ascii"), text))
        except failed:
            return  # the reader misses a number

    return tell


def _hook(
    tell: Callable[[tuple[Any, ...]], None], reporter: type, module: str
) -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook; see the module's description for what it tells."""
    around = [_found(name) for name in AROUND]
    near = _Same([*NEAR, *_imports_of(module)], [reporter, *around])
    far = _Same([name for name in sys.modules if _is_far(name)], [])
    near_changed, far_changed, near_rewritten = near.changed, far.changed, near.rewritten
    guard_file, others_code = _GUARD, ("object.__setattr__", "object.__delattr__")
    lookers = frozenset((logging.__file__, traceback.__file__))
    genuine = {
        function.__code__: name
        for name, function in vars(reporter).items()
        if isinstance(function, types.FunctionType)
    }
    asks, home = reporter._run.__code__, vars(sys.modules[module])
    own_names = frozenset(vars(reporter))
    from_course = _trusted()
    files = (importlib.import_module(name).__file__ for name in PASSES)
    passes = frozenset(files).__contains__
    loads = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
    describe, names_of, is_text_of = _describer(), _namer(), _file_comparer()
    import _thread

    thread, main = _thread.get_ident, _thread.get_ident()
    frame_of, kind, number_of, truth = sys._getframe, type, float, bool
    text, as_bytes = str, bytes
    size, get_attribute = len, object.__getattribute__
    frames, code_attributes, identity = _FRAME_ATTRIBUTES, _CODE_ATTRIBUTES, id
    function_type, prefix, prefix_size = types.FunctionType, PREFIX, len(PREFIX)
    watched_functions = frozenset(map(id, (*near.functions, *far.functions)))
    watched = frozenset(
        ("sys._getframe", "sys._current_frames", "sys._current_exceptions", "gc.get_objects",
         "gc.get_referrers", "gc.get_referents", "sys.settrace", "sys.setprofile", "code.__new__",
         "sys.addaudithook", "ctypes.dlsym", "ctypes.dlopen", "object.__getattr__", "marshal.loads",
         "object.__setattr__", "object.__delattr__", "compile", "open", *_MEMORY)
    )  # fmt: skip
    handler_of, signals, between = signal.getsignal, tuple(range(1, 32)), BETWEEN
    busy: set[int] = set()
    told: set[Any] = set()
    last_names: dict[Any, Any] = {}
    judged, latest = False, None

    def alarm(what: str, detail: str) -> None:
        if (what, detail) not in told and size(told) < 200:
            tell(("alarm", what, detail[:300]))
            told.add((what, detail))  # only now: telling fails at the limit of recursion

    def outsider(frame: Any, event: str) -> bool:
        """Whether the code that did this is the learner's, directly or through ctypes."""
        importing = event == "compile"
        while frame is not None and (
            passes(frame.f_code.co_filename) or (importing and frame.f_code.co_filename in loads)
        ):
            frame = frame.f_back
        return frame is not None and not from_course(frame.f_code.co_filename)

    def suspicious(event: str, args: tuple[Any, ...]) -> str:
        """What an event is to be called when it comes from the learner's code, else nothing."""
        if event == "object.__getattr__":
            return args[1] if kind(args[1]) is text and args[1] in frames else ""
        if event == "object.__setattr__" or event == "object.__delattr__":
            if kind(args[0]) is not function_type or kind(args[1]) is not text:
                return ""
            ours = args[1] in code_attributes and from_course(args[0].__code__.co_filename)
            return f"{args[0].__code__.co_name}.{args[1]}" if ours else ""
        if event == "ctypes.dlsym":
            return f"{args[1]}" if kind(args[1]) is text and "Py" in args[1][:4] else ""
        if event == "ctypes.dlopen":
            known = args[0] is None or (kind(args[0]) is text and from_course(args[0]))
            return "" if known else event
        if event == "compile":
            if kind(args[1]) is not text or not from_course(args[1]):
                return ""
            if kind(args[0]) is as_bytes and is_text_of(args[1], args[0]):
                return ""  # an import
            return args[1]
        if event == "open":
            return "open memory" if kind(args[0]) is text and args[0][-4:] == "/mem" else ""
        return event

    def report(what: str, args: tuple[Any, ...]) -> None:
        nonlocal judged, latest
        caller = frame_of(2)
        me = args[0]
        if thread() != main:
            alarm("checks", "a thread reports to the checks")
            return
        ours = genuine.get(caller.f_code) is not None and caller.f_globals is home
        if kind(me) is not reporter or not ours:
            alarm("checks", f"a report from elsewhere than the checks: {what}")
            return
        mine = get_attribute(me, "__dict__")
        for key in mine:
            if kind(key) is not text or key in own_names:
                alarm("checks", "a check was given a method of its own")
                return
        if what == "judge":
            judged = True
            for name in near_changed():
                alarm("changed", name)
            return
        if what == "ask":
            if me is not latest:  # another cell's
                latest = me
                last_names.clear()
            judged, above, count = False, caller, 0
            while above is not None:
                count += above.f_code is asks
                above = above.f_back
            if count > 1:
                alarm("checks", "an answer runs checks of its own")
            return
        cell, named = caller, None
        while cell is not None and cell.f_code.co_name != "<module>":
            if not from_course(cell.f_code.co_filename):
                named = named or cell.f_code.co_filename
                if cell.f_code.co_filename != named:
                    alarm("checks", between)
            cell = cell.f_back
        if cell is not None:
            other = named is not None and cell.f_code.co_filename != named
            if other or cell.f_locals is not cell.f_globals:
                alarm("checks", between)
            above = cell.f_back
            while above is not None:
                if not from_course(above.f_code.co_filename):
                    alarm("checks", "the test cell was run by other code than the kernel's")
                    break
                above = above.f_back
        digest = "" if cell is None else describe(cell.f_code)
        if cell is not None:
            meant = names_of(cell.f_code, cell.f_globals)
            if last_names.get(digest) != meant:
                last_names[digest] = meant
                tell(("names", digest, meant))
        if what == "done":
            _, label, weight, hidden, good = args
            for name in (*near_changed(), *near_rewritten()):
                alarm("changed", name)
            closed = size(mine.get("_closes", ()))
            for number in signals:
                handler = handler_of(number)
                if kind(handler) is function_type and not from_course(handler.__code__.co_filename):
                    alarm("checks", "a signal is handled while the checks run")
            if good and not judged:
                alarm("checks", "a check passed that judged nothing")
            tell(
                ("check", text(label)[:300], number_of(weight), truth(hidden), truth(good), digest,
                 closed)
            )  # fmt: skip
        elif what == "score":
            for name in (*near_changed(), *far_changed()):
                alarm("changed", name)
            tell(("score", number_of(args[1]), digest))

    def hook(event: str, args: tuple[Any, ...]) -> None:
        ours = event[:prefix_size] == prefix
        if not ours and event not in watched:
            return
        me = thread()
        if me in busy:
            return
        busy.add(me)
        try:
            if ours:
                report(event[prefix_size:], args)
                return
            what = suspicious(event, args)
            if not what:
                return
            nearest = frame_of(1)
            file = nearest.f_code.co_filename
            # A library that does it for somebody is no excuse. These look for themselves as well,
            # a call further down; and closing names is the checks' own.
            asking = nearest.f_back if file in lookers else None
            for_somebody = asking is not None and not from_course(asking.f_code.co_filename)
            rewrites = event in others_code and identity(args[0]) in watched_functions
            anyone = event == "sys.addaudithook" or (rewrites and file != guard_file)
            if anyone or for_somebody or outsider(nearest, event):
                alarm(event, what)
        finally:
            busy.discard(me)

    return hook


class _Same:
    """The functions, classes and modules that some modules and classes hold, as they are now."""

    def __init__(self, modules: Iterable[str], classes: Iterable[type]) -> None:
        places: list[tuple[str, Any]] = []
        held: list[tuple[str, Any]] = []
        for name in dict.fromkeys(modules):
            found = sys.modules.get(name)
            if found is None:
                continue
            held.append((name, found))
            places.append((name, vars(found)))
            if name.startswith(OURS):
                inside = vars(found).values()
                places += [(f"{name}.{c.__name__}", c) for c in inside if _is_class_of(name, c)]
        shown = {place for _, place in places if isinstance(place, type)}
        places += [(f"{c.__module__}.{c.__name__}", c) for c in classes if c not in shown]
        self.functions = list(_functions(place for _, place in places))
        self.changed = _comparer(held, places, self.functions)
        self.rewritten = _rewriting(places, [f for f in self.functions if _is_ours(f)])


def _is_ours(function: Any) -> bool:
    return str(function.__module__).startswith(OURS)


def _functions(places: Iterable[Any]) -> Iterator[types.FunctionType]:
    """The Python functions of some modules and classes, those that they wrap among them."""
    seen: set[int] = set()
    waiting: list[Any] = []
    for place in places:
        waiting += (place if isinstance(place, dict) else vars(place)).values()
    while waiting:
        value = waiting.pop()
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        if type(value).__name__ == "_ArrayFunctionDispatcher":  # numpy's
            value = value._implementation
        if isinstance(value, property):
            waiting += [part for part in (value.fget, value.fset) if part is not None]
        if isinstance(value, types.FunctionType) and id(value) not in seen:
            seen.add(id(value))
            yield value
            waiting += [content for _, content in _cells(value)]


def _cells(function: types.FunctionType) -> Iterator[tuple[Any, Any]]:
    for cell in function.__closure__ or ():
        try:
            yield cell, cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _rewriting(
    places: list[tuple[str, Any]], functions: list[types.FunctionType]
) -> Callable[[], list[str]]:
    """A function that names functions of the course whose code is another, and classes that grew.

    It looks at more than `_comparer` does, so it is asked once for each check.
    """
    codes = [(f, f.__code__, f"{f.__module__}.{f.__qualname__}") for f in functions]
    closures = [(*pair, f.__qualname__) for f in functions for pair in _cells(f)]
    ours = [(name, c) for name, c in places if isinstance(c, type) and name.startswith(OURS)]
    grown = [(c, len(vars(c)), name) for name, c in ours]
    size, variables, missing, empty = len, vars, object(), ValueError

    def content(cell: Any) -> Any:
        try:
            return cell.cell_contents
        except empty:
            return missing

    def rewritten() -> list[str]:
        found = [name for f, code, name in codes if f.__code__ is not code]
        found += [name for cell, kept, name in closures if content(cell) is not kept]
        found += [name for c, kept, name in grown if size(variables(c)) != kept]
        return found[:10]

    return rewritten


def _comparer(
    held: list[tuple[str, Any]],
    places: list[tuple[str, Any]],
    functions: list[types.FunctionType],
) -> Callable[[], list[str]]:
    """A function that names what is not what it was: names, keyword defaults, modules' classes.

    A name that has come to stand before a builtin of that name counts as well.
    """
    import builtins
    import operator

    rows = []
    for name, place in [("", dict(held)), *places]:
        inside = place if isinstance(place, dict) else vars(place)
        names = [n for n, v in inside.items() if not name or _counts(name, n, v)]
        what = sys.modules if not name else place if isinstance(place, dict) else inside
        rows.append((name, what, names, [inside[n] for n in names]))
    is_, every, each, beside, missing = operator.is_, all, map, zip, object()
    getters = [(name, what.get, names, kept) for name, what, names, kept in rows]
    for f in functions:
        keyed = f.__kwdefaults__
        if keyed:
            name = f"{f.__module__}.{f.__qualname__}"
            getters.append((name, keyed.get, list(keyed), list(keyed.values())))
    free = [
        (name, place.__contains__, [n for n in vars(builtins) if n not in place and n[0] != "_"])
        for name, place in places
        if isinstance(place, dict) and name != "builtins"
    ]
    modules = [module for _, module in held]
    kinds, kind, some, pick = [type(module) for module in modules], type, any, filter

    def changed() -> list[str]:
        found = []
        if not every(each(is_, each(kind, modules), kinds)):
            found.append("the class of a module")
        for name, holds, names in free:
            if some(each(holds, names)):
                found += [f"{name}.{n}" for n in pick(holds, names)]
        for name, get, names, kept in getters:
            if not every(each(is_, each(get, names), kept)):
                for n, value in beside(names, kept, strict=True):
                    if get(n, missing) is not value:
                        found.append(f"{name}.{n}" if name else n)
        return found[:10]

    return changed


def _found(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _is_class_of(module: str, thing: Any) -> bool:
    return isinstance(thing, type) and thing.__module__ == module


def _counts(place: str, name: str, value: Any) -> bool:
    """Whether a name is to stay as it is; variables of other packages may be caches."""
    if place == "builtins" and name in SET_BY_IPYTHON:
        return False
    if place.startswith(OURS) and not name.startswith("_"):
        return True
    kinds = (types.ModuleType, staticmethod, classmethod, property)
    return callable(value) or isinstance(value, kinds)


def _is_far(name: str) -> bool:
    root = name.partition(".")[0]
    if name.startswith(UNUSED):
        return False
    return root in FAR and (name == root or root not in SHALLOW)


def _imports_of(module: str) -> Iterator[str]:
    """A module and those of its package that it uses."""
    yield module
    for value in vars(sys.modules[module]).values():
        if isinstance(value, types.ModuleType) and value.__name__.startswith(OURS):
            yield value.__name__


def _trusted() -> Callable[[str], bool]:
    """Whether a file is Python's, a library's or the course's, and not the learner's."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.add(str(Path(__file__).resolve().parents[1]))
    folders |= {os.path.realpath(folder) for folder in folders}
    known = ("<frozen", *(os.path.join(folder, "") for folder in sorted(folders)))

    def from_course(file: str) -> bool:
        return file.startswith(known)

    return from_course


def _file_comparer() -> Callable[[str, bytes], bool]:
    """Whether what is compiled under a file's name is what the file holds."""
    open_file, read, close = os.open, os.read, os.close
    failed, flags, size = OSError, os.O_RDONLY, len

    def is_text_of(file: str, source: bytes) -> bool:
        try:
            descriptor = open_file(file, flags)
        except failed:
            return False
        try:
            return read(descriptor, size(source) + 1) == source
        finally:
            close(descriptor)

    return is_text_of


def _describer() -> Callable[[Any], str]:
    """A digest of what a piece of compiled code does, the same in every process."""
    import _blake2

    blake2b, to_ascii, ordered, kind = _blake2.blake2b, ascii, sorted, type
    code_type, sets, known = types.CodeType, frozenset, {}

    def told(constant: Any) -> str:
        if kind(constant) is code_type:
            return describe(constant)
        if kind(constant) is sets:
            return ",".join(ordered(told(item) for item in constant))
        return to_ascii(constant)

    def describe(code: Any) -> str:
        if code not in known:
            parts = [to_ascii((code.co_code, code.co_names, code.co_varnames, code.co_freevars))]
            parts += [told(constant) for constant in code.co_consts]
            known[code] = blake2b("\n".join(parts).encode("ascii"), digest_size=8).hexdigest()
        return known[code]

    return describe


def _namer() -> Callable[[Any, dict[str, Any]], dict[str, str]]:
    """The names a piece of code uses that mean something of a library, and what they mean."""
    kind, text, code_type, module_type = type, str, types.CodeType, types.ModuleType
    loaded, variables, known = sys.modules, vars, {}
    described = (types.FunctionType, types.BuiltinFunctionType, type)
    missing, bound, frozen = object(), getattr, frozenset

    def used(code: Any) -> frozenset[str]:
        if code not in known:
            names = {*code.co_names}
            for constant in code.co_consts:
                if kind(constant) is code_type:
                    names |= used(constant)
            known[code] = frozen(names)
        return known[code]

    def names_of(code: Any, space: dict[str, Any]) -> dict[str, str]:
        meant = {}
        for name in used(code):
            value = space.get(name, missing)
            if kind(value) is module_type:
                found = value.__dict__.get("__name__")
                if loaded.get(found) is value:
                    meant[name] = text(found)
            elif kind(value) in described:
                home, label = bound(value, "__module__", None), value.__name__
                place = loaded.get(home) if kind(home) is text else None
                known_there = home != "__main__" and kind(place) is module_type
                if known_there and variables(place).get(label, missing) is value:
                    meant[name] = f"{home}.{label}"
        return meant

    return names_of
