"""Language models: the shape that decides their memory, traffic and arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache

from syslab.facts.registry import Fact, NameIndex, UnknownName, make_fact, read_toml

UNITS = {
    "layers": "1",
    "hidden": "1",
    "heads": "1",
    "kv_heads": "1",
    "head_dim": "1",
    "ffn": "1",
    "vocab": "1",
    "max_context": "token",
    "params": "parameter",
    "active_params": "parameter",
    "experts": "1",
    "experts_per_token": "1",
    "shared_experts": "1",
    "expert_ffn": "1",
    "dense_layers": "1",
    "kv_lora_rank": "1",
    "q_lora_rank": "1",
    "rope_head_dim": "1",
    "sliding_window": "token",
    "window_layers": "1",
}
"""Numeric fields of a model, with their units."""


@dataclass(frozen=True)
class Model:
    """A transformer's shape. A field that does not apply is ``None``.

    Attributes
    ----------
    name, vendor, repo : str
        ``repo`` is the name of the published weights, empty when unpublished.
    attention : str
        ``"mha"``, ``"gqa"``, ``"mqa"`` or ``"mla"`` (one compressed latent per token and layer).
    layers, hidden, heads, kv_heads, head_dim : int
    ffn : int
        Inner width of a dense MLP.
    vocab, max_context : int
    params : int
        All parameters.
    active_params : int
        Parameters used per token; equal to ``params`` unless :attr:`is_moe`.
    gated_mlp : bool
        Three MLP matrices (gate, up, down) instead of two.
    tied_embeddings : bool
        Input and output embedding are one matrix.
    positions : str
        ``"learned"`` (a table) or ``"rope"`` (no parameters).
    experts, experts_per_token, shared_experts, expert_ffn, dense_layers : int or None
        Mixture of experts: routed experts, how many a token visits, experts every token visits,
        inner width of one, and how many leading layers have a dense MLP instead.
    kv_lora_rank, q_lora_rank, rope_head_dim : int or None
        MLA: width of the cached latent, of the query latent, and of the shared rotary key.
    sliding_window, window_layers : int or None
        Tokens a windowed layer looks back, and how many layers have a window.
    alternation : str or None
        How windowed and full layers take turns.
    """

    name: str
    vendor: str
    repo: str
    attention: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    max_context: int
    params: int
    active_params: int
    gated_mlp: bool
    tied_embeddings: bool
    positions: str
    experts: int | None = None
    experts_per_token: int | None = None
    shared_experts: int | None = None
    expert_ffn: int | None = None
    dense_layers: int | None = None
    kv_lora_rank: int | None = None
    q_lora_rank: int | None = None
    rope_head_dim: int | None = None
    sliding_window: int | None = None
    window_layers: int | None = None
    alternation: str | None = None
    _facts: Mapping[str, Fact] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_moe(self) -> bool:
        """True for a mixture of experts."""
        return self.experts is not None

    def kv_bytes_per_token(self, bytes_per_value: float = 2) -> int | float:
        """Return the bytes that one more token adds to the KV cache, all layers together.

        Keys and values of every layer and KV head, ``2 * layers * kv_heads * head_dim`` values;
        with MLA, one latent and one rotary key per layer,
        ``layers * (kv_lora_rank + rope_head_dim)`` values. A sliding window limits for how many
        tokens this is paid, not the price per token.

        Parameters
        ----------
        bytes_per_value : float
            2 for fp16 and bf16, 1 for fp8 and int8, 0.5 for 4-bit caches.

        Returns
        -------
        int or float
            B/token; an int whenever it is whole.
        """
        if not bytes_per_value > 0:
            raise ValueError(
                f"bytes_per_value must be above 0, not {bytes_per_value!r}; "
                "facts.dtype_bytes('bf16') gives the size of a data type"
            )
        if self.attention == "mla":
            values = self.layers * (self.kv_lora_rank + self.rope_head_dim)
        else:
            values = 2 * self.layers * self.kv_heads * self.head_dim
        size = values * bytes_per_value
        return int(size) if size == int(size) else size

    def fact(self, name: str) -> Fact:
        """Return a numeric field with unit and provenance: ``fact("params")``."""
        try:
            return self._facts[name]
        except KeyError:
            raise UnknownName(
                f"{self.name} has no {name!r}. It has: {', '.join(self._facts)}."
            ) from None

    def facts(self) -> Iterator[tuple[str, Fact]]:
        """Iterate over ``(name, fact)`` pairs."""
        return iter(self._facts.items())


def model(name: str) -> Model:
    """Return a model by name: ``model("Llama-3 70B")``.

    Case, spaces and punctuation do not matter; the name of the published weights works too.

    Raises
    ------
    UnknownName
        No model, or more than one, is called so; suggests names.
    """
    models, index = _load()
    return models[index.find(name)]


def model_names() -> tuple[str, ...]:
    """Return the names of all models, in the order of the file."""
    return _load()[1].names


@cache
def _load() -> tuple[dict[str, Model], NameIndex]:
    models = {}
    spellings = []
    for name, table in read_toml("models.toml")["models"].items():
        models[name] = _model(name, table)
        own = [name, *table["aliases"]]
        repo = [table["repo"], table["repo"].split("/")[-1]] if table["repo"] else []
        spellings.append((name, own + [f"{table['vendor']} {s}" for s in own] + repo))
    return models, NameIndex("model", spellings, "facts.model_names()")


def _model(name: str, table: dict) -> Model:
    where = f'models.toml, [models."{name}"]'
    provenance = ("source", "section", "date", "kind")
    defaults = {key: table[key] for key in provenance}
    notes = table.get("notes", {})
    facts = {}
    for key, unit in UNITS.items():
        if key not in table:
            continue
        entry = table[key] if isinstance(table[key], dict) else {"value": table[key]}
        if key in notes:
            entry = {**entry, "note": notes[key]}
        facts[key] = make_fact(entry, unit, defaults, {}, f"{where} {key}")
    facts.setdefault("active_params", facts["params"])  # dense: every parameter works

    given = {key: value for key, value in table.items() if key not in UNITS}
    given = {k: v for k, v in given.items() if k not in {*provenance, "aliases", "notes"}}
    unknown = set(given) - {f.name for f in fields(Model)}
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(sorted(unknown))}")
    numbers = {key: fact.value for key, fact in facts.items()}
    return Model(name=name, **given, **numbers, _facts=facts)
