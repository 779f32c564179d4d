"""Machine code that numba made, carried from one process to those forked after it.

A sandboxed kernel can neither read nor write a cache of machine code: each would compile again
what all of them need, for seconds. So the template compiles it once, and the kernels inherit it.
What is to be compiled is asked of a kernel that ran the reference solution::

    functions = compiled.signatures()   # in that kernel: [module, function, signature] each
    compiled.compile_all(functions)     # in the template

Signatures travel pickled, so take them only from code that is trusted.
"""

from __future__ import annotations

import base64
import importlib
import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

PACKAGE = "syslab."


def signatures() -> list[list[str]]:
    """What was compiled of the package's functions in this process.

    Returns
    -------
    A list of ``[module, function, signature]``, to be carried as JSON.
    """
    return [
        [function.__module__, function.__name__, base64.b64encode(pickle.dumps(one)).decode()]
        for function in _functions()
        for one in function.signatures
    ]


def compile_all(functions: Iterable[Sequence[str]]) -> None:
    """Compile functions, or load them from numba's cache; from then on leave that cache alone.

    Raises
    ------
    ImportError, AttributeError
        When the package here is not the one that the signatures are from.
    """
    for module, name, signature in functions:
        function = getattr(importlib.import_module(module), name)
        function.compile(pickle.loads(base64.b64decode(signature)))
    for function in _functions():
        # A fork that may not write there would fail where it only wanted to compile.
        function._cache = _no_cache()


def _functions() -> Iterator[Any]:
    """The package's module-level functions that numba compiles."""
    if "numba" not in sys.modules:
        return
    from numba.core.registry import CPUDispatcher

    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        for value in list(vars(sys.modules[name]).values()):
            if isinstance(value, CPUDispatcher) and value.__module__ == name:
                yield value


def _no_cache() -> Any:
    from numba.core.caching import NullCache

    return NullCache()
