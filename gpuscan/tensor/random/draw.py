"""The op of a random draw, and what runs it on an array module."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
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
    low, high = (np.minimum.reduce(value, None), np.maximum.reduce(value, None)) if value.ndim else (value, value)
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
    constant : collection of int
        Positions of parameters that are constants, which were checked when the graph was built.
    """

    def __init__(self, op: Draw, xp: Any, host: bool, constant: Collection[int] = ()) -> None:
        self.op = op
        self.xp = xp
        self.host = host
        self.name, self.spec = op.name, op.spec
        self.parameters = op.spec.parameters
        self.checked = [(i, p) for i, p in enumerate(self.parameters) if p.domain is not ANY and i not in constant]
        self.scalar = all(p.rank == 0 for p in self.parameters)
        self.first = 1 + (op.axes or 0)
        self.real = np.float32 if op.dtype == "float32" else np.float64

    def __call__(self, *inputs: Any) -> tuple[Any, Any]:
        """Return the next state and the sample.

        Raises
        ------
        ValueError
            On the host, if a parameter is outside of its domain.
        """
        values: Sequence[Any] = inputs[self.first :]
        size = None
        if self.op.axes is not None:
            size = tuple(map(int if self.host else _on_host, inputs[1 : self.first]))
        batch, core, counted, arranged = self._shapes(size, values)
        if self.host:
            self._check(batch, values)
        following, bits = self._advance(inputs[0])
        sampling = Sampling(self.xp, bits, math.prod(counted), batch, self.real)
        if not arranged:
            values = [self._arranged(p, v, batch) for p, v in zip(self.parameters, values, strict=True)]
        sample = self.spec.sample(sampling, *values).reshape((*batch, *core))
        sample = sample.astype(self.op.dtype)  # a copy at any rate: what is kept ready is not given out
        return following, sample[()] if self.host and not sample.ndim else sample

    def _shapes(self, size: tuple[int, ...] | None, values: Sequence[Any]) -> tuple[Any, Any, Any, bool]:
        """Return the batch axes, the others, the axes of elements, and whether the parameters are arranged already."""
        if self.scalar:  # the common cases, without what takes longer than to draw a few numbers
            shapes = {v.shape for v in values if v.ndim}
            batch = size if size is not None else next(iter(shapes), ())
            if not shapes - {batch} and min(batch, default=0) >= 0:
                return batch, (), batch, not shapes or len(batch) == 1
        try:
            return *self.spec.shapes(size, [v.shape for v in values]), False
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


def _on_host(size: Any) -> int:
    return int(size.get() if hasattr(size, "get") else size)
