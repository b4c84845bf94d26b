"""A graph turned into a Python function."""

from __future__ import annotations

import itertools
import linecache
import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from gpuscan.graph import Graph, Nested, Op, Variable
from gpuscan.host.arrays import NUMPY, ArrayModule
from gpuscan.host.lifetimes import free_early
from gpuscan.host.loops import write_loop
from gpuscan.host.profile import LoopProfile
from gpuscan.host.writer import ScanWriter, Writer
from gpuscan.loop import Scan
from gpuscan.tensor.barrier import Barrier
from gpuscan.tensor.guards import Assert, Print, SpecifyShape
from gpuscan.tensor.indexing import At, Index, New, Range
from gpuscan.tensor.pointwise import Pointwise
from gpuscan.tensor.reduction import SumTo
from gpuscan.tensor.shaping import BroadcastTo, DimShuffle, Reshape


@dataclass(frozen=True)
class HostFunction:
    """A compiled graph: ``run(*parameters)`` returns the list of outputs; `source` is its text."""

    run: Callable[..., list[Any]]
    source: str
    profiles: Sequence[LoopProfile] = ()


_numbers = itertools.count(1)


def write_function(
    graph: Graph,
    arrays: ArrayModule = NUMPY,
    write_scan: ScanWriter = write_loop,
    on_host: Collection[Variable] = (),
) -> HostFunction:
    """Return `graph` as a Python function over arrays of the module `arrays`.

    Parameters
    ----------
    graph : Graph
        What to compute.
    arrays : ArrayModule
        What arrays are.
    write_scan : callable
        Writes the statements for a loop; by default a ``for`` over its steps.
    on_host : collection of Variable
        Values kept as NumPy scalars on the host although `arrays` lives elsewhere.

    Returns
    -------
    HostFunction
        It takes the parameters (NumPy scalars for those of rank 0 on the CPU) and returns new arrays: no output is a
        view of a parameter, a constant or another output.
    """
    w = Writer(arrays, write_scan, on_host)
    names = [f"p{i}" for i in range(len(graph.parameters))]
    for parameter, name in zip(graph.parameters, names, strict=True):
        w.name(parameter, name)
    w.write_nodes(graph.nodes, graph.outputs)
    w.line(f"return [{', '.join(_own(w, graph.outputs))}]")
    body = list(free_early(w.lines))
    source = "\n".join([f"def run({', '.join(names)}):", *body, ""])
    return HostFunction(_define(source, w.namespace), source, w.profiles)


def _define(source: str, namespace: dict[str, Any]) -> Callable[..., list[Any]]:
    # A name that linecache knows while the function lives, so that stack traces show the generated lines.
    filename = f"<gpuscan function {next(_numbers)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), namespace)  # names that users chose enter the text only as literals
    run: Callable[..., list[Any]] = namespace.pop("run")  # else it would hold itself, and arrays, until collected
    weakref.finalize(run, linecache.cache.pop, filename, None)
    return run


def _own(w: Writer, outputs: Sequence[Variable]) -> list[str]:
    """Return the expression of each output, copied where it might be a view of something that lives on."""
    texts = []
    seen: set[Variable] = set()
    for output in outputs:
        origin = _origin(output)
        text = w.value(output)
        lives_on = origin is not output or origin in seen or origin in w.kept
        if output.ndim and (lives_on or not _is_new(origin)):
            text = f"{w.function('array')}({text})"
        seen.add(origin)
        texts.append(text)
    return texts


def _is_new(variable: Variable) -> bool:
    """Whether a value, no view of one before it in the graph, is in memory of its own."""
    if variable.owner is None:
        return False  # a parameter or constant
    op = variable.owner.op
    if isinstance(op, Nested) and not isinstance(op, Scan):
        return False  # what is inside may be handed through
    if not isinstance(op, Scan):
        return True
    # The last values of a state may be its first, which are outside; a buffer may be kept for the next call.
    kind = op.results[variable.index].kind
    return kind != "final" and not (kind == "history" and op.options.keep_buffers)


def _origin(variable: Variable) -> Variable:
    """Return the value whose memory `variable` may be a view of."""
    while variable.owner is not None and _is_view(variable.owner.op):
        variable = variable.owner.inputs[0]
    return variable


def _is_view(op: Op) -> bool:
    """Whether NumPy may answer with a view of the first input."""
    if isinstance(op, Index):
        return all(isinstance(item, At | Range | New) for item in op.pattern)
    if isinstance(op, Pointwise):
        return op.row in ("real", "imag")
    return isinstance(op, Reshape | DimShuffle | BroadcastTo | SumTo | Barrier | Assert | Print | SpecifyShape)
