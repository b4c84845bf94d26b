"""Products on tensor cores: which ones, how the warps of a team divide them, and how they are written.

A product leaves its sums in shared memory of the block, where the threads that own its elements find them. For that
each block computes the columns that its own threads have: a grid's blocks have whole columns (`Team.width`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

from gpuscan.cuda.step.body import InnerLoop
from gpuscan.cuda.step.positions import flat, plus, times, unravel
from gpuscan.cuda.step.registers import registers_for_weights
from gpuscan.cuda.step.resident import is_fixed, record_of
from gpuscan.cuda.step.team import Team, space_of
from gpuscan.cuda.step.values import Kept
from gpuscan.cuda.step.writer import Writer
from gpuscan.graph import Apply, Variable
from gpuscan.tensor.products import MatMul

KINDS = {"tf32": ("gs::Tf32", 4), "bf16": ("gs::Bf16", 2)}
"""For each precision the type in ``kernels/mma.cuh`` and the words in which a lane holds four terms of a column."""

OLDEST = 80
"""The compute capability from which on there are instructions for both."""

FEWEST_ROWS = 8
FEWEST_TERMS = 16
FEWEST_COLUMNS = 16
"""Sizes from which on the instructions, which take 16 x 8 x 16, are worth their padding."""

MOST_BYTES = 65536
"""Shared memory that the sums of products computed together may take."""

LOAD_COST, COLLECT_COST = 8, 2
"""What it costs to load a lane's terms of an operand, and to add up the parts of a sum, in instructions."""


@dataclass(frozen=True)
class Size:
    """The rows, terms and columns that a team has of a product."""

    rows: int
    terms: int
    columns: int

    @property
    def work(self) -> int:
        """Number of multiplications."""
        return self.rows * self.terms * self.columns


def size_of(node: Apply, shape: Callable[[Variable], tuple[int, ...]]) -> Size | None:
    """Return the sizes of a product that tensor cores are worth it for, None of any other node.

    Parameters
    ----------
    node : Apply
        Any node.
    shape : callable
        Gives the shape of what a team has of a value.
    """
    if not isinstance(node.op, MatMul) or any(v.dtype != "float32" for v in (*node.inputs, *node.outputs)):
        return None
    a, b = node.inputs
    if a.ndim < 2 or b.ndim < 2 or len(space_of(shape(b))) != 2 or prod(shape(b)[:-2]) != 1:
        return None
    size = Size(prod(shape(a)[:-1]), shape(a)[-1], shape(b)[-1])
    worth = size.rows >= FEWEST_ROWS and size.terms >= FEWEST_TERMS and size.columns >= FEWEST_COLUMNS
    return size if worth else None


def width_of(team: Team, size: Size) -> int:
    """Return how many columns of a product each block of a team computes; 0 if the team does not take it."""
    if team.kind == "thread" or (team.kind == "grid" and team.columns != size.columns):
        return 0
    width = team.width if team.kind == "grid" else size.columns
    return width if _sum_bytes(size.rows, width) <= MOST_BYTES else 0


def _sum_bytes(rows: int, width: int) -> int:
    return 4 * rows * 8 * ceil(width / 8)


def taken(nodes: Iterable[Apply], shape: Callable[[Variable], tuple[int, ...]], team: Team) -> frozenset[Apply]:
    """Return the products among nodes that a team computes on tensor cores, given a precision that allows it."""
    sizes = ((node, size_of(node, shape)) for node in nodes)
    return frozenset(node for node, size in sizes if size is not None and width_of(team, size))


# ---- how warps divide a product ----


