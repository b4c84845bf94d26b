"""The command for GPUs, run on the emulator, and its parts where there is none."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks import device_tests, gpu_check, report
from benchmarks.device_tests import OUTCOME, run_commands, run_sanitizer, run_tests
from benchmarks.machine import file_stem
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import Lanes, scaled, take_lanes

ROW = {
    "row": 1,
    "name": "elementwise",
    "floor": 2e-3,
    "tolerance": 1e-6,
    "time": 4e-3,
    "kernels": 1,
    "host_loops": 0,
    "memory": 9e9,
    "error": 1e-7,
    "peers": [
        {"name": "slow", "dtype": "float32", "time": 1e-2},
        {"name": "quick", "dtype": "float32", "time": 8e-3},
        {"name": "small", "dtype": "float16", "time": 2e-3},
        {"name": "broken", "dtype": "float32", "stage": "compiling", "failed": "MemoryError: so much"},
    ],
}
FAILED_ROW = {"row": 14, "name": "newton", "floor": 1e-3, "tolerance": 1, "stage": "first call", "failed": "stopped"}


def test_emulated(tmp_path, capsys):
    arguments = ["--emulate", "--only", "1", "lorenz", "--skip-peers", "--seconds", "0.01", "--output", str(tmp_path)]
    path = gpu_check.main(arguments)
    found = json.loads(path.read_text())
    assert found["machine"]["device"] == "emulator"
    assert "emulator" in path.name
    assert [row["name"] for row in found["workloads"]] == ["elementwise", "lorenz"]
    for row in found["workloads"]:
        assert row["error"] <= row["tolerance"]
        assert (row["kernels"], row["host_loops"]) == (1, 0)
        assert "one kernel launch" in row["explain"]
    out = capsys.readouterr().out
    assert "1 elementwise" in out
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert "no picture" in out
    else:
        assert path.with_suffix(".png").stat().st_size > 10_000


def test_time_that_is_up_is_said(tmp_path, capsys):
    path = gpu_check.main(["--emulate", "--budget", "1", "--output", str(tmp_path)])
    assert json.loads(path.read_text())["workloads"] == []
    assert "workloads: left out, the time is up" in capsys.readouterr().out


def test_unknown_rows_are_refused():
    with pytest.raises(SystemExit, match="no workload 99"):
        gpu_check.choose(["1", "99"])
    assert [w.name for w in gpu_check.choose(["6"])] == ["gbm", "heston"]


def test_ratios_are_to_the_best_peer_of_the_same_width():
    assert report.best_peer(ROW) == ("quick", 8e-3)
    assert report.ratio(ROW) == 2
    assert report.ratio(ROW, wide=False) == 0.5
    assert report.share(ROW) == 0.5
    assert report.ratio(FAILED_ROW) is report.share(FAILED_ROW) is None


def test_a_table_says_what_failed_and_why(capsys):
    report.print_workloads([{**ROW, "error": 0.1}, FAILED_ROW], emulated=False)
    out = capsys.readouterr().out
    assert "1 launch" in out
    assert "elementwise: error 1.0e-01 is above 1e-06" in out
    assert "elementwise, broken, compiling: MemoryError: so much" in out
    assert "newton, first call: stopped" in out


def test_micro_and_tests_are_printed(capsys):
    report.print_micro([{"name": "hop", "unit": "us", "expected": "0.6", "value": 0.61}])
    report.print_micro([{"name": "clusters", "unit": "", "expected": "", "error": "CUDADriverError: no"}])
    counts = {"passed": 3, "failed": 1, "error": 0, "skipped": 0}
    output = "E   ValueError: twice\nE   ValueError: twice\n"
    failures = ["tests/a.py::test_b"]
    report.print_tests({**counts, "selected": 5, "finished": False, "failures": failures, "output": output})
    verdict = {"clean": False, "exit_code": 86, "ran": ["gbm"], "summary": ["ERROR SUMMARY: 2 errors"]}
    report.print_sanitizer([{"tool": "memcheck", **verdict}])
    out = capsys.readouterr().out
    for part in (
        "0.61",
        "clusters: CUDADriverError: no",
        "of 5 selected; stopped",
        "test_b",
        "2 times: ValueError",
        "memcheck: ERRORS",
    ):
        assert part in out


def test_picture(tmp_path):
    pytest.importorskip("matplotlib")
    machine = {"device": "a GPU", "driver": "1.2", "date": "today", "commit": "c0ffee"}
    results = {"machine": machine, "emulated": False, "workloads": [ROW, FAILED_ROW]}
    assert report.draw(tmp_path / "picture.png", results).endswith("picture.png")


def test_file_names_say_what_ran_where():
    machine = {"device": "NVIDIA H200", "driver": "580.65.06", "date": "2026-01-02T0304Z"}
    assert file_stem(machine) == "NVIDIA-H200_driver-580.65.06_2026-01-02T0304Z"


def test_commands_are_stopped_at_the_limit():
    code = "import time; print('here', flush=True); time.sleep(100)"
    quick, slow = run_commands([[sys.executable, "-c", "print('done')"], [sys.executable, "-c", code]], 3)
    assert quick == (0, "done\n")
    assert slow == (None, "here\n")


def test_outcomes_are_read_from_what_pytest_prints():
    text = (
        "tests/a.py::test_x[cuda-a b] PASSED      [ 50%]\ntests/a.py::test_y FAILED [100%]\nFAILED tests/a.py::test_y\n"
    )
    assert [m.groups() for m in OUTCOME.finditer(text)] == [
        ("tests/a.py::test_x[cuda-a b]", "PASSED"),
        ("tests/a.py::test_y", "FAILED"),
    ]


BREAKS = """
import warnings

