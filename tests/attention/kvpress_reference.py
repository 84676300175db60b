"""Runs kvpress on recorded tensors, without a model: ``python kvpress_reference.py QUESTIONS.npz ANSWERS.npz``.

In a process of its own, because importing kvpress patches the attention functions of transformers. Each press is called
with a stand-in for an attention module: its query projection is the identity and the rotation turns by nothing, so that
the hidden states are the recorded queries. Expected Attention alone gets unrotated queries and the model's rotation.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import torch
from kvpress import (
    AdaKVPress,
    BlockPress,
    CriticalAdaKVPress,
    CriticalKVPress,
    ExpectedAttentionPress,
    KeyDiffPress,
    KnormPress,
    ObservedAttentionPress,
    PyramidKVPress,
    SnapKVPress,
    StreamingLLMPress,
    TOVAPress,
)
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, rotate_half

PRESSES = {
    "snapkv": lambda ratio, **more: SnapKVPress(ratio, **more),
    "pyramidkv": lambda ratio, **more: PyramidKVPress(ratio, **more),
    "tova": lambda ratio: TOVAPress(ratio),
    "observed": lambda ratio: ObservedAttentionPress(ratio),
    "streaming": lambda ratio: StreamingLLMPress(ratio),
    "knorm": lambda ratio: KnormPress(ratio),
    "keydiff": lambda ratio: KeyDiffPress(ratio),
    "keydiff_blocks": lambda ratio, block_size: BlockPress(KeyDiffPress(ratio), block_size=block_size),
    "expected": lambda ratio, **more: ExpectedAttentionPress(ratio, **more),
    "adakv": lambda ratio, alpha, **more: AdaKVPress(SnapKVPress(ratio, **more), alpha),
    "critical": lambda ratio, **more: CriticalKVPress(SnapKVPress(ratio, **more)),
    "criticalada": lambda ratio, alpha, **more: CriticalAdaKVPress(SnapKVPress(ratio, **more), alpha),
}
HEADWISE = ("adakv", "criticalada")


def stand_in(q, wo, kv_heads, layer, layers, theta):
    """What a press looks at of an attention module."""
    heads, _, dim = q.shape
    config = LlamaConfig(
        hidden_size=wo.shape[1],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=dim,
        num_hidden_layers=layers,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )
    config._attn_implementation = "sdpa"
    module = torch.nn.Module()
    module.config, module.head_dim, module.layer_idx = config, dim, layer
    module.num_key_value_groups = heads // kv_heads
    module.q_proj = torch.nn.Identity()
    module.o_proj = SimpleNamespace(weight=wo.T)
    module.rotary_emb = LlamaRotaryEmbedding(config)
    module.masked_key_indices = None
    return module


def answer(case, q, k, v, wo, layer, layers, theta):
    """Run one press on one layer: which keys it keeps, bool[kv_heads, n], and its scores, or nothing."""
    heads, n, dim = q.shape
    module = stand_in(q, wo, len(k), layer, layers, theta)
    press = PRESSES[case["press"]](case["ratio"], **case["more"])
    nothing = (torch.ones(1, n, dim), torch.zeros(1, n, dim))
    attentions = None
    if case["press"] == "expected":
        cos, sin = module.rotary_emb(q[None], torch.arange(n)[None])
        q = q * cos[0] - rotate_half(q) * sin[0]
    if case["press"] == "observed":
        logits = q @ k.repeat_interleave(heads // len(k), 0).transpose(1, 2) * dim**-0.5
        future = torch.ones(n, n).triu(1).bool()
        attentions = logits.masked_fill(future, -torch.inf).softmax(-1)[None]
    hidden = q.transpose(0, 1).reshape(1, n, heads * dim)
    asked = (module, hidden, k[None], v[None], attentions, {"position_embeddings": nothing})
    score = None
    if hasattr(press, "score"):
        score = press.score(*asked)[0].numpy()
    keys, _ = press.compress(*asked)
    kept = np.zeros((len(k), n), bool)
    if case["press"] in HEADWISE:
        _, head, at = module.masked_key_indices
        kept[:] = True
        kept[head.numpy(), at.numpy()] = False
    else:
        for head in range(len(k)):
            where = {row.numpy().tobytes(): i for i, row in enumerate(k[head])}
            assert len(where) == n, "two keys are equal: what is kept could not be told apart"
            kept[head, [where[row.numpy().tobytes()] for row in keys[0, head]]] = True
    return kept, score


def main(questions, answers):
    """Answer every case of a file of tensors."""
    torch.set_num_threads(1)
    held = np.load(questions)
    found = {}
    with torch.no_grad():
        for number, case in enumerate(json.loads(str(held["cases"]))):
            q, k, v, wo = (torch.from_numpy(held[f"{case['trace']}_{name}"]) for name in ("q", "k", "v", "wo"))
            for layer in range(len(q)):
                kept, score = answer(case, q[layer], k[layer], v[layer], wo[layer], layer, len(q), case["theta"])
                found[f"kept_{number}_{layer}"] = kept
                if score is not None:
                    found[f"score_{number}_{layer}"] = score
    np.savez(answers, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
