"""How the calls of peers are made: compiled once, with nothing left to the call but the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Call = Callable[[], list[Any]]


def jax_call(run: Callable[..., list[Any]], inputs: list[Any]) -> Call:
    """Return a call of `run` on `inputs`, compiled by ``jax.jit``."""
    import jax

    compiled = jax.jit(run)
    return lambda: list(compiled(*inputs))


def torch_call(run: Call) -> Call:
    """Return a call that replays `run`, captured in a CUDA graph; where there is no GPU, `run`.

    The outputs of all calls share one memory, as those of graphs do.
    """
    import torch

    if not torch.cuda.is_available():
        return run
    # Libraries make their workspaces in the first calls, which must not happen while a graph is captured.
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = run()

    def replay() -> list[Any]:
        graph.replay()
        return outputs

    return replay
