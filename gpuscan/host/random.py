"""Random draws in NumPy's words: a call of the sampler, which returns two things."""

from __future__ import annotations

from gpuscan.graph import Apply, Constant
from gpuscan.host.arrays import NUMPY
from gpuscan.host.writer import Writer
from gpuscan.tensor.random.draw import Draw, Drawer, Functions


def write_draw(w: Writer, op: Draw, node: Apply) -> None:
    """Write the statement that draws."""
    parameters = op.split(node.inputs)[2]
    constant = [i for i, v in enumerate(parameters) if isinstance(v, Constant)]
    drawer = Drawer(op, Functions(w.arrays.lookup), host=w.arrays is NUMPY, constant=constant)
    names = [w.fresh() for _ in node.outputs]
    w.line(f"{', '.join(names)} = {w.bind(drawer, f'draw_{op.distribution}')}({', '.join(w.values(node.inputs))})")
    for output, name in zip(node.outputs, names, strict=True):
        w.name(output, name)
