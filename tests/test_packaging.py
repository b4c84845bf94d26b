"""What is in a wheel and a source distribution, and what the package asks for."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
KERNELS = sorted(path.name for path in (ROOT / "kernels").glob("*.cuh"))


def build(kind: str, folder: Path, source: Path = ROOT) -> Path:
    """A distribution, made by the backend itself: a front end would download the backend first."""
    pytest.importorskip("hatchling", reason="hatchling is in the extra `test`")
    call = f"import sys; from hatchling.build import build_{kind}; print(build_{kind}(sys.argv[1]))"
    command = [sys.executable, "-c", call, str(folder)]
    name = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True).stdout.split()[-1]
    return folder / name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked_source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", folder)) as archive:
        # The argument filter= came in Python 3.11.4; newer versions warn when no filter is set.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_kernels_data_and_types(wheel):
    assert KERNELS
    needed = {f"gpuscan/kernels/{name}" for name in KERNELS} | {"gpuscan/py.typed", "gpuscan/data/nile.csv"}
    assert needed <= names_in(wheel)


def test_wheel_holds_every_module_and_nothing_beside_the_package(wheel):
    names = names_in(wheel)
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gpuscan").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert {re.sub(r"-.*\.dist-info$", "", name.partition("/")[0]) for name in names} == {"gpuscan"}


def test_wheel_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        found = Parser().parsestr(archive.read(metadata).decode())
    assert found["Requires-Python"] == ">=3.11"
    assert found["License-Expression"] == "BSD-3-Clause"
    assert set(found.get_all("Provides-Extra")) == set(EXTRAS)


def test_kernels_are_found_in_a_wheel(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    ask = "import gpuscan, gpuscan.cuda.source as s; print(gpuscan.__file__, s.kernel_folder(), sep='\\n')"
    command = [sys.executable, "-c", ask]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    answer = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout
    package, folder = map(Path, answer.splitlines())
    assert package == tmp_path / "gpuscan" / "__init__.py"
    assert folder.resolve() == (tmp_path / "gpuscan" / "kernels").resolve()
    assert sorted(path.name for path in folder.glob("*.cuh")) == KERNELS


def test_source_distribution_builds_the_same_wheel(wheel, unpacked_source, tmp_path):
    assert {"run", "LICENSE", "README.md", "tests", "kernels"} <= {path.name for path in unpacked_source.iterdir()}
    assert names_in(build("wheel", tmp_path, source=unpacked_source)) == names_in(wheel)


def cupy_packages(extra: str) -> set[str]:
    return {found[0] for requirement in EXTRAS[extra] if (found := re.match(r"cupy-cuda\w+", requirement))}


def test_extras_with_different_cupy_wheels_are_declared_conflicting():
    declared = {frozenset(item["extra"] for item in group) for group in PYPROJECT["tool"]["uv"]["conflicts"]}
    found = {frozenset(pair) for pair in combinations(EXTRAS, 2) if len(set().union(*map(cupy_packages, pair))) > 1}
    assert frozenset({"cuda12", "cuda13"}) in found
    assert declared == found


def test_tests_can_be_installed_beside_either_cuda():
    assert not cupy_packages("test")


def test_what_the_package_requires():
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in PYPROJECT["project"]["dependencies"]}
    assert names == {"numpy", "scipy"}
