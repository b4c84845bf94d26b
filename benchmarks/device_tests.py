"""The tests that need a GPU, and the CUDA sanitizer, run as commands with a time limit."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from signal import SIGKILL
from time import monotonic
from typing import Any

Record = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
OUTCOME = re.compile(r"^(?P<name>\S+::.+?) (?P<outcome>PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b", re.MULTILINE)
UNREADABLE = re.compile(r"^ERROR (?P<name>\S+)", re.MULTILINE)
BROKEN = re.compile(
    r"cudaError(Illegal|Misaligned|Launch(Failure|Timeout)|HardwareStackError|InvalidPc|InvalidAddressSpace|Assert)"
    r"|CUDA_ERROR_(ILLEGAL|MISALIGNED|LAUNCH_(FAILED|TIMEOUT)|HARDWARE_STACK_ERROR|INVALID_PC|INVALID_ADDRESS_SPACE|ASSERT)"
)
"""Errors after which a process cannot use its GPU any more (CUDA Runtime API, "cudaError_t")."""
LEAST_ALONE = 10.0  # seconds for a test by itself
# What the libraries there announce for their next versions is no failure, though tests take every warning for one.
ANNOUNCED = ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
WARNINGS = tuple(option for kind in ANNOUNCED for option in ("-W", f"default::{kind}"))
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *WARNINGS)
TAIL = 6000


def run_commands(commands: Sequence[list[str]], limit: float) -> list[tuple[int | None, str]]:
    """Run commands side by side.

    Returns
    -------
    list
        Of each its exit code, None if it was stopped after `limit` seconds, and all that it printed till then.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # Plugins of pytest's that are installed take long to import, and warn of what is not ours.
    environment = {
        **os.environ,
        **{"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    }
    end = monotonic() + limit
    with ExitStack() as files:
        outputs = [files.enter_context(tempfile.TemporaryFile()) for _ in commands]
        processes = [
            subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env=environment, start_new_session=True
            )
            for command, out in zip(commands, outputs, strict=True)
        ]
        return [(_ended(process, end), _read(out)) for process, out in zip(processes, outputs, strict=True)]


def _ended(process: subprocess.Popen[bytes], end: float) -> int | None:
    try:
        return process.wait(max(end - monotonic(), 0))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, SIGKILL)  # what it started too: the session is its own
        process.wait()
        return None


def _read(out: Any) -> str:
    out.seek(0)
    text: str = out.read().decode(errors="replace")
    return text


def run_tests(limit: float, processes: int, marker: str = "cuda") -> Record:
    """Run the tests of a marker, dealt out to several processes, and count how they end.

    Tests that failed in a process whose GPU, or which itself, an earlier test had broken, are run again, each alone.
    Tests that the limit leaves out count as not run.
    """
    end = monotonic() + limit
    ((code, listed),) = run_commands([[*PYTEST, "--collect-only", "-q", "-m", marker, "tests"]], limit)
    names = [line for line in listed.partition("= ERRORS =")[0].splitlines() if "::" in line]
    if not names:
        return {**_counted({}, 0), "finished": False, "exit_codes": [code], "output": listed[-TAIL:]}
    # Files that cannot be read: the tests of the others run.
    outcomes = {m["name"]: "error" for m in UNREADABLE.finditer(listed)}
    unreadable = len(outcomes)
    texts = [listed[-TAIL:]] if outcomes else []
    shares = [names[k::processes] for k in range(processes)]
    ended = _run_each(shares, end - monotonic())
    again: list[str] = []
    for share, (code, text) in zip(shares, ended, strict=True):
        outcomes.update(_outcomes(text))
        if code not in (0, 1, None) or BROKEN.search(text):
            again += [name for name in share if outcomes.get(name, "error") in ("failed", "error")]
    codes = [code for code, _ in ended]
    for first in range(0, len(again), processes):
        if (left := end - monotonic()) < LEAST_ALONE:
            break
        for _, text in _run_each([[name] for name in again[first : first + processes]], left):
            outcomes.update(_outcomes(text))
            texts.append(_told(text, TAIL // processes))
    texts += [_told(text, TAIL // processes) for _, text in ended]
    return {
        **_counted(outcomes, len(names) + unreadable),
        "alone": again,
        "finished": None not in codes,
        "exit_codes": codes,
        "output": "\n".join(texts)[: 8 * TAIL],
    }


def _run_each(shares: Sequence[Sequence[str]], limit: float) -> list[tuple[int | None, str]]:
    """Run shares of tests side by side, a process each."""
    with tempfile.TemporaryDirectory() as folder:
        commands = []
        for k, share in enumerate(shares):
            chosen = Path(folder, f"tests_{k}")
            chosen.write_text("\n".join(share))
            commands.append([*PYTEST, "-v", "--tb=short", f"@{chosen}"])
        return run_commands(commands, limit)


def _outcomes(text: str) -> dict[str, str]:
    return {m["name"]: m["outcome"].lower() for m in OUTCOME.finditer(text)}


def _told(text: str, most: int) -> str:
    """Return what pytest says of failures, or how it ends."""
    return text.partition("= FAILURES =")[2][: 2 * TAIL] or text[-most:]


def _counted(outcomes: Mapping[str, str], selected: int) -> Record:
    counts = {kind: sum(o == kind for o in outcomes.values()) for kind in ("passed", "failed", "error", "skipped")}
    bad = [name for name, outcome in outcomes.items() if outcome in ("failed", "error")]
    return {**counts, "selected": selected, "failures": bad}


def find_sanitizer() -> str | None:
    """Return where ``compute-sanitizer`` is: on PATH, or in a CUDA toolkit."""
    toolkits = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), *sorted(glob.glob("/usr/local/cuda*"))]
    folders = [os.path.join(t, "bin") for t in toolkits if t]
    folders += [os.path.join(t, "compute-sanitizer") for t in toolkits if t]
    return shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=os.pathsep.join(folders))


def run_sanitizer(tool: str, names: list[str], limit: float) -> Record:
    """Run workloads of test size under one of the sanitizer's tools, ``memcheck`` or ``racecheck``."""
    binary = find_sanitizer()
    if binary is None:
        return {"tool": tool, "skipped": "compute-sanitizer is not installed"}
    # What CuPy asks of the driver to find out what it can do may fail, and is no error of a kernel.
    options = ["--report-api-errors", "no"] if tool == "memcheck" else []
    program = [sys.executable, "-m", "benchmarks.sanitized", *names]
    command = [binary, "--tool", tool, *options, "--error-exitcode", "86", *program]
    ((code, text),) = run_commands([command], limit)
    return {
        "tool": tool,
        "exit_code": code,
        "clean": code == 0,
        "ran": re.findall(r"^ran (\w+)$", text, re.MULTILINE),
        "summary": re.findall(r"^=+ (.*SUMMARY.*)$", text, re.MULTILINE),
        "output": text[-TAIL:],
    }
