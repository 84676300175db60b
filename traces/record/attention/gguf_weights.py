"""Weights out of a GGUF file: what it holds is checked against what the forward pass knows, then unpacked to float32.

Two architectures are known. A file may hold its matrices in any of the packed types that the ``gguf`` package unpacks.

``llama``
    The rows of the query and key matrices are stored for a rotation of adjacent pairs (2i, 2i+1). They are put back
    into the order in which dimension i turns with i + d/2, so that recorded keys look as in all other tools.
``gemma3``
    Stored in that order already, and the 1 of ``1 + weight`` is already in the weights of its norms. Every sixth layer
    reads everything, with its own rotary base; the others read a sliding window.

Sources: the metadata keys of the GGUF specification (github.com/ggml-org/ggml, docs/gguf.md) and the tensor names and
defaults of llama.cpp (gguf-py, src/llama-model.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from ...attention import LayerInfo
from ...errors import FormatError, UsageError
from .config import ModelConfig
from .gguf_file import GGUFFile, file_sha256

__all__ = ["LayerWeights", "Weights", "read_weights"]

KNOWN = ("gemma3", "llama")
"""Architectures whose forward pass is written here."""

EVERY = 6
"""Of so many layers of gemma3, the last one reads everything."""

LOCAL_THETA = 10_000.0
"""Rotary base of gemma3's layers with a window."""

_PARTS = {
    "llama": "attn_norm attn_q attn_k attn_v attn_output ffn_norm ffn_gate ffn_up ffn_down",
    "gemma3": "attn_norm attn_q attn_k attn_v attn_output ffn_norm ffn_gate ffn_up ffn_down "
    "attn_q_norm attn_k_norm post_attention_norm post_ffw_norm",
}


class LayerWeights(NamedTuple):
    """One layer, float32; matrices are [out, in], and what an architecture lacks is None."""

    attn_norm: torch.Tensor
    attn_q: torch.Tensor
    attn_k: torch.Tensor
    attn_v: torch.Tensor
    attn_output: torch.Tensor
    ffn_norm: torch.Tensor
    ffn_gate: torch.Tensor
    ffn_up: torch.Tensor
    ffn_down: torch.Tensor
    attn_q_norm: torch.Tensor | None = None
    attn_k_norm: torch.Tensor | None = None
    post_attention_norm: torch.Tensor | None = None
    post_ffw_norm: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Weights:
    """A whole model, float32.

    Attributes
    ----------
    config : ModelConfig
    eps : float
        Of the root-mean-square norms.
    embedding_scale : float
        What an embedding is multiplied with (gemma3: the root of d_model).
    gelu : bool
        The gate goes through GELU (tanh form) instead of SiLU.
    embedding : Tensor [vocab, d_model]
    layers : tuple of LayerWeights
    norm : Tensor [d_model]
    output : Tensor [vocab, d_model]
        The embedding itself where the file has no matrix of its own for it.
    """

    config: ModelConfig
    eps: float
    embedding_scale: float
    gelu: bool
    embedding: torch.Tensor
    layers: tuple[LayerWeights, ...]
    norm: torch.Tensor
    output: torch.Tensor


def read_weights(file: GGUFFile) -> Weights:
    """Read a whole model.

    Raises
    ------
    UsageError
        An architecture, a tensor or a kind of rotation that the forward pass does not know.
    FormatError
        The file is damaged.
    """
    config, eps = read_config(file)
    architecture, d_model = config.architecture, config.d_model
    width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
    hidden = int(file.need(f"{architecture}.feed_forward_length"))
    shapes = {
        "attn_norm": (d_model,),
        "attn_q": (width, d_model),
        "attn_k": (kv_width, d_model),
        "attn_v": (kv_width, d_model),
        "attn_output": (d_model, width),
        "ffn_norm": (d_model,),
        "ffn_gate": (hidden, d_model),
        "ffn_up": (hidden, d_model),
        "ffn_down": (d_model, hidden),
        "attn_q_norm": (config.head_dim,),
        "attn_k_norm": (config.head_dim,),
        "post_attention_norm": (d_model,),
        "post_ffw_norm": (d_model,),
    }
    parts = _PARTS[architecture].split()
    _check_names(file, architecture, len(config.layers), parts)

    def layer(index: int) -> LayerWeights:
        tensors = {part: file.tensor(f"blk.{index}.{part}.weight", shapes[part]) for part in parts}
        if architecture == "llama":
            tensors["attn_q"] = _half_order(tensors["attn_q"], config.heads)
            tensors["attn_k"] = _half_order(tensors["attn_k"], config.kv_heads)
        return LayerWeights(**tensors)

    embedding = file.tensor("token_embd.weight", (config.vocab, d_model))
    own = "output.weight" in file.tensors
    return Weights(
        config=config,
        eps=eps,
        embedding_scale=d_model**0.5 if architecture == "gemma3" else 1.0,
        gelu=architecture == "gemma3",
        embedding=embedding,
        layers=tuple(map(layer, range(len(config.layers)))),
        norm=file.tensor("output_norm.weight", (d_model,)),
        output=file.tensor("output.weight", (config.vocab, d_model)) if own else embedding,
    )


