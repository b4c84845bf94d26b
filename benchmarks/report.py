"""The results of `gpu_check` as tables, a file and a picture."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.timing import print_table

COMMON_ERRORS = 12

Record = Mapping[str, Any]


def best_peer(row: Record, wide: bool = True) -> tuple[str, float] | None:
    """Return the fastest peer and its time: of those in float32, or with `wide` False of those in 16 bits."""
    times = [(p["time"], p["name"]) for p in row.get("peers", ()) if "time" in p and (p["dtype"] == "float32") == wide]
    return (min(times)[1], min(times)[0]) if times else None


def ratio(row: Record, wide: bool = True) -> float | None:
    """Return how many times as long as gpuscan the best peer takes."""
    best = best_peer(row, wide)
    return best[1] / row["time"] if best and row.get("time") else None


def share(row: Record) -> float | None:
    """Return the floor's share of the time."""
    return row["floor"] / row["time"] if row.get("time") else None


def launches(row: Record) -> str:
    """Return how a workload's loops run, in a word or two."""
    if "kernels" not in row:
        return "?"
    kernels, host = row["kernels"], row["host_loops"]
    if host:
        return f"host, {host} of {kernels + host} loops"
    return "1 launch" if kernels == 1 else f"{kernels} launches"


def number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def print_workloads(rows: Iterable[Record], emulated: bool) -> None:
    """Print a line a workload, and below why those failed that did."""
    rows = list(rows)
    print(f"\nworkloads{', emulated: wall time at test sizes, which no floor is about' if emulated else ''}")
    head = [
        "row",
        "ms",
        "floor, ms",
        "floor/time",
        "best peer",
        "its ms",
        "peer/time",
        "16-bit/time",
        "loops",
        "GB",
        "error",
    ]
    table = []
    for row in rows:
        best = best_peer(row)
        table.append(
            [
                f"{row['row']} {row['name']}",
                number(1e3 * row["time"] if "time" in row else None, ".3f"),
                number(1e3 * row["floor"], ".3f"),
                number(share(row), ".2f"),
                best[0] if best else "-",
                number(1e3 * best[1] if best else None, ".3f"),
                number(ratio(row), ".2f"),
                number(ratio(row, wide=False), ".2f"),
                launches(row),
                number(row["memory"] / 1e9 if row.get("memory") else None, ".2f"),
                number(row.get("error"), ".0e"),
            ]
        )
    print_table(head, table)
    for row in rows:
        if "failed" in row:
            print(f"{row['name']}, {row.get('stage', 'start')}: {row['failed'].splitlines()[0]}")
        if row.get("error") is not None and not row["error"] <= row["tolerance"]:
            print(f"{row['name']}: error {row['error']:.1e} is above {row['tolerance']:.0e}")
        for peer in row.get("peers", ()):
            if "failed" in peer:
                print(f"{row['name']}, {peer['name']}, {peer.get('stage', 'start')}: {peer['failed'].splitlines()[0]}")


def print_micro(records: Iterable[Record]) -> None:
    """Print a line a micro-measurement."""
    print("\nmicro-measurements")
    rows = []
    for r in records:
        value = r.get("value")
        text = value if isinstance(value, str) else number(value, ".3g")
        rows.append([r["name"], text, r["unit"], r["expected"]])
    print_table(["what", "found", "unit", "expected"], rows)
    for r in records:
        if "error" in r:
            print(f"{r['name']}: {r['error'].splitlines()[0]}")


def print_tests(record: Record) -> None:
    """Print how the tests ended, the names of those that failed, and what their errors say most often."""
    what = ", ".join(f"{record[kind]} {kind}" for kind in ("passed", "failed", "error", "skipped"))
    end = "" if record["finished"] else "; stopped by the time limit"
    print(f"\ntests marked cuda: {what}, of {record['selected']} selected{end}")
    for name in record["failures"]:
        print(f"  {name}")
    if record.get("alone"):
        print(f"  run again, each alone, as an error spoils a process's GPU: {len(record['alone'])}")
    lines = record["output"].splitlines()
    said = Counter(line for line in lines if line.startswith("E  ")).most_common(COMMON_ERRORS)
    for line, times in said:
        print(f"  {times} times: {line[1:].strip()[:300]}")
    if not record["selected"]:
        print("\n".join(lines[-COMMON_ERRORS:]))


def print_sanitizer(records: Iterable[Record]) -> None:
    """Print what the sanitizer's tools found."""
    print()
    for r in records:
        if "skipped" in r:
            print(f"sanitizer, {r['tool']}: {r['skipped']}")
        else:
            verdict = "clean" if r["clean"] else "stopped by the time limit" if r["exit_code"] is None else "ERRORS"
            print(f"sanitizer, {r['tool']}: {verdict}; ran {', '.join(r['ran']) or 'nothing'}")
            print(*(f"  {line}" for line in r["summary"]), sep="\n")


def write_json(path: Path, results: Record) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")


def draw(path: Path, results: Record) -> str:
    """Draw floor/time and the ratio to the best peer of each workload; return its path, or why there is none."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        return "no picture: matplotlib is not installed"
    rows = list(results["workloads"])[::-1]
    machine = results["machine"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 1.6 + 0.32 * len(rows)), sharey=True, layout="constrained")
    places = range(len(rows))
    left.barh(places, [share(r) or 0 for r in rows], color=[_colour(r) for r in rows])
    left.set_yticks(places, [f"{r['row']} {r['name']}" for r in rows])
    left.margins(y=0.01)
    left.set_xlabel("floor / time: 1 is the least time an H200 permits")
    left.axvline(1, color="black", linewidth=0.8)
    for wide, marker, label in ((True, "o", "best float32 peer"), (False, "x", "best 16-bit peer")):
        points = [(found, k) for k, r in enumerate(rows) if (found := ratio(r, wide)) is not None]
        right.plot([x for x, _ in points], [y for _, y in points], marker, color="tab:blue", label=label)
    right.set_xscale("log")
    right.axvline(1, color="black", linewidth=0.8)
    right.set_xlabel("best peer's time / time: right of 1 gpuscan is faster")
    right.grid(axis="x", which="both", alpha=0.3)
    right.legend(**ABOVE)
    for k, row in enumerate(rows):
        if row.get("time") is None:
            left.text(
                0.01, k, row.get("failed", "not run").splitlines()[0][:60], va="center", fontsize=7, color="tab:red"
            )
    handles = [plt.Rectangle((0, 0), 1, 1, color=c) for c in (ONE_LAUNCH, FROM_HOST)]
    left.legend(handles, ["kernels", "driven from the host"], **ABOVE)
    emulated = ", emulated: times mean nothing" if results["emulated"] else ""
    figure.suptitle(
        f"{machine['device']}, driver {machine['driver']}, {machine['date']}, {machine['commit']}{emulated}"
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return str(path)


ABOVE = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2, "frameon": False}
ONE_LAUNCH, FROM_HOST = "tab:green", "tab:orange"


def _colour(row: Record) -> str:
    return FROM_HOST if row.get("host_loops") else ONE_LAUNCH
