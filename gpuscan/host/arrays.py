"""Where the names in generated Python code come from."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpuscan.host.special import SPECIAL
from gpuscan.host.triangular import solve_triangular


@dataclass(frozen=True)
class ArrayModule:
    """An implementation of NumPy's interface.

    Attributes
    ----------
    name : str
        For people.
    modules : tuple of str
        Modules to look a function up in, in this order; each is imported when the one before lacks the name, because
        scipy.special alone takes longer to import than most graphs take to compile.
    extra : mapping of str to object
        Functions and objects that the modules lack or name differently.
    """

    name: str
    modules: tuple[str, ...]
    extra: dict[str, Any] = field(default_factory=dict)

    def lookup(self, name: str) -> Any:
        """Return the function of that name, which may have dots in it: ``linalg.inv``.

        Raises
        ------
        NotImplementedError
            If the array module has none.
        """
        if name in self.extra:
            return self.extra[name]
        for module in self.modules:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part, None)
            if found is not None:
                return found
        raise NotImplementedError(f"{self.name} has no function {name}")


NUMPY = ArrayModule(
    "NumPy",
    ("numpy", "scipy.special", "numpy.linalg"),
    {"add_at": np.add.at, "abs": abs, "solve_triangular": solve_triangular, **SPECIAL},
)
