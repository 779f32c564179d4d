"""Graded checks that answer with a diagnosis instead of a traceback.

A test cell reads::

    check = Check("arch-02/ridge", points=2, closes=["syslab.roofline.ridge_point"])
    ridge_point = check.function("ridge_point")
    check.value("100 FLOP/s over 10 B/s", lambda: ridge_point(100, 10), 10, unit="FLOP/B",
                wrong={0.1: "that is bandwidth over peak: the ridge is peak over bandwidth"})
    ### BEGIN HIDDEN TESTS
    ...
    ### END HIDDEN TESTS
    check.score()

Every check walks the same ladder: defined, type, shape, a named wrong answer, order of
magnitude, value. It prints one line with PASS or FAIL and the reason. ``score()`` is the
cell's last expression: the float that nbgrader stores as partial credit.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import numbers
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_MISSING = object()


class ClosedName(RuntimeError):
    """A name that the exercise asks for was called while its own check ran."""


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
    """

    def __init__(self, key: str, points: float, closes: Sequence[str] = ()) -> None:
        if key.count("/") != 1:
            raise ValueError(f"key must read '<assignment>/<exercise>', got {key!r}")
        if not points > 0:
            raise ValueError(f"points must be positive, got {points!r}")
        self.assignment, self.exercise = key.split("/")
        self.points = float(points)
        self._closes = [_resolve(name) for name in closes]
        self._namespace = sys._getframe(1).f_globals
        self._weights: list[tuple[float, bool]] = []
        self._answered = False

    # -- what the learner defined ------------------------------------------------------

    def function(self, name: str) -> Callable[..., Any]:
        """The learner's function `name`, wrapped: warnings are kept quiet, closed names shut."""
        target = self._namespace.get(name, _MISSING)

        def call(*args: Any, **kwargs: Any) -> Any:
            if target is _MISSING:
                raise _Unanswered(
                    f"`{name}` is not defined: run the answer cell above first; "
                    "the name must be spelled exactly so"
                )
            if not callable(target):
                raise _Unanswered(
                    f"`{name}` is {_kind(target)}, not a function: "
                    "did a later cell reuse the name?"
                )
            with self._guarded():
                return target(*args, **kwargs)

        return call

    def variable(self, name: str) -> Callable[[], Any]:
        """A zero-argument callable giving the learner's variable `name`."""

        def get() -> Any:
            value = self._namespace.get(name, _MISSING)
            if value is _MISSING:
                raise _Unanswered(
                    f"`{name}` is not defined: run the answer cell above first; "
                    "the name must be spelled exactly so"
                )
            if value is None or value is NotImplemented or value is Ellipsis:
                raise _Unanswered(f"`{name}` is still {value!r}: give it your answer")
            return value

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

        `wrong` names known wrong answers: each value with the sentence that answers it.
        `unit` is the unit the answer is asked in; it goes into the messages.
        """
        import numpy as np

        def judge(got: Any) -> str | None:
            want = np.asarray(expected, dtype=float)
            problem = _as_numbers(got, want)
            if isinstance(problem, str):
                return problem
            have = problem
            if np.allclose(have, want, rtol=rtol, atol=atol):
                return None
            named = wrong.items() if isinstance(wrong, Mapping) else wrong
            for value, message in named:
                bad = np.asarray(value, dtype=float)
                if bad.shape in (want.shape, ()) and np.allclose(
                    have, np.broadcast_to(bad, want.shape), rtol=max(rtol, 1e-6), atol=atol
                ):
                    return message
            return _magnitude(have, want, unit) or _difference(have, want, unit, hint)

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
        """Compare exactly: strings (case and outer blanks forgiven), integers, sets, lists."""

        def judge(got: Any) -> str | None:
            have, want = _plain(got), _plain(expected)
            if type(have) is not type(want):
                return f"expected {_kind(expected)}, got {_kind(got)}"
            if have == want:
                return None
            for value, message in wrong:
                if have == _plain(value):
                    return message
            if isinstance(have, list) and isinstance(want, list) and len(have) != len(want):
                return f"expected {len(want)} items, got {len(have)}" + _tail(hint)
            return f"got {_short(got)}, which is not it" + _tail(hint)

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
                return f"returned {_short(what)}; bad input must raise {error.__name__}"
            if not isinstance(what, error):
                return f"raised {type(what).__name__}; it must raise {error.__name__}"
            if mentions and mentions.lower() not in str(what).lower():
                return f"the message {str(what)!r} must name {mentions!r}, so the caller can mend it"
            return None

        return self._run(label, outcome, judge, weight)

    def score(self) -> float:
        """Print the sum and return the points earned: the last expression of the cell."""
        total = sum(weight for weight, _ in self._weights)
        passed = sum(weight for weight, good in self._weights if good)
        points = 0.0 if total == 0 else self.points * passed / total
        count = sum(good for _, good in self._weights)
        points = self.points if passed == total and total else math.floor(points * 100) / 100
        verdict = (
            "public checks passed"
            if passed == total
            else f"{count} of {len(self._weights)} checks passed"
        )
        print(f"{verdict}: {points:g} of {self.points:g} points")
        self._record(points)
        return points

    # -- machinery ---------------------------------------------------------------------

    def _run(
        self,
        label: str,
        answer: Callable[[], Any] | Any,
        judge: Callable[[Any], str | None],
        weight: float,
    ) -> bool:
        reason: str | None
        try:
            with self._guarded(close=False):
                got = answer() if callable(answer) else answer
            self._answered = True
            reason = judge(got)
        except _Unanswered as caught:
            reason = str(caught)
        except NotImplementedError:
            reason = "still the stub: write your answer in the cell above and run it"
        except ClosedName as caught:
            self._answered = True
            reason = str(caught)
        except Exception as caught:  # the learner's code may raise anything
            self._answered = True
            reason = _explain(caught)
        good = reason is None
        self._weights.append((float(weight), good))
        print(f"PASS  {label}" if good else f"FAIL  {label}: {reason}")
        return good

    @contextlib.contextmanager
    def _guarded(self, close: bool = True) -> Iterator[None]:
        """Silence stderr and warnings (nbgrader counts both as failure); shut closed names."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            if close:
                for owner, attribute, name in self._closes:
                    stack.enter_context(_closed(owner, attribute, name))
            yield

    def _record(self, points: float) -> None:
        try:
            from syslab.course import progress

            progress.record_check(
                self.assignment, self.exercise, points, self.points, answered=self._answered
            )
        except Exception as caught:  # a full disk must not cost a grade
            print(f"(progress not saved: {caught})")


