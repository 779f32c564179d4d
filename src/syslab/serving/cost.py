"""How long one step of an engine takes.

A step processes some tokens of prompts and one token of each decoding sequence together. Its
time is a sum of parts, each a rate times a count:

    overhead
    + max(reading the weights, multiplying by them)      the roofline of the linear layers
    + a surcharge on the first few tokens
    + prompt attention, per pair of a token and one before it or itself
    + decode attention, per cached token that is read
    + output head, per sampled token
    + per sequence, where an engine handles them one by one
    + swapping, per token moved to or from the host

Linear in the counts but for the one ``max``, so that measured steps can calibrate it
(``calibrate``). The knee of the max is at ``knee_tokens``: fewer tokens in a step than that leave
the arithmetic waiting for weights. At 16 bit it equals the ridge point of the machine.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from syslab.serving._counts import causal_pairs, seen_tokens, step_seconds


@dataclass(frozen=True)
class StepCost:
    """Seconds per unit of each part of a step.

    Attributes
    ----------
    overhead_s : float
        Per step, whatever is in it.
    weights_s : float
        Reading the weights that every step needs.
    experts_s, expert_share : float
        Reading all routed experts, and the share of them one token visits. A step of n tokens is
        expected to touch ``1 - (1 - expert_share) ** n`` of them (uniform routing).
    token_s : float
        Multiplying one token by the weights.
    pair_s : float
        Prompt attention of one (token, earlier token or itself) pair.
    cached_token_s : float
        Reading one cached token: in decode attention, or in that of a later prompt chunk.
    sample_s : float
        Output head and sampling of one token.
    sequence_s : float
        Per sequence in the step.
    swap_token_s : float
        Moving the cache of one token to the host or back.
    window, window_share : float
        Tokens a windowed layer looks back (0: no window), and the share of such layers.
    ramp_s, ramp_tokens : float
        Extra seconds for each of the first ``ramp_tokens`` tokens of a step: matrix products of a
        few rows do not run at full speed. Found by measuring; a data sheet knows nothing of it.
    """

    overhead_s: float = 0.0
    weights_s: float = 0.0
    experts_s: float = 0.0
    expert_share: float = 0.0
    token_s: float = 0.0
    pair_s: float = 0.0
    cached_token_s: float = 0.0
    sample_s: float = 0.0
    sequence_s: float = 0.0
    swap_token_s: float = 0.0
    window: float = 0.0
    window_share: float = 0.0
    ramp_s: float = 0.0
    ramp_tokens: float = 0.0

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value >= 0 and np.isfinite(value)):
                raise ValueError(f"{field.name}={value!r}: must be finite and 0 or more")
            object.__setattr__(self, field.name, float(value))
        for name in ("expert_share", "window_share"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: a share is at most 1")

    @property
    def knee_tokens(self) -> float:
        """Tokens in a step from which multiplying takes longer than reading dense weights."""
        return self.weights_s / self.token_s if self.token_s else float("inf")

    def step_s(
        self,
        prompts: tuple[tuple[int, int], ...] = (),
        contexts: tuple[int, ...] = (),
        prompts_finished: int | None = None,
        swapped_tokens: int = 0,
    ) -> float:
        """Return the seconds of one step.

        Parameters
        ----------
        prompts : tuple of (start, count)
            Chunks of prompts: tokens already cached, and tokens computed now.
        contexts : tuple of int
            Per decoding sequence, the tokens its new token looks at, itself included.
        prompts_finished : int, optional
            How many chunks end their prompt and sample a token; all unless given.
        swapped_tokens : int
            Tokens whose cache moves to or from the host.
        """
        finished = len(prompts) if prompts_finished is None else prompts_finished
        w, share = self.window, self.window_share
        tokens = sum(count for _, count in prompts) + len(contexts)
        pairs = sum(causal_pairs(start, count, w, share) for start, count in prompts)
        cached = sum(seen_tokens(context, w, share) for context in contexts)
        cached += sum(seen_tokens(start, w, share) for start, _ in prompts)
        sequences = len(prompts) + len(contexts)
        return float(
            step_seconds(self.as_array(), tokens, pairs, cached, finished + len(contexts),
                         sequences, swapped_tokens)
        )  # fmt: skip

    def prefill_s(self, prompt_tokens: int) -> float:
        """Return the seconds of one whole prompt alone: the least TTFT."""
        return self.step_s(prompts=((0, prompt_tokens),))

    def decode_s(self, batch: int, context: int) -> float:
        """Return the seconds of one decode step of ``batch`` sequences of ``context`` tokens."""
        return self.step_s(contexts=(context,) * batch)

    def scaled(self, factor: float) -> StepCost:
        """Return the cost of a machine ``factor`` times slower in every part."""
        kept = ("expert_share", "window", "window_share", "ramp_tokens")
        times = [f.name for f in fields(self) if f.name not in kept]
        return replace(self, **{name: getattr(self, name) * factor for name in times})

    def as_array(self) -> np.ndarray:
        """Return the numbers in the order of the attributes."""
        return np.array([getattr(self, field.name) for field in fields(self)], float)
