// Copies that the threads of a block make together.
#pragma once
#include "base.cuh"

namespace gs {

// COUNT elements from where all SMs meet to the block's own memory, 16 bytes at a time where they are a multiple of
// that: both arrays begin at a multiple of 16 bytes. A wait for the L2 cache is some 250 ns, so that several loads of a
// thread are under way at once.
template <int COUNT, int THREADS, class From, class To>
__device__ __forceinline__ void copy_from_l2(From from, To to) {
    constexpr int SIZE = int(sizeof(from[0]));
    if constexpr (COUNT * SIZE % 16 == 0) {
        constexpr int EACH = 16 / SIZE;
#pragma unroll 8
        for (int i = threadIdx.x * EACH; i < COUNT; i += THREADS * EACH) {
            uint4 const elements = gpuscan_load_vector_from_l2<uint4>(from + i);
            gpuscan_store_vector(to + i, elements);
        }
    } else {
#pragma unroll 8
        for (int i = threadIdx.x; i < COUNT; i += THREADS) {
            auto const element = __ldcg(&from[i]);
            to[i] = element;
        }
    }
}

}  // namespace gs
