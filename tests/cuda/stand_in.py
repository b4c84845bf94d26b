"""A stand-in for a GPU's arrays: NumPy's, which refuse what CuPy's refuse, so that host and device are not mixed up.

CuPy's arrays do not become NumPy arrays by themselves; CuPy's functions take no NumPy arrays, but NumPy scalars.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from gpuscan.cuda import emulator
from gpuscan.cuda.gpu import KNOWN_GPUS
from gpuscan.cuda.kernel import Kernel, Launcher
from gpuscan.cuda.random import RandomBlocks
from gpuscan.host import NUMPY


class DeviceArray:
    """An array that pretends to be in device memory."""

    def __init__(self, array: Any) -> None:
        self.array = np.array(array)

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
        return self.array

    def __getattr__(self, name: str) -> Any:
        value = getattr(object.__getattribute__(self, "array"), name)
        return on_device(value) if callable(value) else wrap(value)

    def __getitem__(self, item: Any) -> Any:
        return DeviceArray(self.array[unwrap(item)])

    def __setitem__(self, item: Any, value: Any) -> None:
        self.array[unwrap(item)] = unwrap(value)

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Any:
        return (DeviceArray(row) for row in self.array)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return on_device(getattr(ufunc, method))(*inputs, **kwargs)


def _operator(name: str) -> Callable[..., Any]:
    return lambda self, *others: on_device(getattr(self.array, name))(*others)


for _name in (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"),
    *("radd", "rsub", "rmul", "rtruediv", "rpow", "rfloordiv", "rmod", "rand", "ror", "rxor"),
    *("lt", "le", "gt", "ge", "eq", "ne", "neg", "abs", "invert", "iadd"),
):
    setattr(DeviceArray, f"__{_name}__", _operator(f"__{_name}__"))


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
        return wrap(function(*unwrap(args), **{k: unwrap(v) for k, v in kwargs.items()}))

    return call


class Arrays:
    """CuPy's functions, in place of an `ArrayModule`."""

    name = "CuPy"

    def lookup(self, name: str) -> Any:
        if name in ("s_", "abs"):
            return {"s_": np.s_, "abs": abs}[name]
        if name == "random_blocks":
            return RandomBlocks(StandIn())
        if name in ("asarray", "array"):
            return lambda value, *dtype: DeviceArray(value.array if isinstance(value, DeviceArray) else value)
        if name == "add_at":
            return lambda array, index, value: np.add.at(array.array, unwrap(index), unwrap(value))
        return on_device(NUMPY.lookup(name))


class StandIn:
    """A device whose arrays are `DeviceArray`, and whose kernels the emulator runs."""

    name = "cuda:0"
    gpu = KNOWN_GPUS["NVIDIA H200"]
    arrays = Arrays()
    waits = 0

    def active(self) -> Any:
        return nullcontext()

    def empty(self, shape: Sequence[int], dtype: str) -> Any:
        return DeviceArray(np.empty(shape, dtype))

    def as_array(self, value: Any, dtype: str) -> Any:
        if isinstance(value, DeviceArray):
            return value
        return DeviceArray(np.asarray(value, dtype))

    def to_host(self, value: Any) -> Any:
        return value.array if isinstance(value, DeviceArray) else np.asarray(value)

    def is_device_array(self, value: Any) -> bool:
        return isinstance(value, DeviceArray)

    def wait(self) -> None:
        self.waits += 1

    def load(self, kernel: Kernel, *, cooperative: bool = False) -> Launcher:
        launch = emulator.load(kernel, cooperative=cooperative)

        def run(grid: Any, block: Any, shared_bytes: int, arguments: Sequence[Any]) -> None:
            for parameter, value in zip(kernel.parameters, arguments, strict=True):
                assert isinstance(value, DeviceArray) == parameter.is_array, parameter
            launch(grid, block, shared_bytes, [unwrap(v) for v in arguments])

        return run
