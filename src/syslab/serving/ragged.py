"""The small model as a serving engine runs it: one pass over many sequences at once.

The tokens of all sequences of a step, pieces of prompts and single new tokens, go through the
linear layers as one matrix; only attention looks at each sequence with its own cache. That is
what makes continuous batching possible, and it is all that this file adds to the model.
"""

from __future__ import annotations

from dataclasses import dataclass

from syslab.serving.tiny import TinyModel


@dataclass(eq=False)
class Slot:
    """The cache of one sequence: keys and values of shape (layers, kv_heads, room, head_dim)."""

    keys: object
    values: object
    length: int = 0

    @property
    def used_bytes(self) -> int:
        """Bytes of the tokens that are in it."""
        per_token = self.keys[:, :, :1].numel() + self.values[:, :, :1].numel()
        return self.length * per_token * self.keys.element_size()


@dataclass(frozen=True, eq=False)
class _Layer:
    """The matrices of a layer, (inputs, outputs) each, and its two norms."""

    norm: object
    qkv: object
    out: object
    mlp_norm: object
    gate_up: object
    down: object


class RaggedModel:
    """A Llama-shaped network that computes a step of sequences of different lengths.

    Its matrices are copied with their inputs as rows: so laid out, a product with few tokens, as
    in decoding, takes about half the time on the CPUs we tried.
    """

    def __init__(self, model: TinyModel):
        body, config = model.network.model, model.network.config
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = config.head_dim
        self.embed, self.rotary, self.norm = body.embed_tokens, body.rotary_emb, body.norm
        self.head = _side_by_side(model.network.lm_head)
        self.layers = [
            _Layer(
                layer.input_layernorm,
                _side_by_side(
                    layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj
                ),
                _side_by_side(layer.self_attn.o_proj),
                layer.post_attention_layernorm,
                _side_by_side(layer.mlp.gate_proj, layer.mlp.up_proj),
                _side_by_side(layer.mlp.down_proj),
            )
            for layer in body.layers
        ]

    def new_slot(self, room_tokens: int) -> Slot:
        """Reserve the cache of a sequence of at most ``room_tokens``."""
        import torch

        shape = (len(self.layers), self.kv_heads, room_tokens, self.head_dim)
        return Slot(torch.zeros(shape), torch.zeros(shape))

    def step(self, work: list[tuple[Slot, list[int]]]) -> list[int]:
        """Compute new tokens of several sequences; return the most likely next token of each.

        Parameters
        ----------
        work : list of (Slot, list of int)
            The new tokens of each sequence: one to decode, several of a prompt. They are added
            to its cache.
        """
        import torch

        with torch.inference_mode():
            return self._step(work)

    def _step(self, work):
        import torch
        import torch.nn.functional as functional

        counts = [len(tokens) for _, tokens in work]
        ids = torch.tensor([token for _, tokens in work for token in tokens])
        places = [torch.arange(slot.length, slot.length + len(t)) for slot, t in work]
        x = self.embed(ids)  # (T, hidden), T tokens of all sequences
        cos, sin = self.rotary(x[None], torch.cat(places)[None])  # (1, T, head_dim) each
        parts = [n * self.head_dim for n in (self.heads, self.kv_heads, self.kv_heads)]
        for number, layer in enumerate(self.layers):
            q, k, v = (layer.norm(x) @ layer.qkv).split(parts, dim=1)
            q, k, v = (self._heads(part) for part in (q, k, v))  # (heads, T, head_dim)
            q, k = q * cos + _turned(q) * sin, k * cos + _turned(k) * sin
            mixed, begin = [], 0
            for (slot, _), count in zip(work, counts, strict=True):
                mine, end = slice(begin, begin + count), slot.length + count
                slot.keys[number, :, slot.length : end] = k[:, mine]
                slot.values[number, :, slot.length : end] = v[:, mine]
                mixed.append(
                    functional.scaled_dot_product_attention(
                        q[None, :, mine],
                        slot.keys[None, number, :, :end],
                        slot.values[None, number, :, :end],
                        attn_mask=_causal(slot.length, count) if count > 1 else None,
                        enable_gqa=True,
                    )[0]
                )
                begin += count
            together = torch.cat(mixed, dim=1).transpose(0, 1).reshape(len(ids), -1)
            x = x + together @ layer.out
            gate, up = (layer.mlp_norm(x) @ layer.gate_up).chunk(2, dim=1)
            x = x + (functional.silu(gate) * up) @ layer.down
        for (slot, _), count in zip(work, counts, strict=True):
            slot.length += count
        last = torch.tensor(counts).cumsum(0) - 1
        logits = self.norm(x[last]) @ self.head  # (sequences, vocab)
        return logits.argmax(dim=-1).tolist()

    def _heads(self, flat):
        return flat.reshape(flat.shape[0], -1, self.head_dim).transpose(0, 1)


def _side_by_side(*linear):
    """Return the weights of linear layers with the same input as one (inputs, outputs) matrix."""
    import torch

    return torch.cat([one.weight for one in linear]).detach().t().contiguous()


def _turned(x):
    """Swap the halves of each head, one negated: the other half of a rotation."""
    import torch

    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def _causal(start: int, count: int):
    """Return who sees whom: (count, start + count), True where a token may look."""
    import torch

    return torch.ones(count, start + count, dtype=torch.bool).tril(diagonal=start)
