"""What a measurement ran on: a number without it says little."""

from __future__ import annotations

import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "scipy", "cupy-cuda13x", "cupy-cuda12x", "torch", "jax", "jaxlib")


def describe(emulated: bool) -> dict[str, str]:
    """Return the device and its driver, the packages' versions, the commit and the date."""
    device, driver = ("emulator", "none") if emulated else _gpu()
    return {
        "device": device,
        "driver": driver,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H%MZ"),
        "commit": _output("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD") or "unknown",
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def file_stem(machine: dict[str, str]) -> str:
    """Return a file's name that says device, driver and date."""
    text = f"{machine['device']}_driver-{machine['driver']}_{machine['date']}"
    return re.sub(r"[^\w.-]+", "-", text)


def _gpu() -> tuple[str, str]:
    # Not through CuPy: a process that starts others need not hold a context on the GPU.
    line = _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").partition("\n")[0]
    name, _, driver = line.partition(", ")
    return name or "unknown GPU", driver or "unknown"


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
