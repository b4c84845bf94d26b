"""Variables, and the nodes that compute them. Nothing here changes once made, except a variable's name."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from gpuscan.errors import ShapeError
from gpuscan.graph.location import Location, user_location
from gpuscan.graph.operators import Operators
from gpuscan.graph.types import Shape, TensorType, type_of


class Variable(Operators):
    """A value in a graph: a parameter (`owner` is None) or result number `index` of a node.

    Attributes
    ----------
    type : TensorType
        Dtype and known part of the shape.
    owner : Apply or None
        The node that computes it.
    index : int
        Which of the owner's outputs it is.
    name : str or None
        For people; it may be changed and carries no meaning.
    known : int or None
        Its value, where it is an integer scalar that follows from types and constants alone. Shapes are worked out
        with it: ``zeros((x.shape[0], 2 * 3))`` has a type that says 6.
    """

    __slots__ = ("__weakref__", "index", "known", "name", "owner", "type")

    def __init__(
        self,
        type: TensorType,
        name: str | None = None,
        *,
        owner: Apply | None = None,
        index: int = 0,
        known: int | None = None,
    ) -> None:
        self.type = type
        self.name = name
        self.owner = owner
        self.index = index
        self.known = known

    @property
    def dtype(self) -> str:
        """Name of its element type."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.type.ndim

    @property
    def static_shape(self) -> Shape:
        """The known part of its shape, None for each size that is not known."""
        return self.type.shape

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """For each axis, whether its size is known to be 1."""
        return tuple(size == 1 for size in self.type.shape)

    def __repr__(self) -> str:
        return f"<{self.name or (self.owner.op if self.owner else type(self).__name__)}: {self.type}>"


@final
class Constant(Variable):
    """A value that is part of the graph. `data` is a read-only NumPy array."""

    __slots__ = ("data",)

    def __init__(self, data: np.ndarray, name: str | None = None) -> None:
        data = np.array(data)
        data.flags.writeable = False
        is_integer = data.ndim == 0 and data.dtype.kind in "iu"
        super().__init__(type_of(data), name, known=int(data) if is_integer else None)
        self.data = data

    def __repr__(self) -> str:
        return f"<{self.data if self.ndim == 0 else self.name or 'constant'}: {self.type}>"


@final
class SharedVariable(Variable):
    """A value that functions share and update; `Function` calls read it, `updates` change it."""

    __slots__ = ("_lock", "_value")

    def __init__(self, value: np.ndarray, name: str | None = None, shape: Shape | None = None) -> None:
        super().__init__(TensorType(value.dtype.name, (None,) * value.ndim if shape is None else shape), name)
        self._value: Any = value
        self._lock = threading.Lock()

    def get_value(self, borrow: bool = False) -> np.ndarray:
        """Return the value as a NumPy array: a copy, or with `borrow` the array itself where that is possible."""
        value = self._value
        if hasattr(value, "get"):  # an array on a GPU: .get() copies it to the host
            return np.asarray(value.get())
        return value if borrow else value.copy()

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Replace the value.

        Raises
        ------
        DtypeError
            If `value` does not convert to the variable's dtype without loss of kind.
        ShapeError
            If `value` has another rank, or another size along an axis whose size is fixed.
        """
        array = np.array(value, dtype=self.dtype, copy=None if borrow else True)
        if not self.type.accepts(type_of(array)):
            raise ShapeError(f"shared variable {self.name!r} is {self.type}; set_value got {type_of(array)}")
        self.storage = array

    @property
    def storage(self) -> Any:
        """The array itself, on whichever device a function left it."""
        return self._value

    @storage.setter
    def storage(self, value: Any) -> None:
        with self._lock:
            self._value = value

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "shape": self.type.shape, "value": self.get_value()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["value"], state["name"], state["shape"])  # type: ignore[misc]


class Op(ABC):
    """What a node does. Ops are frozen dataclasses of static parameters, so that they compare and hash by value."""

    @property
    def name(self) -> str:
        """Short name for people."""
        return type(self).__name__.lower()

    @abstractmethod
    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        """Return the types of the outputs, or raise DtypeError or ShapeError in the words of what the user wrote."""

    def known(self, inputs: Sequence[Variable]) -> int | None:
        """Return the (first) output's value where it is an integer that follows from types and constants."""
        return None

    def apply(self, *inputs: Variable) -> tuple[Variable, ...]:
        """Make a node and return its outputs."""
        return Apply(self, inputs).outputs

    def __call__(self, *inputs: Variable) -> Variable:
        """Make a node of an op with one output, and return that."""
        (output,) = self.apply(*inputs)
        return output

    def __str__(self) -> str:
        return self.name


@final
class Apply:
    """One op applied to inputs; `outputs` are its results, `where` the user's line that made it."""

    __slots__ = ("__weakref__", "inputs", "op", "outputs", "where")

    def __init__(self, op: Op, inputs: Sequence[Variable], where: Location | None = None) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.where = where or user_location()
        types = op.infer(self.inputs)
        known = op.known(self.inputs)
        self.outputs = tuple(
            Variable(t, owner=self, index=i, known=known if i == 0 else None) for i, t in enumerate(types)
        )

    def with_inputs(self, inputs: Sequence[Variable]) -> Apply:
        """Return a node of the same op and origin over other inputs, types inferred anew."""
        return Apply(self.op, inputs, self.where)

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(repr, self.inputs))})"
