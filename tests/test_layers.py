"""The code keeps to the import table of docs/layers.md."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "gpuscan"


def read_table(markdown: str) -> dict[str, frozenset[str]]:
    """The layers in the table's order, each with the layers it may import."""
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|\n]*)\|$", markdown, flags=re.MULTILINE)
    return {layer: frozenset(re.findall(r"`(\w+)`", may_import)) for layer, may_import in rows}


MAY_IMPORT = read_table((ROOT / "docs" / "layers.md").read_text(encoding="utf-8"))


def layer_of_file(path: Path) -> str:
    """``gpuscan/cuda/emit.py`` is of layer ``cuda``, ``gpuscan/compile.py`` of ``compile``."""
    inside = path.relative_to(PACKAGE)
    return "gpuscan" if inside.name == str(inside) == "__init__.py" else inside.parts[0].removesuffix(".py")


FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


@dataclass(frozen=True)
class Import:
    """One module, or one name of a module, that a file imports."""

    name: str  # absolute and dotted: "gpuscan.graph.types"
    line: int
    in_function: bool

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def layer(self) -> str | None:
        """The layer of gpuscan it is in; a public name, as ``gpuscan.scan``, is in ``gpuscan`` itself."""
        if self.package != "gpuscan":
            return None
        first = self.name.split(".")[1:2]
        return first[0] if first and first[0] in MAY_IMPORT else "gpuscan"


def imported_names(node: ast.AST, package: tuple[str, ...]) -> list[str]:
    """The absolute names that a node imports in a file of ``package``; none if it is not an import."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = package[: len(package) - (level - 1)] if level else ()
            return [".".join([*base, *filter(None, [module]), alias.name]) for alias in names]
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [name]
    return []


def imports_of(source: str, package: tuple[str, ...]) -> Iterator[Import]:
    """Every import of a file's text, wherever in the file it stands."""
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
    while stack:
        node, in_function = stack.pop()
        for name in imported_names(node, package):
            yield Import(name, node.lineno, in_function)
        in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        stack.extend((child, in_function) for child in ast.iter_child_nodes(node))


def imports_of_file(path: Path) -> Iterator[Import]:
    return imports_of(path.read_text(encoding="utf-8"), path.relative_to(ROOT).parent.parts)


def test_every_way_to_import_is_seen():
    source = """
import numpy as np, gpuscan.graph.types
from gpuscan import scan, tensor
from . import emit
from .. import errors
from ..graph.types import TensorType
def late():
    import cupy
    class Inner:
        from ..rewrite import pipeline
    return importlib.import_module("cupyx.profiler"), __import__("gpuscan.cpu")
"""
    found = {(i.name, i.layer, i.in_function) for i in imports_of(source, ("gpuscan", "cuda"))}
    assert found == {
        ("numpy", None, False),
        ("gpuscan.graph.types", "graph", False),
        ("gpuscan.scan", "gpuscan", False),
        ("gpuscan.tensor", "tensor", False),
        ("gpuscan.cuda.emit", "cuda", False),
        ("gpuscan.errors", "errors", False),
        ("gpuscan.graph.types.TensorType", "graph", False),
        ("cupy", None, True),
        ("gpuscan.rewrite.pipeline", "rewrite", True),
        ("cupyx.profiler", None, True),
        ("gpuscan.cpu", "cpu", True),
    }


def test_table_goes_from_bottom_to_top():
    below: set[str] = set()
    for layer, may_import in MAY_IMPORT.items():
        assert may_import <= below, f"{layer} may import {sorted(may_import - below)}, not among the rows before it"
        below.add(layer)


def test_backends_and_rewrites_do_not_know_each_other():
    apart = {"autodiff", "rewrite", "cpu", "cuda"}
    assert {layer: MAY_IMPORT[layer] & apart for layer in apart} == dict.fromkeys(apart, frozenset())


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_layer_exists(layer):
    assert layer in {layer_of_file(path) for path in FILES.values()}, f"docs/layers.md names {layer}; no file is in it"


@pytest.mark.parametrize("file", FILES)
def test_file_belongs_to_a_layer(file):
    layer = layer_of_file(FILES[file])
    assert layer in MAY_IMPORT, f"gpuscan/{file}: docs/layers.md has no row for {layer}"


@pytest.mark.parametrize("file", FILES)
def test_imports_point_down(file):
    layer = layer_of_file(FILES[file])
    allowed = MAY_IMPORT.get(layer, frozenset()) | {layer, None}
    wrong = [f"gpuscan/{file}:{i.line} {i.name}" for i in imports_of_file(FILES[file]) if i.layer not in allowed]
    assert not wrong, f"{layer} may import {sorted(MAY_IMPORT.get(layer, ()))} only"


# Outside packages that not every machine has, and the only files that may import them, inside functions.
LATE_PACKAGES = {
    "cupy": {"cuda/launch.py", "cuda/arrays.py"},
    "cupyx": {"cuda/launch.py", "cuda/arrays.py"},
    "matplotlib": {"demo.py"},
}


@pytest.mark.parametrize("file", FILES)
def test_optional_packages_are_imported_late_and_in_their_place(file):
    for found in imports_of_file(FILES[file]):
        if found.package in LATE_PACKAGES:
            where = f"gpuscan/{file}:{found.line} imports {found.name}"
            assert file in LATE_PACKAGES[found.package], f"{where}; only {LATE_PACKAGES[found.package]} may"
            assert found.in_function, f"{where} outside a function"


def in_fresh_python(statements: str) -> str:
    """What a new interpreter in the checkout prints."""
    return subprocess.run(
        [sys.executable, "-c", statements], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def test_import_leaves_optional_packages_alone():
    loaded = in_fresh_python("import sys, gpuscan; print(*{m.partition('.')[0] for m in sys.modules})").split()
    assert "gpuscan" in loaded
    assert not set(LATE_PACKAGES) & set(loaded)


def import_is_quick() -> bool:
    # 0.3 s is meant for an ordinary machine, which needs 0.05 to 0.1 s of it for NumPy. One that is slow, or busy at
    # this moment, is so for NumPy too: it gets four times what NumPy took in the same process.
    numpy_seconds, all_seconds = map(
        float,
        in_fresh_python(
            "from time import perf_counter as now; start = now(); import numpy; middle = now(); import gpuscan;"
            "print(middle - start, now() - start)"
        ).split(),
    )
    return all_seconds < max(0.3, 4.0 * numpy_seconds)


def test_import_is_quick():
    # The first attempts may find the disk cold or another process in the way.
    assert any(import_is_quick() for _ in range(5))
