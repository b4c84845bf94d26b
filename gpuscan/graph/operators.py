"""Python's operators and array methods on variables.

The graph knows that variables have operators, not what they mean: `gpuscan.tensor` fills `MEANING` when it is imported.
So variables can be written about with ordinary syntax while this layer stays free of any operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from gpuscan.graph.variable import Variable

MEANING: dict[str, Callable[..., Any]] = {}

STATE_METHODS: dict[str, Callable[[Any], Callable[..., Any]]] = {}
"""Methods that random states have and other variables have not: from the variable to its method."""


def _build(name: str, *args: Any, **kwargs: Any) -> Variable:
    result: Variable = MEANING[name](*args, **kwargs)
    return result


def _operator(name: str) -> Callable[..., Variable]:
    def operator(self: Variable, *other: Any) -> Variable:
        return _build(name, self, *other)

    return operator


def _reflected(name: str) -> Callable[..., Variable]:
    def operator(self: Variable, other: Any) -> Variable:
        return _build(name, other, self)

    return operator


def _method(name: str) -> Callable[..., Variable]:
    def method(self: Variable, *args: Any, **kwargs: Any) -> Variable:
        return _build(name, self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Return ``gpuscan.tensor.{name}`` of this variable."
    return method


class Operators:
    """Every operator and method of a variable that builds more graph."""

    __slots__ = ()

    # `==` compares identity, as dictionaries of variables need; `gpuscan.tensor.eq` compares values.
    __lt__ = _operator("lt")
    __le__ = _operator("le")
    __gt__ = _operator("gt")
    __ge__ = _operator("ge")

    __neg__ = _operator("neg")
    __abs__ = _operator("abs")
    __invert__ = _operator("invert")
    __add__, __radd__ = _operator("add"), _reflected("add")
    __sub__, __rsub__ = _operator("sub"), _reflected("sub")
    __mul__, __rmul__ = _operator("mul"), _reflected("mul")
    __truediv__, __rtruediv__ = _operator("true_div"), _reflected("true_div")
    __floordiv__, __rfloordiv__ = _operator("floor_div"), _reflected("floor_div")
    __mod__, __rmod__ = _operator("mod"), _reflected("mod")
    __pow__, __rpow__ = _operator("power"), _reflected("power")
    __matmul__, __rmatmul__ = _operator("matmul"), _reflected("matmul")
    __and__, __rand__ = _operator("bitwise_and"), _reflected("bitwise_and")
    __or__, __ror__ = _operator("bitwise_or"), _reflected("bitwise_or")
    __xor__, __rxor__ = _operator("bitwise_xor"), _reflected("bitwise_xor")
    __lshift__, __rlshift__ = _operator("left_shift"), _reflected("left_shift")
    __rshift__, __rrshift__ = _operator("right_shift"), _reflected("right_shift")

    def __divmod__(self, other: Any) -> tuple[Variable, Variable]:
        return MEANING["floor_div"](self, other), MEANING["mod"](self, other)

    def __rdivmod__(self, other: Any) -> tuple[Variable, Variable]:
        return MEANING["floor_div"](other, self), MEANING["mod"](other, self)

    def __pos__(self) -> Self:
        return self

    # ---- what needs a value or a size ----

    __getitem__ = _operator("index")

    def __iter__(self) -> Iterator[Variable]:
        return iter(MEANING["unpack"](self))

    def __len__(self) -> int:
        return int(MEANING["length"](self))

    def __contains__(self, _: Any) -> bool:
        raise TypeError(
            f"what {self!r} holds is not known while the graph is built; use gpuscan.tensor.eq(x, value).any()"
        )

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} has no truth value while the graph is built: its value is not known yet. "
            "Use gpuscan.tensor.switch(condition, a, b) in place of `if`, and & | ~ in place of and, or, not."
        )

    def _no_value(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{self!r} has no value while the graph is built; call .eval() or a compiled function for one")

    __int__ = __index__ = __float__ = __complex__ = _no_value
    __array__ = _no_value  # numpy.asarray(x) would make an array of Python objects

    # ---- NumPy's functions ----

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return MEANING["numpy_ufunc"](ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return MEANING["numpy_function"](function, args, kwargs)

    # ---- methods of random states ----

    if not TYPE_CHECKING:  # a type checker would take any misspelt attribute for one of these

        def __getattr__(self, name: str) -> Any:
            if name in STATE_METHODS:
                return STATE_METHODS[name](self)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # ---- attributes and methods of arrays ----

    @property
    def shape(self) -> Variable:
        """Its sizes, an integer vector whose elements may be unpacked."""
        return _build("shape", self)

    @property
    def size(self) -> Variable:
        """Its number of elements, an integer scalar."""
        return _build("size", self)

    @property
    def T(self) -> Variable:
        """It with its axes in reverse order."""
        return _build("transpose", self)

    @property
    def real(self) -> Variable:
        """Its real part."""
        return _build("real", self)

    @property
    def imag(self) -> Variable:
        """Its imaginary part."""
        return _build("imag", self)

    def eval(self, inputs_to_values: Any = None, **options: Any) -> Any:
        """Compile a function for this variable alone and return its value; `inputs_to_values` maps inputs to arrays."""
        return MEANING["eval"](self, inputs_to_values, **options)

    def set(self, value: Any) -> Variable:
        """Return ``x`` with this part of it replaced, for ``x[item].set(value)``."""
        return _build("set_subtensor", self, value)

    def inc(self, value: Any) -> Variable:
        """Return ``x`` with `value` added to this part of it, for ``x[item].inc(value)``."""
        return _build("inc_subtensor", self, value)

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
    cumsum = _method("cumsum")
    cumprod = _method("cumprod")
    sort = _method("sort")
    argsort = _method("argsort")
    diagonal = _method("diagonal")
    trace = _method("trace")
    dot = _method("dot")
    reshape = _method("reshape")
    dimshuffle = _method("dimshuffle")
    transpose = _method("transpose")
    swapaxes = _method("swapaxes")
    flatten = _method("flatten")
    ravel = _method("ravel")
    squeeze = _method("squeeze")
    repeat = _method("repeat")
    take = _method("take")
    astype = _method("astype")
    clip = _method("clip")
    round = _method("round")
    conj = _method("conj")
