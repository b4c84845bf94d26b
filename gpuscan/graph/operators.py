"""Python's operators and array methods on variables.

The graph knows that variables have operators, not what they mean: `gpuscan.tensor` fills `MEANING` when it is imported.
So variables can be written about with ordinary syntax while this layer stays free of any operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

MEANING: dict[str, Callable[..., Any]] = {}

def _method(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return MEANING[name](self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Return ``gpuscan.tensor.{name}`` of this variable."
    return method


class Operators:
    """Every operator and method of a variable that builds more graph."""

    __slots__ = ()
    # `==` compares identity, as dictionaries of variables need; `gpuscan.tensor.eq` compares values.

    def __add__(self, other: Any) -> Any:
        return MEANING["add"](self, other)

    def __radd__(self, other: Any) -> Any:
        return MEANING["add"](other, self)

    def __sub__(self, other: Any) -> Any:
        return MEANING["sub"](self, other)

    def __rsub__(self, other: Any) -> Any:
        return MEANING["sub"](other, self)

    def __mul__(self, other: Any) -> Any:
        return MEANING["mul"](self, other)

    def __rmul__(self, other: Any) -> Any:
        return MEANING["mul"](other, self)

    def __truediv__(self, other: Any) -> Any:
        return MEANING["true_div"](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return MEANING["true_div"](other, self)

    def __floordiv__(self, other: Any) -> Any:
        return MEANING["floor_div"](self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return MEANING["floor_div"](other, self)

    def __mod__(self, other: Any) -> Any:
        return MEANING["mod"](self, other)

    def __rmod__(self, other: Any) -> Any:
        return MEANING["mod"](other, self)

    def __divmod__(self, other: Any) -> Any:
        return MEANING["floor_div"](self, other), MEANING["mod"](self, other)

    def __pow__(self, other: Any) -> Any:
        return MEANING["power"](self, other)

    def __rpow__(self, other: Any) -> Any:
        return MEANING["power"](other, self)

    def __matmul__(self, other: Any) -> Any:
        return MEANING["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return MEANING["matmul"](other, self)

    def __and__(self, other: Any) -> Any:
        return MEANING["bitwise_and"](self, other)

    def __rand__(self, other: Any) -> Any:
        return MEANING["bitwise_and"](other, self)

    def __or__(self, other: Any) -> Any:
        return MEANING["bitwise_or"](self, other)

    def __ror__(self, other: Any) -> Any:
        return MEANING["bitwise_or"](other, self)

    def __xor__(self, other: Any) -> Any:
        return MEANING["bitwise_xor"](self, other)

    def __rxor__(self, other: Any) -> Any:
        return MEANING["bitwise_xor"](other, self)

    def __lshift__(self, other: Any) -> Any:
        return MEANING["left_shift"](self, other)

    def __rshift__(self, other: Any) -> Any:
        return MEANING["right_shift"](self, other)

    def __invert__(self) -> Any:
        return MEANING["invert"](self)

    def __neg__(self) -> Any:
        return MEANING["neg"](self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return MEANING["abs"](self)

    def __lt__(self, other: Any) -> Any:
        return MEANING["lt"](self, other)

    def __le__(self, other: Any) -> Any:
        return MEANING["le"](self, other)

    def __gt__(self, other: Any) -> Any:
        return MEANING["gt"](self, other)

    def __ge__(self, other: Any) -> Any:
        return MEANING["ge"](self, other)

    def __getitem__(self, item: Any) -> Any:
        return MEANING["index"](self, item)

    def __iter__(self) -> Iterator[Any]:
        return iter(MEANING["unpack"](self))

    def __len__(self) -> int:
        return int(MEANING["length"](self))

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} has no truth value while the graph is built: its value is not known yet. "
            "Use gpuscan.tensor.switch(condition, a, b) in place of `if`, and & | ~ in place of and, or, not."
        )

    def __int__(self) -> int:
        raise TypeError(f"{self!r} has no value while the graph is built; call .eval() or a compiled function for one")

    __index__ = __float__ = __complex__ = __int__  # type: ignore[assignment]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return MEANING["numpy_ufunc"](ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return MEANING["numpy_function"](function, args, kwargs)

    @property
    def shape(self) -> Any:
        """Its sizes, an integer vector whose elements may be unpacked."""
        return MEANING["shape"](self)

    @property
    def size(self) -> Any:
        """Its number of elements, an integer scalar."""
        return MEANING["size"](self)

    @property
    def T(self) -> Any:
        """It with its axes in reverse order."""
        return MEANING["transpose"](self)

    @property
    def real(self) -> Any:
        """Its real part."""
        return MEANING["real"](self)

    @property
    def imag(self) -> Any:
        """Its imaginary part."""
        return MEANING["imag"](self)

    def set(self, value: Any) -> Any:
        """Return ``x`` with this part of it replaced, for ``x[item].set(value)``."""
        return MEANING["set_subtensor"](self, value)

    def inc(self, value: Any) -> Any:
        """Return ``x`` with `value` added to this part of it, for ``x[item].inc(value)``."""
        return MEANING["inc_subtensor"](self, value)

    def eval(self, inputs_to_values: Any = None, **options: Any) -> Any:
        """Compile a function for this variable alone and return its value; `inputs_to_values` maps inputs to arrays."""
        return MEANING["eval"](self, inputs_to_values, **options)

    sum = _method("sum")
    prod = _method("prod")
    max = _method("max")
    min = _method("min")
    mean = _method("mean")
    var = _method("var")
    std = _method("std")
    any = _method("any")
    all = _method("all")
    argmax = _method("argmax")
    argmin = _method("argmin")
    dot = _method("dot")
    reshape = _method("reshape")
    dimshuffle = _method("dimshuffle")
    transpose = _method("transpose")
    flatten = _method("flatten")
    ravel = _method("ravel")
    squeeze = _method("squeeze")
    repeat = _method("repeat")
    astype = _method("astype")
    clip = _method("clip")
    round = _method("round")
    conj = _method("conj")