@dataclass(frozen=True)
class Division:
    """How the warps of a block divide products computed together.

    Attributes
    ----------
    tiles : int
        Tiles of 8 columns.
    parts, across, down : int
        Into how many parts the terms, the tiles of columns and the tiles of rows are divided.
    """

    size: Size
    tiles: int
    parts: int
    across: int
    down: int

    @property
    def own_tiles(self) -> int:
        """Tiles of columns of a warp."""
        return ceil(self.tiles / self.across)

    @property
    def own_steps(self) -> int:
        """Steps of 16 terms of a warp."""
        return ceil(self.steps / self.parts)

    @property
    def steps(self) -> int:
        """Steps of 16 terms in all."""
        return ceil(self.size.terms / 16)

    @property
    def sums(self) -> int:
        """Numbers that all warps leave."""
        return self.parts * self.size.rows * 8 * self.tiles

    def registers(self, words: int) -> int:
        """Return how many registers of a thread hold the right operands, four terms of which take so many words."""
        return self.own_tiles * self.own_steps * words

    def cost(self, words: int, threads: int, room: int) -> int:
        """Return about how many instructions a warp runs.

        Parameters
        ----------
        words : int
            That four terms of an operand take.
        threads : int
            Of a block.
        room : int
            Registers that may hold the right operands.
        """
        row_tiles = ceil(ceil(self.size.rows / 16) / self.down)
        right = words if self.registers(words) <= room else words + LOAD_COST
        multiply = row_tiles * self.own_steps * (2 * LOAD_COST + self.own_tiles * right)
        return multiply + COLLECT_COST * ceil(self.sums / threads)

    def c_type(self, kind: str) -> str:
        """Return its type in ``kernels/mma.cuh``."""
        size = self.size
        return f"gs::Tiles<{kind}, {size.rows}, {size.terms}, {self.tiles}, {self.parts}, {self.across}, {self.down}>"


def divide(size: Size, tiles: int, team: Team, words: int, room: int) -> Division:
    """Return the division that costs least of those whose sums fit; the parameters are those of `Division.cost`."""
    warps = 1 if team.kind == "warp" else team.block // 32
    numbers = [n for n in range(1, warps + 1) if n & (n - 1) == 0 or warps % n == 0]
    found = [
        Division(size, tiles, parts, across, down)
        for parts, across, down in product(numbers, repeat=3)
        if parts * across * down <= warps
    ]
    fitting = [d for d in found if 4 * d.sums <= MOST_BYTES and d.parts <= d.steps]
    return min(fitting, key=lambda d: (d.cost(words, 32 * warps, room), d.parts))


def find_together(
    body: InnerLoop, chosen: frozenset[Apply], shape: Callable[[Variable], tuple[int, ...]], team: Team
) -> dict[Apply, tuple[Apply, ...]]:
    """Return for each chosen product those computed with it, itself too: of one left operand, by fixed weights.

    What all of them read is then loaded once. Their sums must fit.
    """
    groups: dict[object, list[Apply]] = {}
    for node in body.body.nodes:
        if node in chosen:
            fixed = is_fixed(node.inputs[1], body.loop)
            groups.setdefault((node.inputs[0], node.inputs[1].type.shape) if fixed else node, []).append(node)
    found: dict[Apply, tuple[Apply, ...]] = {node: (node,) for node in chosen}
    for group in groups.values():
        size = size_of(group[0], shape)
        assert size is not None
        most = MOST_BYTES // _sum_bytes(size.rows, width_of(team, size))
        for start in range(0, len(group), most):
            call = tuple(group[start : start + most])
            found.update(dict.fromkeys(call, call))
    return found


def cost_of(
    body: InnerLoop, chosen: frozenset[Apply], shape: Callable[[Variable], tuple[int, ...]], team: Team, precision: str
) -> tuple[int, int]:
    """Return about how many instructions each warp of a team runs for its products, and in how many calls."""
    _, words = KINDS[precision]
    room = registers_for_weights(team, 0)
    calls = set(find_together(body, chosen, shape, team).values())
    total = 0
    for call in calls:
        size = size_of(call[0], shape)
        assert size is not None
        tiles = len(call) * ceil(width_of(team, size) / 8)
        total += divide(size, tiles, team, words, room).cost(words, team.block, room)
    return total, len(calls)


# ---- the statements ----


