"""An op that passes its input on and says something about derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from gpuscan.graph import Op, TensorType, Variable


@final
@dataclass(frozen=True)
class Barrier(Op):
    """Its input, unchanged. `kind` says what becomes of derivatives: see `gpuscan.autodiff.barriers`."""

    kind: str
    bounds: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.kind}_grad"

    def infer(self, inputs: Sequence[Variable]) -> Sequence[TensorType]:
        return (inputs[0].type,)

    def known(self, inputs: Sequence[Variable]) -> int | None:
        return inputs[0].known
