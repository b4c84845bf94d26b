"""What a kernel reports while it runs becomes the error that the CPU raises for it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.config import config
from gpuscan.cuda import emulator
from gpuscan.cuda.binding import BoundKernel, LastRow, Number, Origin, Output, Report, Source, Steps
from gpuscan.cuda.gpu import GPU
from gpuscan.cuda.kernel import Kernel, Parameter
from gpuscan.cuda.launch import compile_cubin
from gpuscan.cuda.plan import KernelPlan
from gpuscan.cuda.reports import ALL_BITS, LAST_LANE, Failure, Reported, read_report, report_error
from gpuscan.cuda.source import splice
from gpuscan.errors import KernelError
from gpuscan.loop import Result

# Each thread is a lane; it reports twice, first what comes later.
REPORTER = Kernel(
    "reporter",
    splice("""#include "report.cuh"
extern "C" __global__ void reporter(
    Global<unsigned long long> status, Global<const long long> steps, Global<const int> codes, long long lanes) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes || steps[lane] < 0) return;
    gs::report(status, codes[lane], steps[lane] + 1, lane);
    gs::report(status, codes[lane], steps[lane], lane);
}
"""),
    (
        Parameter("status", "uint64", writes=True),
        Parameter("steps", "int64"),
        Parameter("codes", "int32"),
        Parameter("lanes", "int64", is_array=False),
    ),
)

# The sum of a matrix's rows, that stops at nothing but says where a number is negative.
CHECKED_SUM = Kernel(
    "checked_sum",
    splice("""#include "report.cuh"
extern "C" __global__ void checked_sum(
    Global<const double> x, Global<const double> init, Global<double> out, Global<unsigned long long> status,
    long long lanes, long long length) {
    long long const lane = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (lane >= lanes) return;
    double total = init[lane];
    for (long long step = 0; step < length; ++step) {
        double const value = x[step * lanes + lane];
        if (!(value > 0)) gs::report(status, 0, step, lane);
        total += value;
        out[step * lanes + lane] = total;
    }
}
"""),
    (
        Parameter("x", "float64"),
        Parameter("init", "float64"),
        Parameter("out", "float64", writes=True),
        Parameter("status", "uint64", writes=True),
        Parameter("lanes", "int64", is_array=False),
        Parameter("length", "int64", is_array=False),
    ),
)


@pytest.fixture(scope="module", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with config.change_flags(cache_dir=tmp_path_factory.mktemp("cache")):
        yield


def reported(steps: list[int], codes: list[int]) -> Reported | None:
    status = np.zeros(1, np.uint64)
    launch = emulator.load(REPORTER)
    arguments = [status, np.array(steps, np.int64), np.array(codes, np.int32), len(steps)]
    launch((2, 1, 1), (max(len(steps) // 2, 1) + 1, 1, 1), 0, arguments)
    return read_report(int(status[0]))


class TestTheWord:
    def test_nothing_is_reported_where_nothing_fails(self) -> None:
        assert reported([-1, -1, -1], [0, 0, 0]) is None

    def test_the_smallest_step_wins_then_the_smallest_lane(self) -> None:
        assert reported([9, 4, -1, 7, 4, 5], [0, 2, 0, 0, 1, 3]) == Reported(code=2, step=4, lane=1)

    def test_large_steps_and_codes(self) -> None:
        assert reported([2**32 - 2, -1], [254, 0]) == Reported(code=254, step=2**32 - 2, lane=0)
        assert reported([-1, 2**40], [0, 0]) == Reported(code=0, step=2**32 - 1, lane=1)

    def test_the_first_step_and_lane_are_no_silence(self) -> None:
        assert reported([0], [0]) == Reported(0, 0, 0)

    @pytest.mark.nvrtc
    @pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
    def test_it_compiles_for_gpus(self, arch: str) -> None:
        pytest.importorskip("cupy")
        assert compile_cubin(REPORTER, arch)


class TestTheError:
    MEANINGS = (Failure(AssertionError, "no"), Failure(IndexError, "index out of range"))

    def text(self, lanes: tuple[int, ...], where: Reported) -> str:
        return str(report_error("scan[a]", self.MEANINGS, lanes, where))

    def test_lanes_are_named_along_their_axes(self) -> None:
        assert self.text((), Reported(0, 3, 0)) == "scan[a], step 3: no"
        assert self.text((9,), Reported(0, 3, 5)) == "scan[a], step 3, lane 5: no"
        assert self.text((3, 4), Reported(1, 3, 6)) == "scan[a], step 3, lane (1, 2): index out of range"
        assert self.text((2**25,), Reported(0, 0, LAST_LANE)).startswith(
            "scan[a], step 0, lane 16777215 or a later one"
        )

    def test_each_code_has_its_type(self) -> None:
        assert isinstance(report_error("scan", self.MEANINGS, (), Reported(1, 0, 0)), IndexError)

    def test_the_word_is_inverted(self) -> None:
        assert read_report(ALL_BITS - (5 << 32 | 7 << 8 | 1)) == Reported(1, 5, 7)


class TestARunner:
    """The kernel above in place of the one that would be written for a loop."""

    @pytest.fixture
    def checked(self, monkeypatch: pytest.MonkeyPatch) -> gs.Function:
        def kernel(plan: KernelPlan, by_value: frozenset[str], gpu: GPU) -> BoundKernel:
            names = [plan.loop.sequences[0].name, plan.loop.states[0].name]
            origins: tuple[Origin, ...] = (
                *(Source(name) for name in names),
                Output(Result("history", names[1])),
                Report(),
                Number(plan.lane_count),
                Steps(),
            )
            message = Failure(AssertionError, "must be positive (asserted at model.py:7)")
            return BoundKernel(CHECKED_SUM, origins, plan.grid, plan.block, messages=(message,))

        monkeypatch.setattr("gpuscan.cuda.runner.write_kernel", kernel)
        x, count = gt.matrix("x"), gs.shared(0, "count")
        out, _ = gs.scan(lambda row, s: s + row, x, gt.zeros(3), name="sum")
        self.count = count
        return gs.function([x], out, device="emulator", updates={count: count + 1})

    def test_what_holds_runs(self, checked: gs.Function) -> None:
        x = np.arange(1.0, 13).reshape(4, 3)
        np.testing.assert_allclose(checked(x), x.cumsum(0))
        assert self.count.get_value() == 1

    def test_the_first_failure_is_raised_and_nothing_is_changed(self, checked: gs.Function) -> None:
        x = np.ones((5, 3))
        x[2, 1] = x[2, 2] = x[4, 0] = -1
        expected = "scan[sum], step 2, lane 1: must be positive (asserted at model.py:7)"
        for _ in range(2):  # the word is cleared for each launch
            with pytest.raises(AssertionError, match=f"^{re.escape(expected)}$"):
                checked(x)
        assert self.count.get_value() == 0
        np.testing.assert_allclose(checked(np.ones((2, 3))), np.ones((2, 3)).cumsum(0))


def test_messages_and_the_parameter_for_them_come_together() -> None:
    failure = Failure(AssertionError, "no")
    with pytest.raises(KernelError, match="messages"):
        BoundKernel(CHECKED_SUM, (LastRow("x"),), 1, 1, messages=(failure,))
    with pytest.raises(KernelError, match="messages"):
        BoundKernel(CHECKED_SUM, (Report(),), 1, 1)
    with pytest.raises(KernelError, match="300 messages"):
        BoundKernel(CHECKED_SUM, (Report(),), 1, 1, messages=(failure,) * 300)
