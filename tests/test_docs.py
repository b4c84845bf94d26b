"""What the documents show runs, and prints what they say it prints.

The ```python blocks of a document are run from top to bottom as one program. What a block prints must stand in a
```text block right below it, where ``...`` stands for anything. With ``--update-golden`` what is printed is written
there instead, but for lines with ``...`` that still fit.
"""

from __future__ import annotations

import contextlib
import io
import re
import runpy

import pytest

import gpuscan as gs
import gpuscan.tensor as gt
from gpuscan.cuda import runner
from tests.documents import DOCUMENTS, FENCE, ROOT, fits, read_blocks, updated


def test_documents_have_blocks():
    assert {"README.md", "docs/kernels.md", "docs/loops.md", "docs/tour.md", "docs/tutorial.md"} <= set(DOCUMENTS)


@pytest.fixture
def no_nvrtc(monkeypatch):
    """Leave out what plans say only where NVRTC is installed: the documents are the same on every machine."""

    def resources(*_):
        raise gs.KernelError("there is no NVRTC")

    monkeypatch.setattr(runner, "resources", resources)


@pytest.mark.usefixtures("no_nvrtc")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_blocks_print_what_the_document_says(name, request):
    names = {"__name__": "__main__"}
    different = {}
    with gs.config.change_flags(device="cpu"):
        for block in DOCUMENTS[name]:
            # Blank lines in front, so that tracebacks and messages name the document's own lines.
            code = compile("\n" * (block.line - 1) + block.code, str(ROOT / name), "exec")
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code, names)
            # A line without its trailing blanks is the same line.
            found = re.sub(r" +$", "", printed.getvalue(), flags=re.MULTILINE)
            if not fits(block.printed, found):
                different[block] = found
    if request.config.getoption("--update-golden"):
        path = ROOT / name
        path.write_text(updated(path.read_text(encoding="utf-8"), different), encoding="utf-8")
        return
    said = [f"{name}:{b.line} prints\n{found}\nThe document says\n{b.printed}" for b, found in different.items()]
    assert not said, "\n".join([*said, "Look at it, then run with --update-golden."])


def anchor(heading: str) -> str:
    """What a heading is called in links, as GitHub does it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        name, _, heading = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), f"{path.name}: {link}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in map(anchor, headings), f"{path.name}: {link}"


def test_files_that_documents_name_are_there():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        named = re.findall(r"`((?:gpuscan|kernels|docs|tests|benchmarks)/[\w./]+\.\w+)`", text)
        assert not [name for name in named if not (ROOT / name).exists()], path.name


def test_the_figure_has_the_gradient_of_its_loop():
    pytest.importorskip("matplotlib", reason="Matplotlib is in the extra `viz`")
    figure = runpy.run_path(str(ROOT / "docs" / "figures" / "backward_loop.py"))
    comes_in, _, _, owed = figure["undo"]()
    x, before = gt.vector("x"), gt.vector("before")
    s, _ = gs.scan(lambda x, s_2, s_1: s_1 * s_2 + x, x, {"initial": before, "taps": [-2, -1]})
    by_before, by_x = gs.function([before, x], gs.grad(s[0] + s[2], [before, x]), device="cpu")([1, 2], [1, -1, 2])
    assert [*by_before, *by_x] == comes_in
    assert [*by_before[::-1]] == list(owed[0])


WRONG = "```python\nprint(1)\n```\n\n```text\n2\n```\n\n```python\nx = 1\n```\nwords\n```text\n3\n```\n"


def test_a_document_that_says_the_wrong_thing_is_found():
    found = [(b.code, b.line, b.printed) for b in read_blocks(WRONG)]
    assert found == [("print(1)\n", 2, "2\n"), ("x = 1\n", 10, "")]


def test_a_document_is_updated():
    first, second = read_blocks(WRONG)
    expected = WRONG.replace("\n2\n", "\n1\n").replace("x = 1\n```", "x = 1\n```\n\n```text\n4\n```")
    assert updated(WRONG, {first: "1\n", second: "4\n"}) == expected
    assert updated(WRONG, {first: ""}) == WRONG.replace("```text\n2\n```", "")


def test_what_a_document_leaves_open_stays_open():
    document = "```python\nf()\n```\n\n```text\ntook ... s\n1\n```\n"
    (block,) = read_blocks(document)
    assert updated(document, {block: "took 3 s\n2\n"}) == document.replace("\n1\n", "\n2\n")
