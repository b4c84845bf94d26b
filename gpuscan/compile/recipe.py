"""What a compiled function is made from, whatever the device: what it is pickled as, and copied by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

from gpuscan.compile.arguments import Structure
from gpuscan.compile.ends import Input
from gpuscan.errors import DtypeError
from gpuscan.graph import Graph, SharedVariable
from gpuscan.mode import Mode
from gpuscan.rewrite import Cost, PassRun


@final
@dataclass(frozen=True)
class Recipe:
    """A function before it is compiled for a device.

    Attributes
    ----------
    inputs : tuple of Input
        What calls pass: the first parameters of the graph.
    shared : tuple of SharedVariable
        The other parameters.
    updated : tuple of SharedVariable
        What the last outputs of the graph are new values of.
    structure : Structure
        The form of what calls return.
    graph : Graph
        What is computed.
    mode : Mode
        What the function was compiled with.
    device : str or None
        Where it was asked to run; None for ``config.device``.
    placement : str
        Where outputs are.
    name : str or None
        For people.
    written : mapping of str to Cost
        What each loop cost before the rewrites.
    rewrites : tuple of PassRun
        What was done to the graph.
    """

    inputs: tuple[Input, ...]
    shared: tuple[SharedVariable, ...]
    updated: tuple[SharedVariable, ...]
    structure: Structure
    graph: Graph
    mode: Mode
    device: str | None
    placement: str
    name: str | None
    written: Mapping[str, Cost]
    rewrites: tuple[PassRun, ...] = ()

    def with_own_defaults(self) -> Recipe:
        """Return the recipe of a copy, whose inputs' own values change without those of the original changing."""
        own = {i.default: _copy(i.default) for i in self.inputs if i.default is not None and i.owns_default}
        return _with_shared(self, own)


def swapped(recipe: Recipe, swap: Mapping[SharedVariable, SharedVariable]) -> Recipe:
    """Return the recipe with shared variables in place of others.

    Raises
    ------
    TypeError
        If `swap` is no mapping.
    ValueError
        If one of the others is not in it.
    DtypeError
        If two are of different types.
    """
    if not isinstance(swap, Mapping):
        raise TypeError(f"copy: swap must be a dict from shared variables to shared variables; found {swap!r}")
    found = {*recipe.shared, *recipe.updated, *(i.default for i in recipe.inputs)}
    for old, new in swap.items():
        if old not in found:
            raise ValueError(f"copy: swap names {old!r}, which is no shared variable of the function")
        if not isinstance(new, SharedVariable) or not old.type.accepts(new.type):
            raise DtypeError(f"copy: swap puts {new!r} in place of {old!r}, a shared variable of type {old.type}")
    return _with_shared(recipe, swap)


def _with_shared(recipe: Recipe, new: Mapping[SharedVariable, SharedVariable]) -> Recipe:
    defaults = [i.default if i.default is None else new.get(i.default, i.default) for i in recipe.inputs]
    return replace(
        recipe,
        inputs=tuple(replace(i, default=d) for i, d in zip(recipe.inputs, defaults, strict=True)),
        shared=tuple(new.get(s, s) for s in recipe.shared),
        updated=tuple(new.get(s, s) for s in recipe.updated),
    )


def _copy(shared: SharedVariable) -> SharedVariable:
    return SharedVariable(shared.get_value(), shared.name, shared.type.shape)
