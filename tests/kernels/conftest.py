"""What all tests of device functions are given."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["thread", "warp", "block"])
def team(request: pytest.FixtureRequest) -> str:
    """Name of each kind of team in turn."""
    return request.param
