"""How far rounding may move a measured output error from the predicted one: a bound from eps, query by query.

For one query over a kept set: logits s_i = scale * q.k_i, weights p_i, values v_i, output o = sum p_i v_i. Let u be half the
eps of the model's dtype and w half that of float32; d channels, n slots, A = scale * |q| * max |k_i|.

- A logit is accumulated in float32 and rounded once: off by at most ``e_i = u |s_i| + w (d + 4) A``. The softmax passes that
  on as ``sum p_i e_i |v_i - o|``, to first order; the rest of the exponential is a factor of at most ``exp(2 max e_i)``.
- A weight is rounded once (``u sum p_i |v_i|``), and lost below the dtype's least number: n times half of that, times the
  largest |v_i|.
- The sum over slots is accumulated in float32 (``w (n + 4) sum p_i |v_i|``), and the output is rounded once (``u |o|``).

The prediction is computed in float32 and errs by the same with u = 0. So a relative error ``|o - f| / |f|`` against the full
output f moves by at most ``(error of o + (1 + itself) * error of f) / |f|``. A key that was turned, and a key and value that
were merged into, are rounded once more each time.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["error_bound", "output_bound"]

Floats = npt.NDArray[np.float64]

_W = float(torch.finfo(torch.float32).eps) / 2


def output_bound(
    q: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    bias: torch.Tensor | None,
    scale: float,
    *,
    merges: int = 0,
    turns: int = 0,
) -> torch.Tensor:
    """The most that an attention output may be off, prediction and measurement together.

    Parameters
    ----------
    q : Tensor [rows, queries, head_dim]
    keys, values : Tensor [rows, slots, head_dim]
        As attended to.
    bias : Tensor float32 [rows, 1 or queries, slots] or None
    scale : float
    merges : int
        The most times that one slot was merged into.
    turns : int
        The most times that one key was turned by the simulator; here it is turned once.

    Returns
    -------
    Tensor float32 [rows, queries]
    """
    finfo = torch.finfo(q.dtype)
    queries, k, v = q.float(), keys.float(), values.float()
    logits = queries @ k.transpose(1, 2) * scale
    hidden = torch.zeros_like(logits, dtype=torch.bool) if bias is None else torch.isneginf(bias).expand_as(logits)
    if bias is not None:
        logits = logits + bias
    weights = logits.softmax(-1)
    out, norms = weights @ v, v.norm(dim=2)[:, None, :].masked_fill(hidden, 0)
    away = norms**2 - 2 * out @ v.transpose(1, 2) + (out**2).sum(2, keepdim=True)
    moment = weights * away.clamp(min=0).sqrt()  # p |v - o|
    size = logits.abs().masked_fill(hidden, 0)
    reach = scale * queries.norm(dim=2) * k.norm(dim=2).amax(1)[:, None]
    n, u = (~hidden).sum(2), finfo.eps / 2
    single = _W * (k.shape[2] + 4 + 4 * turns) * reach
    again = u * (merges + (2 if turns else 0)) * reach  # key, and where positions changed the query too
    passed_on = u * (moment * size).sum(2) + (2 * single + again) * moment.sum(2)
    factor = torch.exp(2 * (u * size.amax(2) + single + again))
    spread = (weights * norms).sum(2)
    lost = n * (finfo.smallest_normal * finfo.eps / 2) * norms.amax(2)
    bound: torch.Tensor = passed_on * factor + spread * ((2 + merges) * u + 2 * _W * (n + 4)) + lost
    return bound


def error_bound(predicted: Floats, outputs: Floats, full: Floats, norms: Floats) -> Floats:
    """The most that a relative output error may move: [steps, layers, heads].

    Parameters
    ----------
    predicted : float64[steps, layers, heads]
        Relative errors.
    outputs, full : float64[steps, layers, heads]
        Bounds of the policy's outputs and of the full ones.
    norms : float64[steps, layers, heads]
        Norms of the full outputs.
    """
    return np.asarray((outputs + (1 + predicted) * full) / np.maximum(norms, 1e-30))
