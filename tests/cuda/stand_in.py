"""A stand-in for a GPU's arrays: NumPy's, which refuse what CuPy's refuse, so that host and device are not mixed up.

CuPy's arrays do not become NumPy arrays by themselves; CuPy's functions take no NumPy arrays, and its ufuncs alone take
NumPy scalars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest

from gpuscan.cuda import emulator, runner, strategies
from gpuscan.cuda.gpu import GPU, KNOWN_GPUS
from gpuscan.cuda.kernel import Kernel, Launcher
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.random import RandomBlocks
from gpuscan.graph import sorted_nodes
from gpuscan.host import NUMPY
from gpuscan.loop import Loop
from gpuscan.tensor.guards import SpecifyShape
from gpuscan.tensor.pointwise import Cast, Pointwise
from gpuscan.tensor.random.draw import Draw
from gpuscan.tensor.reduction import SumTo
from gpuscan.tensor.shaping import BroadcastTo, Dim, DimShuffle


class Recording:
    """Calls on stand-in arrays, to be made again on the same memory: what a CUDA graph is to a GPU's arrays.

    Nothing that is recorded happens: a result's memory holds nothing of use before a replay.
    """

    active: Recording | None = None

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def __enter__(self) -> Recording:
        Recording.active = self
        return self

    def __exit__(self, *error: Any) -> None:
        Recording.active = None

    def replay(self) -> None:
        for call in self.calls:
            call()

    def add(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Note a call that makes new arrays; one that views its operands' memory is made once."""
        found = wrap(function(*args, **kwargs))
        made = [v.array for v in (found if isinstance(found, tuple) else (found,)) if isinstance(v, DeviceArray)]
        given = [v for v in (*flat(args), *flat(tuple(kwargs.values()))) if isinstance(v, np.ndarray)]
        if made and not any(np.shares_memory(m, g) for m in made for g in given):

            def again() -> None:
                results = function(*args, **kwargs)
                for place, result in zip(made, results if isinstance(results, tuple) else (results,), strict=True):
                    place[...] = result

            self.calls.append(again)
            for place in made:
                spoil(place)
        return found


def flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from flat(value)
        else:
            yield value


def spoil(array: np.ndarray) -> np.ndarray:
    """Fill an array with what nothing computes from goes unnoticed."""
    array[...] = np.nan if array.dtype.kind in "fc" else True if array.dtype.kind == "b" else 99
    return array


def in_place(function: Callable[[], Any]) -> None:
    """Do what writes to arrays that are there, or note it."""
    if Recording.active is None:
        function()
    else:
        Recording.active.calls.append(function)


def wait_for_device(what: str) -> None:
    if Recording.active is not None:
        raise RuntimeError(f"{what} while work is recorded")
    DeviceArray.reads += 1


class DeviceArray:
    """An array that pretends to be in device memory."""

    reads = 0  # how often the host read one, and so waited

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    dtype = property(lambda self: self.array.dtype)
    shape = property(lambda self: self.array.shape)
    ndim = property(lambda self: self.array.ndim)
    __hash__ = None  # type: ignore[assignment]
    __cuda_array_interface__ = None  # that there is one is all that is asked

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("implicit conversion to a NumPy array")

    def __bool__(self) -> bool:
        raise TypeError("the host would wait for the device")

    __int__ = __float__ = __index__ = __bool__

    def get(self) -> np.ndarray:
        wait_for_device("get()")
        return self.array

    def item(self) -> Any:
        wait_for_device("item()")
        return self.array.item()

    def tolist(self) -> Any:
        wait_for_device("tolist()")
        return self.array.tolist()

    def __getattr__(self, name: str) -> Any:
        array = object.__getattribute__(self, "array")
        if not callable(getattr(array, name)):
            return wrap(getattr(array, name))
        return partial(on_device(lambda array, *args, **kwargs: getattr(array, name)(*args, **kwargs)), self)

    def __getitem__(self, item: Any) -> Any:
        items = item if isinstance(item, tuple) else (item,)
        # One element is a view of rank 0, as CuPy's.
        items = items if any(i is Ellipsis for i in items) else (*items, Ellipsis)
        return on_device(lambda array, items: array[items])(self, items)

    def __setitem__(self, item: Any, value: Any) -> None:
        array, item, value = self.array, unwrap(item), unwrap(value)
        in_place(lambda: array.__setitem__(item, value))

    def __iadd__(self, value: Any) -> Any:
        array, value = self.array, unwrap(value)
        in_place(lambda: np.add(array, value, out=array))
        return self

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Any:
        return (DeviceArray(row) for row in self.array)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if (division := {np.floor_divide: floor_divided, np.remainder: remaining}.get(ufunc)) is not None:
            return on_device(division)(*inputs)
        return on_device(getattr(ufunc, method))(*inputs, **kwargs)


