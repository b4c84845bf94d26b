"""Variables, and the nodes that compute them. Nothing here changes once made, except a variable's name."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph.location import Location, user_location
from gpuscan.graph.operators import Operators
from gpuscan.graph.pickling import output_of, reduce_node
from gpuscan.graph.scope import MADE
from gpuscan.graph.types import Shape, TensorType, type_of

_set = object.__setattr__


class Unchanging:
    """What keeps its attributes once made: a graph that somebody holds cannot change under them."""

    __slots__ = ()
    CHANGEABLE: ClassVar[frozenset[str]] = frozenset()

    def __setattr__(self, attribute: str, value: Any) -> None:
        if attribute not in self.CHANGEABLE:
            raise AttributeError(
                f"{type(self).__name__}.{attribute} cannot be set: it never changes; build another one"
            )
        _set(self, attribute, value)

    def _initialise(self, **attributes: Any) -> None:
        for attribute, value in attributes.items():
            _set(self, attribute, value)


class Variable(Unchanging, Operators):
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
        Its value, where it is an integer or boolean scalar that follows from types and constants alone. Shapes are
        worked out with it: ``zeros((x.shape[0], 2 * 3))`` has a type that says 6.
    """

    __slots__ = ("__weakref__", "index", "known", "name", "owner", "type")
    CHANGEABLE = frozenset({"name"})

    type: TensorType
    name: str | None
    owner: Apply | None
    index: int
    known: int | None

    def __init__(
        self,
        type: TensorType,
        name: str | None = None,
        *,
        owner: Apply | None = None,
        index: int = 0,
        known: int | None = None,
    ) -> None:
        # Not through _initialise: graphs are made of thousands of these.
        _set(self, "type", type)
        _set(self, "name", name)
        _set(self, "owner", owner)
        _set(self, "index", index)
        _set(self, "known", known)

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

    def __reduce__(self) -> tuple[Any, ...]:
        if self.owner is not None:
            return output_of, (self.owner, self.index)
        return _parameter, (self.type, self.name, self.known)

    def __repr__(self) -> str:
        return f"<{self.name or (self.owner.op if self.owner else type(self).__name__)}: {self.type}>"


def _parameter(type: TensorType, name: str | None, known: int | None) -> Variable:
    return Variable(type, name, known=known)


@final
class Constant(Variable):
    """A value that is part of the graph. `data` is a read-only NumPy array."""

    __slots__ = ("data",)

    data: np.ndarray

    def __init__(self, data: np.ndarray | np.generic, name: str | None = None) -> None:
        # In the machine's byte order: a dtype's name does not tell, and kernels read nothing else.
        data = np.array(data, dtype=data.dtype.newbyteorder("="))
        data.flags.writeable = False
        is_integer = data.ndim == 0 and data.dtype.kind in "biu"
        super().__init__(type_of(data), name, known=int(data) if is_integer else None)
        _set(self, "data", data)

    def __reduce__(self) -> tuple[Any, ...]:
        return Constant, (self.data, self.name)  # not by its slots: arrays forget that they are read-only

    def __repr__(self) -> str:
        return f"<{self.data if self.ndim == 0 else self.name or 'constant'}: {self.type}>"


