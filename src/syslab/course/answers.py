"""Comparing an answer with what is expected, and saying in one sentence how it differs.

Every function returns None when the answer is right, else the sentence. With `guarded` the
sentence keeps the expected value to itself: hidden checks are worded so.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

NO_RETURN = "got None: did the function end without `return`?"
FLOAT32_RTOL = 1e-5  # what a short computation in single precision may lose

# Ratios that betray a slip of units, most specific first. Those of binary prefixes make sense
# for bytes only: the same ratio between two times has another cause.
BINARY = (
    (2.0**30 / 1e9, "1.074 (GB and GiB mixed?)"),
    (2.0**20 / 1e6, "1.049 (MB and MiB mixed?)"),
    (2.0**40 / 1e12, "1.100 (TB and TiB mixed?)"),
    (1024.0, "1024"),
    (2.0**20, "2^20 (MiB against bytes?)"),
    (2.0**30, "2^30 (GiB against bytes?)"),
)
FACTORS = (
    (8.0, "8 (bits against bytes?)"),
    (100.0, "100 (percent against fraction?)"),
    (1e3, "1000"),
    (1e6, "a million"),
    (1e9, "1e9 (giga against plain units?)"),
    (1e12, "1e12 (tera against plain units?)"),
)
BYTE_UNIT = re.compile(r"\b([kKMGTPE]i?)?B\b|\bbytes?\b", re.ASCII)
LIKELY_BYTES = 1e6  # without a unit, values from here on may count bytes


# ------------------------------------------------------------------------------------ numbers


def number_problem(
    got: Any,
    want: Any,
    *,
    unit: str = "",
    rtol: float = 1e-6,
    atol: float = 0.0,
    wrong: Sequence[tuple[Any, str]] = (),
    hint: str = "",
    guarded: bool = False,
) -> str | None:
    """Judge a number or array: type, shape, known wrong answers, order of magnitude, value.

    Parameters
    ----------
    got
        The answer: a number, a list or tuple of numbers, a NumPy or torch array.
    want
        Float array, any shape, shape () for one number.
    wrong
        Known wrong answers (shape of `want`, or one number for all) and what answers them.
    """
    import numpy as np

    have = _as_numbers(got, want)
    if isinstance(have, str):
        return have
    if str(getattr(got, "dtype", "")).endswith("float32"):
        rtol = max(rtol, FLOAT32_RTOL)
    if np.allclose(have, want, rtol=rtol, atol=atol):
        return None
    for value, message in wrong:
        bad = np.broadcast_to(np.asarray(value, dtype=float), want.shape)
        if np.allclose(have, bad, rtol=max(rtol, 1e-6), atol=atol):
            return message
    slip = _magnitude(have, want, unit, rtol)
    if slip:
        return slip
    return _difference(have, want, unit, rtol, atol, guarded) + _tail(hint)


def _as_numbers(got: Any, want: Any) -> Any:
    """`got` as a float array of want's shape, or the sentence that says why it is not one."""
    import numpy as np

    asked = "a number" if want.ndim == 0 else f"an array of shape {want.shape}"
    if got is None:
        return NO_RETURN
    if isinstance(got, (bool, np.bool_)):
        return f"expected {asked}, got a truth value"
    if isinstance(got, (str, bytes, Mapping, Set)):
        return f"expected {asked}, got {kind(got)}"
    if hasattr(got, "__next__"):
        return f"expected {asked}, got {kind(got)}: wrap it in list(...) to get its values"
    try:
        have = _array(got)
    except (TypeError, ValueError, RuntimeError):
        inside = " whose items are not all numbers" if isinstance(got, (list, tuple)) else ""
        return f"expected {asked}, got {kind(got)}{inside}"
    if have.shape != want.shape:
        if want.ndim == 0 and have.size == 1:
            have = have.reshape(())
        elif want.ndim == 0:
            return f"expected one number, got an array of shape {have.shape}"
        elif have.ndim == 0:
            return f"expected an array of shape {want.shape}, got one number"
        else:
            return f"expected shape {want.shape}, got {have.shape}"
    if np.any(np.isnan(have) & ~np.isnan(want)):
        return "the answer holds nan: look for 0/0 or a missing value"
    if np.any(np.isinf(have) & ~np.isinf(want)):
        return "the answer holds infinity: look for a division by zero"
    return have


def _array(got: Any) -> Any:
    """A float64 array; TypeError, ValueError or RuntimeError when `got` is no set of numbers."""
    import numpy as np

    if hasattr(got, "detach"):  # torch: off the graph and the device, bfloat16 included
        got = got.detach().cpu().double().numpy()
    have = np.asarray(got)
    if have.dtype.kind == "c":
        raise TypeError("complex")
    if have.dtype.kind in "US":
        raise TypeError("text")
    return have.astype(float)


