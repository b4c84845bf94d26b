"""The text of a struct ``Step``: its methods, indented."""

from __future__ import annotations

from collections.abc import Iterable


def indented(lines: Iterable[str], depth: int) -> list[str]:
    """Return lines inside so many pairs of braces."""
    return ["    " * depth + line for line in lines]


def method(head: str, body: Iterable[str]) -> list[str]:
    """Return the definition of a method."""
    return [f"    __device__ __forceinline__ {head} {{", *indented(body, 2), "    }"]


def one_line(title: str) -> str:
    """Return a title as a comment of one line can have it."""
    return title.encode("unicode_escape").decode()
