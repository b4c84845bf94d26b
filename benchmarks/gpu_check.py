"""How does gpuscan do on this machine's GPU: is it right, and how near to what the GPU permits?

    PYTHONPATH=. python -m benchmarks.gpu_check

Runs the tests that need a GPU; the workloads at full size, each against its peers in the same run and with its error
against float64; micro-measurements of the GPU; and a few kernels under CUDA's sanitizer. Prints tables as parts end
and writes all that was found as JSON, with a picture, to ``benchmarks/results``. Whatever fails or takes too long is
reported in its place, and the rest goes on: parts run in processes of their own. Times are medians between CUDA events
on the stream, so a call that the host issues more slowly than the GPU runs it takes as long as the host does. All runs
in float32; the floors of rows 8, 9, 10 and 17 are those of products in 16 bits, and 16-bit peers are listed apart.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks import report
from benchmarks.device_tests import run_sanitizer, run_tests
from benchmarks.machine import describe, file_stem
from benchmarks.tasks import PEER_ENVIRONMENT, run_micro, run_peer, run_workload, warm_up
from benchmarks.worker import Worker
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import Sizes, Workload, scaled

RESULTS = Path(__file__).parent / "results"

PARTS = ("tests", "workloads", "micro", "sanitizer")
PEERS = ("cupy", "jax", "torch")
RESERVED = {"tests": 0.0, "workloads": 60.0, "micro": 25.0, "sanitizer": 0.0}
"""Seconds that each part leaves for those after it."""
MOST = {"tests": 0.45, "micro": 0.15, "sanitizer": 0.2}
"""Of the whole budget, what a part may take at most; workloads take the rest."""
ROW_LIMIT = 25.0  # seconds of gpuscan's part of a row, and of one peer's
ROW_LEAST = 4.0
WARM_UP_LIMIT = 60.0
MUCH_MEMORY = 8e9  # bytes after which a library's process is ended, as some libraries keep what they have


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=520, help="seconds; what does not fit is shortened or left out")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="numbers or names of workloads")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to run")
    processes = max(min((os.cpu_count() or 2) - 2, 12), 1)
    parser.add_argument("--processes", type=int, default=processes, help="that the tests are dealt out to")
    parser.add_argument("--skip-peers", action="store_true", help="measure gpuscan alone")
    parser.add_argument("--scale", type=int, default=1, help="divide the numbers of steps (or lanes) by this")
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long to measure each call")
    parser.add_argument("--emulate", action="store_true", help="test sizes on the emulator; the workloads alone")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for what is written")
    return parser.parse_args(arguments)


class Check:
    """One run: its options, how much time is left, and what was found."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.end = monotonic() + options.budget
        self.results: dict[str, Any] = {
            "machine": describe(options.emulate),
            "emulated": options.emulate,
            "budget": options.budget,
            "scale": options.scale,
            "workloads": [],
        }
        self.path = options.output / f"gpu_check_{file_stem(self.results['machine'])}.json"
        peers = {**PEER_ENVIRONMENT, **({"JAX_PLATFORMS": "cpu"} if options.emulate else {})}
        self.measured: dict[Any, dict[str, Any]] = {}
        self.missing = {name for name in PEERS if find_spec(name) is None} | ({"cupy"} if options.emulate else set())
        self.workers = {"gpuscan": Worker(), **{name: Worker(peers) for name in PEERS}}

    def left(self) -> float:
        return self.end - monotonic()

    def limit(self, part: str) -> float:
        """Return the seconds that a part may take now."""
        later = sum(RESERVED[p] for p in PARTS[PARTS.index(part) + 1 :] if p in self.options.parts)
        return min(self.left() - later, MOST.get(part, 1.0) * self.options.budget)

    def run(self) -> None:
        try:
            for part in self.options.parts if not self.options.emulate else ("workloads",):
                if self.limit(part) < ROW_LEAST:
                    print(f"\n{part}: left out, the time is up")
                else:
                    getattr(self, part)()
                self.save()
        finally:
            for worker in self.workers.values():
                worker.stop()

    def save(self) -> None:
        self.results["seconds_left"] = self.left()
        report.write_json(self.path, self.results)

    # ---- the parts

    def tests(self) -> None:
        self.results["tests"] = run_tests(self.limit("tests"), self.options.processes)
        report.print_tests(self.results["tests"])

    def workloads(self) -> None:
        chosen = choose(self.options.only)
        self.warm_up()
        if "gpuscan" in self.missing:
            print("workloads: left out, there is no GPU to run them on; --emulate runs them without")
            return
        end = monotonic() + self.limit("workloads")
        for done, workload in enumerate(chosen):
            # A row that is quick leaves its time to the others; a slow one may take three times its share.
            share = 3 * (end - monotonic()) / (len(chosen) - done)
            row_end = min(end, monotonic() + max(share, ROW_LEAST))
            self.results["workloads"].append(self.workload(workload, row_end))
            self.save()
        report.print_workloads(self.results["workloads"], self.options.emulate)

    def warm_up(self) -> None:
        """Start the processes; a library that cannot be used has no peers in this run."""
        names = ["gpuscan"] if self.options.skip_peers else ["gpuscan", *(p for p in PEERS if p not in self.missing)]
        for name in names:
            limit = min(WARM_UP_LIMIT, max(self.left(), 1))
            found = self.workers[name].run(warm_up, name, not self.options.emulate, limit=limit)
            if "failed" in found:
                self.missing.add(name)
                print(f"{name} cannot be used: {found['failed']}", flush=True)

    def workload(self, workload: Workload, end: float) -> dict[str, Any]:
        """Return what is found of one workload and its peers before `end`."""
        sizes = workload.test if self.options.emulate else scaled(workload.full, self.options.scale)
        floor = workload.floor(sizes)
        row: dict[str, Any] = {
            "row": workload.row,
            "name": workload.name,
            "maths": workload.maths,
            "floor": floor.seconds,
            "bound": floor.bound,
            "tolerance": workload.tolerance,
            "sizes": dict(sizes),
        }
        device = "emulator" if self.options.emulate else "cuda"
        row.update(self.ask("gpuscan", end, run_workload, workload.name, sizes, device, self.options.seconds))
        print(_progress(row), flush=True)
        if not self.options.skip_peers:
            row["peers"] = self.peers(workload, sizes, end)
        return row

    def peers(self, workload: Workload, sizes: Sizes, end: float) -> list[dict[str, Any]]:
        found = []
        for index, peer in enumerate(workload.peers):
            on_gpu = not self.options.emulate
            if peer.library in self.missing:
                continue
            record = {"name": peer.name, "library": peer.library, "dtype": peer.dtype}
            key = (peer.make, tuple(sizes.items()))  # two programs for one thing have the same peers
            if key not in self.measured:
                arguments = (workload.name, index, sizes, on_gpu, self.options.seconds)
                self.measured[key] = {**record, **self.ask(peer.library, end, run_peer, *arguments)}
            found.append(self.measured[key])
        return found

    def ask(self, who: str, end: float, task: Any, *arguments: Any) -> dict[str, Any]:
        limit = min(end - monotonic(), ROW_LIMIT)
        if limit < 1:
            return {"failed": "left out, the time is up"}
        record = self.workers[who].run(task, *arguments, limit=limit)
        if (record.get("memory") or 0) > MUCH_MEMORY and who != "gpuscan":
            self.workers[who].stop()
        return record

    def micro(self) -> None:
        found = self.workers["cupy"].run(run_micro, limit=self.limit("micro"))
        self.results["micro"] = found
        report.print_micro([r for r in found.values() if isinstance(r, dict)])
        if "failed" in found:
            print(f"micro-measurements: {found['failed']}")

    def sanitizer(self) -> None:
        kernels = [r["name"] for r in self.results["workloads"] if r.get("kernels") and not r.get("host_loops")]
        limit = self.limit("sanitizer") / 2
        self.results["sanitizer"] = [run_sanitizer(tool, kernels, limit) for tool in ("memcheck", "racecheck")]
        report.print_sanitizer(self.results["sanitizer"])


