"""Settings for all tests: which devices there are, and what to leave out where one is missing."""

from __future__ import annotations

import pytest

from gpuscan.config import config
from gpuscan.cuda.launch import gpu_count


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
        config.cache_dir = str(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(params=["cpu", "emulator", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    """Each device in turn; cuda only where there is one."""
    return str(request.param)
