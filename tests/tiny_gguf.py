"""Language models too small to be any good, random but always the same: in transformers, and as the GGUF file of the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, PreTrainedModel

MERGES = ["Ġ Ġ", "Ġ t", "h e", "Ġt he", "1 7", "c a"]
TOKENS = ["<|begin|>", *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]
"""A token that no text can hold, one per byte, and what is merged of them."""

WINDOW = 8

TEXT = "The  shelf holds 17 folders, the cellar 1700; the cache holds the 17 that the captain asks for. " * 3

GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NORMS = {
    "llama": {"post_attention_layernorm": "ffn_norm"},
    "gemma3": {
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    },
}

SHAPE: dict[str, Any] = {
    "vocab_size": len(TOKENS),
    "hidden_size": 40,  # not heads * head_dim: a projection that is the wrong way round does not fit
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "attn_implementation": "eager",
    "initializer_range": 0.2,  # of these, the attention is far from uniform
}


def network(architecture: str) -> PreTrainedModel:
    """The model in transformers, float32; its output projections can be packed as Q4_1 without loss."""
    torch.manual_seed(7)
    if architecture == "llama":
        made = LlamaForCausalLM(LlamaConfig(**SHAPE, num_hidden_layers=2, rope_theta=5000.0, tie_word_embeddings=False))
    else:
        made = Gemma3ForCausalLM(
            Gemma3TextConfig(**SHAPE, num_hidden_layers=7, sliding_window=WINDOW, query_pre_attn_scalar=8)
        )
    for name, parameter in made.named_parameters():
        if "norm" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
        if "o_proj" in name:
            blocks = gguf.quantize(parameter.detach().numpy(), gguf.GGMLQuantizationType.Q4_1)
            parameter.data = torch.from_numpy(gguf.dequantize(blocks, gguf.GGMLQuantizationType.Q4_1))
    return made.eval()


def write_gguf(made: PreTrainedModel, path: Path, architecture: str, extra: dict[str, Any] | None = None) -> Path:
    """Write the model as llama.cpp's converter does; `extra` tensors go in as they are."""
    config, states = made.config, {name: value.numpy() for name, value in made.state_dict().items()}
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_license("mit")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if architecture == "gemma3":
        writer.add_rope_freq_base(1_000_000.0)
        writer.add_sliding_window(WINDOW)
    else:
        writer.add_rope_freq_base(5000.0)
        writer.add_rope_dimension_count(config.head_dim)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] + [1] * (len(TOKENS) - 1))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    for name, values in {**states, **(extra or {})}.items():
        stored = _stored(name, values, architecture, config)
        kind = gguf.GGMLQuantizationType.Q4_1 if name.endswith("o_proj.weight") else gguf.GGMLQuantizationType.F32
        if (target := _gguf_name(name, architecture)) is not None:
            writer.add_tensor(target, gguf.quantize(stored, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_name(name: str, architecture: str) -> str | None:
    if name == "lm_head.weight":  # gemma3's is the embedding
        return "output.weight" if architecture == "llama" else None
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in whole or not name.startswith("model.layers."):
        return whole.get(name, name)
    index, _, part = name.removeprefix("model.layers.").partition(".")
    return f"blk.{index}.{ {**GGUF_NAMES, **NORMS[architecture]}[part.removesuffix('.weight')] }.weight"


def _stored(name: str, values: Any, architecture: str, config: Any) -> Any:
    if architecture == "gemma3":
        return values + 1 if "norm" in name else values
    for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
        if part in name:  # the rows i and i + d/2 of each head come to lie side by side
            halves = values.reshape(heads, 2, -1, values.shape[1])
            return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
    return values
