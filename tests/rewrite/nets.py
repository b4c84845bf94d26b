"""Loops with products in their steps, for hypothesis to draw: nets over rows, sums over time, loops inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cpu import CpuProgram
from gpuscan.graph import Graph
from gpuscan.loop import Loop, Scan, open_loop
from gpuscan.rewrite import optimise

SIZE = 3


@dataclass(frozen=True)
class Net:
    """A recurrent net over a sequence, and what else its loop carries."""

    rows: tuple[int, ...]  # axes of a row before its last
    taps: tuple[int, ...]
    steps: int
    extra: int  # rows that no step reads
    says_steps: bool
    reverse: bool
    until: bool
    transposed: bool  # weights on the left
    gates: int
    totals: tuple[str, ...]
    read: str
    inner: bool
    seed: int

    def build(self) -> tuple[list[gs.Variable], list[gs.Variable], list[Any]]:
        """Return inputs, outputs and values for the inputs."""
        ndim = 2 + len(self.rows)
        x = gt.tensor("x", shape=(None,) * ndim)
        h0 = gt.tensor("h0", shape=(None,) * (ndim - 1))
        w, u, b, n = gt.tensor3("w"), gt.tensor3("u"), gt.matrix("b"), gt.iscalar("n")
        outputs_info = [h0, *(gt.zeros(self._total_shape(kind)) for kind in self.totals), None]
        histories, _ = gs.scan(
            self._step,
            {"input": x, "taps": list(self.taps)},
            outputs_info,
            [w, u, b],
            n if self.says_steps else None,
            go_backwards=self.reverse,
        )
        state, *totals, emit = histories
        outputs = [READS[self.read](state), *(total[-1] for total in totals), READS[self.read](emit)]
        random = np.random.default_rng(self.seed)
        count = self.steps + max(0, *self.taps) - min(0, *self.taps) + self.extra
        shapes = [(count, *self.rows, SIZE), (*self.rows, SIZE), (self.gates, SIZE, SIZE), (self.gates, SIZE, SIZE)]
        values = [random.normal(size=shape) * 0.5 for shape in (*shapes, (self.gates, SIZE))]
        return [x, h0, w, u, b, n], outputs, [*values, np.int32(self.steps)]

    def _total_shape(self, kind: str) -> tuple[int, ...]:
        return {"weights": (SIZE, SIZE), "bias": (SIZE,), "row": (*self.rows, SIZE), "mixed": (SIZE, SIZE)}[kind]

    def _step(self, *given: Any) -> Any:
        rows, h = given[: len(self.taps)], given[len(self.taps)]
        totals, (w, u, b) = given[len(self.taps) + 1 : -3], given[-3:]
        parts = []
        for gate in range(self.gates):
            part = h @ u[gate] + b[gate]
            for row in rows:
                part = part + (row @ w[gate] if not self.transposed or row.ndim > 1 else w[gate] @ row)
            parts.append(np.tanh(part))
        new = sum(parts[1:], parts[0] * 0.5)
        if self.inner:
            steps, _ = gs.scan(lambda s, w, row: np.tanh(s @ (w @ w) * 0.5 + row @ w), None, new, [w[0], rows[0]], 2)
            new = steps[-1]
        added = [total + self._added(kind, rows[0], h, new) for kind, total in zip(self.totals, totals, strict=True)]
        outputs = [new, *added, new * 2.0 + (rows[-1] @ w[0]).sum()]
        return [*outputs, gs.until(new.sum() > 1.0)] if self.until else outputs

    def _added(self, kind: str, row: Any, h: Any, new: Any) -> Any:
        if kind == "row":
            return new
        if kind == "bias":
            return new.sum(0) if new.ndim > 1 else new
        left, right = (row, h) if kind == "weights" else (h, new * row)
        if left.ndim == 1:
            return gt.outer(left, right)
        return left.T @ right


READS: dict[str, Any] = {
    "all": lambda h: h,
    "last": lambda h: h[-1],
    "first": lambda h: h[:1],
    "sum": lambda h: h.sum(0),
    "mean": lambda h: h.mean(0) if h.ndim else h,
    "every other": lambda h: h[::2],
}

NETS = st.builds(
    Net,
    rows=st.sampled_from([(), (2,)]),
    taps=st.sampled_from([(0,), (-1, 0), (0, 1), (-2, 1), (1,)]),
    steps=st.integers(1, 5),
    extra=st.integers(0, 2),
    says_steps=st.booleans(),
    reverse=st.booleans(),
    until=st.booleans(),
    transposed=st.booleans(),
    gates=st.integers(1, 3),
    totals=st.lists(st.sampled_from(["weights", "bias", "row", "mixed"]), max_size=2).map(tuple),
    read=st.sampled_from(list(READS)),
    inner=st.sampled_from([False, False, True]),
    seed=st.integers(0, 99),
)


def graph_of(inputs: Sequence[gs.Variable], outputs: Sequence[gs.Variable]) -> Graph:
    return Graph.close(inputs, outputs)


def loops_of(graph: Graph) -> list[Loop]:
    return [open_loop(node) for node in graph.nodes if isinstance(node.op, Scan)]


def text_of(graph: Graph) -> str:
    text = gs.debugprint(graph, file="str", print_type=False)
    assert text is not None
    return text


def run(graph: Graph, values: Sequence[Any]) -> list[np.ndarray]:
    return [np.asarray(v) for v in CpuProgram(graph)([value[()] if np.ndim(value) == 0 else value for value in values])]


def assert_meaning_kept(inputs: Sequence[gs.Variable], outputs: Sequence[gs.Variable], values: Sequence[Any]) -> Graph:
    """Assert that a graph computes the same after all passes, and return it as it is then."""
    graph = graph_of(inputs, outputs)
    after = optimise(graph)
    for found, expected in zip(run(after, values), run(graph, values), strict=True):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        if expected.dtype.kind in "fc":
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
        else:
            np.testing.assert_array_equal(found, expected)
    return after
