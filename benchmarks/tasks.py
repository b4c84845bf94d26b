"""What `gpu_check` has worker processes do: run a workload, or one of its peers, and say how it went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import micro
from benchmarks.events import BY_LIBRARY, cupy_times, measured, wall_times
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import (
    Arrays,
    Lanes,
    Sizes,
    Workload,
    in_double,
    take_lanes,
    worst_error,
)

Record = dict[str, Any]

SEED = 20
DTYPE = "float32"

PEER_ENVIRONMENT = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    # Products in float32 are to be in float32: by default some libraries round to TF32 first.
    "JAX_DEFAULT_MATMUL_PRECISION": "highest",
    "NVIDIA_TF32_OVERRIDE": "0",
}


def find(name: str) -> Workload:
    return next(w for w in WORKLOADS if w.name == name)


def warm_up(library: str, on_gpu: bool) -> Iterator[Record]:
    """Import a library and use its device once, which takes long on a machine that has just been started.

    Raises
    ------
    RuntimeError
        If the library finds no GPU though there is one.
    """
    if library == "torch":
        import torch

        if on_gpu and not torch.cuda.is_available():
            raise RuntimeError("PyTorch finds no GPU")
        torch.zeros(1, device="cuda" if on_gpu else "cpu").sum().item()
    elif library == "jax":
        import jax

        if on_gpu and jax.default_backend() == "cpu":
            raise RuntimeError("JAX finds no GPU")
        jax.block_until_ready(jax.numpy.zeros(1) + 1)
    if on_gpu:  # all of them get their inputs from it
        import cupy

        cupy.zeros(1, DTYPE).get()
    yield {"stage": "all"}


# ---- inputs


def inputs_of(workload: Workload, sizes: Sizes, on_gpu: bool) -> Arrays:
    """Return the inputs, made where they are needed: large ones take the host long."""
    if not on_gpu:
        return workload.make_inputs(np.random.default_rng(SEED), sizes, DTYPE)
    import cupy

    made = [cupy.asarray(a) for a in workload.make_inputs(_device_generator(), sizes, DTYPE)]
    arrays = [cupy.ascontiguousarray(a) for a in made]
    del made
    cupy.cuda.Device().synchronize()
    cupy.get_default_memory_pool().free_all_blocks()
    return arrays


def _device_generator() -> Any:
    """Return CuPy's generator, or NumPy's if a draw of CuPy's fails on this machine."""
    import cupy

    try:
        rng = cupy.random.default_rng(SEED)
        rng.standard_normal(8, DTYPE)
        rng.random(8, DTYPE)
        cupy.cuda.Device().synchronize()
        return rng
    except Exception:
        return np.random.default_rng(SEED)


def to_host(array: Any) -> np.ndarray:
    """Return an array of NumPy, CuPy, JAX or PyTorch as NumPy's."""
    if hasattr(array, "get"):
        array = array.get()
    elif hasattr(array, "cpu"):
        array = array.detach().float().cpu().numpy()
    return np.asarray(array)


# ---- gpuscan


def run_workload(name: str, sizes: Sizes, device: str, seconds: float) -> Iterator[Record]:
    """Yield what is found of a workload: its first call, its time, memory and launches, and its error.

    Parameters
    ----------
    name : str
    sizes : mapping of str to int
    device : str
        ``cuda``, or ``emulator``, whose times are the host's and say nothing about a GPU.
    seconds : float
        About how long to measure.
    """
    workload, on_gpu = find(name), device == "cuda"
    yield {"sizes": dict(sizes), "stage": "inputs"}
    inputs = inputs_of(workload, sizes, on_gpu)
    yield {"stage": "compiling"}
    start = perf_counter()
    f = workload.build(sizes, DTYPE).compile(device)
    yield {"function": perf_counter() - start, "stage": "first call"}
    start = perf_counter()
    outputs = f(*inputs)
    _wait(on_gpu)
    yield {"first_call": perf_counter() - start, **launches(f), "stage": "measuring"}
    del outputs
    time = measured(lambda: f(*inputs), cupy_times if on_gpu else wall_times, seconds)
    yield {"time": time, "memory": _pool_bytes(on_gpu)}
    if time < seconds:
        yield {"host": issue_time(lambda: f(*inputs), on_gpu)}
    yield {"stage": "checking"}
    yield {"error": error_of(workload, sizes, inputs, f, device), "stage": "all"}
    if on_gpu:
        import cupy

        del inputs, f
        cupy.get_default_memory_pool().free_all_blocks()


