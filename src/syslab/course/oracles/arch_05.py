"""Counting oracles for arch-05: caches are stored, blocks are written, engines are played.

Nothing here uses a formula of ``syslab.kvcache`` or ``syslab.serving``: bytes are those of arrays
that exist, a block table is judged by reading back what was written through it, and an engine is
walked through step by step.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# ------------------------------------------------------------------------------ bytes of a cache


def cache_bytes(
    shape: Mapping[str, int], tokens: int, bits: int = 16, group: int = 0, scale_bytes: int = 0
) -> int:
    """Bytes of the arrays that hold the cache of one sequence, after `tokens` tokens went in.

    Parameters
    ----------
    shape : mapping
        ``layers, kv_heads, head_dim, latent, rope_dim, window, window_layers``; the last four are 0
        where they do not apply.
    bits, group, scale_bytes : int
        Bits of a value; values of a vector that share one scale (0: no scales); bytes of a scale.
    """
    import numpy as np

    def stored(values: int) -> int:
        packed = np.packbits(np.ones(values * bits, dtype=bool))
        if not group:
            return packed.nbytes
        scales = [np.zeros(scale_bytes, np.uint8) for _ in range(0, values, group)]
        return packed.nbytes + sum(scale.nbytes for scale in scales)

    windowed = shape["window_layers"] if shape["window"] else 0
    layers: list[deque[int]] = [
        deque(maxlen=shape["window"] if layer < windowed else None)
        for layer in range(shape["layers"])
    ]
    for _token, layer in itertools.product(range(tokens), layers):
        if shape["latent"]:
            layer.append(stored(shape["latent"]) + stored(shape["rope_dim"]))
        else:
            heads = range(shape["kv_heads"])
            layer.append(
                sum(stored(shape["head_dim"]) for _ in heads for _part in ("key", "value"))
            )
    return sum(map(sum, layers))


def sequences_that_fit(
    pool_bytes: float, shape: Mapping[str, int], context: int, tp: int, most: int = 10**6
) -> int:
    """Sequences of `context` tokens that `tp` GPUs hold, put in one at a time (16-bit cache)."""
    sizes = _bytes_on_each_gpu(shape, context, tp)
    used, held = [0] * tp, 0
    while held < most:
        used = [have + more for have, more in zip(used, sizes, strict=True)]
        if max(used) > pool_bytes:
            break
        held += 1
    return held


def longest_context(
    pool_bytes: float, shape: Mapping[str, int], batch: int, tp: int, most: int
) -> int:
    """Tokens that each of `batch` sequences reaches when all grow by one token at a time."""
    token = max(_bytes_on_each_gpu(shape, 1, tp))
    length = 0
    while length < most and batch * token * (length + 1) <= pool_bytes:
        length += 1
    return length


def _bytes_on_each_gpu(shape: Mapping[str, int], context: int, tp: int) -> list[int]:
    """Bytes of one sequence on each GPU: every GPU stores the KV heads that its query heads use."""
    import numpy as np

    query_heads = max(shape["kv_heads"], tp)  # groups of them, as many as are ever told apart
    sizes = []
    for gpu in range(tp):
        mine = [q for q in range(query_heads) if q * tp // query_heads == gpu]
        needed = {q * shape["kv_heads"] // query_heads for q in mine}
        one = np.empty((2, len(needed), context, shape["head_dim"]), np.float16)
        sizes.append(shape["layers"] * one.nbytes)
    return sizes


# --------------------------------------------------------------------------------- block tables


class _Broken(Exception):
    """A rule of block tables was broken; the text says which."""


class _Block:
    """A block of the model: told apart by identity, shared by being in two tables."""


def broken_rule(make: Callable[[int, int], Any], blocks: int, size: int, log: Sequence) -> str:
    """Drive block tables through a log and say which rule breaks first; "" if none does.

    Every token is written into a pretended memory where the table says it belongs, and after each
    entry every live sequence is read back. The counters are compared with those of a model that
    has neither reference counts nor a free list: its blocks are objects, and it counts by looking.

    Parameters
    ----------
    make
        ``make(blocks, size)`` gives an object with ``add``, ``append``, ``fork``, ``free``,
        ``table`` and ``counters``.
    log
        Entries ``("add", name, tokens)``, ``("append", name, token)``, ``("fork", name, child)``
        and ``("free", name)``.
    """
    try:
        _Replay(make(blocks, size), blocks, size).run(log)
    except _Broken as broken:
        return str(broken)
    return ""


class _Replay:
    def __init__(self, tables: Any, blocks: int, size: int) -> None:
        self.tables, self.blocks, self.size = tables, blocks, size
        self.memory: dict[tuple[int, int], int] = {}
        self.model: dict[Any, list[_Block]] = {}
        self.said: dict[Any, list[int]] = {}  # what each live sequence must read back
        self.prompts: dict[Any, list[int]] = {}
        self.copies = 0
        self.refused = ""  # the last entry that rightly found no room

    def run(self, log: Sequence) -> None:
        for number, (kind, name, *rest) in enumerate(log, 1):
            if kind != "add" and name not in self.model:
                continue  # it was refused
            shown = [r if not isinstance(r, list) else f"{len(r)} tokens" for r in rest]
            self.place = f"entry {number}, {kind} {name!r}{''.join(f' {r}' for r in shown)}: "
            self.after = "; free once no table holds it, not before" if kind == "free" else ""
            if self.refused:
                self.after += f"; or the refused {self.refused} left a trace"
            getattr(self, f"_{kind}")(name, *rest)
            self._look()

    def _fail(self, text: str) -> None:
        raise _Broken(self.place + text)

    def _add(self, name: Any, tokens: list[int]) -> None:
        shared = self._known_blocks(tokens)
        needed = -(-len(tokens) // self.size) - len(shared)
        hit = self._try(needed, lambda: self.tables.add(name, list(tokens)))
        if hit is None:
            return
        known = len(shared) * self.size
        if hit[0] != known:
            self._fail(
                f"returned {hit[0]!r} tokens found, {known} are there: full blocks of a live "
                "prompt that begins alike, before the block of the new prompt's last token"
            )
        self.model[name] = shared + [_Block() for _ in range(needed)]
        self.said[name], self.prompts[name] = list(tokens), list(tokens)
        table = self._whole_table(name)
        for at in range(known, len(tokens)):
            self.memory[table[at // self.size], at % self.size] = tokens[at]

    def _append(self, name: Any, token: int) -> None:
        at = len(self.said[name])
        last = self.model[name][-1]
        fresh, shared = at % self.size == 0, self._users(last) > 1
        got = self._try(int(fresh or shared), lambda: self.tables.append(name, token))
        if got is None:
            return
        if fresh:
            self.model[name].append(_Block())
        elif shared:
            if got[0] is None:
                self._fail("the block is written, and others hold it: copy, return (old, new)")
            self.model[name][-1] = _Block()
            self.copies += 1
        self.said[name].append(token)
        if got[0] is not None:
            try:
                source, target = got[0]
            except (TypeError, ValueError):
                self._fail(f"returned {got[0]!r}: (old block, new block) for a copy, else None")
            for slot in range(self.size):
                if (source, slot) in self.memory:
                    self.memory[target, slot] = self.memory[source, slot]
        self.memory[self._whole_table(name)[at // self.size], at % self.size] = token

    def _fork(self, name: Any, child: Any) -> None:
        self.tables.fork(name, child)
        if self._table(child) != self._table(name):
            self._fail("a fork shares every block and copies none")
        self.model[child] = list(self.model[name])
        self.said[child], self.prompts[child] = list(self.said[name]), self.prompts[name]

    def _free(self, name: Any) -> None:
        self.tables.free(name)
        for kept in (self.model, self.said, self.prompts):
            del kept[name]

    def _try(self, needed: int, action: Callable[[], Any]) -> tuple[Any] | None:
        """What the action returned, in a tuple; None when it rightly found no room."""
        room = self.blocks - len(self._used())
        try:
            got = (action(),)
        except MemoryError:
            if needed <= room:
                self._fail(f"MemoryError, though {needed} are needed, {room} are free{self.after}")
            self.refused = self.place.removesuffix(": ")
            self.after = "; the call was refused and must leave no trace"
            return None
        if needed > room:
            self._fail(f"no MemoryError: {needed} blocks are needed, {room} are free")
        return got

    def _look(self) -> None:
        """Read every sequence back, and compare the counters."""
        for name, tokens in self.said.items():
            table = self._whole_table(name)
            for at, token in enumerate(tokens):
                if self.memory.get((table[at // self.size], at % self.size)) != token:
                    self._fail(
                        f"{name!r} does not read its own token {at} any more: a block that others "
                        "hold is copied before it is written, and append says which"
                    )
        used = self._used()
        filled: dict[_Block, int] = {}
        for name, table in self.model.items():
            for place, block in enumerate(table):
                here = min(self.size, len(self.said[name]) - place * self.size)
                filled[block] = max(filled.get(block, 0), here)
        wanted = {
            "free_blocks": self.blocks - len(used),
            "shared_blocks": sum(1 for block in used if self._users(block) > 1),
            "copies": self.copies,
            "empty_slots": len(used) * self.size - sum(filled.values()),
        }
        counted = self.tables.counters()
        for key, want in wanted.items():
            got = counted.get(key)
            if got != want:
                self._fail(f"{key} is {got!r}, and the tables make it {want}{self.after}")

    def _table(self, name: Any) -> list[int]:
        table = list(self.tables.table(name))
        if not all(0 <= block < self.blocks for block in table):
            self._fail(f"the table of {name!r} is {table}: blocks are 0 to {self.blocks - 1}")
        return table

    def _whole_table(self, name: Any) -> list[int]:
        table, tokens = self._table(name), len(self.said[name])
        if len(table) != -(-tokens // self.size):
            self._fail(f"{name!r} has {tokens} tokens and {len(table)} blocks{self.after}")
        return table

    def _used(self) -> set[_Block]:
        return set(itertools.chain(*self.model.values()))

    def _users(self, block: _Block) -> int:
        return sum(block in table for table in self.model.values())

    def _known_blocks(self, tokens: list[int]) -> list[_Block]:
        best: list[_Block] = []
        for name, prompt in self.prompts.items():
            full = 0
            while (
                (end := (full + 1) * self.size) < len(tokens)
                and end <= len(prompt)
                and prompt[:end] == tokens[:end]
            ):
                full += 1
            best = max(best, self.model[name][:full], key=len)
        return best


def block_log(seed: int, entries: int, size: int) -> list[tuple]:
    """A random log with common beginnings, forks, and room running out now and then.

    No prompt ends on a block, so that whoever looks prompts up by their blocks finds the same.
    """
    import numpy as np

    draw = np.random.default_rng(seed)
    trunk = [int(t) for t in draw.integers(0, 50, 6 * size)]
    trunks = [trunk, [50, *trunk[1:]]]  # alike but for the first token, so never shared
    live: list[str] = []
    log: list[tuple] = []
    for number in range(entries):
        kind = draw.choice(["add", "append", "fork", "free"], p=[0.15, 0.6, 0.12, 0.13])
        if kind == "add" or not live:
            common = trunks[int(draw.integers(2))][: int(draw.integers(0, len(trunk)))]
            tail = [int(t) for t in draw.integers(0, 50, int(draw.integers(1, 2 * size)))]
            prompt = common + tail
            prompt += [51] if len(prompt) % size == 0 else []
            log.append(("add", f"s{number}", prompt))
            live.append(f"s{number}")
            continue
        name = live[int(draw.integers(len(live)))]
        if kind == "append":
            log.append(("append", name, int(draw.integers(50))))
        elif kind == "fork":
            log.append(("fork", name, f"s{number}"))
            live.append(f"s{number}")
        else:
            log.append(("free", name))
            live.remove(name)
    return log


# -------------------------------------------------------------------------------- an engine, played

MOST_STEPS = 15_000
Chooser = Callable[[list[dict], list[dict], int, int], tuple[Mapping[int, int], Sequence[int]]]


def play(
    choose: Chooser, trace: Any, cost: Any, token_budget: int = 512, max_sequences: int = 64
) -> dict[str, Any]:
    """Play a trace through one engine whose steps `choose` decides.

    Parameters
    ----------
    choose
        ``choose(waiting, running, token_budget, max_sequences)`` returns ``(chunks, decodes)``:
        prompt tokens to compute per request id, and ids that decode one token. It gets copies.
    trace : syslab.serving.Trace
    cost : syslab.serving.StepCost

    Returns
    -------
    dict of arrays in the order of the trace: ``arrival_s``, ``first_s``, ``finish_s``,
    ``output_tokens``.

    Raises
    ------
    ValueError
        A step is empty, too large, or names a request that cannot be in it.
    """
    return _played(choose, trace, cost, token_budget, max_sequences)[0]


def lapses(
    choose: Chooser, trace: Any, cost: Any, token_budget: int = 512, max_sequences: int = 64
) -> list[str]:
    """What ``choose`` leaves undone as it plays a trace, most frequent first; parameters of `play`.

    One sentence each for steps in which a running request did not decode, in which budget and a
    seat were left while a prompt waited, and in which a prompt got tokens before an earlier one.
    """
    return _played(choose, trace, cost, token_budget, max_sequences)[1].sentences()


LAPSES = {
    "stalled": "decoding stalls: in {} steps someone who could decode did not; "
    "in every step let all decode who can",
    "idle": "prompts wait for others to end: in {} steps budget and a seat were left "
    "while one waited; fill every step",
    "late": "prompts overtake: in {} steps one got tokens while an earlier one got none; "
    "serve them in order of arrival",
}


class _Lapses:
    """Counts of steps that could have held more, or another prompt."""

    def __init__(self) -> None:
        self.steps = 0
        self.counts = dict.fromkeys(LAPSES, 0)

    def note(self, waiting, running, chunks, decodes, budget_left: int, seats_left: int) -> None:
        self.steps += 1
        self.counts["stalled"] += len(decodes) < len(running)
        served = [chunks.get(w["id"], 0) for w in waiting]
        wants = [
            got < w["prompt_left"] and (got > 0 or w["started"] or seats_left > 0)
            for w, got in zip(waiting, served, strict=True)
        ]
        self.counts["idle"] += budget_left > 0 and any(wants)
        self.counts["late"] += 0 in served and any(served[served.index(0) :])

    def sentences(self) -> list[str]:
        often = sorted(self.counts, key=lambda name: -self.counts[name])
        return [
            LAPSES[name].format(f"{self.counts[name]:,} of {self.steps:,}")
            for name in often
            if self.counts[name] > 0.01 * self.steps
        ]


def _played(choose, trace, cost, token_budget, max_sequences) -> tuple[dict[str, Any], _Lapses]:
    import numpy as np

    seen = _Lapses()
    n = len(trace)
    prompt, output, arrival = trace.prompt_tokens, trace.output_tokens, trace.arrival_s
    computed, made = np.zeros(n, int), np.zeros(n, int)
    first, finish = np.full(n, np.nan), np.full(n, np.nan)
    clock, come, steps = 0.0, 0, 0
    queue: list[int] = []  # arrived, prompt not yet computed
    decoding: list[int] = []
    while come < n or queue or decoding:
        steps += 1
        if steps > MOST_STEPS:
            raise ValueError(
                f"{MOST_STEPS:,} steps and {np.isfinite(finish).sum()} of {n} requests done; "
                + (seen.sentences() or ["the steps hold too little"])[0]
            )
        if not queue and not decoding:
            clock = max(clock, float(arrival[come]))
        while come < n and arrival[come] <= clock:
            queue.append(come)
            come += 1
        waiting = [
            {"id": i, "prompt_left": int(prompt[i] - computed[i]), "started": bool(computed[i])}
            for i in _front(queue, computed, max_sequences)
        ]
        running = [{"id": i, "context": int(prompt[i] + made[i])} for i in decoding]
        answer = choose(
            [dict(w) for w in waiting], [dict(r) for r in running], token_budget, max_sequences
        )
        seated = len(decoding) + sum(1 for i in queue if computed[i])
        chunks, decodes = _legal(answer, waiting, running, seated, token_budget, max_sequences)
        begun = sum(1 for i in chunks if not computed[i])
        tokens = sum(chunks.values()) + len(decodes)
        seen.note(
            waiting,
            running,
            chunks,
            decodes,
            budget_left=token_budget - tokens,
            seats_left=max_sequences - seated - begun,
        )
        done = [i for i, count in chunks.items() if computed[i] + count == prompt[i]]
        clock += cost.step_s(
            prompts=tuple((int(computed[i]), count) for i, count in chunks.items()),
            contexts=tuple(int(prompt[i] + made[i]) for i in decodes),
            prompts_finished=len(done),
        )
        for i, count in chunks.items():
            computed[i] += count
        for i in done:
            queue.remove(i)
            decoding.append(i)
            first[i] = clock
        for i in (*done, *decodes):
            made[i] += 1
            if made[i] == output[i]:
                finish[i] = clock
                decoding.remove(i)
    records = {
        "arrival_s": arrival, "first_s": first, "finish_s": finish, "output_tokens": output
    }  # fmt: skip
    return records, seen


def _front(queue: list[int], computed: Any, seats: int) -> Iterator[int]:
    """All started prompts and the first `seats` others, in order of arrival."""
    fresh = 0
    for i in queue:
        fresh += not computed[i]
        if computed[i] or fresh <= seats:
            yield i


def _legal(answer, waiting, running, seated, token_budget, max_sequences):
    try:
        chunks, decodes = answer
        chunks = {int(i): int(count) for i, count in dict(chunks).items() if count != 0}
        decodes = [int(i) for i in decodes]
    except (TypeError, ValueError):
        raise ValueError(
            f"the step is {answer!r}: return ({{id: prompt tokens}}, [ids that decode])"
        ) from None
    left = {w["id"]: w["prompt_left"] for w in waiting}
    for i, count in chunks.items():
        if i not in left or not 0 < count <= left[i]:
            raise ValueError(f"chunk of {count} for request {i}: it has {left.get(i, 0)} left")
    if len(set(decodes)) < len(decodes) or not {r["id"] for r in running} >= set(decodes):
        raise ValueError(f"decodes is {decodes}: each running request at most once")
    if sum(chunks.values()) + len(decodes) > token_budget:
        tokens = sum(chunks.values()) + len(decodes)
        raise ValueError(f"the step has {tokens} tokens and the budget is {token_budget}")
    seats = seated + sum(1 for w in waiting if w["id"] in chunks and not w["started"])
    if seats > max_sequences:
        raise ValueError(f"{seats} sequences would be in the engine, {max_sequences} may be")
    if not chunks and not decodes:
        raise ValueError("the step is empty though there is work: the engine would never finish")
    return chunks, decodes


def good_requests(records: Mapping[str, Any], ttft_s: float, tpot_s: float) -> tuple[int, int, int]:
    """Requests that meet both limits, the TTFT limit, and the TPOT limit, one request at a time."""
    both = first_in_time = later_in_time = 0
    for arrival, first, finish, output in zip(
        *(records[k] for k in ("arrival_s", "first_s", "finish_s", "output_tokens")), strict=True
    ):
        if finish != finish:  # rejected
            continue
        quick = first - arrival <= ttft_s
        steady = output == 1 or (finish - first) / (output - 1) <= tpot_s
        both += quick and steady
        first_in_time += quick
        later_in_time += steady
    return both, first_in_time, later_in_time


# ----------------------------------------------------------------------------- drawn, not derived


def tokens_per_check(acceptance: float, guesses: int, checks: int, seed: int) -> float:
    """Mean tokens of `checks` verifications, every guess drawn: accepted ones, then one more."""
    import numpy as np

    draw = np.random.default_rng(seed)
    going, tokens = np.ones(checks, bool), np.ones(checks)
    for _guess in range(guesses):
        going &= draw.random(checks) < acceptance
        tokens += going
    return float(tokens.mean())


def counts_along(make: Callable[[int, int], Any], blocks: int, size: int, log: Sequence) -> list:
    """``[free blocks, copies]`` after every entry of a log (any allocator with those methods)."""
    tables, seen = make(blocks, size), []
    for kind, *rest in log:
        getattr(tables, kind)(*rest)
        counted = tables.counters() if callable(tables.counters) else tables.counters
        if isinstance(counted, Mapping):
            seen.append([counted["free_blocks"], counted["copies"]])
        else:
            seen.append([counted.free_slots // size, counted.copies])
    return seen
