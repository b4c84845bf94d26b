"""Compiled kernels on disk, for the next process."""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import tempfile
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import final

_FALLBACKS: dict[Path, Path] = {}
_FALLBACKS_LOCK = threading.Lock()


def digest(*parts: str | bytes) -> str:
    """Return the key of an entry made from these parts: text, options, versions, architecture.

    Parameters
    ----------
    *parts : str or bytes
        All that the entry depends on. Where one part ends and the next begins counts.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(b"%d:" % len(data))
        total.update(data)
    return total.hexdigest()


def default_cache_folder() -> Path:
    """Return the user's folder for gpuscan's compiled kernels, which need not exist.

    Returns
    -------
    Path
        ``gpuscan`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification wants others ignored
        return Path(base, "gpuscan")
    try:
        return Path.home() / ".cache" / "gpuscan"
    except RuntimeError:
        # A user without a home. No folder can be made below this one, so that each process keeps its kernels itself.
        return Path(os.devnull, "gpuscan")


@final
class DiskCache:
    """Files by key, in a folder that any number of processes may use at once.

    An entry is one file, whose name holds its key and the checksum of its contents. Nothing is believed about an entry
    but what its checksum confirms: a truncated or damaged one is removed and counts as missing. Entries appear whole or
    not at all, and never change.

    A folder that cannot be made or written to costs one warning; entries are then kept in a folder that this process
    removes when it ends.

    Parameters
    ----------
    folder : Path or str
        Where entries are kept; it is made when the first one is put there.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()

    def get(self, key: str) -> Path | None:
        """Return the file put under a key, or None if there is none that is whole.

        Parameters
        ----------
        key : str
            See `digest`.

        Returns
        -------
        Path or None
        """
        for folder in (self.folder, _FALLBACKS.get(self.folder)):
            if folder is not None:
                for path in _entries(folder, key):
                    if _is_whole(path):
                        return path
                    with suppress(OSError):
                        path.unlink()
        return None

    def put(self, key: str, data: bytes, suffix: str) -> Path:
        """Keep data under a key.

        Parameters
        ----------
        key : str
            See `digest`.
        data : bytes
            The file's contents.
        suffix : str
            How the file's name ends, for those who look into the folder: ``".so"``.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OSError
            If not even a temporary folder can be written.
        """
        fallback = _FALLBACKS.get(self.folder)
        if fallback is None:
            try:
                return _write(self.folder, key, data, suffix)
            except OSError as error:
                fallback = _fallback(self.folder, error)
        return _write(fallback, key, data, suffix)


def _name(key: str, data: bytes) -> str:
    return f"{key}-{hashlib.sha256(data).hexdigest()[:32]}"


def _subfolder(folder: Path, key: str) -> Path:
    # Some file systems are slow at folders of many thousand files.
    if not re.fullmatch(r"[\w-]+", key):
        raise ValueError(f"{key!r} is no key of a cache; digest(...) makes them")
    return folder / key[:2]


def _entries(folder: Path, key: str) -> list[Path]:
    # Two writers whose compilers gave different bytes leave two entries of one key, both good.
    with suppress(OSError):
        return sorted(_subfolder(folder, key).glob(f"{key}-*"))
    return []


def _is_whole(path: Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError:
        return False
    key, _, _ = path.name.rpartition("-")
    return path.name.startswith(_name(key, data))


def _write(folder: Path, key: str, data: bytes, suffix: str) -> Path:
    subfolder = _subfolder(folder, key)
    subfolder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = subfolder / (_name(key, data) + suffix)
    # Named so that no reader takes an unfinished file for an entry.
    handle, unfinished = tempfile.mkstemp(prefix=".unfinished-", dir=subfolder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    return path


def _fallback(folder: Path, error: OSError) -> Path:
    """Return the folder that stands in for one that cannot be written, the same throughout the process."""
    with _FALLBACKS_LOCK:
        if folder not in _FALLBACKS:
            _FALLBACKS[folder] = Path(tempfile.mkdtemp(prefix="gpuscan-"))
            atexit.register(_remove, _FALLBACKS[folder], os.getpid())
            warnings.warn(
                f"compiled kernels cannot be kept in {folder} ({error}), so that every process compiles them anew; "
                "set GPUSCAN_CACHE_DIR to a folder that can be written",
                RuntimeWarning,
                stacklevel=3,
            )
    return _FALLBACKS[folder]


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # not in a forked child, whose parent still needs it
        shutil.rmtree(folder, ignore_errors=True)
