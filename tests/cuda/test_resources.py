"""What the workloads' kernels take of a GPU at full sizes is what the file says, and nothing spills."""

from __future__ import annotations

import pytest

from benchmarks.workloads import WORKLOADS
from gpuscan.cuda.gpu import KNOWN_GPUS
from gpuscan.cuda.launch import compile_kernel, resources
from tests.cuda.resources import ARCHITECTURES, FILE, Row, instructions, nvrtc_version, planned, read_table, table

try:
    nvrtc_version()
except Exception as error:
    pytest.skip(f"NVRTC is in the extra `nvrtc`: {error}", allow_module_level=True)

pytestmark = pytest.mark.nvrtc

by_name = pytest.mark.parametrize("name", [w.name for w in WORKLOADS])

FROM_HOST = {"newton gradient scan[backward]": "depends on values"}
"""Loops that the host drives, and why."""


@by_name
def test_kernels_take_what_the_file_says(name):
    rows = [p.row() for p in planned(name)]
    version, on_file = read_table()
    if version != nvrtc_version():
        pytest.skip(f"registers depend on NVRTC: the file is of {version}, here is {nvrtc_version()}")
    expected = [row for row in on_file if row.workload == name]
    assert rows == expected, f"look at what changed, then write it: python -m tests.cuda.resources\n{table(rows)}"


@by_name
def test_kernels_fit(name):
    gpu = KNOWN_GPUS["NVIDIA H200"]
    for p in planned(name):
        assert any(FROM_HOST.get(p.name, "no reason") in r for r in p.refusals.values()) == (p.team == "host"), p.name
        if p.kernel is None:
            continue
        assert p.row().spilled == "0", f"{p.name} spills {p.row().spilled} bytes"
        # A grid's blocks wait for each other: all of them must be on the GPU at once.
        assert p.team != "grid" or p.kernel.grid <= gpu.sms
        assert p.kernel.shared_bytes + resources(p.kernel.kernel, gpu.arch).shared_bytes <= gpu.shared_per_block


# At full sizes some take NVRTC ten seconds, and the text is the same but for its numbers.
@by_name
def test_kernels_compile_for_all_architectures(name):
    strategies = ("warp", "block", "grid") if name in ("lstm_gradient", "dtw") else ("auto",)
    loops = [p for strategy in strategies for p in planned(name, "test", strategy)]
    assert set(strategies) - {"auto"} <= {p.team for p in loops}
    for kernel in {p.kernel.kernel for p in loops if p.kernel is not None}:
        for arch in ARCHITECTURES:
            assert instructions(compile_kernel(kernel, arch).cubin.read_bytes(), kernel.name) > 0


def test_the_file_is_read_as_it_is_written(tmp_path):
    row = Row("w", "forward", "scan", "thread", "32", "1", "10", "0", "0", "0+0", "0", "8")
    text = table([row])
    assert text.splitlines()[-1].startswith("w        | forward")
    assert text.splitlines()[:5] == [*FILE.read_text(encoding="utf-8").splitlines()[:4], f"# NVRTC {nvrtc_version()}"]
