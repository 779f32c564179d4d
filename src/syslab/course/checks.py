"""Graded checks that answer with a diagnosis instead of a traceback.

A test cell reads::

    check = Check("arch-02/ridge", points=2, closes=["syslab.roofline.ridge_point"])
    ridge_point = check.function("ridge_point")
    check.value("100 FLOP/s over 10 B/s", lambda: ridge_point(100, 10), 10, unit="FLOP/B",
                wrong={0.1: "that is bandwidth over peak: the ridge is peak over bandwidth"})
    ### BEGIN HIDDEN TESTS
    with check.hidden():
        check.value("another machine", lambda: ridge_point(989e3, 3.35), 295224, rtol=1e-3)
    ### END HIDDEN TESTS
    check.score()

Every check walks the same ladder: defined, type, shape, a named wrong answer, order of
magnitude, value. It prints one line with PASS or FAIL and the reason; a hidden check keeps the
expected value to itself. ``score()`` is the cell's last expression: the float that nbgrader
stores as partial credit.

Whatever the answer does (warn, write to stderr, exit, recurse or loop for ever, change its
arguments) costs at most the check it happens in.
"""

from __future__ import annotations

import builtins
import contextlib
import linecache
import math
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from syslab.course import answers, guard
from syslab.course.guard import ClosedName

__all__ = ["Check", "ClosedName"]

WIDTH = 96  # columns of a printed check
CONTINUED = 6  # spaces before what does not fit on its first line; `scores` joins it again

_MISSING = object()
# Audit events: the only thing that can be told past the learner's code. Nobody listens but
# `syslab.warm.integrity`, where a class is graded.
_tell = sys.audit


class _Unanswered(Exception):
    """The answer is absent or still the stub; carries the sentence for the learner."""


