"""Settings for all tests: which devices there are, and what to leave out where one is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gpuscan.config import config
from gpuscan.cuda import emulator
from gpuscan.cuda.kernel import Kernel
from gpuscan.cuda.launch import compile_kernel, gpu_count

ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")

# With them a kernel takes a third of the time for each architecture. What the compiler checks is the same: the whole
# language, and that the architecture has every instruction. What it leaves out makes kernels faster.
QUICKLY = ("--Ofast-compile=mid",)

# For the test that runs: whether its kernels are compiled as a GPU would run them.
as_for_a_gpu: list[bool] = [False]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites the texts on file."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the files that generated texts must equal")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a check that a text equals the file of that name in the folder ``golden`` beside the test."""

    def check(name: str, text: str) -> None:
        path = request.path.parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; look at it, then run with --update-golden"

    return check


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need a GPU where there is none."""
    if gpu_count():
        return
    skip = pytest.mark.skip(reason="there is no GPU")
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def kernel_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep compiled kernels of the tests apart from the user's, unless the environment names a folder."""
    if not config.cache_dir:
        # Processes that run tests side by side have folders below one, in which they share what is compiled.
        config.cache_dir = str(tmp_path_factory.getbasetemp().parent / "kernels")


@pytest.fixture(params=["cpu", "emulator", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    """Each device in turn; cuda only where there is one."""
    return str(request.param)


@pytest.fixture(autouse=True)
def optimised(request: pytest.FixtureRequest) -> None:
    """Say how NVRTC compiles the kernels of a test."""
    as_for_a_gpu[:] = [request.node.get_closest_marker("optimised") is not None]


@pytest.fixture(scope="session", autouse=True)
def nvrtc_compiles_what_the_emulator_runs(kernel_cache: None) -> Iterator[None]:
    """Compile every kernel that a test runs on the emulator with NVRTC as well, where it is installed.

    The emulator compiles the same text as C++; this shows that it is CUDA C++ for every architecture.
    """
    try:
        from cupy.cuda import nvrtc
    except Exception:  # it is not installed, or its library is not found
        yield
        return
    emulate = emulator.load
    options = QUICKLY if nvrtc.getVersion() >= (13, 0) else ()

    def load(kernel: Kernel, **loading: Any) -> Any:
        # sm_75 has no tf32 and no bf16, and plans for it use neither.
        listed = [arch for arch in ARCHITECTURES if arch != "sm_75" or "mma.sync" not in kernel.source]
        extra = () if as_for_a_gpu[0] else options
        list(compilers.map(lambda arch: compile_kernel(kernel, arch, extra=extra), listed))
        return emulate(kernel, **loading)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as compilers:
        patch.setattr(emulator, "load", load)
        yield
