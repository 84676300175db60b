"""Any causal language model in a Hugging Face folder, its attention seen through transformers' AttentionInterface.

What a trace must say of each layer (rotary base, pairing, scale, window, heads) is not believed from ``config.json`` but
tried: in a text that repeats one token, all positions carry the same vector through all layers, so a layer's queries
differ by their rotation and by nothing else. A base and a pairing that turn the first query into all others are right;
where none does, the model is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from transformers import AttentionInterface, AutoModelForCausalLM, AutoTokenizer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from ...attention import LayerInfo
from ...errors import FormatError, UsageError
from .config import ModelConfig, Tap
from .exact import causal_attention
from .gguf_file import file_sha256
from .quiet import no_bars

__all__ = ["HuggingFaceModel", "load_hugging_face"]

NAME = "evictlab_record"
"""Under which transformers knows the attention function that looks on."""

PROBE = 64
"""Times that one token is repeated to see how a layer rotates."""

TOLERANCE = 2e-3
"""Largest difference of two results in float32 that are called equal, relative to the largest value."""

Seen = Callable[[Any, torch.Tensor, torch.Tensor, torch.Tensor, dict[str, Any], torch.Tensor], "torch.Tensor | None"]
_seen: ContextVar[Seen | None] = ContextVar("seen", default=None)


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """Do what ``sdpa`` does, and show it to whoever looks on; tensors are [1, heads, T, d]."""
    out = sdpa_attention_forward(module, query, key, value, attention_mask, **options)[0]
    look = _seen.get()
    own = None if look is None else look(module, query[0], key[0], value[0], options, out[0].flatten(1))
    return (out if own is None else own.view(out.shape)), None


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


def load_hugging_face(folder: str | Path) -> HuggingFaceModel:
    """Load a causal language model from a folder with ``config.json``; nothing is downloaded.

    Raises
    ------
    FormatError
        transformers cannot load it.
    UsageError
        Its attention is not what a trace can describe: not rotary, scaled rotary, or no plain softmax.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        hint = "Name the folder that holds config.json and the weights, or a .gguf file."
        raise FormatError(folder, "there is no config.json", hint=hint)
    try:
        with no_bars():
            network: Any = AutoModelForCausalLM.from_pretrained(
                str(folder), attn_implementation=NAME, local_files_only=True
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise FormatError(folder, f"transformers cannot load it ({error})") from error
    return HuggingFaceModel(network.float().eval(), folder)


class HuggingFaceModel:
    """A model of transformers to look on; made by `load_hugging_face`.

    Attributes
    ----------
    config : ModelConfig
    """

    def __init__(self, network: Any, folder: Path) -> None:
        self._network, self._folder = network, folder
        self._read: dict[int, torch.Tensor] = {}
        self._modules: dict[int, Any] = {}
        for module in network.modules():
            index = getattr(module, "layer_idx", None)
            if index is not None and type(module).__name__.endswith("Attention"):
                self._modules[index] = module
                module.register_forward_pre_hook(self._remember, with_kwargs=True)
        self.config: ModelConfig = self._probe()

    @torch.no_grad()
    def forward(self, token_ids: Any, tap: Tap | None = None, last: int | None = None) -> torch.Tensor:
        """Run all tokens at once; see `Model.forward`.

        Raises
        ------
        UsageError
            With a tap: a layer's attention is not the plain causal softmax that a trace describes.
        """
        if tap is None:
            return self._logits(token_ids, last)

        def look(module: Any, q: Any, k: Any, v: Any, options: dict[str, Any], out: torch.Tensor) -> Any:
            index = module.layer_idx
            exact = causal_attention(q, k, v, self.config.scale, self.config.layers[index].window)
            if not _close(out, exact):
                self._refuse(f"the attention of layer {index} is no plain causal softmax of its queries and keys")
            return tap(index, q, k, v, self._read[index])

        with _looking_on(look):
            return self._logits(token_ids, last)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with what the model's tokenizer puts around it at the beginning.

        Raises
        ------
        FormatError
            The folder has no tokenizer, or one that cannot be loaded.
        """
        ids: list[int] = _tokenizer(self._folder)(text)["input_ids"]
        return ids

    def projection(self, layer: int) -> dict[str, Any]:
        """Output projection of a layer as ``wo`` [H*d, d_model] float32, or nothing where it has an unusual name."""
        for name in ("o_proj", "dense", "out_proj"):
            if (linear := getattr(self._modules[layer], name, None)) is not None:
                return {"wo": linear.weight.detach().T.contiguous().numpy()}
        return {}

    def _logits(self, token_ids: Any, last: int | None = None) -> torch.Tensor:
        tokens = torch.as_tensor(token_ids, dtype=torch.long)[None]
        can = last is not None and "logits_to_keep" in signature(self._network.forward).parameters
        kept = {"logits_to_keep": last} if can else {}
        logits: torch.Tensor = self._network(input_ids=tokens, use_cache=False, **kept).logits[0]
        return logits.float() if last is None else logits[-last:].float()

    def _remember(self, module: Any, args: Any, options: Any) -> None:
        self._read[module.layer_idx] = (args[0] if args else options["hidden_states"])[0]

    @torch.no_grad()
    def _probe(self) -> ModelConfig:
        settings = self._network.config.get_text_config()
        calls: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, Any]]] = {}

        def look(module: Any, q: Any, k: Any, v: Any, options: dict[str, Any], out: Any) -> None:
            calls[module.layer_idx] = (q, k, v, options)

        with _looking_on(look):
            self._logits([settings.vocab_size // 2] * PROBE)
        if not calls or sorted(calls) != list(range(len(calls))):
            self._refuse("its layers do not use transformers' attention interface")
        facts = {(*q.shape, *k.shape, *v.shape, options.get("scaling")) for q, k, v, options in calls.values()}
        if len(facts) > 1:
            self._refuse("its layers differ in their heads")
        heads, _, head_dim, kv_heads, *_, value_dim, scale = facts.pop()
        if value_dim != head_dim:
            self._refuse(f"values have {value_dim} dimensions and keys {head_dim}")
        choices = self._choices(settings, head_dim)
        layers = tuple(self._layer(index, *calls[index][:2], calls[index][3], choices) for index in sorted(calls))
        return ModelConfig(
            architecture=str(settings.model_type),
            name=self._folder.resolve().name,
            file=self._folder.resolve().name,
            licence=_licence(self._folder),
            sha256=_weights_sha256(self._folder),
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            d_model=int(settings.hidden_size),
            vocab=int(settings.vocab_size),
            scale=float(scale if scale is not None else head_dim**-0.5),
            qk_norm=any(hasattr(self._modules[0], name) for name in ("q_norm", "q_layernorm", "query_layernorm")),
            context=int(getattr(settings, "max_position_embeddings", 0) or 0),
        )

    def _choices(self, settings: Any, head_dim: int) -> list[tuple[float, int]]:
        """Rotary bases and numbers of rotated dimensions that the configuration names."""
        named = getattr(settings, "rope_parameters", None) or getattr(settings, "rope_scaling", None) or {}
        each = [entry for entry in named.values() if isinstance(entry, dict)] or [named]
        choices: list[tuple[float, int]] = []
        for entry in each:
            kind = entry.get("rope_type", entry.get("type", "default"))
            if kind != "default":
                self._refuse(f"its rotation is scaled ({kind!r})")
            part = entry.get("partial_rotary_factor", getattr(settings, "partial_rotary_factor", None)) or 1.0
            for theta in (entry.get("rope_theta"), *(getattr(settings, name, None) for name in _OLD_NAMES)):
                if theta is not None:
                    choices.append((float(theta), int(head_dim * part)))
        if not choices:
            self._refuse("its configuration names no rotary base")
        return choices

    def _layer(
        self, index: int, q: torch.Tensor, k: torch.Tensor, options: dict[str, Any], choices: list[tuple[float, int]]
    ) -> LayerInfo:
        if options.get("softcap") is not None or options.get("s_aux") is not None:
            self._refuse(f"layer {index} caps its scores or has a learned sink")
        window = options.get("sliding_window")
        for theta, rotary_dim in choices:
            for pairing in ("half", "adjacent"):
                if all(_close(_turned(rows, theta, rotary_dim, pairing), rows) for rows in (q, k)):
                    return LayerInfo(
                        index=index, rope_theta=theta, rotary_dim=rotary_dim, pairing=pairing, window=window
                    )
        return self._refuse(f"layer {index} does not rotate queries and keys by their position in a way that is known")

    def _refuse(self, why: str) -> Any:
        raise UsageError(
            f"{self._folder}: {why}. A trace can describe rotary models with plain softmax attention, "
            "such as Llama, Qwen, Mistral, Gemma 3 or SmolLM2"
        )


_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "vocab.txt", "spiece.model")
"""Files in which tokenizers keep their words."""


def _tokenizer(folder: Path) -> Any:
    made, why = None, None
    try:
        with no_bars():
            made = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # whatever transformers stumbles over
        why = error
    # Without a file transformers may make an empty tokenizer, to which every text is one unknown word; only a kind
    # that declares no files, such as one of bytes, is whole without them.
    own = [*getattr(made, "vocab_files_names", {}).values()]
    settings = [] if made is None or own else ["tokenizer_config.json"]
    if not any((folder / name).is_file() for name in (*own, *settings, *_VOCABULARIES)):
        hint = "Copy its tokenizer.json and tokenizer_config.json to the weights, from where the model is from."
        raise FormatError(folder, "it has no tokenizer, so no text can be read", hint=hint) from why
    if why is not None:
        raise FormatError(folder, f"transformers cannot load its tokenizer ({why})") from why
    return made


_OLD_NAMES = ("rope_theta", "rope_local_base_freq")
"""Where the configuration of transformers before version 5 keeps its rotary bases."""


@contextmanager
def _looking_on(look: Seen) -> Iterator[None]:
    token = _seen.set(look)
    try:
        yield
    finally:
        _seen.reset(token)


def _turned(rows: torch.Tensor, theta: float, rotary_dim: int, pairing: str) -> torch.Tensor:
    """Turn the first row of [heads, n, d] to all n positions."""
    angle = torch.arange(rows.shape[1])[:, None] * theta ** -(torch.arange(0, rotary_dim, 2).float() / rotary_dim)
    cos, sin = angle.cos(), angle.sin()
    turned = rows[:, :1].repeat(1, rows.shape[1], 1)
    head = turned[..., :rotary_dim].clone()
    if pairing == "half":
        first, second = head.chunk(2, dim=-1)
        turned[..., :rotary_dim] = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    else:
        first, second = head[..., 0::2], head[..., 1::2]
        pairs = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1)
        turned[..., :rotary_dim] = pairs.flatten(-2)
    return turned


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() <= TOLERANCE * b.abs().max())


def _weights_sha256(folder: Path) -> str:
    """Digest of the names and digests of all files of weights."""
    files = sorted(path for kind in ("*.safetensors", "*.bin") for path in folder.glob(kind))
    return hashlib.sha256("".join(f"{path.name} {file_sha256(path)}\n" for path in files).encode()).hexdigest()


def _licence(folder: Path) -> str:
    """What the head of the model card says, or ``unknown``."""
    card = folder / "README.md"
    head = card.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0] if card.is_file() else ""
    for line in head.splitlines():
        if line.startswith("license:"):
            return line.partition(":")[2].strip() or "unknown"
    return "unknown"
