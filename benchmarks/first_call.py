"""How long does a new program wait for its first result on the CPU?

Target: `function` and the first call together under 50 ms, for every program of the seed documents. Each is run in a
Python of its own, so that it pays for everything that is done late.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

import gpuscan as gs
from benchmarks.seed_examples import PROGRAMS
from benchmarks.timing import print_table

PARTS = ("scan", "function", "first call", "second call")


def measure(name: str, device: str) -> list[float]:
    """Return the milliseconds that building the graph, compiling it, and its first and second call take."""
    marks = [perf_counter()]
    program = PROGRAMS[name]()
    marks.append(perf_counter())
    f = gs.function(program.inputs, program.outputs, updates=program.updates, device=device)
    marks.append(perf_counter())
    for _ in range(2):
        f(*program.values)
        marks.append(perf_counter())
    return [1000 * (after - before) for before, after in pairwise(marks)]


def in_new_python(name: str, device: str) -> list[float]:
    """Return what `measure` returns in a new interpreter."""
    command = [sys.executable, "-m", "benchmarks.first_call", "--device", device, "--only", name, "--json"]
    root = Path(__file__).parents[1]
    return [float(ms) for ms in json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True).stdout)]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, auto or another")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=PROGRAMS, help="one program")
    parser.add_argument("--json", action="store_true", help="measure in this process and print four numbers")
    options = parser.parse_args(arguments)
    names = [options.only] if options.only else list(PROGRAMS)
    if options.json:
        print(json.dumps(measure(names[0], options.device)))
        return
    rows = []
    for name in names:
        runs = [in_new_python(name, options.device) for _ in range(options.repeats)]
        parts = [median(part) for part in zip(*runs, strict=True)]
        rows.append((name, *parts, parts[1] + parts[2]))
    print(f"milliseconds on {options.device}, each program in a Python of its own, medians of {options.repeats}")
    print_table(("program", *PARTS, "function + first call"), rows)


if __name__ == "__main__":
    main()