def _wait(on_gpu: bool) -> None:
    if on_gpu:
        import cupy

        cupy.cuda.Device().synchronize()


def _pool_bytes(on_gpu: bool) -> int | None:
    """Return the device memory that CuPy holds: the most that was needed since the inputs were made, with them."""
    if not on_gpu:
        return None
    import cupy

    return int(cupy.get_default_memory_pool().total_bytes())


def issue_time(call: Callable[[], Any], on_gpu: bool, count: int = 3) -> float:
    """Return the least time in which the host issues a call, with nothing before it in the queue."""
    times = []
    for _ in range(count):
        _wait(on_gpu)
        times += wall_times(call, 1)
    _wait(on_gpu)
    return min(times)


def launches(f: Any) -> Record:
    """Return how many of a function's loops are one launch each, how many the host drives, and its own account."""
    teams = [plan.team for plan in f.plans]
    host = sum(team == "host" for team in teams)
    return {"kernels": len(teams) - host, "host_loops": host, "teams": teams, "explain": f.explain(file="str")}


def error_of(workload: Workload, sizes: Sizes, inputs: Arrays, f: Any, device: str) -> float:
    """Return the worst error against the reference in float64: of some lanes, or of a smaller run."""
    if isinstance(workload.check, Lanes):
        lanes = workload.check.picked(workload.checked_lanes, sizes[workload.check.size])
        outputs = f(*inputs)
        found = take_lanes(outputs, workload.check.outputs, lanes, to_host)
        given = take_lanes(inputs, workload.check.inputs, lanes, to_host)
        return worst_error(found, workload.reference(sizes, *in_double(given)))
    smaller = {name: min(size, sizes[name]) for name, size in workload.check.items()}
    inputs = inputs_of(workload, smaller, device == "cuda")
    found = [to_host(a) for a in workload.build(smaller, DTYPE).compile(device)(*inputs)]
    return worst_error(found, workload.reference(smaller, *in_double([to_host(a) for a in inputs])))


# ---- peers


def run_peer(name: str, index: int, sizes: Sizes, on_gpu: bool, seconds: float) -> Iterator[Record]:
    """Yield what is found of one peer of a workload: its time and memory."""
    workload = find(name)
    peer = workload.peers[index]
    yield {"name": peer.name, "library": peer.library, "dtype": peer.dtype, "stage": "inputs"}
    prepare = {"jax": _jax_arrays, "torch": _torch_arrays, "cupy": lambda arrays, on_gpu: arrays}[peer.library]
    inputs = prepare(inputs_of(workload, sizes, on_gpu), on_gpu)
    yield {"stage": "compiling"}
    call = peer.make(sizes, inputs)
    start = perf_counter()
    call()
    yield {"first_call": perf_counter() - start, "stage": "measuring"}
    yield {"time": measured(call, BY_LIBRARY[peer.library], seconds), "stage": "all"}
    yield {"memory": _peer_memory(peer.library, on_gpu)}
    del call, inputs
    _release(peer.library, on_gpu)


def _jax_arrays(arrays: Arrays, on_gpu: bool) -> Arrays:
    import jax.numpy as jnp

    return [_shared(a, jnp.from_dlpack, jnp.asarray) if on_gpu else jnp.asarray(a) for a in arrays]


def _torch_arrays(arrays: Arrays, on_gpu: bool) -> Arrays:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    copied = partial(torch.as_tensor, device="cuda" if on_gpu else "cpu")
    return [_shared(a, torch.from_dlpack, copied) if on_gpu else copied(a) for a in arrays]


def _shared(array: Any, share: Callable[[Any], Any], copy: Callable[[Any], Any]) -> Any:
    """Return an array of CuPy's as another library's: the same memory if that will have it, else by way of the host."""
    try:
        return share(array)
    except Exception:
        return copy(to_host(array))


def _peer_memory(library: str, on_gpu: bool) -> int | None:
    """Return the most device memory that a library needed, as far as it tells."""
    if not on_gpu:
        return None
    if library == "torch":
        import torch

        return int(torch.cuda.max_memory_allocated())
    if library == "jax":
        import jax

        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return _pool_bytes(on_gpu)


def _release(library: str, on_gpu: bool) -> None:
    if not on_gpu:
        return
    import cupy

    cupy.cuda.Device().synchronize()
    cupy.get_default_memory_pool().free_all_blocks()
    if library == "torch":
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


# ---- micro-measurements


def run_micro() -> Iterator[Record]:
    """Yield each micro-measurement under its name."""
    for record in micro.run_all():
        yield {record["name"]: record}
