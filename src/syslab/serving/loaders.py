"""Public request traces, read from their own formats.

The files are not part of the course. Where they come from:

=================  ============================================================================
Azure LLM          ``AzureLLMInferenceTrace_conv.csv`` and ``_code.csv``, columns TIMESTAMP,
                   ContextTokens, GeneratedTokens; Azure/AzurePublicDataset, CC-BY 4.0
BurstGPT           ``BurstGPT_1.csv`` and others, columns Timestamp (s), Session ID, Elapsed time,
                   Model, Request tokens, Response tokens, Total tokens, Log Type;
                   HPMLL/BurstGPT, CC-BY 4.0
Mooncake           JSON lines of timestamp (ms), input_length, output_length, hash_ids (one per
                   block of 512 prompt tokens); kvcache-ai/Mooncake, Apache-2.0
=================  ============================================================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syslab.serving.trace import Trace

MOONCAKE_BLOCK_TOKENS = 512


def find_data(filename: str, folder: str | os.PathLike | None = None) -> Path | None:
    """Return the path of a downloaded trace, or None if it is not here.

    Looked for in ``folder``, then in the folder that ``SYSLAB_DATA`` names, then in
    ``shared/data`` and ``../shared/data`` seen from the current folder and from those above it.
    """
    if folder is not None:
        places = [Path(folder)]
    else:
        places = [Path(os.environ["SYSLAB_DATA"])] if os.environ.get("SYSLAB_DATA") else []
        here = Path.cwd()
        places += [above / "shared" / "data" for above in (here, *here.parents)]
    return next((place / filename for place in places if (place / filename).is_file()), None)


def read_azure(path: str | os.PathLike) -> Trace:
    """Read an Azure LLM inference trace (2023 format). Time starts at the first request."""
    import pandas as pd

    frame = pd.read_csv(path)
    _columns(path, frame, "TIMESTAMP", "ContextTokens", "GeneratedTokens")
    when = pd.to_datetime(frame["TIMESTAMP"])
    seconds = (when - when.min()).dt.total_seconds().to_numpy()
    return _trace(path, seconds, frame["ContextTokens"], frame["GeneratedTokens"])


def read_burstgpt(path: str | os.PathLike, model: str | None = None) -> Trace:
    """Read a BurstGPT trace; ``model`` keeps one of ``"ChatGPT"`` and ``"GPT-4"``.

    Requests that failed have no response tokens and are left out.
    """
    import pandas as pd

    frame = pd.read_csv(path)
    _columns(path, frame, "Timestamp", "Model", "Request tokens", "Response tokens")
    if model is not None:
        known = sorted(frame["Model"].unique())
        if model not in known:
            raise ValueError(f"model={model!r}: {Path(path).name} has {', '.join(known)}")
        frame = frame[frame["Model"] == model]
    frame = frame[(frame["Response tokens"] > 0) & (frame["Request tokens"] > 0)]
    seconds = frame["Timestamp"].to_numpy(float)
    return _trace(path, seconds - seconds.min(), frame["Request tokens"], frame["Response tokens"])


@dataclass(frozen=True)
class PrefixTrace:
    """A trace whose prompts are named block by block (``block_tokens`` each)."""

    trace: Trace
    block_names: tuple[tuple[int, ...], ...]
    block_tokens: int = MOONCAKE_BLOCK_TOKENS

    def with_prefix_cache(self, capacity_blocks: int | None = None) -> Trace:
        """Return the trace with ``cached_tokens`` as one shared cache would have found them."""
        from dataclasses import replace

        from syslab.kvcache import prefix_hits

        found = prefix_hits(self.block_names, capacity_blocks).hits_by_request
        hit = np.asarray(found, np.int64) * self.block_tokens
        return replace(self.trace, cached_tokens=np.minimum(hit, self.trace.prompt_tokens - 1))


def read_mooncake(path: str | os.PathLike) -> PrefixTrace:
    """Read a Mooncake trace: requests, and the names of their prompt blocks."""
    import json

    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    missing = {"timestamp", "input_length", "output_length", "hash_ids"} - set(rows[0])
    if missing:
        raise ValueError(f"{Path(path).name} has no {', '.join(sorted(missing))}: not a Mooncake "
                         "trace")  # fmt: skip
    rows.sort(key=lambda row: row["timestamp"])
    seconds = np.array([row["timestamp"] for row in rows]) / 1000
    prompt = np.array([row["input_length"] for row in rows])
    output = np.array([row["output_length"] for row in rows])
    names = tuple(tuple(row["hash_ids"]) for row in rows)
    return PrefixTrace(Trace(seconds, prompt, output, name=Path(path).stem), names)


def _trace(path, seconds, prompt, output) -> Trace:
    order = np.argsort(seconds, kind="stable")
    prompt, output = np.asarray(prompt)[order], np.asarray(output)[order]
    return Trace(np.asarray(seconds)[order], prompt, output, name=Path(path).stem)


def _columns(path, frame, *wanted: str) -> None:
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{Path(path).name} has no column {', '.join(missing)}; it has "
            f"{', '.join(frame.columns)}"
        )
