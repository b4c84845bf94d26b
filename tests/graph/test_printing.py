"""Graphs as text."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.graph import Graph, Nested, debugprint


def text(obj: Any, **options: Any) -> str:
    printed = debugprint(obj, file="str", **options)
    assert printed is not None
    return printed


def test_a_tree() -> None:
    x, y = gt.vector("x"), gt.vector("y")
    z = gt.tanh(x * y) + x * 2
    z.name = "z"
    assert text(z) == (
        "add %0 'z' : float64[?]\n"
        "| tanh %1 : float64[?]\n"
        "| | mul %2 : float64[?]\n"
        "| | | x : float64[?]\n"
        "| | | y : float64[?]\n"
        "| mul %3 : float64[?]\n"
        "| | x : float64[?]\n"
        "| | 2.0 : float64[]\n"
    )


def test_a_node_is_expanded_once() -> None:
    x = gt.vector("x")
    a = gt.exp(x)
    assert text([a * a, a], print_type=False) == "mul %0\n| exp %1\n| | x\n| exp %1 ...\nexp %1 ...\n"


def test_inputs() -> None:
    unnamed, other, s = gt.scalar(), gt.scalar(), gt.shared(1.0, "s")
    total = unnamed * s - other * unnamed
    assert text(total, print_type=False) == (
        "sub %0\n| mul %1\n| | <unnamed 0>\n| | s (shared)\n| mul %2\n| | <unnamed 1>\n| | <unnamed 0>\n"
    )
    assert text(gt.constant(range(100)), print_type=False) == "[ 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 ...\n"


def test_what_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    x = gt.vector("x")
    graph = Graph.close([x], [x + 1])
    expected = "add %0 : float64[?]\n| x : float64[?]\n| 1.0 : float64[]\n"
    assert text(x + 1) == text(graph) == text((x + 1,)) == text(gs.function([x], x + 1, device="cpu")) == expected
    assert debugprint(x + 1) is None
    assert capsys.readouterr().out == expected
    file = io.StringIO()
    debugprint(x + 1, file=file)
    assert file.getvalue() == expected
    for wrong in (5, [5], {"a": x}):
        with pytest.raises(TypeError, match="debugprint prints variables, graphs, compiled functions and lists"):
            debugprint(wrong)


@dataclass(frozen=True)
class Outer(Nested):
    """An op with an inside, for tests."""

    inside: Any

    def infer(self, inputs: Any) -> Any:
        return (inputs[0].type, inputs[0].type)

    @property
    def graphs(self) -> Any:
        return ()

    def with_graphs(self, graphs: Any) -> Any:
        return self

    def sections(self) -> Any:
        yield "first part", [self.inside]
        yield "second part", []


def test_inner_graphs_follow() -> None:
    x, p, q = gt.vector("x"), gt.scalar("p"), gt.scalar("q")
    innermost = Outer(q * 2)
    inner = Outer(innermost.apply(p)[1])
    assert text(inner.apply(x)[0], print_type=False) == (
        "outer.0 %0\n| x\n"
        "\nInner graph of outer %0\n first part\n  outer.1 %1\n  | p\n second part\n"
        "\nInner graph of outer %1\n first part\n  mul %2\n  | q\n  | 2.0\n second part\n"
    )


def test_a_loop() -> None:
    M, s = gt.matrix("M"), gt.vector("s")
    out, _ = gs.scan(lambda row, acc: acc + row, sequences=[M], outputs_info=[s], name="total")
    printed = text(out, print_type=False)
    assert "Inner graph of scan[total] %0" in printed
    assert "sequence row, rows 0" in printed
    assert "state acc, lags 1, becomes" in printed
