"""What looks at values while a graph runs: assertions, prints, and shapes that are promised.

Each returns its first operand unchanged, and does its work when that result is computed: inside a step at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Op, Shape, TensorType, Variable, merge_shapes
from gpuscan.tensor.convert import as_tensor_variable, cast
from gpuscan.tensor.sizes import as_sizes

# ---- the ops ----


@final
@dataclass(frozen=True)
class Assert(Op):
    """First input, where all elements of the others are true; else `message` is raised as an AssertionError.

    ``Assert("the rate must be positive")(rate, rate > 0)`` is the rate.
    """

    message: str = "an assertion does not hold"

    @property
    def effect(self) -> bool:
        return True

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (inputs[0].type,)

    def __call__(self, *inputs: Any) -> Variable:
        """Return the first input; it is computed only if all elements of the others, one or more, are true."""
        value, *conditions = inputs
        if not conditions:
            raise TypeError("an assertion needs a condition: Assert(message)(value, condition)")
        (output,) = self.apply(as_tensor_variable(value), *(_condition(c) for c in conditions))
        return output


def _condition(condition: Any) -> Variable:
    try:
        return cast(as_tensor_variable(condition), "bool")
    except DtypeError as error:
        raise DtypeError(f"an assertion's condition cannot be used: {error}") from None


@final
@dataclass(frozen=True)
class Print(Op):
    """Its input, printed on standard output whenever it is computed: `message`, an attribute's name, ``=``, its value.

    Attributes
    ----------
    message : str
        What stands in front.
    attrs : tuple of str
        Attributes and methods of arrays, each printed on a line of its own: ``"shape"``, ``"min"``, ``"max"``.
    """

    message: str = ""
    attrs: tuple[str, ...] = ("__str__",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attrs", tuple(self.attrs))

    @property
    def effect(self) -> bool:
        return True

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (inputs[0].type,)

    def __call__(self, *inputs: Any) -> Variable:
        """Return the input; wherever the result is computed it is printed."""
        (value,) = inputs
        (output,) = self.apply(as_tensor_variable(value))
        return output


@final
@dataclass(frozen=True)
class SpecifyShape(Op):
    """First input, whose sizes along `axes` must be what the others say."""

    axes: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"specify_shape[{', '.join(map(str, self.axes))}]"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        x, *sizes = inputs
        promised: Shape = tuple(
            sizes[self.axes.index(axis)].known if axis in self.axes else None for axis in range(x.ndim)
        )
        try:
            shape = merge_shapes([x.type.shape, promised])
        except ShapeError as error:
            raise ShapeError(f"specify_shape: {x.name or 'an array'} is {x.type}, not {promised}: {error}") from None
        return (TensorType(x.dtype, shape),)

    def known(self, inputs: Sequence[Variable]) -> int | None:
        return inputs[0].known


# ---- what users call ----


def assert_op(value: Any, *conditions: Any, msg: str = Assert.message) -> Variable:
    """Return `value`; computing it raises an AssertionError with `msg` unless all elements of `conditions` are true.

    Parameters
    ----------
    value : array_like
        What to return. The assertion is made where this result is computed, so use the result.
    *conditions : array_like
        What must hold.
    msg : str
        What the error says. Inside a loop it also names the loop and the step.
    """
    return Assert(msg)(value, *conditions)


def specify_shape(x: Any, shape: Any) -> Variable:
    """Return `x` as having shape `shape`: graphs and kernels are made for these sizes, and a call checks them.

    Parameters
    ----------
    x : array_like
        What has the shape.
    shape : sequence of int, integer scalar or None, or integer vector
        Its sizes; None for one that nothing is said of.

    Raises
    ------
    ShapeError
        If `x` cannot have that shape.
    """
    x = as_tensor_variable(x)
    entries = list(shape) if isinstance(shape, tuple | list) else shape
    entries = entries if isinstance(entries, list) else as_sizes(shape, "specify_shape", ndim=x.ndim)
    if len(entries) != x.ndim:
        raise ShapeError(f"specify_shape: {x.name or 'an array'} is {x.type}; {len(entries)} sizes are not its shape")
    said = {axis: as_sizes(entry, "specify_shape")[0] for axis, entry in enumerate(entries) if entry is not None}
    unsure = {axis: size for axis, size in said.items() if size.known is None or size.known != x.type.shape[axis]}
    return SpecifyShape(tuple(unsure))(x, *unsure.values()) if unsure else x


# ---- what they do, on arrays of any module ----


def checked(value: Any, message: str, where: str, *conditions: Any) -> Any:
    """Return `value`, or raise AssertionError if an element of `conditions` is false."""
    if all(condition.all() for condition in conditions):
        return value
    raise AssertionError(assertion_text(message, where))


def assertion_text(message: str, where: str) -> str:
    """Return what an assertion that does not hold says, wherever it was made and runs."""
    return f"{message} (asserted at {where})"


def printed(value: Any, message: str, attrs: Sequence[str]) -> Any:
    """Return `value`, after printing it."""
    for name in attrs:
        attribute = getattr(value, name)
        print(message, name, "=", attribute() if callable(attribute) else attribute)
    return value


def of_shape(value: Any, axes: Sequence[int], sizes: Sequence[Any], where: str) -> Any:
    """Return `value`, or raise ShapeError if its sizes along `axes` are not `sizes`."""
    wanted = [int(size) for size in sizes]
    for axis, size in zip(axes, wanted, strict=True):
        if value.shape[axis] != size:
            raise ShapeError(
                f"specify_shape: axis {axis} must have size {size}; found shape {tuple(value.shape)} (made at {where})"
            )
    return value
