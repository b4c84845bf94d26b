"""What the documents show runs, and prints what they say it prints.

The ```python blocks of a document are run from top to bottom as one program. What a block prints must stand in a
```text block right below it, where ``...`` stands for anything.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import itertools
import re
import runpy
from dataclasses import dataclass
from pathlib import Path

import pytest

import gpuscan as gs
import gpuscan.tensor as gt

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of Python, the line of the document where it starts, and what it is to print."""

    code: str
    line: int
    printed: str


def read_blocks(document: str) -> list[Block]:
    """The Python blocks of a document; a text block belongs to one if only blank lines are between them."""
    fences = list(FENCE.finditer(document))
    blocks = []
    for fence, following in itertools.zip_longest(fences, fences[1:]):
        if fence[1] == "python":
            is_output = following and following[1] == "text" and not document[fence.end() : following.start()].strip()
            line = document.count("\n", 0, fence.start(2)) + 1
            blocks.append(Block(fence[2], line, following[2] if is_output else ""))
    return blocks


DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): blocks
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if (blocks := read_blocks(path.read_text(encoding="utf-8")))
}


def test_documents_have_blocks():
    assert {"README.md", "docs/loops.md", "docs/tutorial.md"} <= set(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_blocks_print_what_the_document_says(name):
    names = {"__name__": "__main__"}
    check = doctest.OutputChecker()
    with gs.config.change_flags(device="cpu"):
        for block in DOCUMENTS[name]:
            # Blank lines in front, so that tracebacks and messages name the document's own lines.
            code = compile("\n" * (block.line - 1) + block.code, str(ROOT / name), "exec")
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code, names)
            # A line without its trailing blanks is the same line.
            found = re.sub(r" +$", "", printed.getvalue(), flags=re.MULTILINE)
            same = check.check_output(block.printed, found, doctest.ELLIPSIS)
            assert same, f"{name}:{block.line} prints\n{found}\nThe document says\n{block.printed}"


def test_the_figure_has_the_gradient_of_its_loop():
    pytest.importorskip("matplotlib", reason="Matplotlib is in the extra `viz`")
    figure = runpy.run_path(str(ROOT / "docs" / "figures" / "backward_loop.py"))
    comes_in, _, _, owed = figure["undo"]()
    x, before = gt.vector("x"), gt.vector("before")
    s, _ = gs.scan(lambda x, s_2, s_1: s_1 * s_2 + x, x, {"initial": before, "taps": [-2, -1]})
    by_before, by_x = gs.function([before, x], gs.grad(s[0] + s[2], [before, x]), device="cpu")([1, 2], [1, -1, 2])
    assert [*by_before, *by_x] == comes_in
    assert [*by_before[::-1]] == list(owed[0])


def test_a_document_that_says_the_wrong_thing_is_found():
    document = "```python\nprint(1)\n```\n\n```text\n2\n```\n\n```python\nx = 1\n```\nwords\n```text\n3\n```\n"
    assert read_blocks(document) == [Block("print(1)\n", 2, "2\n"), Block("x = 1\n", 10, "")]
