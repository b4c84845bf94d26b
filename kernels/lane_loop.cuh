// A team carries one lane through all steps.
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
// Returns how many steps ran.
template <int AHEAD, class Step>
__device__ __forceinline__ long long lane_loop(Step& step, long long length) {
    typename Step::Row rows[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; ++i) {
        if (i < length) step.read(i, rows[i]);
    }
    for (long long t = 0; t < length; t += AHEAD) {
        // Unrolled, so that rows[i] is a register.
#pragma unroll
        for (int i = 0; i < AHEAD; ++i) {
            if (t + i >= length) break;
            typename Step::Row const row = rows[i];
            if (t + i + AHEAD < length) step.read(t + i + AHEAD, rows[i]);
            if (!step.advance(t + i, row)) return t + i + 1;
        }
    }
    return length;
}