def _operator(name: str) -> Callable[..., Any]:
    apply = on_device(lambda array, *others: getattr(array, name)(*others))
    return lambda self, *others: apply(self, *others)


def wrap(value: Any) -> Any:
    if isinstance(value, tuple) and any(isinstance(v, np.ndarray | np.generic) for v in value):
        return tuple(wrap(v) for v in value)
    return DeviceArray(value) if isinstance(value, np.ndarray | np.generic) else value


def unwrap(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(unwrap(v) for v in value)
    if isinstance(value, slice):
        return value
    if isinstance(value, np.ndarray):
        raise TypeError(f"a NumPy array of shape {value.shape} in an operation on the device")
    return value.array if isinstance(value, DeviceArray) else value


def on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = unwrap(args), {k: unwrap(v) for k, v in kwargs.items()}
        if Recording.active is not None:
            return Recording.active.add(function, args, kwargs)
        return wrap(function(*args, **kwargs))

    return call


for _name in (
    *("add", "sub", "mul", "truediv", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"),
    *("radd", "rsub", "rmul", "rtruediv", "rpow", "rand", "ror", "rxor"),
    *("lt", "le", "gt", "ge", "eq", "ne", "neg", "abs", "invert"),
):
    setattr(DeviceArray, f"__{_name}__", _operator(f"__{_name}__"))


def floor_divided(a: Any, b: Any) -> Any:
    """Return what CuPy has for ``//``: of floats it does not look at what the division leaves."""
    return a // b if np.result_type(a, b).kind != "f" else np.floor(a / b)


def remaining(a: Any, b: Any) -> Any:
    """Return what CuPy has for ``%``."""
    return a % b if np.result_type(a, b).kind != "f" else a - floor_divided(a, b) * b


for _name, _division in (("floordiv", floor_divided), ("mod", remaining)):
    setattr(DeviceArray, f"__{_name}__", lambda self, other, f=_division: on_device(f)(self, other))
    setattr(DeviceArray, f"__r{_name}__", lambda self, other, f=_division: on_device(f)(other, self))


def copied(value: Any, *dtype: Any) -> Any:
    """Return a new array of what an array holds, of a number, or of a list of numbers, which come from the host."""
    if isinstance(value, DeviceArray):
        return on_device(np.array)(value, *dtype)
    if isinstance(value, np.generic | int | float):  # an argument of the kernel that fills
        return on_device(lambda: np.array(value, *dtype))()
    if Recording.active is not None:
        raise RuntimeError("a copy from host memory while work is recorded")
    return DeviceArray(np.array(value, *dtype))


OF_ARRAYS = frozenset(
    {"all", "any", "argsort", "broadcast_to", "cholesky", "concatenate", "cumprod", "cumsum", "diagonal", "flatnonzero"}
    | {"matmul", "repeat", "searchsorted", "solve_triangular", "sort", "stack"}
)
"""Functions of CuPy's that check that what they are given is in device memory, or read fields that only arrays have."""


def of_arrays(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that refuses numbers in the place of its first operand, or of those that it joins."""

    def call(*args: Any, **kwargs: Any) -> Any:
        for value in flat(args[:1]):
            if not isinstance(value, DeviceArray):
                raise TypeError(f"{name}: must be a cupy.ndarray object, not {type(value)}")
        return function(*args, **kwargs)

    return call


def of_real(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that refuses complex numbers."""

    def call(*args: Any) -> Any:
        if any(np.result_type(unwrap(v)).kind == "c" for v in args):
            raise TypeError(f"Wrong type of arguments for cupy_{name}")
        return function(*args)

    return call


class Arrays:
    """CuPy's functions, in place of an `ArrayModule`."""

    name = "CuPy"

    def lookup(self, name: str) -> Any:
        if name in ("s_", "abs"):
            return {"s_": np.s_, "abs": abs}[name]
        if name == "random_blocks":
            return RandomBlocks(StandIn())
        if name == "array":
            return copied
        if name == "asarray":
            return lambda value, *dtype: value if isinstance(value, DeviceArray) else copied(value, *dtype)
        if name == "add_at":
            return lambda array, index, value: in_place(partial(np.add.at, *unwrap((array, index, value))))
        function = on_device(NUMPY.lookup(name))
        if name.startswith("logical_"):
            return of_real(name, function)
        return of_arrays(name, function) if name in OF_ARRAYS or name.startswith("linalg.") else function


class StandInFence:
    """Counts the calls that were put in order."""

    def __init__(self) -> None:
        self.marked = self.waited = 0

    def wait(self) -> None:
        self.waited += 1

    def mark(self) -> None:
        self.marked += 1


class StandIn:
    """A device whose arrays are `DeviceArray`, and whose kernels the emulator runs."""

    name = "cuda:0"
    gpu = KNOWN_GPUS["NVIDIA H200"]
    arrays = Arrays()
    records = True
    preparing = False

    def __init__(self) -> None:
        self.waits = self.launches = self.recorded = self.replayed = 0
        self.memory: int | None = None  # bytes of the largest array there is room for

    def active(self) -> Any:
        return nullcontext()

    def empty(self, shape: Sequence[int], dtype: str) -> Any:
        if self.memory is not None and int(np.prod(shape)) * np.dtype(dtype).itemsize > self.memory:
            raise MemoryError("out of memory allocating")
        return DeviceArray(spoil(np.empty(shape, dtype)))

    def as_array(self, value: Any, dtype: str) -> Any:
        if isinstance(value, DeviceArray):
            return value
        return copied(np.asarray(value, dtype))

    def address(self, array: DeviceArray) -> int:
        return array.array.ctypes.data

    def to_host(self, value: Any) -> Any:
        return value.get() if isinstance(value, DeviceArray) else np.asarray(value)

    def is_device_array(self, value: Any) -> bool:
        return isinstance(value, DeviceArray)

    def wait(self) -> None:
        if Recording.active is not None:
            raise RuntimeError("a wait while work is recorded")
        self.waits += 1

    def free_memory(self) -> int | None:
        return self.memory

    def is_recording(self) -> bool:
        return StandIn.preparing or Recording.active is not None

    def fence(self) -> StandInFence:
        return StandInFence()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        StandIn.preparing = True
        try:
            work()
            with Recording() as recording:
                work()
        finally:
            StandIn.preparing = False
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            recording.replay()

        return replay

    def spilled_bytes(self, kernel: Kernel) -> int:
        return 0

    def load(self, kernel: Kernel, *, cooperative: bool = False) -> Launcher:
        launch = emulator.load(kernel, cooperative=cooperative)

        def run(grid: Any, block: Any, shared_bytes: int, arguments: Sequence[Any]) -> None:
            for parameter, value in zip(kernel.parameters, arguments, strict=True):
                assert isinstance(value, DeviceArray) == parameter.is_array, parameter
            given = [unwrap(v) for v in arguments]
            in_place(lambda: launch(grid, block, shared_bytes, given))
            self.launches += 1

        return run


POINTWISE_STEPS = (Pointwise, Cast, Draw, DimShuffle, BroadcastTo, SpecifyShape, Dim, SumTo)


def keep_kernels_pointwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the host drive every loop whose step is more than pointwise, so that what it does then can be tested."""
    all_choices = strategies.choices

    def choices(loop: Loop, gpu: GPU, steps: int | None = None) -> Iterator[KernelPlan]:
        nodes = sorted_nodes(loop.outputs, loop.reads)
        pointwise = loop.stop is None and all(isinstance(node.op, POINTWISE_STEPS) for node in nodes)
        return (plan for plan in all_choices(loop, gpu, steps) if pointwise or plan.team == "host")

    monkeypatch.setattr(strategies, "choices", choices)
    monkeypatch.setattr(runner, "choices", choices)
