"""The arrays that a team shares: of a block or a warp in shared memory, of a grid in device memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from gpuscan.cuda.names import Names
from gpuscan.cuda.step.elements import C_BYTES
from gpuscan.cuda.step.memory import Region
from gpuscan.cuda.step.positions import plus
from gpuscan.cuda.step.team import Team


@final
class TeamArrays:
    """The arrays of one team, while its text is written.

    Parameters
    ----------
    team : Team
        The team.
    names : Names
        Hands out names.
    memory : Region
        Shared memory for the team.
    scratch : callable
        Gives an array in device memory, of a name, a C type and a number of elements, and returns its name.
    """

    def __init__(self, team: Team, names: Names, memory: Region, scratch: Callable[[str, str, int], str]) -> None:
        self.team = team
        self.names = names
        self.memory = memory
        self.scratch = scratch
        self.types: dict[str, str] = {"": ""}  # C types of elements, by name
        self.declarations: dict[str, str] = {}  # of those in shared memory, by name
        self.copies: dict[tuple[str, str], str] = {}  # a block's copies of what a grid shares, by array and start

    # ---- room ----

    def allocate(self, name: str, c_type: str, count: int) -> str | None:
        """Return the name of a new array where all threads of the team find it; None without room."""
        if self.team.kind != "grid":
            return self.local(f"{name}_shared", c_type, count)
        name = self.scratch(f"{name}_shared", c_type, count)
        self.types[name] = c_type
        return name

    def local(self, name: str, c_type: str, count: int) -> str | None:
        """Return the name of a new array in the shared memory of a block, or of the part of it that a warp has."""
        name = self.names.unique(name)
        start = self.memory.take(name, C_BYTES[c_type] * count)
        if start is None:
            return None
        place = f"TEAM_BYTES * (threadIdx.x / 32) + {start}" if self.team.kind == "warp" else str(start)
        self._declare(name, c_type, place, count)
        return name

    def spare(self, name: str, c_type: str, count: int) -> str | None:
        """Return the name of a new array of the block that need not be; None if a quarter would not stay free."""
        if self.team.kind not in ("block", "grid"):
            return None
        start = self.memory.take(name, C_BYTES[c_type] * count, self.memory.limit * 3 // 4)
        if start is None:
            return None
        name = self.names.unique(name)
        self._declare(name, c_type, str(start), count)
        return name

    def block_copy(self, array: str, start: str, count: int) -> tuple[str, str] | None:
        """Return the name of a block's copy of a part of what a grid shares, and what makes it; None without room."""
        copy = self.copies.get((array, start))
        if copy is None:
            c_type = self.types[array]
            begin = self.memory.take(array, C_BYTES[c_type] * count)
            if begin is None:
                return None
            copy = self.copies[array, start] = self.names.unique(f"{array}_here")
            self._declare(copy, c_type, str(begin), count)
        return copy, f"gs::copy_from_l2<{count}, {self.team.block}>({plus(array, start)}, {copy});"

    def _declare(self, name: str, c_type: str, start: str, count: int) -> None:
        self.types[name] = c_type
        self.declarations[name] = f"GPUSCAN_DYNAMIC_SHARED_AT({c_type}, {name}, {start}, {count});"

    def too_small(self, name: str, c_type: str, count: int) -> str:
        """Say that there is no room for an array, and what there is room for."""
        pieces = [*self.memory.pieces, (name, C_BYTES[c_type] * count)]
        listed = ", ".join(f"{piece} {size}" for piece, size in pieces)
        return f"its arrays need more than {self.memory.limit} bytes of shared memory: {listed}"

    # ---- elements ----

    def element(self, array: str, place: str) -> str:
        """Return the text of an element; a grid's are read where all SMs meet."""
        if self.team.kind == "grid":
            return f"__ldcg(&{array}[{place}])"
        return self.here(array, place)

    def here(self, array: str, place: str) -> str:
        """Return the text of an element of an array in shared memory."""
        return f"({self.types[array]}){array}[{place}]"  # the emulator's elements stand in for values

    def store(self, array: str, place: str, text: str) -> str:
        """Return the statement that writes an element."""
        if self.team.kind == "grid":
            return f"__stcg(&{array}[{place}], {text});"
        return f"{array}[{place}] = {text};"
