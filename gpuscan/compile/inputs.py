"""From what a caller passes to an array of an input's type, or an error that names the input."""

from __future__ import annotations

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
        values that have no dtype of their own may if they survive it unchanged.
    """

    def __init__(self, variable: Variable, label: str, allow_downcast: bool | None) -> None:
        self.type = variable.type
        self.label = label
        self.allow_downcast = allow_downcast
        self.dtype = np.dtype(self.type.dtype)
        self.fixed = [(axis, size) for axis, size in enumerate(self.type.shape) if size is not None]

    def __call__(self, value: Any) -> Any:
        """Return `value` as an array of the input's dtype; a NumPy scalar for rank 0. Device arrays stay where they are.

        Raises
        ------
        DtypeError
            If the dtype does not fit without loss.
        ShapeError
            If the rank or a fixed size is another.
        """
        array = value if hasattr(value, "dtype") and hasattr(value, "shape") else self._from_python(value)
        if str(array.dtype).removeprefix("torch.") != self.dtype.name:
            array = self._converted(array)
        if len(array.shape) != self.type.ndim:
            raise ShapeError(f"{self.label} must have {self.type.ndim} axes ({self.type}); found {tuple(array.shape)}")
        for axis, size in self.fixed:
            if array.shape[axis] != size:
                raise ShapeError(
                    f"{self.label} must have size {size} along axis {axis} ({self.type}); found {tuple(array.shape)}"
                )
        return array[()] if self.type.ndim == 0 and isinstance(array, np.ndarray) else array

    def _from_python(self, value: Any) -> Any:
        if isinstance(value, Variable):
            raise DtypeError(f"{self.label} got a symbolic variable; pass a value")
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ShapeError(f"{self.label}: {error}") from None
        if array.dtype.kind not in "biufc":
            raise DtypeError(f"{self.label} must be {self.type}; found {type(value).__name__} {value!r:.60}")
        if self.allow_downcast is None and not self._survives(array):
            raise DtypeError(
                f"{self.label} is {self.type}; {value!r:.60} does not fit into {self.dtype} without loss. Pass "
                "values that do, or allow_input_downcast=True"
            )
        return array if self.allow_downcast is False else array.astype(self.dtype)

    def _survives(self, array: np.ndarray) -> bool:
        if array.dtype.kind == "f" and kind(self.type.dtype) in "fc":
            return True
        if array.size == 0:
            return True
        with np.errstate(all="ignore"):
            return np.can_cast(array.dtype, self.dtype) or bool(np.all(array.astype(self.dtype) == array))

    def _converted(self, array: Any) -> Any:
        if not self.allow_downcast and not np.can_cast(np.dtype(str(array.dtype)), self.dtype):
            raise DtypeError(
                f"{self.label} is {self.type}; an array of dtype {array.dtype} does not fit without loss. Convert it, "
                f"as in x.astype({self.dtype.name!r}), or pass allow_input_downcast=True to function()"
            )
        return array.astype(self.dtype)
