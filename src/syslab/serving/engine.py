"""A real serving engine for the small model: the scheduler's steps, carried out and timed.

``measure_steps`` gives ``calibrate`` its material. ``serve`` runs a trace in real time and
returns the same records as ``simulate``, so that the two can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as Series

import numpy as np

from syslab.serving.calibrate import MeasuredStep
from syslab.serving.outcome import Outcome, Totals
from syslab.serving.policy import Policy
from syslab.serving.ragged import RaggedModel, Slot
from syslab.serving.scheduler import Scheduler, Sequence
from syslab.serving.tiny import TinyModel, torch_threads
from syslab.serving.trace import Trace

PROMPTS = (16, 32, 64, 128, 256)
BATCHES = (1, 2, 3, 4, 6, 8, 12)
CONTEXTS = (32, 128, 384)
CHUNK = 64


def measure_steps(
    model: TinyModel,
    *,
    prompts: Series[int] = PROMPTS,
    batches: Series[int] = BATCHES,
    contexts: Series[int] = CONTEXTS,
    repeats: int = 5,
    warm_up: bool = True,
    threads: int = 1,
    clock: str = "wall",
) -> list[MeasuredStep]:
    """Time steps of every kind: prompts alone and in pairs, decoding alone, and both together.

    The shapes take turns, ``repeats`` times round and in another order each time, so that other
    load on the machine meets all of them and each follows steps of other kinds, as in serving;
    the median of each counts. A turn takes about 7 s with the default shapes, and ``warm_up``
    adds one that does not count.
    """
    ragged = RaggedModel(model)
    shapes = _shapes(prompts, batches, contexts)
    seconds, ticking = [[] for _ in shapes], _clock(clock)
    slots, order = _touched_slots(ragged, shapes), np.random.default_rng(0)
    with torch_threads(threads):
        for turn in range(repeats + warm_up):
            for which in order.permutation(len(shapes)):
                took = _time_step(ragged, slots, *shapes[which], ticking)
                if turn or not warm_up:  # a first turn warms caches and allocator
                    seconds[which].append(took)
    return [
        MeasuredStep(float(np.median(times)), chunks, decodes)
        for (chunks, decodes), times in zip(shapes, seconds, strict=True)
    ]


def _shapes(prompts, batches, contexts) -> list[tuple[tuple, tuple]]:
    """Return what the timed steps hold: (start, count) of prompts, and contexts of decodes."""
    shapes = [(((0, n),), ()) for n in prompts]
    shapes += [((), (context,) * batch) for batch in batches for context in contexts]
    shapes += [(((start, CHUNK),), ()) for start in contexts]
    shapes += [(((0, n), (0, CHUNK)), ()) for n in prompts[:3]]
    beside = sorted({batches[0], batches[-2], batches[-1]}) if len(batches) > 1 else batches
    shapes += [(((0, n),), (contexts[-1],) * batch) for n in prompts[:3] for batch in beside]
    return shapes


def _touched_slots(ragged: RaggedModel, shapes) -> list[Slot]:
    """Make the caches that all steps share, every page of them written once.

    A page of fresh zeros is mapped at its first reading and then read from one page that all of
    them share, at a speed that no real cache has.
    """
    room = max([start + n for chunks, _ in shapes for start, n in chunks]
               + [context for _, decodes in shapes for context in decodes])  # fmt: skip
    slots = [ragged.new_slot(room) for _ in range(max(len(c) + len(d) for c, d in shapes))]
    for slot in slots:
        slot.keys.fill_(0.01)  # any numbers are good enough for timing
        slot.values.fill_(0.01)
    return slots


def _time_step(ragged: RaggedModel, slots: list[Slot], chunks, decodes, clock) -> float:
    work, free = [], iter(slots)
    for start, count in chunks:
        slot = next(free)
        slot.length = start
        work.append((slot, list(range(count))))
    for context in decodes:
        slot = next(free)
        slot.length = context - 1
        work.append((slot, [7]))
    begin = clock.now_s()
    ragged.step(work)
    return clock.now_s() - begin


class WallClock:
    """Seconds since it was made; waits by sleeping."""

    def __init__(self):
        self._begin = time.perf_counter()

    def now_s(self) -> float:
        return time.perf_counter() - self._begin

    def wait_until(self, moment_s: float) -> None:
        time.sleep(max(0.0, moment_s - self.now_s()))


class CpuClock:
    """Seconds of processor time of this process; waits by leaping.

    Time that other programs take from it does not count, so a run on a busy machine can be
    compared with a calibration made on the same clock.
    """

    def __init__(self):
        self._begin = time.process_time()
        self._leapt = 0.0

    def now_s(self) -> float:
        return time.process_time() - self._begin + self._leapt

    def wait_until(self, moment_s: float) -> None:
        self._leapt += max(0.0, moment_s - self.now_s())


CLOCKS = {"wall": WallClock, "cpu": CpuClock}


def _clock(name: str):
    if name not in CLOCKS:
        raise ValueError(f"clock={name!r}: must be 'wall' or 'cpu'")
    return CLOCKS[name]()


def serve(
    model: TinyModel,
    trace: Trace,
    policy: Policy,
    *,
    seed: int = 0,
    threads: int = 1,
    clock: str = "wall",
    steps: list[MeasuredStep] | None = None,
) -> Outcome:
    """Serve a trace in real time with the real model (continuous or chunked batching).

    Prompts are random tokens of the trace's lengths, and outputs go on to theirs. Blocks are
    counted, not placed: each sequence has one run of memory. Times are those of this machine.
    Every step that was carried out is appended to ``steps`` if a list is given.
    """
    with torch_threads(threads):
        return _serve(model, trace, policy, seed, _clock(clock), steps)


def _serve(model: TinyModel, trace: Trace, policy: Policy, seed: int, clock, steps) -> Outcome:
    ragged, scheduler = RaggedModel(model), Scheduler(policy)
    draw = np.random.default_rng(seed)
    n, vocab = len(trace), model.network.config.vocab_size
    texts = [draw.integers(3, vocab, size=int(p)).tolist() for p in trace.prompt_tokens]
    slots: dict[int, Slot] = {}
    admitted, first, finish = (np.full(n, np.nan) for _ in range(3))
    gap, last, preempted = np.zeros(n), np.zeros(n), np.zeros(n, np.int64)
    rows: list[tuple[float, ...]] = []
    arrived, busy, prompts, decoded = 0, 0.0, 0, 0
    while True:
        now = clock.now_s()
        while arrived < n and trace.arrival_s[arrived] <= now:
            scheduler.arrive(
                Sequence(arrived, int(trace.prompt_tokens[arrived]),
                         int(trace.output_tokens[arrived]))
            )  # fmt: skip
            arrived += 1
        step = scheduler.next_step()
        if not step.tokens:
            if arrived == n:
                break
            clock.wait_until(trace.arrival_s[arrived])
            continue
        work, owners = [], []
        for sequence, start, count in step.prompts:
            r = sequence.request
            if start == 0:
                admitted[r] = now if np.isnan(admitted[r]) else admitted[r]
                slots[r] = ragged.new_slot(int(trace.prompt_tokens[r] + trace.output_tokens[r]))
            work.append((slots[r], texts[r][start : start + count]))
            owners.append(r)
        for sequence in step.decodes:
            work.append((slots[sequence.request], texts[sequence.request][-1:]))
            owners.append(sequence.request)
        shape = tuple((start, count) for _, start, count in step.prompts)
        contexts = tuple(slots[sequence.request].length + 1 for sequence in step.decodes)
        tokens = dict(zip(owners, ragged.step(work), strict=True))
        now, before = clock.now_s(), now
        busy += now - before
        decoded += len(step.decodes)
        prompts += step.tokens - len(step.decodes)
        served = scheduler.finish_step(step)
        if steps is not None:
            steps.append(
                MeasuredStep(now - before, shape, contexts, len(served) - len(step.decodes))
            )
        for sequence in served:
            r = sequence.request
            texts[r].append(tokens[r])
            preempted[r] = sequence.preemptions
            if sequence.generated == 1:
                first[r] = now
            else:
                gap[r] = max(gap[r], now - last[r])
            last[r] = now
            if sequence.generated == sequence.output_tokens:
                finish[r] = now
                del slots[r]
        rows.append((now, now - before, len(scheduler.running), len(scheduler.waiting),
                     scheduler.used_blocks, step.tokens))  # fmt: skip
    totals = Totals(
        len(rows), busy, prompts, decoded, 0, 0, 0, max((int(r[4]) for r in rows), default=0)
    )
    timeline = np.array(rows).reshape(-1, 6)
    return Outcome(trace, admitted, first, finish, gap, preempted, totals, timeline)