def _magnitude(have: Any, want: Any, unit: str, rtol: float) -> str | None:
    """Name the slip when every element is off by the same well-known factor."""
    import numpy as np

    if want.size == 0 or not np.all(np.isfinite(want)) or np.any(want == 0) or np.any(have == 0):
        return None
    ratio = have / want
    near = min(max(rtol, 1e-5), 1e-2)
    if not np.allclose(ratio, ratio.flat[0], rtol=near):
        return None
    first = float(ratio.flat[0])
    asked = f"; the answer is asked in {unit}" if unit else ""
    if math.isclose(first, -1.0, rel_tol=near):
        return "the sign is turned round"
    bytes_likely = BYTE_UNIT.search(unit) if unit else np.max(np.abs(want)) >= LIKELY_BYTES
    for factor, name in (*BINARY, *FACTORS) if bytes_likely else FACTORS:
        if math.isclose(first, factor, rel_tol=near):
            return f"too large by a factor of {name}{asked}"
        if math.isclose(first, 1 / factor, rel_tol=near):
            return f"too small by a factor of {name}{asked}"
    return None


def _difference(have: Any, want: Any, unit: str, rtol: float, atol: float, guarded: bool) -> str:
    import numpy as np

    suffix = f" {unit}" if unit else ""
    if want.ndim == 0:
        got, true = float(have), float(want)
        if not (math.isfinite(true) and got * true > 0):
            return f"got {got:.6g}{suffix}, which is not it"
        factor = got / true
        way = "large" if factor > 1 else "small"
        if guarded:
            return f"got {got:.6g}{suffix}, too {way}"
        if 0.5 < factor < 2:
            off = abs(factor - 1)
            share = f"{off:.2%}" if off >= 1e-4 else f"{off:.1g} of the value"
            return f"got {got:.6g}{suffix}, {share} too {way}"
        times = factor if factor > 1 else 1 / factor
        return f"got {got:.6g}{suffix}, {times:.3g} times too {way}"
    off = ~np.isclose(have, want, rtol=rtol, atol=atol)
    where = tuple(int(i) for i in np.argwhere(off)[0])
    place = where[0] if len(where) == 1 else where
    return (
        f"{int(off.sum())} of {want.size} values differ, first at index {place}: "
        f"got {float(have[where]):.6g}{suffix}"
    )


# --------------------------------------------------------------------- everything but numbers


def equal_problem(
    got: Any, expected: Any, *, wrong: Sequence[tuple[Any, str]] = (), hint: str = ""
) -> str | None:
    """Judge text, truth values, integers and containers: type first, then content.

    Case and outer blanks of text, list against tuple, and NumPy's own scalars make no difference.
    """
    have, want = plain(got), plain(expected)
    if have is None and want is not None:
        return NO_RETURN
    if same(have, want):
        return None
    for value, message in wrong:
        if same(have, plain(value)):
            return message
    if _class(have) != _class(want):
        return f"expected {kind(expected)}, got {kind(got)}"
    return _contents(have, want) + _tail(hint)


def plain(value: Any) -> Any:
    """Reduce to plain Python, so that NumPy scalars, tuples and stray case compare equal."""
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return int(number) if number.is_integer() else number
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return {_hashable(plain(item)) for item in value}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, range)):
        return [plain(item) for item in value]
    return value


def same(have: Any, want: Any) -> bool:
    """Equality of plain values; floats agree to 1e-9, a truth value is not a number."""
    if _class(have) is not _class(want):
        return False
    if isinstance(want, (int, float)):
        return have == want or math.isclose(have, want, rel_tol=1e-9)
    if isinstance(want, list):
        return len(have) == len(want) and all(map(same, have, want))
    if isinstance(want, dict):
        return have.keys() == want.keys() and all(same(have[key], want[key]) for key in want)
    return bool(have == want)


def _class(value: Any) -> type:
    """The type that counts: int and float are one, a truth value is its own."""
    return float if type(value) in (int, float) else type(value)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _contents(have: Any, want: Any) -> str:
    """What differs, in terms of the learner's own items; the missing ones are only counted."""
    if isinstance(want, list):
        if len(have) != len(want):
            return f"expected {_count(len(want))}, got {len(have)}"
        at = next(i for i, pair in enumerate(zip(have, want, strict=True)) if not same(*pair))
        return f"differs first at index {at}: got {short(have[at])}"
    if isinstance(want, set):
        extra, missing = have - want, want - have
        said = [f"{short(min(extra, key=str))} does not belong"] if extra else []
        said += [f"{_count(len(missing))} missing"] if missing else []
        return ", ".join(said)
    if isinstance(want, dict):
        extra, missing = have.keys() - want.keys(), want.keys() - have.keys()
        if extra:
            return f"the key {short(min(extra, key=str))} does not belong"
        if missing:
            return f"the key {short(min(missing, key=str))} is missing"
        key = next(key for key in want if not same(have[key], want[key]))
        return f"wrong for {short(key)}: got {short(have[key])}"
    return f"got {short(have)}, which is not it"


# -------------------------------------------------------------------------------------- words


def kind(value: Any) -> str:
    """A value's type with its article: 'a list', 'an int', 'None'."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def short(value: Any, limit: int = 80) -> str:
    """The value's repr, cut to `limit` characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a learner's own class may not even print
        text = kind(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _count(number: int) -> str:
    return "1 item" if number == 1 else f"{number} items"


def _tail(hint: str) -> str:
    return f"; {hint}" if hint else ""
