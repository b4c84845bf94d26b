"""Where the skeletons are, and how a kernel's text becomes one."""

import re
from pathlib import Path

import pytest

from gpuscan.cuda.source import kernel_folder, splice
from gpuscan.errors import KernelError

ROOT = Path(__file__).resolve().parents[2]


def write(folder, name, *lines):
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    """Files that include each other."""
    write(tmp_path, "base.cuh", "#pragma once", "int base;")
    write(tmp_path, "warp.cuh", "  #  pragma once  // guard", '#include "base.cuh"', "int warp;")
    write(tmp_path, "block.cuh", '#include "base.cuh"', '  #include "warp.cuh"   // shuffles', "int block;")
    return tmp_path


def declarations(text):
    return re.findall(r"^int (\w+);$", text, flags=re.MULTILINE)


def test_kernel_folder_of_a_checkout():
    assert kernel_folder() == ROOT / "kernels"


def test_kernel_folder_prefers_what_a_wheel_holds(tmp_path, monkeypatch):
    for place in ("kernels", "gpuscan/kernels"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "base.cuh").touch()
    monkeypatch.setattr("gpuscan.cuda.source.__file__", str(tmp_path / "gpuscan" / "cuda" / "source.py"))
    assert kernel_folder.__wrapped__() == tmp_path.resolve() / "gpuscan" / "kernels"


def test_kernel_folder_is_not_anyones_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "kernels").mkdir()
    monkeypatch.setattr("gpuscan.cuda.source.__file__", str(tmp_path / "gpuscan" / "cuda" / "source.py"))
    with pytest.raises(KernelError, match="Reinstall gpuscan"):
        kernel_folder.__wrapped__()


def test_text_without_includes_stays():
    text = 'extern "C" __global__ void k() {}\n// #include is a word here\n'
    assert splice(text) == text


def test_files_come_in_order_and_once(folder):
    text = splice('#include "block.cuh"\n#include "warp.cuh"\nint own;\n', folder)
    assert declarations(text) == ["base", "warp", "block", "own"]
    assert not re.search(r"^\s*#", text, flags=re.MULTILINE)


def test_markers_say_where_a_line_is_from(folder):
    assert splice('#include "warp.cuh"\n#include "base.cuh"\n', folder).splitlines() == [
        "// ---- kernels/warp.cuh",
        "// ---- kernels/base.cuh",
        "int base;",
        "// ---- end of kernels/base.cuh",
        "int warp;",
        "// ---- end of kernels/warp.cuh",
        "// kernels/base.cuh is above.",
    ]


def test_last_line_without_an_end_is_kept_apart(folder):
    (folder / "open.cuh").write_text("int open;", encoding="utf-8")
    assert declarations(splice('#include "open.cuh"\nint own;', folder)) == ["open", "own"]


def test_missing_file_names_who_wants_it_and_what_there_is(folder):
    write(folder, "team.cuh", '#include "nosuch.cuh"')
    with pytest.raises(KernelError, match=r'kernels/team\.cuh has #include "nosuch\.cuh".*base\.cuh, block\.cuh'):
        splice('#include "team.cuh"\n', folder)


def test_cycle_is_shown(folder):
    write(folder, "a.cuh", '#include "b.cuh"')
    write(folder, "b.cuh", '#include "a.cuh"')
    with pytest.raises(KernelError, match=r"a\.cuh -> b\.cuh -> a\.cuh"):
        splice('#include "a.cuh"\n', folder)


@pytest.mark.parametrize(
    "line", ["#include <cooperative_groups.h>", "# include<cmath>", '#include "../other.cuh"', "#include MACRO"]
)
def test_other_includes_are_refused(folder, line):
    with pytest.raises(KernelError, match="files of kernels/ only"):
        splice(line, folder)
    write(folder, "wrong.cuh", line)
    with pytest.raises(KernelError, match=r"kernels/wrong\.cuh has"):
        splice('#include "wrong.cuh"\n', folder)


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "kernels").glob("*.cuh")))
def test_every_skeleton_can_be_spliced(name):
    assert "#include" not in re.sub(r"//.*", "", splice(f'#include "{name}"\n'))