def _resolve(dotted: str) -> tuple[Any, str, str]:
    module_name, _, attribute = dotted.rpartition(".")
    owner = importlib.import_module(module_name)
    if not hasattr(owner, attribute):
        raise ValueError(f"closes names {dotted!r}, which {module_name} does not have")
    return owner, attribute, dotted


def _shut(*args: Any, **kwargs: Any) -> None:
    name = sys._getframe().f_code.co_name
    from syslab.course.checks import ClosedName

    raise ClosedName(
        f"your answer calls syslab's own `{name}`: write this one yourself; "
        "the package is open again in every other cell"
    )


@contextlib.contextmanager
def _closed(owner: Any, attribute: str, dotted: str) -> Iterator[None]:
    """Make a function raise, whatever name it was imported under: its code is swapped."""
    original = getattr(owner, attribute)
    code = _shut.__code__.replace(co_name=attribute)
    if isinstance(original, types.FunctionType) and not original.__code__.co_freevars:
        kept = original.__code__
        original.__code__ = code
        try:
            yield
        finally:
            original.__code__ = kept
    else:
        shut = types.FunctionType(code, globals())
        setattr(owner, attribute, shut)
        try:
            yield
        finally:
            setattr(owner, attribute, original)


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    article = "an" if type(value).__name__[0] in "aeiou" else "a"
    return f"{article} {type(value).__name__}"


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _tail(hint: str) -> str:
    return f"; {hint}" if hint else ""


