"""What stands around a learner's code while it is checked.

quiet         stderr, warnings and logging are swallowed: nbgrader takes any stderr for a failure
time_limit    an endless loop becomes a failed check instead of a dead cell
closed        functions the exercise asks for raise when the answer calls them
own_copy      the answer may change its arguments without changing the check's
equals_anything  an object that says yes to every comparison is no answer
pretends      nor is one of a class of the learner's own that acts as a number or an array
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import logging
import os
import signal
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from typing import Any


class ClosedName(RuntimeError):
    """A name that the exercise asks for was called while its own check ran."""


class TooLong(BaseException):
    """The answer ran past its time. Not an Exception: `except Exception` must not eat it."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow stderr (Python's and the process's), warnings and log records."""
    level = logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(_quiet_descriptor())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


@contextlib.contextmanager
def _quiet_descriptor() -> Iterator[None]:
    """Point file descriptor 2 at nothing: native libraries and child processes write there."""
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all
        yield
        return
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ``TooLong`` after `seconds`; without effect where there is no interval timer."""
    main = threading.current_thread() is threading.main_thread()
    if not (main and hasattr(signal, "setitimer")):
        yield
        return

    def ring(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again: a bare `except:` may eat one
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def resolve(dotted: str) -> tuple[Any, str]:
    """The module and attribute that ``"package.module.name"`` means.

    Raises
    ------
    ValueError
        When there is no such name.
    """
    module_name, _, attribute = dotted.rpartition(".")
    if not module_name:
        raise ValueError(f"closes names {dotted!r}; write it as 'package.module.name'")
    owner = importlib.import_module(module_name)
    if not hasattr(owner, attribute):
        raise ValueError(f"closes names {dotted!r}, which {module_name} does not have")
    return owner, attribute


def _shut(*args: Any, **kwargs: Any) -> None:
    # Runs with the globals of the function whose place it takes: it imports what it needs.
    import sys

    from syslab.course.guard import ClosedName

    name = sys._getframe().f_code.co_name
    raise ClosedName(
        f"your answer calls syslab's own `{name}`: write this one yourself; "
        "the package is open again in every other cell"
    )


@contextlib.contextmanager
def closed(owner: Any, attribute: str) -> Iterator[None]:
    """Make a function or class raise ``ClosedName``, whatever name it was imported under.

    A Python function keeps its identity and gets other code; a class gets another
    ``__init__``; anything else (a compiled function, say) is replaced in its module only.
    """
    original = getattr(owner, attribute)
    code = _shut.__code__.replace(co_name=attribute, co_qualname=attribute)
    if isinstance(original, types.FunctionType):
        target, name = original, "__code__"
        shut: Any = code.replace(co_freevars=original.__code__.co_freevars)
    elif isinstance(original, type):
        target, name, shut = original, "__init__", types.FunctionType(code, globals())
    else:
        target, name, shut = owner, attribute, types.FunctionType(code, globals())
    missing = object()
    kept = target.__dict__.get(name, missing) if name == "__init__" else getattr(target, name)
    setattr(target, name, shut)
    try:
        yield
    finally:
        if kept is missing:
            delattr(target, name)
        else:
            setattr(target, name, kept)


def own_copy(value: Any) -> Any:
    """A copy of nested lists, tuples, dictionaries, sets, arrays and tables; the rest as it is.

    Generators, simulators and counters keep their identity: a check may look at them afterwards.
    """
    kind = type(value)
    if kind in (list, tuple, set):
        return kind(own_copy(item) for item in value)
    if kind is dict:
        return {key: own_copy(item) for key, item in value.items()}
    numpy, pandas, torch = (sys.modules.get(name) for name in ("numpy", "pandas", "torch"))
    if numpy is not None and isinstance(value, numpy.ndarray):
        return value.copy()
    if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
        return value.copy()
    if torch is not None and kind is getattr(torch, "Tensor", None) and value.is_leaf:
        return value.detach().clone().requires_grad_(value.requires_grad)
    return value


class _Nobody:
    """What nothing equals."""


_ACTS = (
    "__array__", "__array_interface__", "__array_struct__", "__array_function__",
    "__array_ufunc__", "__array_wrap__", "__bool__", "__complex__", "__float__", "__index__",
    "__int__",
)  # fmt: skip


def pretends(value: Any, depth: int = 3) -> str:
    """The method by which a value, or an item of it, acts as a number or an array.

    Only of the learner's own classes: such a method runs while the check judges. Empty when there
    is none.
    """
    kind = type(value)
    if kind in _HOLDS:
        items = [*value.values(), *value] if kind is dict else value
        if not depth:
            return ""
        seen = {id(item) if type(item) in _HOLDS else type(item): item for item in items}
        return next(filter(None, (pretends(item, depth - 1) for item in seen.values())), "")
    for one in kind.__mro__:
        found = [name for name in _ACTS if name in vars(one)]
        if found and not _is_of_a_library(one):
            return found[0]
    return ""


_HOLDS = (list, tuple, set, dict)


def _is_of_a_library(kind: type) -> bool:
    """Whether a module that is not the notebook holds the class, under its name or deeper."""
    if not kind.__flags__ & _HEAP:
        return True
    module, name = kind.__module__, kind.__qualname__
    if type(module) is not str or module == "__main__" or type(name) is not str:
        return False
    found = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is kind


_HEAP = 1 << 9  # a class statement made it, and not C


def equals_anything(value: Any, depth: int = 2) -> bool:
    """Whether a value, or an item of it, says that it equals whatever it is compared with."""
    kind = type(value)
    if depth and kind in (list, tuple, set, dict):
        items = value.values() if kind is dict else value
        seen = {type(item): item for item in itertools.islice(items, 10_000)}
        return any(equals_anything(item, depth - 1) for item in seen.values())
    if not isinstance(getattr(kind, "__eq__", None), types.FunctionType):
        return False  # Python's own comparison, or that of a compiled library
    try:
        return bool(value == _Nobody()) and bool(value == _Nobody)
    except Exception:  # an array's truth value, say
        return False
