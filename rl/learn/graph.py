"""The ONNX graph of a network, node by node, so that every weight keeps its name and the file does not depend on torch.

Raw features go in; missing values, units and standardisation are part of the graph. The same arithmetic stands, compiled, in
`evictlab.policies.learned.network`, and as torch modules in `evictlab.rl.learn.networks`; tests hold the three together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...policies.learned.facts import N_CONTEXT, N_FEATURES
from ...policies.learned.network import DENSITY_MOST, EPSILON, G_LEAST, G_MOST, LOG_MOST, SECONDS, UNIT_BYTES

__all__ = ["OPSET", "onnx_model"]

OPSET, IR_VERSION = 17, 8


class _Graph:
    """Nodes and constants as they are written down; a value is the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        """Add a constant that is no weight; its name begins with an underscore."""
        from onnx import numpy_helper

        name = f"_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def column(self, x: str, first: int, last: int, axis: int) -> str:
        """Columns first .. last-1 along an axis."""
        whole = (self.constant([i], np.int64) for i in (first, last, axis))
        return self("Slice", x, *whole)

    def log1p(self, x: str) -> str:
        """log(1 + x)."""
        return self("Log", self("Add", x, self.constant(1)))

    def dense(self, x: str, layer: str) -> str:
        """A layer of the network, by the name of its weights."""
        return self("Add", self("MatMul", x, f"{layer}_w"), f"{layer}_b")

    def norm(self, x: str, layer: str) -> str:
        """Layer normalisation by the named gain and offset, and a rectifier."""
        gain, offset = (self("Gather", f"{layer}_norm", self.constant(row, np.int64), axis=0) for row in range(2))
        return self("Relu", self("LayerNormalization", x, gain, offset, axis=-1, epsilon=EPSILON))

    def standardised(self, x: str, first: int, last: int) -> str:
        """(x - centre) * scale, by entries first .. last-1."""
        centre, scale = (self.column(name, first, last, 0) for name in ("centre", "scale"))
        return self("Mul", self("Sub", x, centre), scale)

    def features(self) -> str:
        """Logarithmic features, -1 where they are missing; [b, k, N_FEATURES], not yet standardised."""
        seconds = np.zeros(N_FEATURES)
        seconds[list(SECONDS)] = 1
        units = np.ones(N_FEATURES)
        units[1] = UNIT_BYTES
        pace = self("Max", self.column("context", 0, 1, 1), self.constant(1e-9))
        pace = self("Unsqueeze", pace, self.constant([2], np.int64))
        unit = self("Add", self("Mul", pace, self.constant(seconds)), self.constant((1 - seconds) * units))
        known = self("Max", "candidates", self.constant(0))
        missing = self("Less", "candidates", self.constant(0))
        known = self("Min", self.log1p(self("Div", known, unit)), self.constant(LOG_MOST))
        return self("Where", missing, self.constant(-1), known)

    def present(self) -> str:
        """1 for a row that is somebody, 0 for the others; [b, k, 1]."""
        size = self.column("candidates", 1, 2, 2)
        return self("Cast", self("GreaterOrEqual", size, self.constant(0)), to=1)

    def dueling(self, state: str, gains: str, present: str) -> None:
        """State value and advantages together: v + a - mean(a), over those present; state [b, 1], gains and present [b, k]."""
        axis = self.constant([1], np.int64)
        n = self("Max", self("ReduceSum", present, axis, keepdims=1), self.constant(1))
        mean = self("Div", self("ReduceSum", self("Mul", gains, present), axis, keepdims=1), n)
        self("Add", self("Sub", gains, mean), state, name="q")


def _set(graph: _Graph) -> None:
    axis1, axis2 = graph.constant([1], np.int64), graph.constant([2], np.int64)
    present = graph.present()
    size = graph("Max", graph.column("candidates", 1, 2, 2), graph.constant(1))
    capacity, residents = graph.column("context", 1, 2, 1), graph.column("context", 2, 3, 1)
    mean = graph("Div", capacity, graph("Max", residents, graph.constant(1)))
    density = graph("Div", graph("Unsqueeze", mean, axis2), size)
    density = graph("Clip", density, graph.constant(1 / DENSITY_MOST), graph.constant(DENSITY_MOST))
    inputs = graph("Concat", graph.features(), graph("Log", density), axis=2)
    n = N_FEATURES + 1
    each = graph("Relu", graph.dense(graph.standardised(inputs, 0, n), "each"))
    count = graph("Max", graph("ReduceSum", present, axis1, keepdims=0), graph.constant(1))
    pooled = graph("Div", graph("ReduceSum", graph("Mul", each, present), axis1, keepdims=0), count)
    cache = graph(
        "Concat", graph.log1p(graph("Div", capacity, graph.constant(UNIT_BYTES))), graph.log1p(residents), axis=1
    )
    pooled = graph("Concat", pooled, graph.standardised(cache, n, n + 2), axis=1)
    shared = graph("Relu", graph.dense(pooled, "pool"))
    again = graph("Add", graph.dense(each, "again"), graph("Unsqueeze", graph("MatMul", shared, "shared_w"), axis1))
    g = graph("Clip", graph.dense(graph("Relu", again), "rate"), graph.constant(G_LEAST), graph.constant(G_MOST))
    gains = graph("Squeeze", graph("Neg", graph("Mul", graph("Exp", g), density)), axis2)
    graph.dueling(graph.dense(shared, "state"), gains, graph("Squeeze", present, axis2))


def _flat(graph: _Graph, k: int) -> None:
    present = graph.present()
    rows = graph("Mul", graph.standardised(graph.features(), 0, N_FEATURES), present)
    x = graph("Reshape", rows, graph.constant([-1, k * N_FEATURES], np.int64))
    x = graph.norm(graph.dense(x, "first"), "first")
    x = graph.norm(graph.dense(x, "second"), "second")
    state = graph.dense(graph.norm(graph.dense(x, "state_hidden"), "state"), "state")
    gains = graph.dense(graph.norm(graph.dense(x, "gain_hidden"), "gain"), "gain")
    graph.dueling(state, gains, graph("Squeeze", present, graph.constant([2], np.int64)))


def onnx_model(kind: str, weights: dict[str, Any], k: int) -> bytes:
    """Return the ONNX file of a network.

    Parameters
    ----------
    kind : str
        ``set`` or ``flat``; a flat network always takes `k` candidates, a set network any number.
    weights : dict of float32 arrays
        By the names of `evictlab.policies.learned.network`.
    k : int
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = _Graph()
    if kind == "set":
        _set(graph)
    else:
        _flat(graph, k)
    candidates: Any = "candidates" if kind == "set" else k
    made = helper.make_graph(
        graph.nodes,
        f"cold_rl_{kind}",
        [
            helper.make_tensor_value_info("candidates", TensorProto.FLOAT, ["batch", candidates, N_FEATURES]),
            helper.make_tensor_value_info("context", TensorProto.FLOAT, ["batch", N_CONTEXT]),
        ],
        [helper.make_tensor_value_info("q", TensorProto.FLOAT, ["batch", candidates])],
        [
            *(numpy_helper.from_array(np.ascontiguousarray(w, np.float32), name) for name, w in weights.items()),
            *graph.constants,
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="evictlab")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
