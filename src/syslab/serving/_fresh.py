"""Keep numba's cache honest over several files.

numba recompiles a cached function when the file it stands in changes, not when one changes that
it calls into. Machine code older than any of our sources is therefore dropped before it is used.
"""

from pathlib import Path


def forget_stale_machine_code(*sources: str) -> list[str]:
    """Delete cached machine code of ``sources`` that is older than the newest of them.

    Parameters
    ----------
    sources : str
        Names of modules in this folder that call one another.

    Returns
    -------
    list of str
        The index files deleted; numba compiles these functions again.
    """
    folder = Path(__file__).parent
    changed = max((folder / f"{name}.py").stat().st_mtime for name in sources)
    gone = []
    for name in sources:
        for index in (folder / "__pycache__").glob(f"{name}.*.nbi"):
            if index.stat().st_mtime < changed:
                index.unlink(missing_ok=True)
                gone.append(index.name)
    return gone
