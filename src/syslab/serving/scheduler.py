"""Continuous and chunked batching, one decision at a time.

This is the policy in plain Python, fit to drive an engine step by step; the compiled simulator
must agree with it to the last bit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from syslab.serving.policy import Policy


@dataclass(eq=False)  # one sequence is itself and no other; comparing fields is slow
class Sequence:
    """A request inside the engine.

    ``cached`` tokens have keys and values; ``target`` tokens must have them before the next token
    can be sampled; ``generated`` have been sampled, of ``output_tokens`` wanted.
    """

    request: int
    prompt_tokens: int
    output_tokens: int
    hit_tokens: int = 0
    ready: bool = False  # its prompt was computed elsewhere and only has to be loaded
    cached: int = 0
    target: int = 0
    generated: int = 0
    preemptions: int = 0

    @property
    def decoding(self) -> bool:
        return self.cached >= self.target


@dataclass(frozen=True)
class Step:
    """One step: prompt chunks as (sequence, start, count), decoding sequences, blocks swapped."""

    prompts: tuple[tuple[Sequence, int, int], ...]
    decodes: tuple[Sequence, ...]
    swapped_blocks: int = 0

    @property
    def tokens(self) -> int:
        return sum(count for _, _, count in self.prompts) + len(self.decodes)


class Scheduler:
    """Queue and running list of one engine.

    ``arrive`` adds a request, ``next_step`` decides, ``finish_step`` records that the step was
    carried out and returns the sequences that got a token.
    """

    def __init__(self, policy: Policy):
        if policy.batching == "static":
            raise ValueError("batching='static': use simulate(); Scheduler is for the other two")
        self.policy = policy
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []  # in order of admission
        self.swapped: list[Sequence] = []  # a stack: the oldest on top
        self.used_blocks = 0

    def arrive(self, sequence: Sequence) -> bool:
        """Queue a sequence; False if it could never fit, even alone."""
        longest = sequence.prompt_tokens + sequence.output_tokens - 1
        if self.policy.kv_blocks and self.policy.blocks_of(longest) > self.policy.kv_blocks:
            return False
        sequence.target = sequence.prompt_tokens
        if sequence.ready:
            sequence.generated = 1
        self.waiting.append(sequence)
        return True

    def next_step(self) -> Step:
        """Choose the next step; empty if nothing is waiting or running."""
        moved = self._swap_in()
        if self.policy.batching == "continuous":
            prompts = [] if self.swapped else self._admit(self.policy.token_budget)
            if prompts:
                return Step(tuple(prompts), (), moved)
        decodes, out, preempted = self._grow()
        prompts = []
        if self.policy.batching == "chunked":
            left = self.policy.token_budget - len(decodes)
            for sequence in self.running:
                if not sequence.decoding and left:
                    count = min(left, sequence.target - sequence.cached)
                    prompts.append((sequence, sequence.cached, count))
                    left -= count
            if left and not preempted and not self.swapped:
                prompts += self._admit(left)
        return Step(tuple(prompts), tuple(decodes), moved + out)

    def finish_step(self, step: Step) -> list[Sequence]:
        """Record a step; return the sequences that got a token, finished ones removed."""
        served = []
        for sequence, _, count in step.prompts:
            sequence.cached += count
            if sequence.decoding:
                served.append(sequence)
        for sequence in step.decodes:
            sequence.cached += 1
            sequence.target = sequence.cached
            served.append(sequence)
        for sequence in served:
            sequence.generated += 1
            if sequence.generated == sequence.output_tokens:
                self.running.remove(sequence)
                self.used_blocks -= self.policy.blocks_of(self._held(sequence))
        return served

    def _held(self, sequence: Sequence) -> int:
        """Tokens whose blocks a sequence holds: all of its prompt from admission on."""
        return max(sequence.cached, sequence.target)

    def _free(self) -> float:
        return float("inf") if self.policy.kv_blocks is None else (
            self.policy.kv_blocks - self.used_blocks
        )  # fmt: skip

    def _room(self, blocks: int) -> bool:
        reserve = self.policy.reserve_blocks if self.running else 0
        return self._free() >= blocks + reserve

    def _admit(self, budget: int) -> list[tuple[Sequence, int, int]]:
        """Let waiting sequences in, first come first served; return the prompt work."""
        work, tokens, chunked = [], 0, self.policy.batching == "chunked"
        while self.waiting and len(self.running) < self.policy.max_sequences:
            sequence = self.waiting[0]
            todo = sequence.target - sequence.hit_tokens
            if chunked and tokens == budget:
                break
            if not chunked and not sequence.ready and work and tokens + todo > budget:
                break
            if not self._room(self.policy.blocks_of(sequence.target)):
                break
            self.running.append(self.waiting.popleft())
            self.used_blocks += self.policy.blocks_of(sequence.target)
            if sequence.ready:
                sequence.ready, sequence.cached = False, sequence.target
                continue
            sequence.cached = sequence.hit_tokens
            count = min(todo, budget - tokens) if chunked else todo
            work.append((sequence, sequence.cached, count))
            tokens += count
        return work

    def _grow(self) -> tuple[list[Sequence], int, bool]:
        """Give every decoding sequence a slot for its next token, preempting the youngest."""
        decodes, moved, preempted = [], 0, False
        for sequence in [s for s in self.running if s.decoding]:
            if sequence not in self.running:
                break  # preempted by an older one, and so are all after it
            if sequence.cached % self.policy.block_tokens == 0:
                while self._free() < 1 and sequence in self.running:
                    moved += self._preempt(self.running[-1])
                    preempted = True
                if sequence not in self.running:
                    break
                self.used_blocks += 1
            decodes.append(sequence)
        return decodes, moved, preempted

    def _preempt(self, victim: Sequence) -> int:
        """Push out a sequence; return the blocks that move to the host."""
        self.running.remove(victim)
        blocks = self.policy.blocks_of(self._held(victim))
        self.used_blocks -= blocks
        victim.preemptions += 1
        if self.policy.preemption == "swap" and victim.decoding:
            self.swapped.append(victim)
            return blocks
        victim.target = victim.prompt_tokens + victim.generated
        victim.cached = victim.hit_tokens = 0
        self.waiting.appendleft(victim)
        return 0

    def _swap_in(self) -> int:
        moved = 0
        while self.swapped and len(self.running) < self.policy.max_sequences:
            sequence = self.swapped[-1]
            if not self._room(self.policy.blocks_of(sequence.cached + 1)):
                break
            self.running.append(self.swapped.pop())
            blocks = self.policy.blocks_of(sequence.cached)
            self.used_blocks += blocks
            moved += blocks
        return moved
