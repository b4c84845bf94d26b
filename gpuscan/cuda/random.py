"""Philox for draws that the host drives on a GPU: one launch for all elements, in place of 100 array operations."""

from __future__ import annotations

from typing import Any, Protocol, final

from gpuscan.cuda.kernel import Kernel, Launcher, Parameter
from gpuscan.cuda.source import splice

BLOCK = 256

TEXT = """// The two 64-bit numbers of one block of each of these elements.
#include "philox.cuh"

extern "C" __global__ void gpuscan_random_blocks(
    Global<const unsigned long long> state,
    Global<const long long> elements,
    long long count,
    unsigned int block,
    Global<unsigned long long> first,
    Global<unsigned long long> second) {
    long long const i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= count) return;
    gs::RandomBits const bits = gs::random_bits({state[0], state[1]}, elements[i], block);
    first[i] = bits.first;
    second[i] = bits.second;
}
"""

PARAMETERS = (
    Parameter("state", "uint64"),
    Parameter("elements", "int64"),
    Parameter("count", "int64", is_array=False),
    Parameter("block", "uint32", is_array=False),
    Parameter("first", "uint64", writes=True),
    Parameter("second", "uint64", writes=True),
)


class _Device(Protocol):
    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        """Return an array whose values carry no meaning."""

    def as_array(self, value: Any, dtype: str) -> Any:
        """Return `value` as a C-contiguous array on the device."""

    def load(self, kernel: Kernel) -> Launcher:
        """Return a launcher of a kernel."""


@final
class RandomBlocks:
    """Makes blocks of random numbers in a device's memory, from a state that is there.

    Parameters
    ----------
    device : Device
        Where. The kernel is loaded when it is first needed.
    """

    def __init__(self, device: _Device) -> None:
        self.device = device
        self._launch: Launcher | None = None

    def __call__(self, state: Any, elements: Any, block: int) -> tuple[Any, Any]:
        """Return the two numbers of block `block` of each of `elements`, a vector of int64."""
        if self._launch is None:
            self._launch = self.device.load(Kernel("gpuscan_random_blocks", splice(TEXT), PARAMETERS))
        count = elements.shape[0]
        first, second = (self.device.empty((count,), "uint64") for _ in range(2))
        if count:
            given = [self.device.as_array(state, "uint64"), self.device.as_array(elements, "int64")]
            arguments = [*given, count, block, first, second]
            self._launch((-(-count // BLOCK), 1, 1), (BLOCK, 1, 1), 0, arguments)
        return first, second