def _plain(value: Any) -> Any:
    """Reduce to plain Python so that NumPy scalars, tuples and stray case compare equal."""
    if isinstance(value, str):
        return value.strip().casefold()
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return int(number) if number.is_integer() else number
    if isinstance(value, Mapping):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return {_plain(item) for item in value}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _as_numbers(got: Any, want: Any) -> Any:
    """`got` as a float array of want's shape, or the sentence that says why it is not one."""
    import numpy as np

    if got is None:
        return "got None: did the function end without `return`?"
    if isinstance(got, (str, bytes, Mapping, set)):
        asked = "a number" if want.ndim == 0 else f"{want.size} numbers"
        return f"expected {asked}, got {_kind(got)}"
    if isinstance(got, (bool, np.bool_)):
        return "expected a number, got a truth value"
    try:
        have = np.asarray(got)
        if have.dtype == object or have.dtype.kind not in "iuf":
            have = have.astype(float)
    except (TypeError, ValueError):
        return f"expected a number, got {_kind(got)}"
    have = have.astype(float)
    if have.shape != want.shape:
        if want.ndim == 0 and have.size == 1:
            have = have.reshape(())
        elif want.ndim == 0:
            return f"expected one number, got an array of shape {have.shape}"
        elif have.ndim == 0:
            return f"expected an array of shape {want.shape}, got one number"
        else:
            return f"expected shape {want.shape}, got {have.shape}"
    if not np.all(np.isfinite(have) | ~np.isfinite(want)):
        return "the answer holds nan or infinity: look for a division by zero"
    return have


_FACTORS = (
    (1e3, "1000"),
    (1e6, "a million"),
    (1e9, "1e9 (giga against plain units?)"),
    (1e12, "1e12 (tera against plain units?)"),
    (1024.0, "1024"),
    (2.0**20, "2^20 (MiB against bytes?)"),
    (2.0**30, "2^30 (GiB against bytes?)"),
    (2.0**30 / 1e9, "1.074 (GB and GiB mixed)"),
    (8.0, "8 (bits against bytes?)"),
    (100.0, "100 (percent against fraction?)"),
)


def _magnitude(have: Any, want: Any, unit: str) -> str | None:
    """Name the unit slip when every element is off by the same well-known factor."""
    import numpy as np

    if np.any(want == 0) or np.any(have == 0):
        return None
    ratio = have / want
    if not np.allclose(ratio, ratio.flat[0], rtol=1e-6):
        return None
    first = float(ratio.flat[0])
    asked = f"; the answer is asked in {unit}" if unit else ""
    if first == -1.0:
        return "the sign is turned round"
    for factor, name in _FACTORS:
        if math.isclose(first, factor, rel_tol=1e-3):
            return f"too large by exactly {name}{asked}"
        if math.isclose(first, 1 / factor, rel_tol=1e-3):
            return f"too small by exactly {name}{asked}"
    return None


def _difference(have: Any, want: Any, unit: str, hint: str) -> str:
    import numpy as np

    suffix = f" {unit}" if unit else ""
    if want.ndim == 0:
        got, true = float(have), float(want)
        if true != 0 and got != 0 and got * true > 0:
            factor = got / true
            size = f"{factor:.3g} times too large" if factor > 1 else f"{1 / factor:.3g} times too small"
            if 0.5 < factor < 2:
                size = f"{abs(factor - 1):.2%} too {'large' if factor > 1 else 'small'}"
            return f"got {got:.6g}{suffix}, {size}" + _tail(hint)
        return f"got {got:.6g}{suffix}, which is not it" + _tail(hint)
    off = ~np.isclose(have, want, rtol=1e-6)
    where = int(np.flatnonzero(off.ravel())[0]) if off.any() else 0
    return (
        f"{int(off.sum())} of {want.size} values differ, first at position {where}: "
        f"got {have.ravel()[where]:.6g}{suffix}" + _tail(hint)
    )


def _explain(error: Exception) -> str:
    """An exception in the learner's code: what, and on which of their lines."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        inside = "ipykernel" in frame.filename or frame.filename.startswith("<")
        if inside and frame.line and "check." not in frame.line:
            return f"raised {type(error).__name__}: {error} (at `{frame.line.strip()}`)"
    return f"raised {type(error).__name__}: {error}"
