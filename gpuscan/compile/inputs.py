"""From what a caller passes to an array of an input's type, or an error that names the input."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from gpuscan.errors import DtypeError, ShapeError
from gpuscan.graph import Variable
from gpuscan.tensor.pointwise import kind


class InputCheck:
    """Checks and converts the values of one input.

    Parameters
    ----------
    variable : Variable
        The input.
    label : str
        How messages call it.
    allow_downcast : bool or None
        Whether values may lose precision or range by conversion. None: Python floats (also in lists) may, and other
        values that have no array dtype of their own may if they survive it unchanged.
    on_host : bool
        Whether values must be in host memory; else arrays of other libraries are passed on as they are.
    """

    def __init__(self, variable: Variable, label: str, allow_downcast: bool | None, on_host: bool) -> None:
        self.type = variable.type
        self.label = label
        self.allow_downcast = allow_downcast
        self.on_host = on_host
        self.ndim = self.type.ndim
        self.dtype = np.dtype(self.type.dtype)
        self.kinds = (np.ndarray, self.dtype.type)
        self.fixed = [(axis, size) for axis, size in enumerate(self.type.shape) if size is not None]

    def __call__(self, value: Any) -> Any:
        """Return `value` as an array of the input's dtype; for rank 0, as a NumPy scalar.

        Raises
        ------
        DtypeError
            If the dtype does not fit without loss.
        ShapeError
            If the rank or a fixed size is another.
        """
        # Asked first, as most calls pass just this and small loops feel every microsecond.
        fits = type(value) in self.kinds and value.dtype == self.dtype
        array = value if fits else self._converted(value)
        if len(array.shape) != self.ndim:
            raise self._wrong_shape(array, f"{self.ndim} {'axis' if self.ndim == 1 else 'axes'}")
        for axis, size in self.fixed:
            if array.shape[axis] != size:
                raise self._wrong_shape(array, f"size {size} along axis {axis}")
        return array[()] if self.ndim == 0 and isinstance(array, np.ndarray) else array

    def _wrong_shape(self, array: Any, needed: str) -> ShapeError:
        return ShapeError(f"{self.label} must have {needed} ({self.type}); found shape {tuple(array.shape)}")

    def _converted(self, value: Any) -> Any:
        """Return `value` as an array of the input's dtype."""
        if isinstance(value, Variable):
            raise DtypeError(f"{self.label} got the symbolic variable {value!r}; pass a value")
        # Not asked before there can be one: numpy.ma is imported by its first use, which takes 10 ms.
        if "numpy.ma" in sys.modules and isinstance(value, np.ma.MaskedArray):
            raise DtypeError(f"{self.label} got a masked array, whose mask would be lost; fill it first")
        if not hasattr(value, "dtype") or isinstance(value, np.integer | np.bool_):
            return self._from_python(value)
        if isinstance(value, np.ndarray | np.generic) or self.on_host:
            value = self._as_numpy(value)
        return self._cast(value)

    def _as_numpy(self, value: Any) -> np.ndarray:
        try:
            array = np.asarray(value)
        except (TypeError, RuntimeError) as error:  # arrays on a GPU refuse
            raise DtypeError(
                f"{self.label} got a {type(value).__module__}.{type(value).__qualname__}, which does not convert to a "
                f"NumPy array ({error}); copy it to the host, or compile the function for the device it is on"
            ) from None
        return self._numeric(array, value)

    def _numeric(self, array: np.ndarray, value: Any) -> np.ndarray:
        if array.dtype.kind not in "biufc":
            raise DtypeError(f"{self.label} must be {self.type}; found {_described(value)}")
        return array

    def _from_python(self, value: Any) -> np.ndarray:
        """Return the array of a number, or a list of numbers, which has no dtype of its own."""
        try:
            array = np.asarray(value)
        except ValueError:
            raise ShapeError(f"{self.label} must be {self.type}; the rows of {_described(value)} differ") from None
        self._numeric(array, value)
        if self.allow_downcast is False and not np.can_cast(array.dtype, self.dtype):
            raise DtypeError(
                f"{self.label} is {self.type}; {_described(value)} is {array.dtype}, and allow_input_downcast is False"
            )
        if self.allow_downcast is None and not self._survives(array):
            raise DtypeError(
                f"{self.label} is {self.type}; {_described(value)} does not fit into {self.dtype} without loss. Pass "
                "values that do, or allow_input_downcast=True to function()"
            )
        with np.errstate(all="ignore"):
            return array.astype(self.dtype)

    def _survives(self, array: np.ndarray) -> bool:
        """Whether conversion loses nothing, or only digits of floats."""
        widens = {"f": "fc", "c": "c"}.get(array.dtype.kind, "")
        if array.size == 0 or np.can_cast(array.dtype, self.dtype) or kind(self.type.dtype) in widens:
            return True
        if array.dtype.kind == "c":
            return False
        with np.errstate(all="ignore"):
            return bool(np.all(array.astype(self.dtype) == array))

    def _cast(self, array: Any) -> Any:
        dtype = np.dtype(str(array.dtype).removeprefix("torch."))
        if dtype == self.dtype:
            return array
        if not self.allow_downcast and not np.can_cast(dtype, self.dtype):
            raise DtypeError(
                f"{self.label} is {self.type}; an array of dtype {dtype} does not fit without loss. Convert it, "
                f"as in x.astype({self.dtype.name!r}), or pass allow_input_downcast=True to function()"
            )
        return array.astype(self.dtype)


def _described(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
