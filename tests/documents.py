"""The documents, and the blocks of Python in them with what they are to print."""

from __future__ import annotations

import doctest
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of Python, the line of the document where it starts, what it is to print and where that stands."""

    code: str
    line: int
    printed: str
    span: tuple[int, int]


def read_blocks(document: str) -> list[Block]:
    """The Python blocks of a document; a text block belongs to one if only blank lines are between them."""
    fences = list(FENCE.finditer(document))
    blocks = []
    for fence, following in itertools.zip_longest(fences, fences[1:]):
        if fence[1] == "python":
            is_output = following and following[1] == "text" and not document[fence.end() : following.start()].strip()
            line = document.count("\n", 0, fence.start(2)) + 1
            printed, span = (following[2], following.span()) if is_output else ("", (fence.end(), fence.end()))
            blocks.append(Block(fence[2], line, printed, span))
    return blocks


def fits(wanted: str, found: str) -> bool:
    """Whether a text is what is wanted, in which ``...`` stands for anything."""
    return doctest.OutputChecker().check_output(wanted, found, doctest.ELLIPSIS)


def updated(document: str, found: dict[Block, str]) -> str:
    """The document with what blocks were found to print in the place of what it says they print."""
    for block in sorted(found, key=lambda block: block.span, reverse=True):
        patterns = [line for line in block.printed.splitlines(keepends=True) if "..." in line]
        lines = found[block].splitlines(keepends=True)
        text = "".join(next((p for p in patterns if fits(p, line)), line) for line in lines)
        start, end = block.span
        fence = "" if start < end or not text else "\n\n"
        document = document[:start] + (f"{fence}```text\n{text}```" if text else "") + document[end:]
    return document


DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): blocks
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if (blocks := read_blocks(path.read_text(encoding="utf-8")))
}