def read_config(file: GGUFFile) -> tuple[ModelConfig, float]:
    """Read shapes and facts from the metadata, and the epsilon of the norms; the weights are not touched but for their digest.

    Raises
    ------
    UsageError
        An architecture or a kind of rotation that is not known here.
    """
    architecture = str(file.need("general.architecture"))
    if architecture not in KNOWN:
        raise UsageError(
            f"{file.path}: a GGUF file of architecture {architecture!r}, but known are {' and '.join(KNOWN)}. "
            "Give the model as a Hugging Face folder instead: those go through transformers, whatever the architecture"
        )
    n_layers = int(file.need(f"{architecture}.block_count"))
    heads = int(file.need(f"{architecture}.attention.head_count"))
    d_model = int(file.need(f"{architecture}.embedding_length"))
    head_dim = int(file.get(f"{architecture}.attention.key_length", d_model // heads))
    theta = float(file.get(f"{architecture}.rope.freq_base", 10_000.0))
    rotary_dim = int(file.get(f"{architecture}.rope.dimension_count", head_dim))
    _check_rotation(file, architecture, head_dim, rotary_dim)
    # llama.cpp, too, gives the one gemma3 with 62 layers (27B) another scale than all smaller ones.
    per_head = d_model // heads if architecture == "gemma3" and n_layers == 62 else head_dim

    def layer(index: int) -> LayerInfo:
        local = architecture == "gemma3" and (index + 1) % EVERY != 0
        window = int(file.need(f"{architecture}.attention.sliding_window")) if local else None
        base = float(file.get(f"{architecture}.rope.freq_base_swa", LOCAL_THETA)) if local else theta
        return LayerInfo(index=index, rope_theta=base, rotary_dim=rotary_dim, pairing="half", window=window)

    config = ModelConfig(
        architecture=architecture,
        name=file.path.stem,
        file=file.path.name,
        licence=str(file.get("general.license", "unknown")),
        sha256=file_sha256(file.path),
        layers=tuple(map(layer, range(n_layers))),
        heads=heads,
        kv_heads=int(file.get(f"{architecture}.attention.head_count_kv", heads)),
        head_dim=head_dim,
        d_model=d_model,
        vocab=len(file.need("tokenizer.ggml.tokens")),
        scale=per_head**-0.5,
        qk_norm=architecture == "gemma3",
        context=int(file.need(f"{architecture}.context_length")),
    )
    return config, float(file.need(f"{architecture}.attention.layer_norm_rms_epsilon"))


def _half_order(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Undo the order for adjacent pairs: of each head the rows 0, 2, 4 ... come first, then 1, 3, 5 ..."""
    pairs = rows.reshape(heads, -1, 2, rows.shape[1])
    return pairs.transpose(1, 2).reshape(rows.shape)


def _check_rotation(file: GGUFFile, architecture: str, head_dim: int, rotary_dim: int) -> None:
    kind = file.get(f"{architecture}.rope.scaling.type", "none")
    stretched = kind not in ("none", "") and float(file.get(f"{architecture}.rope.scaling.factor", 1.0)) != 1.0
    if stretched or "rope_freqs.weight" in file.tensors:
        raise UsageError(
            f"{file.path}: its rotation is scaled ({kind}), which a trace cannot say yet; take a model with a plain rotary base"
        )
    if rotary_dim != head_dim:
        raise UsageError(
            f"{file.path}: only {rotary_dim} of {head_dim} dimensions are rotated; give it as a Hugging Face folder"
        )


def _check_names(file: GGUFFile, architecture: str, n_layers: int, parts: list[str]) -> None:
    """Refuse a file with tensors that would be passed over, such as biases or experts, or without one that is needed."""
    expected = {f"blk.{index}.{part}.weight" for index in range(n_layers) for part in parts}
    expected |= {"token_embd.weight", "output_norm.weight"}
    missing = sorted(expected - set(file.tensors))
    if missing:
        raise FormatError(file.path, f"it lacks {_some(missing)}", hint="Was it downloaded to its end?")
    strange = sorted(set(file.tensors) - expected - {"output.weight"})
    if strange:
        raise UsageError(
            f"{file.path}: {_some(strange)} has no place in the {architecture} that is known here; "
            "give the model as a Hugging Face folder instead"
        )


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more tensors)"