class Check:
    """The checks of one graded cell.

    Parameters
    ----------
    key
        ``"<assignment>/<exercise>"``, for example ``"arch-02/ridge"``.
    points
        Points of the test cell; ``score()`` never exceeds it.
    closes
        Dotted names of functions in this package that the exercise asks the learner to
        write. Calling one of them from the answer is diagnosed instead of scored.
    limit_s
        Seconds one check may take before it fails as endless.
    """

    def __init__(
        self, key: str, points: float, closes: Sequence[str] = (), limit_s: float = 20.0
    ) -> None:
        if key.count("/") != 1:
            raise ValueError(f"key must read '<assignment>/<exercise>', got {key!r}")
        if not points > 0:
            raise ValueError(f"points must be positive, got {points!r}")
        if not limit_s > 0:
            raise ValueError(f"limit_s must be positive, got {limit_s!r}")
        self.assignment, self.exercise = key.split("/")
        self.points = float(points)
        self._limit_s = limit_s
        self._closes = [guard.resolve(name) for name in closes]
        cell = sys._getframe(1)
        self._namespace, self._file = cell.f_globals, cell.f_code.co_filename
        # The learner's names: a test cell rebinds some, and some may hide builtins it needs.
        self._own = {k: v for k, v in self._namespace.items() if not k.startswith("_")}
        for name in self._own.keys() & vars(builtins).keys():
            del self._namespace[name]
        self._weights: list[tuple[float, bool, bool]] = []  # weight, passed, hidden
        self._failures: list[str] = []
        self._answered = False
        self._asked: set[str] = set()
        self._hidden = False
        self._guarding = False
        self._stopped = False

    # -- what the learner defined ------------------------------------------------------

    def function(self, name: str, *, in_place: bool = False) -> Callable[..., Any]:
        """The learner's function `name`, wrapped: the names in `closes` are shut while it runs.

        It gets its own copy of lists, dictionaries and arrays, unless the exercise is to change
        them (`in_place`).
        """
        target = self._namespace.get(name, _MISSING)
        self._asked.add(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if target is _MISSING:
                raise _Unanswered(_undefined(name))
            if not callable(target):
                raise _Unanswered(
                    f"`{name}` is {answers.kind(target)}, not a function: "
                    "did a later cell reuse the name?"
                )
            if not in_place:
                args, kwargs = guard.own_copy(args), guard.own_copy(kwargs)
            with self._quietly(), contextlib.ExitStack() as stack:
                for owner, attribute in self._closes:
                    stack.enter_context(guard.closed(owner, attribute))
                stack.enter_context(self._learners_names())
                return _itself(target(*args, **kwargs))

        return call

    def variable(self, name: str) -> Callable[[], Any]:
        """A zero-argument callable giving the learner's variable `name`."""

        def get() -> Any:
            value = self._namespace.get(name, _MISSING)
            if value is _MISSING:
                raise _Unanswered(_undefined(name))
            if value is None or value is NotImplemented or value is Ellipsis:
                raise _Unanswered(f"`{name}` is still {value!r}: give it your answer")
            return _itself(value)

        return get

    # -- checks ------------------------------------------------------------------------

    def value(
        self,
        label: str,
        answer: Callable[[], Any] | Any,
        expected: Any,
        *,
        unit: str = "",
        rtol: float = 1e-6,
        atol: float = 0.0,
        weight: float = 1.0,
        wrong: Mapping[float, str] | Sequence[tuple[Any, str]] = (),
        hint: str = "",
    ) -> bool:
        """Compare a number or an array with `expected`.

        `wrong` names known wrong answers: each value (one number, or an array like `expected`)
        with the sentence that answers it. `unit` is the unit the answer is asked in; it goes
        into the messages.

        Raises
        ------
        ValueError
            When a wrong answer does not have the shape of `expected`.
        """
        import numpy as np

        want = np.asarray(expected, dtype=float)
        named = list(wrong.items() if isinstance(wrong, Mapping) else wrong)
        for bad, _ in named:
            if np.shape(bad) not in ((), want.shape):
                raise ValueError(
                    f"wrong answer of shape {np.shape(bad)} in {label!r}; expected has {want.shape}"
                )

        def judge(got: Any) -> str | None:
            return answers.number_problem(
                got,
                want,
                unit=unit,
                rtol=rtol,
                atol=atol,
                wrong=named,
                hint=hint,
                guarded=self._hidden,
            )

        return self._run(label, answer, judge, weight)

    def equal(
        self,
        label: str,
        answer: Callable[[], Any] | Any,
        expected: Any,
        *,
        weight: float = 1.0,
        wrong: Sequence[tuple[Any, str]] = (),
        hint: str = "",
    ) -> bool:
        """Compare exactly: strings (case and blanks forgiven), integers, sets, lists, mappings."""

        def judge(got: Any) -> str | None:
            return answers.equal_problem(got, expected, wrong=wrong, hint=hint)

        return self._run(label, answer, judge, weight)

    def true(
        self,
        label: str,
        answer: Callable[[], Any],
        otherwise: str | Callable[[], str],
        *,
        weight: float = 1.0,
    ) -> bool:
        """Pass when `answer()` is true; `otherwise` says what was wrong and what to do."""

        def judge(got: Any) -> str | None:
            if bool(got):
                return None
            return otherwise() if callable(otherwise) else otherwise

        return self._run(label, answer, judge, weight)

    def raises(
        self,
        label: str,
        answer: Callable[[], Any],
        error: type[Exception],
        *,
        mentions: str = "",
        weight: float = 1.0,
    ) -> bool:
        """Pass when the answer refuses bad input with `error`, naming `mentions`."""

        def outcome() -> Any:
            try:
                return ("returned", answer())
            except (_Unanswered, NotImplementedError, ClosedName):
                raise
            except Exception as caught:  # the learner's code may raise anything
                return ("raised", caught)

        def judge(got: Any) -> str | None:
            how, what = got
            if how == "returned":
                return f"returned {answers.short(what)}; bad input must raise {error.__name__}"
            if not isinstance(what, error):
                return f"{self._explain(what)}; it must raise {error.__name__}"
            if mentions and mentions.lower() not in str(what).lower():
                return (
                    f"the message {str(what)!r} must name {mentions!r}, so the caller can mend it"
                )
            return None

        return self._run(label, outcome, judge, weight)

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """The checks inside are the hidden ones: reasons are printed, expected values are not."""
        before, self._hidden = self._hidden, True
        try:
            yield
        finally:
            self._hidden = before

    def score(self) -> float:
        """Print the sum and return the points earned: the last expression of the cell."""
        total = sum(weight for weight, _, _ in self._weights)
        missed = sum(weight for weight, good, _ in self._weights if not good)
        if total == 0:
            points = 0.0
        elif missed == 0:
            points = self.points
        else:
            points = math.floor(self.points * (total - missed) / total * 100 + 1e-9) / 100
        _tell("syslab.check.score", self, points)
        print(f"{self._verdict()}: {points:g} of {self.points:g} points")
        if self._failures and os.environ.get("NBGRADER_VALIDATING"):
            # nbgrader's Validate shows a failed cell's stderr and nothing else of it.
            print("\n".join(self._failures), file=sys.stderr)
        self._record(points)
        self._namespace.update(self._own)
        return points

    # -- machinery ---------------------------------------------------------------------

    def _run(
        self,
        label: str,
        answer: Callable[[], Any] | Any,
        judge: Callable[[Any], str | None],
        weight: float,
    ) -> bool:
        weight = float(weight)
        if not 0 < weight < math.inf:
            raise ValueError(f"weight must be positive, got {weight!r} in {label!r}")
        _tell("syslab.check.ask", self)
        reason = "not run: stopped above" if self._stopped else self._reason(answer, judge)
        good = reason is None
        _tell("syslab.check.done", self, label, weight, self._hidden, good)
        self._weights.append((weight, good, self._hidden))
        mark = " (hidden)" if self._hidden else ""
        line = f"PASS{mark}  {label}" if good else f"FAIL{mark}  {label}: {reason}"
        if not good:
            self._failures.append(line)
        print(_wrapped(line))
        return good

    def _reason(
        self, answer: Callable[[], Any] | Any, judge: Callable[[Any], str | None]
    ) -> str | None:
        """Why the answer fails, or None. Nothing the learner's code raises gets out."""
        answered, self._answered = self._answered, True
        reason: str | None = "it ended before it was judged"  # should the `with` swallow an error
        try:
            with self._quietly(), guard.time_limit(self._limit_s):
                got = answer() if callable(answer) else answer
                _tell("syslab.check.judge", self)
                reason = judge(got)
        except _Unanswered as caught:
            self._answered = answered
            return str(caught)
        except NotImplementedError as caught:
            self._answered = answered
            return self._stub(caught)
        except ClosedName as caught:
            return str(caught)
        except guard.TooLong:
            return f"took longer than {self._limit_s:g} s: does a loop never end?"
        except KeyboardInterrupt:
            self._stopped = True  # whoever pressed Stop wants the whole cell to end
            return "interrupted"
        except SystemExit:
            return "the answer ends the program (exit or quit): return a value instead"
        except BaseException as caught:  # the learner's code may raise anything
            return self._explain(caught)
        return reason

    def _stub(self, error: NotImplementedError) -> str:
        """Which stub was met: the answer's own, or that of an earlier exercise it calls."""
        met = [step.name for step in traceback.extract_tb(error.__traceback__)]
        if met and met[-1] in self._own and met[-1] not in self._asked:
            return f"`{met[-1]}`, which it calls, is still a stub: answer that exercise first"
        return "still the stub: write your answer in the cell above and run it"

    @contextlib.contextmanager
    def _learners_names(self) -> Iterator[None]:
        """Give every name the value it had before the test cell: helpers may share one."""
        space = self._namespace
        cells = {k: space.get(k, _MISSING) for k, v in self._own.items()}
        cells = {k: v for k, v in cells.items() if v is not self._own[k]}
        space.update({k: self._own[k] for k in cells})
        try:
            yield
        finally:
            for name, value in cells.items():
                if value is _MISSING:
                    space.pop(name, None)
                else:
                    space[name] = value

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """Silence stderr once, however deep the calls."""
        if self._guarding:
            yield
            return
        self._guarding = True
        try:
            with guard.quiet():
                yield
        finally:
            self._guarding = False

    def _explain(self, error: BaseException) -> str:
        """An exception in the learner's code: what, and on which of their lines."""
        said = f"raised {type(error).__name__}"
        text = " ".join(str(error).split())
        if text:
            said += f": {text if len(text) <= 200 else text[:199] + '…'}"
        step, line = error.__traceback__, ""
        while step is not None:
            code = step.tb_frame.f_code
            if step.tb_frame.f_globals is self._namespace and code.co_filename != self._file:
                line = linecache.getline(code.co_filename, step.tb_lineno).strip() or line
            step = step.tb_next
        return f"{said} (at `{line}`)" if line else said

    def _verdict(self) -> str:
        public = [good for _, good, hidden in self._weights if not hidden]
        hidden = [good for _, good, hidden in self._weights if hidden]
        if not self._weights:
            return "no checks ran"
        if not hidden:
            return "public checks passed" if all(public) else _share(public, "public checks")
        if all(public + hidden):
            return "all checks passed"
        return f"{_share(public, 'public')} and {_share(hidden, 'hidden checks')}"

    def _record(self, points: float) -> None:
        try:
            from syslab.course import progress

            progress.record_check(
                self.assignment, self.exercise, points, self.points, answered=self._answered
            )
        except Exception as caught:  # a full disk must not cost a grade
            print(f"(progress not saved: {caught})")


def _wrapped(line: str) -> str:
    """A printed check in lines that fit a page: JupyterLab would break them inside words."""
    indent = " " * CONTINUED
    return "\n".join(
        textwrap.fill(
            part,
            WIDTH,
            initial_indent=indent if number else "",
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, part in enumerate(line.splitlines())
    )


def _itself(value: Any) -> Any:
    if guard.equals_anything(value):
        raise _Unanswered(
            "this claims to equal whatever it is compared with: give the value itself"
        )
    method = guard.pretends(value)
    if method:
        raise _Unanswered(
            f"an object of your own class acts as a number here (`{method}`): give the number or "
            "the array itself"
        )
    return value


def _undefined(name: str) -> str:
    return (
        f"`{name}` is not defined: run the answer cell above first; "
        "the name must be spelled exactly so"
    )


def _share(passed: list[bool], what: str) -> str:
    verb = " passed" if what.endswith("checks") else ""
    return f"{sum(passed)} of {len(passed)} {what}{verb}"
