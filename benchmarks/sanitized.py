"""Run workloads of test size on the GPU: what `gpu_check` has CUDA's sanitizer look at.

compute-sanitizer --tool memcheck python -m benchmarks.sanitized elementwise lorenz
"""

from __future__ import annotations

import sys

from benchmarks.tasks import DTYPE, find, inputs_of

DEFAULT = ("elementwise", "linear_recurrence_gradient", "gbm", "lorenz")


def main(names: list[str], device: str = "cuda") -> None:
    if device == "cuda":
        import cupy

        cupy.cuda.set_allocator(None)  # in a pool, an index outside of one array is inside of another
    for name in names or DEFAULT:
        workload = find(name)
        inputs = inputs_of(workload, workload.test, on_gpu=False)
        workload.build(workload.test, DTYPE).compile(device)(*inputs)
        print(f"ran {name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
