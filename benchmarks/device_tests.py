"""The tests that need a GPU, and the CUDA sanitizer, run as commands with a time limit."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

Record = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
OUTCOME = re.compile(r"^(?P<name>\S+::.+?) (?P<outcome>PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b", re.MULTILINE)
COLLECTED = re.compile(r"(\d+) selected|collected (\d+) items?")
TAIL = 6000


def run_command(command: list[str], limit: float) -> tuple[int | None, str]:
    """Return a command's exit code, None if it was stopped after `limit` seconds, and all that it printed till then."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env=environment, start_new_session=True
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, 9)  # what it started too; the session is its own
            process.wait()
        out.seek(0)
        return code, out.read().decode(errors="replace")


def run_tests(limit: float, select: tuple[str, ...] = ("-m", "cuda")) -> Record:
    """Run the tests marked ``cuda``, and count how they end; those that the limit leaves out are not run."""
    options = ["-v", "--tb=short", "-p", "no:cacheprovider", "--color=no"]
    code, text = run_command([sys.executable, "-m", "pytest", *select, *options], limit)
    outcomes = [(m["name"], m["outcome"].lower()) for m in OUTCOME.finditer(text)]
    counts = {kind: sum(o == kind for _, o in outcomes) for kind in ("passed", "failed", "error", "skipped")}
    found = COLLECTED.findall(text.partition("::")[0])
    selected = int(next((a or b for a, b in reversed(found)), 0))
    bad = [name for name, outcome in outcomes if outcome in ("failed", "error")]
    return {
        **counts,
        "selected": selected,
        "finished": code is not None,
        "exit_code": code,
        "failures": bad,
        # The head says why nothing ran, the tail why something failed.
        "output": text if len(text) < 2 * TAIL else f"{text[:TAIL]}\n...\n{text[-TAIL:]}",
    }


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
    program = [sys.executable, "-m", "benchmarks.sanitized", *names]
    code, text = run_command([binary, "--tool", tool, "--error-exitcode", "86", *program], limit)
    ran = re.findall(r"^ran (\w+)$", text, re.MULTILINE)
    return {"tool": tool, "exit_code": code, "clean": code == 0, "ran": ran, "output": text[-TAIL:]}