import pytest

broken = []

@pytest.mark.cuda
def test_that_breaks_the_gpu():
    broken.append(1)
    raise RuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")

@pytest.mark.cuda
def test_after():
    assert not broken, "cudaErrorIllegalAddress"

@pytest.mark.cuda
def test_that_fails():
    assert False

@pytest.mark.cuda
def test_that_warns():
    warnings.warn("a library will change", DeprecationWarning)
"""


def test_what_one_test_breaks_is_not_said_of_others(monkeypatch, tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = cuda: needs a GPU\nfilterwarnings = error\n")
    (tmp_path / "tests" / "test_breaks.py").write_text(BREAKS)
    (tmp_path / "tests" / "test_unreadable.py").write_text("import nothing_of_this_name\n")
    monkeypatch.setattr(device_tests, "ROOT", tmp_path)
    monkeypatch.setattr(device_tests, "LEAST_ALONE", 1.0)
    found = run_tests(60, 1)
    assert (found["passed"], found["failed"], found["error"], found["selected"]) == (2, 2, 1, 5)
    names = ["test_breaks.py::test_that_breaks_the_gpu", "test_breaks.py::test_that_fails", "test_unreadable.py"]
    assert sorted(found["failures"]) == [f"tests/{name}" for name in names]
    assert len(found["alone"]) == 3
    assert "nothing_of_this_name" in found["output"]


def test_a_missing_sanitizer_is_said(monkeypatch):
    monkeypatch.setattr("benchmarks.device_tests.find_sanitizer", lambda: None)
    assert "not installed" in run_sanitizer("memcheck", [], 1)["skipped"]


def test_what_the_sanitizer_says_is_kept(monkeypatch, tmp_path):
    stand_in = tmp_path / "compute-sanitizer"
    stand_in.write_text("#!/bin/sh\necho ran gbm\necho '========= ERROR SUMMARY: 1 error'\nexit 86\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = run_sanitizer("memcheck", ["gbm"], 20)
    assert (found["clean"], found["ran"], found["summary"]) == (False, ["gbm"], ["ERROR SUMMARY: 1 error"])


# ---- sizes and lanes


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_shorter_runs_have_whole_inputs(workload):
    sizes = scaled(workload.test, 2)
    inputs = workload.make_inputs(np.random.default_rng(0), sizes, "float32")
    expected = workload.reference(sizes, *inputs)
    lanes = workload.check.picked(2, sizes[workload.check.size]) if isinstance(workload.check, Lanes) else None
    if lanes is not None:
        some = take_lanes(inputs, workload.check.inputs, lanes, np.asarray)
        found = workload.reference(sizes, *some)
        for a, b in zip(found, take_lanes(expected, workload.check.outputs, lanes, np.asarray), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_lanes_are_taken_from_all_over_or_from_the_front():
    assert list(range(10))[Lanes((0,), (0,)).picked(3, 10)] == [0, 3, 6, 9]
    assert list(range(10))[Lanes((0,), (0,), anywhere=False).picked(3, 10)] == [0, 1, 2]
    assert list(range(10))[Lanes((0,), (0,)).picked(30, 10)] == list(range(10))


FLOORS = {  # milliseconds on an H200
    "elementwise": 2.0, "linear_recurrence": 2.25, "linear_recurrence_gradient": 6.0, "gibbs": 2.2, "gbm": 0.9,
    "heston": 2.2, "lorenz": 1.88, "lstm_heads": 0.18, "lstm": 1.2, "lstm_gradient": 3.2, "gru": 0.73, "rnn": 0.26,
    "kalman": 0.32, "hmm": 0.2, "mandelbrot": 0.96, "newton": 0.06, "implicit_euler": 3.1, "dtw": 0.9,
    "dtw_nested": 0.9, "truncated_bptt": 4.9,
}  # fmt: skip


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_floors_of_the_full_sizes(workload):
    floor = workload.floor(workload.full)
    assert 1e3 * floor.seconds == pytest.approx(FLOORS[workload.name], rel=0.03)
    assert workload.floor(workload.test).seconds < floor.seconds