def write_product(w: Writer, node: Apply) -> None:
    """Write a product that the plan has put on tensor cores, and those computed with it."""
    output = node.outputs[0]
    if output in w.values:
        return
    size = size_of(node, w.shape)
    assert size is not None
    width = width_of(w.team, size)
    together = w.together[node]
    kind, words = KINDS[w.precision]
    fixed = all(is_fixed(n.inputs[1], w.loop) for n in together)
    room = registers_for_weights(w.team, w.busy_registers) - w.resident_registers if fixed else 0
    division = divide(size, len(together) * ceil(width / 8), w.team, words, room)
    w.close_group()
    tiles = f"{division.c_type(kind)}({'0' if w.team.kind == 'warp' else 'threadIdx.x / 32'})"
    w.touched_reads = set()
    left = _left(w, node.inputs[0], size)
    if division.registers(words) <= room:
        w.columns_of |= {record_of(n.inputs[1], w.loop) for n in together}
        method, right = "multiply_held", _held(w, tiles, division.registers(words), lambda: _right(w, together, width))
    else:
        method, right = "multiply_with", _right(w, together, width)
    sums = w.local(f"{w.name(output)}_sums", "float", division.sums)
    w.barrier_before(w.touched_reads, ())
    w.touches_shared = True  # a later step leaves its sums where this one's are read
    w.line(f"{tiles}.{method}({left}, {right}, {sums});")
    w.line("__syncwarp();" if w.team.kind == "warp" else "__syncthreads();")
    for i, each in enumerate(together):
        _collect(w, each.outputs[0], f"{division.c_type(kind)}::element", sums, width, i)


def _first(w: Writer, width: int) -> str:
    """Return the first column of the block."""
    return times("blockIdx.x", width) if w.team.kind == "grid" else "0"


def _left(w: Writer, a: Variable, size: Size) -> str:
    """Return the function that gives four neighbouring terms of a row."""
    shape, value = w.shape(a), w.values.get(a)
    at = (*unravel("i", shape[:-1]), "k")
    element = w.read(a, at)
    if isinstance(value, Kept) and value.shared and size.terms % 4 == 0:
        load = "gpuscan_load_vector_from_l2<float4>" if w.team.kind == "grid" else "gpuscan_load_vector<float4>"
        return f"[&](int i, int k) {{ return {load}({value.shared} + ({value.place(at)})); }}"
    return f"[&](int i, int r) {{ return gs::four<{size.terms}>(r, [&](int k) {{ return {element}; }}); }}"


def _right(w: Writer, together: tuple[Apply, ...], width: int) -> str:
    """Return the function that gives an element of the right operands, which stand side by side in tiles."""
    padded, columns = 8 * ceil(width / 8), w.shape(together[0].inputs[1])[-1]
    at = [("0",) * (n.inputs[1].ndim - 2) + ("r", "c") for n in together]
    texts = [w.read(n.inputs[1], position) for n, position in zip(together, at, strict=True)]
    text = texts[-1]
    for i in range(len(texts) - 2, -1, -1):
        text = f"(j < {(i + 1) * padded} ? {texts[i]} : {text})"
    within = "j" if len(together) == 1 else f"j % {padded}"
    return (
        f"[&](int r, int j) {{ int const d = {within}, c = {plus(_first(w, width), 'd')}; "
        f"return d < {width} && c < {columns} ? float({text}) : 0.0f; }}"
    )


def _held(w: Writer, tiles: str, registers: int, right: Callable[[], str]) -> str:
    """Return the array of registers in which each lane holds its part of fixed right operands."""
    w.resident_registers += registers
    held = w.hold("unsigned int", "w_held", registers)
    w.at_start.append(f"{tiles}.hold({held}, {w.before_start(right)});")
    return held


def _collect(w: Writer, output: Variable, element: str, sums: str, width: int, which: int) -> None:
    shape, padded = w.shape(output), 8 * ceil(width / 8)

    def text(at: tuple[str, ...]) -> str:
        column = at[-1] if w.team.kind != "grid" else f"{at[-1]} - {_first(w, width)}"
        return f"{element}({sums}, {flat(at[:-1], shape[:-1])}, {plus(column, str(which * padded))})"

    w.compute(output, text)
