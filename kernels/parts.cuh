// Sums of several elements that the threads of a rank share, combined together.
#pragma once
#include "team.cuh"

namespace gs {

// Each of COUNT values combined over WIDTH neighbouring threads of a warp, a power of two of them, and given to all of
// these. By itself a value takes as many shuffles as WIDTH has halves. Of several, each thread of a pair goes on with
// half and hands over the rest, so that a value takes less than two; all are combined in the same order as by itself. As
// many at once as there are threads are enough for that, and more would take more registers.
template <class Op, int WIDTH, int COUNT, class T>
__device__ __forceinline__ void across_each(T* values) {
    if constexpr (COUNT > WIDTH) {
        across_each<Op, WIDTH, WIDTH>(values);
        across_each<Op, WIDTH, COUNT - WIDTH>(values + WIDTH);
    } else if constexpr (COUNT == 1) {
        values[0] = across<Op, WIDTH>(values[0]);
    } else {
        constexpr int HALF = COUNT / 2, DISTANCE = WIDTH / 2;
        bool const upper = threadIdx.x & DISTANCE;
#pragma unroll
        for (int i = 0; i < HALF; ++i) {
            T const mine = upper ? values[i + HALF] : values[i], theirs = upper ? values[i] : values[i + HALF];
            values[i] = Op::of(mine, __shfl_xor_sync(WHOLE_WARP, theirs, DISTANCE));
        }
        across_each<Op, WIDTH / 2, HALF>(values);
#pragma unroll
        for (int i = 0; i < HALF; ++i) {
            T const mine = values[i], theirs = __shfl_xor_sync(WHOLE_WARP, mine, DISTANCE);
            values[i] = upper ? theirs : mine;
            values[i + HALF] = upper ? mine : theirs;
        }
        if constexpr (COUNT % 2 == 1) values[COUNT - 1] = across<Op, WIDTH>(values[COUNT - 1]);
    }
}

}  // namespace gs
