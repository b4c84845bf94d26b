"""Products of several matrices with one: inside a loop they are one product where NumPy takes less time for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import Any

import numpy as np

from gpuscan.graph import Apply, Variable
from gpuscan.tensor.products import MatMul

FEWEST_TERMS = 2**20
"""Products of two numbers in one matrix product, above which several are stacked: OpenBLAS has kernels of their own for
smaller products (up to 100 ** 3), which need not read the right side in an order of their own first."""

ROWS = range(2, 33)
"""Rows of one left side for which stacking is a gain: a vector is quicker alone, and of many rows each product reads
the right side about as often as it has to."""

LEAST_RIGHT_SIDE = FEWEST_TERMS // ROWS[-1]
"""Elements of a right side above which products with it may be stacked."""


def write_order(nodes: Sequence[Apply]) -> Iterator[Sequence[Apply]]:
    """Yield nodes in an order in which they can be computed, products that can be stacked together.

    Products of matrices with the same right side are stacked if none needs another: if as many products have to be
    computed before each of them. All other nodes are yielded alone.
    """
    if not _is_shared([_key(node) for node in nodes]) or any(node.op.effect for node in nodes):
        yield from ([node] for node in nodes)
        return
    levels: dict[Variable, int] = {}
    placed: list[tuple[int, bool, Apply]] = []
    for node in nodes:
        is_product = _key(node) is not None
        level = max((levels.get(v, 0) for v in node.inputs), default=0) + is_product
        levels.update(dict.fromkeys(node.outputs, level))
        placed.append((level, not is_product, node))
    placed.sort(key=lambda entry: entry[:2])  # products first: what else is on their level may need them
    for (_, alone), entries in groupby(placed, key=lambda entry: entry[:2]):
        found = [node for *_, node in entries]
        yield from ([node] for node in found) if alone else _by_right_side(found)


def _key(node: Apply) -> Any:
    """Return what products have in common that can be stacked; None for a node that cannot."""
    if not isinstance(node.op, MatMul):
        return None
    left, right = node.inputs
    rows, size = left.type.shape[0], right.type.size
    never = (rows is not None and rows not in ROWS) or (size is not None and size <= LEAST_RIGHT_SIDE)
    return None if never or (left.ndim, right.ndim) != (2, 2) else (right, left.dtype)


def _is_shared(keys: Sequence[Any]) -> bool:
    there = [key for key in keys if key is not None]
    return len(set(there)) < len(there)


def _by_right_side(products: Sequence[Apply]) -> Iterator[Sequence[Apply]]:
    groups: dict[Any, list[Apply]] = {}
    for node in products:
        groups.setdefault(_key(node), []).append(node)
    yield from groups.values()


def stacked_products(right: Any, *lefts: Any) -> list[Any]:
    """Return the product of each matrix in `lefts` with `right`."""
    size, rows = right.size, [len(left) for left in lefts]
    for n in rows:
        if n * size <= FEWEST_TERMS or n not in ROWS:
            return [left @ right for left in lefts]
    whole = np.concatenate(lefts) @ right
    return [whole[end - n : end] for n, end in zip(rows, accumulate(rows), strict=True)]
