"""One text for a kernel: what it includes from ``kernels/`` is put in place of the ``#include`` lines.

CuPy's and our own caches key a kernel by its text, which must therefore hold all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gpuscan.errors import KernelError

_INCLUDE = re.compile(r"\s*#\s*include\b\s*(?P<what>.*)")
_OUR_FILE = re.compile(r'"(?P<name>[\w.-]+)"\s*(//.*)?')
_ONCE = re.compile(r"\s*#\s*pragma\s+once\b.*")


@cache
def kernel_folder() -> Path:
    """Return the folder of the CUDA C++ skeletons.

    Returns
    -------
    Path
        ``gpuscan/kernels`` where the package was installed from a wheel; ``kernels`` beside the package in a
        checkout, which is also where an editable install points.

    Raises
    ------
    KernelError
        If neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    places = [package / "kernels", package.parent / "kernels"]
    for place in places:
        # Site-packages may hold another project's folder of that name.
        if (place / "base.cuh").is_file():
            return place
    raise KernelError(
        f"the CUDA skeletons are missing: no base.cuh in {' nor in '.join(map(str, places))}. Reinstall gpuscan."
    )


def splice(text: str, folder: Path | None = None) -> str:
    """Replace each ``#include "name.cuh"`` by the text of that file, each file once.

    A comment stands before and after each file's text, and in place of an include whose file is already above.
    ``#pragma once`` is left out.

    Parameters
    ----------
    text : str
        CUDA C++.
    folder : Path, optional
        Where included files are; `kernel_folder()` by default.

    Returns
    -------
    str
        The text with no ``#include`` left.

    Raises
    ------
    KernelError
        If a file is missing or includes itself, by way of others too, or if an include is not of a file of that
        folder: CUDA's library headers cost seconds to compile, and the emulator has none of them.
    """
    return "".join(_spliced(text, (), set(), folder or kernel_folder()))


def _spliced(text: str, inside: tuple[str, ...], done: set[str], folder: Path) -> Iterator[str]:
    """Yield lines; `inside` are the files being read, outermost first, and `done` those that were begun."""
    for line in text.splitlines():
        if found := _INCLUDE.fullmatch(line):
            yield from _included(_name_of(found["what"], inside), inside, done, folder)
        elif not _ONCE.fullmatch(line):
            yield f"{line}\n"


def _included(name: str, inside: tuple[str, ...], done: set[str], folder: Path) -> Iterator[str]:
    if name in inside:
        raise KernelError(f"{name} includes itself: {' -> '.join((*inside, name))}")
    if name in done:
        yield f"// kernels/{name} is above.\n"
        return
    done.add(name)
    yield f"// ---- kernels/{name}\n"
    yield from _spliced(_read(name, inside, folder), (*inside, name), done, folder)
    yield f"// ---- end of kernels/{name}\n"


def _name_of(what: str, inside: tuple[str, ...]) -> str:
    found = _OUR_FILE.fullmatch(what.strip())
    if found is None:
        raise KernelError(
            f'{_place(inside)} has "#include {what.strip()}". Kernels include files of kernels/ only, as '
            f'#include "name.cuh", and no header of CUDA or C++: write the few lines that are needed in kernels/.'
        )
    return found["name"]


def _read(name: str, inside: tuple[str, ...], folder: Path) -> str:
    path = folder / name
    if not path.is_file():
        there = ", ".join(sorted(p.name for p in folder.glob("*.cuh"))) or "no .cuh file"
        raise KernelError(f'{_place(inside)} has #include "{name}", which is not in {folder}; there is {there}.')
    return path.read_text(encoding="utf-8")


def _place(inside: tuple[str, ...]) -> str:
    return f"kernels/{inside[-1]}" if inside else "the kernel's text"
