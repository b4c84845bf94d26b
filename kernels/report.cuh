// How a launched kernel says that something it was to check does not hold: which check, at which step, in which lane.
// The launch goes on; the host reads the word afterwards and raises the error.
#pragma once
#include "base.cuh"

namespace gs {

// `status` is one word of the launch, 0 at first. Of all failures that threads report it keeps the one of the smallest
// step, of those the smallest lane, of those the smallest code, whatever the order they are reported in: step, lane and
// code from the highest bit down, all inverted, so that the greatest word wins and 0 says that there was none. A step or
// lane that its 32 or 24 bits cannot hold is reported as the last that they can. `code` is 0 to 254.
__device__ __forceinline__ void report(
    Global<unsigned long long> status, int code, long long step, long long lane) {
    unsigned long long const steps = step < 0xffffffffll ? step : 0xffffffffll;
    unsigned long long const lanes = lane < 0xffffffll ? lane : 0xffffffll;
    atomicMax(&status[0], ~(steps << 32 | lanes << 8 | (unsigned long long)code));
}

}  // namespace gs