def choose(only: Sequence[str] | None) -> list[Workload]:
    """Return the workloads of these numbers and names, all without any.

    Raises
    ------
    SystemExit
        If there is none of such a number or name.
    """
    names = {w.name for w in WORKLOADS} | {str(w.row) for w in WORKLOADS}
    if unknown := set(only or ()) - names:
        raise SystemExit(f"there is no workload {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")
    return [w for w in WORKLOADS if not only or w.name in only or str(w.row) in only]


def _progress(row: dict[str, Any]) -> str:
    if "time" not in row:
        return f"{row['row']} {row['name']}: {row.get('failed', 'no time').splitlines()[0]}"
    times = f"{1e3 * row['time']:.3f} ms, floor {1e3 * row['floor']:.3f}"
    return f"{row['row']} {row['name']}: {times}, {report.launches(row)}"


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the check and return where its results are."""
    check = Check(parse(arguments))
    machine = check.results["machine"]
    print(f"{machine['device']}, driver {machine['driver']}, {machine['date']}", flush=True)
    if check.missing and not check.options.skip_peers:
        print(f"without peers in {', '.join(sorted(check.missing))}: not to be had here")
    check.run()
    print(f"\nwritten: {check.path}")
    print(f"written: {report.draw(check.path.with_suffix('.png'), check.results)}")
    return check.path


if __name__ == "__main__":
    main()
