// A team carries one lane through all steps; of a loop without states, whose steps do not wait for each other, through
// some of them.
//
// The generated struct Step supplies, for the lane it was begun with:
//   struct Row                        what one step reads of the sequences ahead of its use
//   void begin(long long lane)        loads the initial state and what does not change
//   void read(long long t, Row&)      loads the rows of step t
//   bool advance(long long t, Row)    computes step t and writes what is kept of it; whether to go on
//   void finish()                     writes the final values
#pragma once
#include "base.cuh"

// Rows are loaded AHEAD steps before they are needed: a load from device memory takes 500 to 800 clocks, a pointwise
// step often under 50, and the steps of one lane depend on each other, so that nothing else would hide the wait.
// Runs every STRIDE-th step from `first` on; returns how many steps there were in all when it ended.
template <int AHEAD, class Step>
__device__ __forceinline__ long long lane_loop(Step& step, long long length, long long first = 0, long long stride = 1) {
    typename Step::Row rows[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; ++i) {
        if (first + i * stride < length) step.read(first + i * stride, rows[i]);
    }
    long long start = first;
    if constexpr (AHEAD > 1) {
        // While these steps and those whose rows they load are all there, none asks whether it is.
        for (; start + (2 * AHEAD - 1) * stride < length; start += AHEAD * stride) {
#pragma unroll
            for (int i = 0; i < AHEAD; ++i) {
                long long const t = start + i * stride;
                typename Step::Row const row = rows[i];
                step.read(t + AHEAD * stride, rows[i]);
                if (!step.advance(t, row)) return t + 1;
            }
        }
    }
    for (; start < length; start += AHEAD * stride) {
        // Unrolled, so that rows[i] is a register.
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            long long const t = start + i * stride, later = t + AHEAD * stride;
            if (t >= length) break;
            typename Step::Row const row = rows[i];
            if (later < length) step.read(later, rows[i]);
            if (!step.advance(t, row)) return t + 1;
        }
    }
    return length;
}
