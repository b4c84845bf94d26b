"""Settings, read from the environment when the package is imported and changed by attribute.

``GPUSCAN_FLAGS="floatX=float32,device=cpu"`` sets several, ``GPUSCAN_DEVICE=cpu`` one (it wins over the former).

>>> import gpuscan as gs
>>> gs.config.floatX
'float64'
>>> with gs.config.change_flags(floatX="float32"):
...     gs.tensor.scalar().dtype
'float32'
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

FUNCTION = "a function, or None"


@dataclass(frozen=True)
class Flag:
    """One setting: its default, a pattern that every value must match, and what it is for.

    One whose pattern is `FUNCTION` is None or a function, and cannot be set in the environment.
    """

    default: Any
    allowed: str
    meaning: str

    def parse(self, name: str, value: Any) -> Any:
        """Return `value` as this flag's type, or raise ValueError saying what is allowed."""
        if self.allowed is FUNCTION:
            if value is None or callable(value):
                return value
            raise ValueError(f"config.{name} = {value!r} is not possible; it must be a function, or None")
        text = str(value)
        if isinstance(self.default, bool):
            text = {"1": "True", "0": "False", "true": "True", "false": "False"}.get(text, text)
        if not re.fullmatch(self.allowed, text):
            raise ValueError(f"config.{name} = {value!r} is not possible; it must match {self.allowed!r}")
        return text == "True" if isinstance(self.default, bool) else text


DEVICE_PATTERN = r"auto|cpu|cuda(:\d+)?|emulator"

FLAGS = {
    "floatX": Flag("float64", "float16|float32|float64", "dtype of scalar(), vector(), ... and of Python floats"),
    "device": Flag("auto", DEVICE_PATTERN, "where functions run; auto is CUDA if there is a GPU, else the CPU"),
    "check": Flag(False, "True|False", "verify graphs between rewrites, and dtypes and shapes at every step"),
    "mode": Flag("FAST_RUN", rf"FAST_RUN|FAST_COMPILE|eager|{DEVICE_PATTERN}", "what function(mode=) is without it"),
    "exclude_rewrites": Flag("", r"[\w:]*", "rewrites that no graph goes through, with colons between their names"),
    "profile": Flag(False, "True|False", "measure the loops of every function; f.explain() shows what was found"),
    "scan__allow_gc": Flag(True, "True|False", "whether loops give their buffers back after each call, on the CPU"),
    "compile": Flag(True, "True|False", "whether functions are compiled; else they run node by node, for debugging"),
    "nan_guard": Flag(False, "True|False", "run as with compile=False, and stop at the first NaN or infinity made"),
    "on_node": Flag(
        None, FUNCTION, "called after every node of a function that is not compiled: see gpuscan.cpu.eager"
    ),
    "gradient_memory": Flag("1e9", r"[0-9.e+]+", "bytes that the states of one loop with checkpoint='auto' may take"),
    "strategy": Flag(
        "auto", "auto|thread|warp|block|tile|grid|prefix|host", "team that carries a loop on CUDA if it can, for tests"
    ),
    "matmul_precision": Flag(
        "highest", "highest|tf32|bf16", "what float32 operands of products inside kernels may be rounded to"
    ),
    "cache_dir": Flag("", ".*", "folder of compiled kernels; empty for the user's cache folder"),
}


class Config:
    """All settings as attributes; see `FLAGS` for what there is."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        values = {name: flag.default for name, flag in FLAGS.items()}
        for name, value in _from_environment(environment):
            values[name] = FLAGS[name].parse(name, value)
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = self._flag(name).parse(name, value)

    def __getattr__(self, name: str) -> Any:
        # Reached only for names that are no flags: those are in __dict__.
        self._flag(name)

    @staticmethod
    def _flag(name: str) -> Flag:
        if name not in FLAGS:
            raise AttributeError(f"there is no setting {name!r}; there are {', '.join(sorted(FLAGS))}")
        return FLAGS[name]

    @contextmanager
    def change_flags(self, **flags: Any) -> Iterator[None]:
        """Change settings inside a ``with`` block, or for the calls of a decorated function."""
        before = {name: getattr(self, name) for name in flags}
        try:
            for name, value in flags.items():
                setattr(self, name, value)
            yield
        finally:
            self.__dict__.update(before)

    def __repr__(self) -> str:
        return "\n".join(f"{name} = {getattr(self, name)!r}  # {flag.meaning}" for name, flag in FLAGS.items())


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for entry in filter(None, environment.get("GPUSCAN_FLAGS", "").split(",")):
        name, found, value = entry.partition("=")
        if not found or name.strip() not in FLAGS:
            raise ValueError(f"GPUSCAN_FLAGS: {entry!r} is not NAME=VALUE with NAME one of {', '.join(sorted(FLAGS))}")
        yield name.strip(), value.strip()
    for name in FLAGS:
        if (variable := f"GPUSCAN_{name.upper()}") in environment:
            yield name, environment[variable]


config = Config(os.environ)
