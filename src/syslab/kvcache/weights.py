"""Parameters of a model by what they do, counted from its shape.

The published totals of the registry are the check: the counts here leave out biases and
comparable crumbs, and come within 0.1 % of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from syslab.facts import Model


@dataclass(frozen=True)
class Parameters:
    """Counts of parameters. Per layer where the name says so.

    Attributes
    ----------
    embedding : int
        Token table (and position table): looked up, not multiplied.
    head : int
        Output projection that is multiplied, hidden x vocab. With tied embeddings this is the
        same memory as the table.
    attention_per_layer : int
        Query, key, value and output projections.
    kv_projection_per_layer : int
        The part of it that makes keys and values.
    mlp_dense_layers, mlp_per_dense_layer : int
        Layers with one MLP for all tokens, and its size.
    moe_layers, shared_per_layer, routed_per_layer, routed_active_per_layer : int
        Layers with experts; their router and always-used experts; all routed experts; those that
        one token visits.
    tied : bool
        Table and head are one matrix.
    """

    embedding: int
    head: int
    attention_per_layer: int
    kv_projection_per_layer: int
    mlp_dense_layers: int
    mlp_per_dense_layer: int
    moe_layers: int
    shared_per_layer: int
    routed_per_layer: int
    routed_active_per_layer: int
    norms: int
    tied: bool

    @property
    def layers(self) -> int:
        return self.mlp_dense_layers + self.moe_layers

    @property
    def dense(self) -> int:
        """Matrices of the layers that every token meets, without the output head."""
        return (
            self.layers * self.attention_per_layer
            + self.mlp_dense_layers * self.mlp_per_dense_layer
            + self.moe_layers * self.shared_per_layer
        )

    @property
    def routed(self) -> int:
        """All routed experts of all layers."""
        return self.moe_layers * self.routed_per_layer

    @property
    def routed_active(self) -> int:
        """Routed experts that one token meets."""
        return self.moe_layers * self.routed_active_per_layer

    @property
    def active(self) -> int:
        """Parameters multiplied for one token inside the layers (the head not included)."""
        return self.dense + self.routed_active

    @property
    def total(self) -> int:
        """All parameters stored."""
        head = 0 if self.tied else self.head
        return self.embedding + head + self.dense + self.routed + self.norms


def parameters(model: Model) -> Parameters:
    """Count the parameters of a model from its shape.

    Examples
    --------
    >>> from syslab import facts
    >>> parameters(facts.model("Llama-2 7B")).total
    6738415616
    """
    h, matrices = model.hidden, 3 if model.gated_mlp else 2
    attention, kv = _attention(model)
    positions = model.max_context * h if model.positions == "learned" else 0
    if model.is_moe:
        expert = matrices * h * model.expert_ffn
        dense_layers = model.dense_layers or 0
        moe_layers = model.layers - dense_layers
        shared = h * model.experts + (model.shared_experts or 0) * expert
        routed, active = model.experts * expert, model.experts_per_token * expert
    else:
        dense_layers, moe_layers, shared, routed, active = model.layers, 0, 0, 0, 0
    return Parameters(
        embedding=model.vocab * h + positions,
        head=model.vocab * h,
        attention_per_layer=attention,
        kv_projection_per_layer=kv,
        mlp_dense_layers=dense_layers,
        mlp_per_dense_layer=matrices * h * model.ffn,
        moe_layers=moe_layers,
        shared_per_layer=shared,
        routed_per_layer=routed,
        routed_active_per_layer=active,
        norms=(2 * model.layers + 1) * h,
        tied=model.tied_embeddings,
    )


def _attention(model: Model) -> tuple[int, int]:
    """Return the projections of one layer: all of them, and those of keys and values."""
    h, heads, d = model.hidden, model.heads, model.head_dim
    if model.attention != "mla":
        kv = 2 * h * model.kv_heads * d
        return 2 * h * heads * d + kv, kv
    rope, latent, q_latent = model.rope_head_dim, model.kv_lora_rank, model.q_lora_rank
    query = heads * (d + rope) * (q_latent or h) + h * (q_latent or 0)
    kv = h * (latent + rope) + latent * heads * (d + d)
    return query + kv + heads * d * h, kv
