"""What `gpuscan.tensor` offers."""

from __future__ import annotations

import inspect
import pkgutil

import pytest

import gpuscan.tensor as gt
from gpuscan.tensor.pointwise import POINTWISE


def test_all_lists_what_there_is() -> None:
    assert len(set(gt.__all__)) == len(gt.__all__)
    modules = {m.name for m in pkgutil.iter_modules(gt.__path__)}
    public = {name for name in vars(gt) if not name.startswith("_")} - modules
    assert set(gt.__all__) == public


def test_no_module_hides_a_function() -> None:
    assert not {m.name for m in pkgutil.iter_modules(gt.__path__)} & set(gt.__all__)
    assert all(callable(getattr(gt, name)) for name in gt.__all__)


@pytest.mark.parametrize("module", ["linalg", "special"])
def test_a_module_lists_what_it_has(module: str) -> None:
    names = getattr(gt, module).__all__
    assert len(set(names)) == len(names)
    assert all(inspect.getdoc(getattr(getattr(gt, module), name)) for name in names)


def test_every_row_of_the_table_can_be_called_by_its_name() -> None:
    assert set(POINTWISE) <= set(gt.__all__)


def test_every_function_is_documented() -> None:
    assert not [name for name in gt.__all__ if not inspect.getdoc(getattr(gt, name))]
