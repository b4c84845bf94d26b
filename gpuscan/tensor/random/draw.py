"""The op of a random draw, and what runs it on an array module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from gpuscan.errors import ShapeError
from gpuscan.graph import Constant, Op, Shape, TensorType, Variable
from gpuscan.tensor.random.distributions import ANY, DISTRIBUTIONS, Distribution, Parameter
from gpuscan.tensor.random.sampling import Sampling
from gpuscan.tensor.random.state import STATE_TYPE, check_state
from gpuscan.tensor.random.words import Bits, DeviceBits, HostBits


@final
@dataclass(frozen=True)
class Draw(Op):
    """A sample of a distribution, as a function of a random state.

    Inputs are the state, the sizes of the batch axes, and the parameters, which broadcast to them. Outputs are the
    next state and the sample.

    Attributes
    ----------
    distribution : str
        Row of the table `DISTRIBUTIONS`.
    dtype : str
        Of the sample.
    axes : int or None
        How many sizes there are; None: the batch axes are those that the parameters have together.
    """

    distribution: str
    dtype: str
    axes: int | None

    @property
    def name(self) -> str:
        return self.distribution

    @property
    def spec(self) -> Distribution:
        """The row of the table."""
        return DISTRIBUTIONS[self.distribution]

    def split(self, values: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
        """Return the state, the sizes and the parameters among what belongs to the inputs."""
        count = 1 + (self.axes or 0)
        return values[0], list(values[1:count]), list(values[count:])

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        state, sizes, parameters = self.split(inputs)
        check_state(state, self.name)
        size: Shape | None = None if self.axes is None else tuple(v.known for v in sizes)
        try:
            batch, core, _ = self.spec.shapes(size, [v.type.shape for v in parameters])
        except ShapeError as error:
            given = ", ".join(f"{p.name}: {v.type}" for p, v in zip(self.spec.parameters, parameters, strict=True))
            raise ShapeError(f"{self.name}({given}): {error}") from None
        for parameter, v in zip(self.spec.parameters, parameters, strict=True):
            if isinstance(v, Constant):
                _check_domain(self.name, parameter, v.data)
        return STATE_TYPE, TensorType(self.dtype, (*batch, *core))


def _check_domain(name: str, parameter: Parameter, value: Any) -> None:
    """Raise ValueError if the values of a parameter, in NumPy, are not what the distribution is defined for."""
    if parameter.domain is ANY or not value.size:
        return
    low, high = (value, value) if value.ndim == 0 else (value.min(), value.max())
    if not parameter.domain.holds(low, high):
        found = low if not parameter.domain.holds(low, low) else high
        raise ValueError(f"{name}: {parameter.name} must be {parameter.domain.words}; found {found}")


class Functions:
    """The functions of an array module as attributes, each looked up once.

    Parameters
    ----------
    lookup : callable
        From a function's name to the function.
    """

    def __init__(self, lookup: Any) -> None:
        self._lookup = lookup

    def __getattr__(self, name: str) -> Any:
        found = self._lookup(name)
        setattr(self, name, found)
        return found


@final
class Drawer:
    """Runs a `Draw` on an array module: called with the values of its inputs, it returns those of its outputs.

    Parameters
    ----------
    op : Draw
        What to draw.
    xp : object
        The array module's functions, as attributes.
    host : bool
        Whether its arrays are NumPy's. Their values are checked, and what comes after a small draw is made ready.
    """

    def __init__(self, op: Draw, xp: Any, host: bool) -> None:
        self.op = op
        self.xp = xp
        self.host = host
        self.name, self.spec = op.name, op.spec
        self.parameters = op.spec.parameters
        self.checked = [(i, p) for i, p in enumerate(self.parameters) if p.domain is not ANY]
        self.scalar = all(p.rank == 0 for p in self.parameters)

    def __call__(self, *inputs: Any) -> tuple[Any, Any]:
        """Return the next state and the sample.

        Raises
        ------
        ValueError
            On the host, if a parameter is outside of its domain.
        """
        state, sizes, values = self.op.split(inputs)
        size = None if self.op.axes is None else tuple(_int(n) for n in sizes)
        batch, core, counted = self._shapes(size, values)
        if self.host:
            self._check(batch, values)
        following, bits = self._advance(state)
        count = math.prod(counted)
        sampling = Sampling(self.xp, bits, count, batch, self.op.dtype)
        arranged = [self._arranged(p, v, batch) for p, v in zip(self.parameters, values, strict=True)]
        sample = self.spec.sample(sampling, *arranged).reshape((*batch, *core))
        sample = sample if sample.dtype == self.op.dtype else sample.astype(self.op.dtype)
        return following, sample[()] if self.host and not sample.ndim else sample

    def _shapes(self, size: tuple[int, ...] | None, values: Sequence[Any]) -> tuple[Any, Any, Any]:
        if self.scalar:  # the common cases, without what takes longer than to draw a few numbers
            shapes = {v.shape for v in values if v.ndim}
            if size is None and len(shapes) <= 1:
                batch = shapes.pop() if shapes else ()
                return batch, (), batch
            if size is not None and (shapes == {size} or (not shapes and min(size, default=0) >= 0)):
                return size, (), size
        try:
            return self.spec.shapes(size, [v.shape for v in values])
        except ShapeError as error:
            given = ", ".join(f"{p.name}: {v.shape}" for p, v in zip(self.parameters, values, strict=True))
            raise ShapeError(f"{self.name}({given}): {error}") from None

    def _check(self, batch: tuple[int, ...], values: Sequence[Any]) -> None:
        for i, parameter in self.checked:
            _check_domain(self.name, parameter, values[i])
        if self.spec.check is not None and (wrong := self.spec.check(batch, *values)):
            raise ValueError(f"{self.name}: {wrong}")

    def _advance(self, state: Any) -> tuple[Any, Bits]:
        if state.shape != (2,):
            raise ShapeError(f"{self.name}: a random state has 2 elements; found {state.shape}")
        if not self.host:
            following = state.copy()
            following[1:] += 1
            return following, DeviceBits(self.xp, state)
        key, draw = state.tolist()
        return np.array((key, (draw + 1) & 0xFFFFFFFFFFFFFFFF), np.uint64), HostBits(key, draw)

    def _arranged(self, parameter: Parameter, value: Any, batch: tuple[int, ...]) -> Any:
        """Return a parameter with one batch axis before its others; a scalar, and one that is read whole, as it is."""
        if parameter.rank is None or not value.ndim:
            return value
        outer, inner = parameter.split(value.shape)
        if outer != batch:
            value = self.xp.broadcast_to(value, (*batch, *inner))
        return value if len(batch) == 1 else value.reshape((math.prod(batch), *inner))


def _int(size: Any) -> int:
    return int(size.get() if hasattr(size, "get") else size)