@final
class SharedVariable(Variable):
    """A value that functions share and update; `Function` calls read it, `updates` change it.

    Attributes
    ----------
    default_update : Variable or None
        What functions update it to where neither ``updates`` nor ``no_default_updates`` names it. It belongs to the
        session: a copy that is unpickled has none.
    lock : RLock
        Held by a call that updates it, from reading the old value to storing the new one.
    """

    __slots__ = ("_value", "default_update", "lock")
    CHANGEABLE = frozenset({"_value", "default_update", "name", "storage"})

    lock: threading.RLock

    def __init__(self, value: np.ndarray, name: str | None = None, shape: Shape | None = None) -> None:
        super().__init__(TensorType(value.dtype.name, (None,) * value.ndim if shape is None else shape), name)
        self._check_shape(value)
        self._value: Any = value
        self.default_update: Variable | None = None
        _set(self, "lock", threading.RLock())

    def get_value(self, borrow: bool = False) -> np.ndarray:
        """Return the value as a NumPy array: a copy, or with `borrow` the array itself where that is possible."""
        value: np.ndarray = _on_host(self._value)
        return value if borrow or value is not self._value else value.copy()

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Replace the value by a copy of `value`, or with `borrow` by `value` itself where that is possible.

        Raises
        ------
        DtypeError
            If `value` is of another kind (a float for an integer), or an integer that does not fit.
        ShapeError
            If `value` has another rank, or another size along an axis whose size is fixed.
        """
        array = self._converted(value, borrow)
        self._check_shape(array)
        with self.lock:  # not in the middle of a call that updates it
            self.storage = array

    def _converted(self, value: Any, borrow: bool) -> np.ndarray:
        given = np.asarray(_on_host(value))
        whole = given.dtype.kind in "biu"
        if whole or (given.dtype.kind in "fc" and np.can_cast(given.dtype, self.dtype, "same_kind")):
            array = np.array(given, dtype=self.dtype, copy=None if borrow else True)
            if array.dtype.kind not in "biu" or np.array_equal(array, given):
                return array
        raise DtypeError(f"shared variable {self.name!r} is {self.type}; set_value got {given.dtype}: {value!r:.60}")

    def _check_shape(self, array: np.ndarray) -> None:
        if not self.type.accepts(type_of(array)):
            raise ShapeError(f"shared variable {self.name!r} is {self.type}; its value cannot be {type_of(array)}")

    @property
    def storage(self) -> Any:
        """The array itself, on whichever device a function left it."""
        return self._value

    @storage.setter
    def storage(self, value: Any) -> None:
        self._value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedVariable, (self.get_value(), self.name, self.type.shape)


def _on_host(value: Any) -> Any:
    """Return an array on a GPU copied to the host, and anything else as it is."""
    return value.get() if hasattr(value, "get") and hasattr(value, "dtype") else value


class Op(ABC):
    """What a node does. Ops are frozen dataclasses of static parameters, so that they compare and hash by value."""

    @property
    def name(self) -> str:
        """Short name for people."""
        return type(self).__name__.lower()

    @property
    def effect(self) -> bool:
        """Whether it does something besides computing its outputs: it stays where it was written, and once a node."""
        return False

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


def _as_well_known(new: Variable, old: Variable) -> bool:
    """Whether ops infer the same from two variables: they look at types, known values, and constants."""
    if new is old:
        return True
    same = (new.type is old.type or new.type == old.type) and new.known == old.known
    return same and not isinstance(new, Constant) and not isinstance(old, Constant)


@final
class Apply(Unchanging):
    """One op applied to inputs; `outputs` are its results, `where` the user's line that made it."""

    __slots__ = ("__weakref__", "inputs", "op", "outputs", "where")

    op: Op
    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]
    where: Location

    def __init__(self, op: Op, inputs: Sequence[Variable], where: Location | None = None) -> None:
        inputs = tuple(inputs)
        self._make(op, inputs, where, op.infer(inputs), op.known(inputs))

    def _make(
        self,
        op: Op,
        inputs: tuple[Variable, ...],
        where: Location | None,
        types: Sequence[TensorType],
        known: int | None,
    ) -> None:
        _set(self, "op", op)
        _set(self, "inputs", inputs)
        _set(self, "where", where or user_location())
        outputs = [Variable(t, owner=self, index=i, known=known if i == 0 else None) for i, t in enumerate(types)]
        _set(self, "outputs", tuple(outputs))
        if (made := MADE.get()) is not None:
            made.append(self)

    def with_inputs(self, inputs: Sequence[Variable]) -> Apply:
        """Return a node of the same op and origin over other inputs, types inferred anew where they may be others."""
        inputs = tuple(inputs)
        if not all(map(_as_well_known, inputs, self.inputs)):
            return Apply(self.op, inputs, self.where)
        types, known = [v.type for v in self.outputs], self.outputs[0].known if self.outputs else None
        node = Apply.__new__(Apply)
        node._make(self.op, inputs, self.where, types, known)
        return node

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_node(self)

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(repr, self.inputs))})"
