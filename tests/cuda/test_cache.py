"""Compiled kernels on disk."""

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpuscan.cuda.cache import DiskCache, default_cache_folder, digest

KEY = digest("a kernel")
DATA = bytes(range(256)) * 8


@pytest.fixture
def cache(tmp_path):
    return DiskCache(tmp_path / "made" / "when needed")


def test_round_trip(cache):
    assert cache.get(KEY) is None
    path = cache.put(KEY, DATA, ".cubin")
    assert path.suffix == ".cubin"
    assert cache.folder in path.parents
    assert path.read_bytes() == DATA
    assert cache.get(KEY) == path
    assert DiskCache(cache.folder).get(KEY) == path
    assert cache.get(digest("another kernel")) is None


def test_putting_leaves_nothing_else_behind(cache):
    path = cache.put(KEY, DATA, ".so")
    assert cache.put(KEY, DATA, ".so") == path
    assert [p for p in cache.folder.rglob("*") if p.is_file()] == [path]


def test_empty_entry(cache):
    assert cache.put(KEY, b"", ".log") == cache.get(KEY)


def test_key_must_be_a_name(cache):
    with pytest.raises(ValueError, match="no key"):
        cache.put("../outside", DATA, ".so")
    with pytest.raises(ValueError, match="no key"):
        cache.get("*")


def test_digest_depends_on_every_part_and_where_it_ends():
    keys = [digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("ab", "c", ""), digest("c", "ab")]
    assert len(set(keys)) == len(keys)
    assert digest("µ") == digest("µ".encode())
    assert all(len(key) == 64 for key in keys)


def truncate(path):
    path.write_bytes(DATA[:-1])


def change_a_byte(path):
    path.write_bytes(DATA[:100] + b"?" + DATA[101:])


def empty(path):
    path.write_bytes(b"")


def lengthen(path):
    path.write_bytes(DATA + b"\0")


@pytest.mark.parametrize("harm", [truncate, change_a_byte, empty, lengthen])
def test_damaged_entry_counts_as_missing_and_is_rebuilt(cache, harm):
    path = cache.put(KEY, DATA, ".so")
    harm(path)
    assert cache.get(KEY) is None
    assert not path.exists()
    cache.put(KEY, DATA, ".so")
    assert cache.get(KEY).read_bytes() == DATA


def test_damaged_entry_beside_a_whole_one(cache):
    first, second = cache.put(KEY, b"one compiler's bytes", ".so"), cache.put(KEY, b"another's", ".so")
    assert first != second
    first.write_bytes(b"")
    assert cache.get(KEY) == second


def test_folder_under_an_entrys_name(cache):
    path = cache.put(KEY, DATA, ".so")
    path.unlink()
    path.mkdir()
    assert cache.get(KEY) is None


def test_concurrent_threads(cache):
    datas = [bytes([i]) * 50_000 for i in range(4)]

    def work(i):
        path = cache.put(KEY, datas[i % 4], ".so")
        assert cache.get(KEY).read_bytes() in datas
        return path

    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(work, range(64)))
    assert {path.read_bytes() for path in paths} == set(datas)
    assert {p for p in cache.folder.rglob("*") if p.is_file()} == paths


PROCESS = """
import sys
from gpuscan.cuda.cache import DiskCache
cache = DiskCache(sys.argv[1])
for i in range(100):
    data = bytes([i % 3]) * 100_000
    cache.put(sys.argv[2], data, ".so")
    assert cache.get(sys.argv[2]).read_bytes() in [bytes([j]) * 100_000 for j in range(3)]
"""


def test_concurrent_processes(cache):
    command = [sys.executable, "-c", PROCESS, str(cache.folder), KEY]
    root = Path(__file__).parents[2]
    writers = [subprocess.Popen(command, cwd=root) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len([p for p in cache.folder.rglob("*") if p.is_file()]) == 3


@pytest.fixture
def impossible_folder(tmp_path):
    """One that not even root can make."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "cache"


def test_unwritable_folder_costs_one_warning(impossible_folder):
    cache = DiskCache(impossible_folder)
    assert cache.get(KEY) is None
    with pytest.warns(RuntimeWarning, match=r"file/cache.*GPUSCAN_CACHE_DIR") as record:
        path = cache.put(KEY, DATA, ".so")
    assert len(record) == 1
    assert record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.get(KEY) == path
        other = cache.put(digest("other"), DATA, ".so")
        # Another function's cache of the same folder shares the substitute.
        assert DiskCache(impossible_folder).get(digest("other")) == other
    assert path.read_bytes() == DATA


def test_substitute_folder_goes_with_its_process(impossible_folder):
    script = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from gpuscan.cuda.cache import DiskCache\n"
        "print(DiskCache(sys.argv[1]).put('key', b'data', '.so'))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script, str(impossible_folder)],
        cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    assert printed.endswith(".so")
    assert not Path(printed).parents[1].exists()


def test_entry_that_cannot_be_replaced_by_os_falls_back(cache, monkeypatch):
    def full_disk(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        with pytest.warns(RuntimeWarning, match="No space left"), pytest.raises(OSError, match="No space left"):
            cache.put(KEY, DATA, ".so")
    assert not [p for p in cache.folder.rglob("*") if p.is_file()]
    assert cache.put(KEY, DATA, ".so") == cache.get(KEY)


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_folder() == tmp_path / "gpuscan"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_cache_folder() == Path("/home/somebody/.cache/gpuscan")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_folder() == Path("/home/somebody/.cache/gpuscan")


def test_default_folder_of_a_user_without_home(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        path = DiskCache(default_cache_folder()).put(KEY, DATA, ".so")
    assert path.read_bytes() == DATA
