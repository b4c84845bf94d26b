"""What the products of a step need of a thread: where their fixed operands stay, and what it reads at every step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, field
from math import prod
from typing import final

import numpy as np

from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.kernel import C_TYPES
from gpuscan.cuda.step.analysis import STEPS_INSIDE, Analysis
from gpuscan.cuda.step.body import Body, InnerLoop
from gpuscan.cuda.step.elements import registers_of
from gpuscan.cuda.step.registers import MOST_OWN, registers_for_weights
from gpuscan.cuda.step.resident import (
    MOST_WRITTEN_OUT,
    is_fixed,
    own_columns,
)
from gpuscan.cuda.step.team import Team
from gpuscan.cuda.step.tensor_cores import KINDS
from gpuscan.graph import Apply, Variable
from gpuscan.tensor.products import MatMul


@dataclass(frozen=True)
class Operands:
    """What the products of a step take.

    Attributes
    ----------
    loads : float
        32-bit words that each thread reads from shared memory or caches, or exchanges by shuffles, a step.
    registers : int
        32-bit registers in which each thread holds columns of weights.
    sums : int
        Those of the sums of products.
    shared : int
        Bytes of a block's shared memory in which its threads hold columns.
    fetched : int
        Bytes of fixed arrays that a team reads at every step, as they have no room on chip.
    """

    loads: float = 0
    registers: int = 0
    sums: int = 0
    shared: int = 0
    fetched: int = 0


def operands(
    analysis: Analysis, team: Team, gpu: GPU, chosen: frozenset[Apply] = frozenset(), precision: str = ""
) -> Operands:
    """Return what the products of a step take, those `chosen` for tensor cores with operands of a precision."""
    held = 4 * max(registers_for_weights(team, 0), 0) * team.threads
    if team.kind == "thread":
        return Operands(fetched=max(_fixed_bytes(analysis) - held, 0))
    counting = _Counting(analysis, team, gpu, chosen)
    if chosen:
        counting.on_tensor_cores(KINDS[precision][1])
    loads = counting.body(analysis.opened.body)
    held += gpu.shared_per_block // 2 // team.per_block * (team.blocks if team.kind == "grid" else 1)
    rest = max(_fixed_bytes(analysis) - counting.right_bytes - held, 0)
    return Operands(loads, counting.registers, counting.sums, counting.shared, counting.fetched + rest)


def busy_registers(
    opened: InnerLoop, team: Team, space: Callable[[Variable], tuple[int, ...]], random: Collection[Variable]
) -> int:
    """Return the 32-bit registers in which each thread has states and the sums of products.

    Parameters
    ----------
    opened : InnerLoop
        The loop.
    team : Team
        Who carries it.
    space : callable
        From a value to the sizes along which a lane has more than one element of it.
    random : collection of Variable
        The values that are random states.
    """
    products = [node.outputs[0] for node in opened.body.walk() if isinstance(node.op, MatMul)]
    counts = [_words(v) * team.sums(space(v)) for v in products]
    states = (state.next for state in opened.loop.states)
    counts += [(4 if v in random else _words(v)) * team.slots(space(v)) for v in states]
    return sum(n for n in counts if n <= MOST_OWN)


def _words(v: Variable) -> int:
    return registers_of(C_TYPES[v.dtype])


def _fixed_bytes(analysis: Analysis) -> int:
    """Return the bytes of the fixed arrays that one team reads."""
    return sum(
        prod(analysis.shape(n.read)) * np.dtype(n.read.dtype).itemsize
        for n in analysis.loop.non_sequences
        if n.read not in analysis.random
    )


@final
@dataclass(eq=False)
class _Counting:
    """Goes through the products of a step as their rule will, and keeps count of what there is room for."""

    analysis: Analysis
    team: Team
    gpu: GPU
    chosen: frozenset[Apply]
    registers: int = 0
    sums: int = 0
    shared: int = 0
    fetched: int = 0
    right_bytes: int = 0  # of fixed right sides, counted once
    room: int = 0
    products: int = 0
    seen: set[Variable] = field(default_factory=set)

    def __post_init__(self) -> None:
        found = [node for node in self.analysis.nodes() if isinstance(node.op, MatMul)]
        sums = [_words(v) * self.team.sums(self.analysis.space(v)) for node in found for v in node.outputs]
        self.products = max(len(found), 1)
        self.sums = sum(n for n in sums if n <= MOST_OWN)
        self.room = registers_for_weights(
            self.team, busy_registers(self.analysis.opened, self.team, self.analysis.space, self.analysis.random)
        )

    def _is_fixed(self, b: Variable) -> bool:
        """Whether a right side is fixed; its bytes are counted."""
        if b.ndim < 2 or not is_fixed(b, self.analysis.loop):
            return False
        if b not in self.seen:
            self.seen.add(b)
            self.right_bytes += self._bytes(b)
        return True

    def _bytes(self, v: Variable) -> int:
        return prod(self.analysis.shape(v)) * np.dtype(v.dtype).itemsize

    def on_tensor_cores(self, words: int) -> None:
        """Count the registers for right sides of products on tensor cores, of which four terms take so many words."""
        right = {node.inputs[1] for node in self.chosen if self._is_fixed(node.inputs[1])}
        each = sum(map(self._bytes, right)) * words // (16 * self.team.threads)
        self.registers = min(each, max(self.room, 0))
        self.fetched += 4 * (each - self.registers) * self.team.threads

    def body(self, body: Body) -> float:
        """Return the loads of a body's products."""
        total = self._products(node for node in body.nodes if isinstance(node.op, MatMul) and node not in self.chosen)
        for inner in body.loops.values():
            total += self.body(inner.body) * (inner.loop.length.known or STEPS_INSIDE)
        return total + sum(max(map(self.body, sides)) for sides in body.branches.values())

    def _products(self, nodes: Iterable[Apply]) -> float:
        left: dict[Hashable, float] = {}  # products of one left side read it once
        total = 0.0
        for node in nodes:
            (a, b), output = node.inputs, node.outputs[0]
            space, extent = self.analysis.space(output), self.analysis.shape(a)[-1]
            parts = self.team.parts if extent > 1 else 1
            terms = -(-extent // parts)
            slots, words = self.team.sums(space), float(_words(output))
            deal = self.team.deal(space)
            each = deal.each if deal else slots
            right = terms * each * self._right(b, output, space, terms, slots)
            words *= 1 if parts > 1 else min(prod(space) / self.team.ranks, 1)  # of an average thread: some have none
            left[a, space] = words * terms * (slots // each)
            shuffles = slots * (1 - 1 / parts) if self.team.divides(space) else slots * (parts - 1).bit_length()
            total += words * (right + shuffles)
        return total + sum(left.values())

    def _right(self, b: Variable, output: Variable, space: tuple[int, ...], terms: int, slots: int) -> float:
        """Return how many loads a thread needs for each term of a column of the right side."""
        if not self._is_fixed(b):
            return 1.0
        shape, team = self.analysis.shape(b), self.team
        matches = prod(shape[:-2]) == 1 and b.dtype == output.dtype and _words(output) * slots <= MOST_OWN
        columns = own_columns(team, space, shape[-2], shape[-1]) if matches else None
        registers = 0 if columns is None else columns.size * _words(b)
        written_out = terms * slots * self.products <= MOST_WRITTEN_OUT
        if registers and written_out and self.registers + registers <= self.room:
            self.registers += registers
            return 0.0
        self._have_shared(4 * registers * columns.places(team) if columns else 0, self._bytes(b))
        return 1.0

    def _have_shared(self, columns: int, whole: int) -> None:
        """Count shared memory for a right side: so many bytes for threads' columns of it, or all of it."""
        most = self.gpu.shared_per_block // self.team.per_block
        if columns and self.team.kind != "warp" and self.shared + columns <= most * 3 // 4:
            self.shared += columns
        elif self.team.kind != "grid" and self.shared + whole <= most // 2:
            self.shared += whole
        else:
            self.fetched += max(columns * self.team.blocks, whole)
