// Totals over all lanes: every team adds up its own share while it runs and leaves it in a row of `shares`; the block
// that finishes last adds the rows, in their order, so that a run repeats to the last bit.
#pragma once
#include "team.cuh"

namespace gs {

// Whether all other blocks have come here; what they wrote before is then there to be read. All threads of a block call
// this together. `tickets` is zero at first.
__device__ __forceinline__ bool is_last_block(Global<unsigned int> tickets) {
    GPUSCAN_SHARED(unsigned int, ticket, 1);
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) ticket[0] = atomicAdd(&tickets[0], 1u);
    __syncthreads();
    unsigned int const mine = ticket[0];
    __threadfence();
    return mine == gridDim.x - 1;
}

// out[i] = first[i] + shares[0][i] + shares[1][i] + ..., by one block. With few sums a warp works on each, its threads
// on every 32nd row; with many, a thread. Shares are read past the first cache, which other blocks do not write to.
template <class T>
__device__ __forceinline__ void add_rows(
    Global<const T> first, Global<const T> shares, Global<T> out, long long rows, long long count) {
    int const threads = blockDim.x, thread = threadIdx.x;
    if (count >= threads || threads < 32) {
        for (long long i = thread; i < count; i += threads) {
            T sum = first[i];
            for (long long row = 0; row < rows; ++row) {
                T const share = __ldcg(&shares[row * count + i]);
                sum = T(sum + share);
            }
            out[i] = sum;
        }
        return;
    }
    for (long long i = thread / 32; i < count; i += threads / 32) {
        T sum = T(0);
        for (long long row = thread % 32; row < rows; row += 32) {
            T const share = __ldcg(&shares[row * count + i]);
            sum = T(sum + share);
        }
        sum = across<Add, 32>(sum);
        T const start = first[i];
        if (thread % 32 == 0) out[i] = T(start + sum);
    }
}

// The sum of a value over the threads of a block, given to all: whole warps, each with a word of `met`.
template <class T>
__device__ __forceinline__ T add_over_block(T value) {
    GPUSCAN_SHARED(T, met, 32);
    value = across<Add, 32>(value);
    __syncthreads();  // nobody reads an earlier sum any more
    if (threadIdx.x % 32 == 0) met[threadIdx.x / 32] = value;
    __syncthreads();
    T sum = met[0];
    for (int warp = 1; warp < blockDim.x / 32; ++warp) {
        T const other = met[warp];
        sum = T(sum + other);
    }
    return sum;
}

}  // namespace gs
