// Loops that a team divides among its threads, and elements at positions known only at run time. A thread on its own
// may have its loops written out (FLAT): then every index into its arrays is a constant, and the arrays are registers.
#pragma once
#include "team.cuh"

namespace gs {

// Whether to write out loops over arrays of so many elements in all. Beyond what a thread's 255 registers hold, most of
// them would live in memory all the same, by code that takes seconds to compile and does not fit the instruction cache.
template <class Team, class T>
constexpr __device__ bool is_flat(int elements) { return Team::threads == 1 && elements * int(sizeof(T)) <= 1152; }

// body(e) for each e in [first, last) of [0, COUNT), divided among the threads
template <int COUNT, bool FLAT, class Team, class Body>
__device__ __forceinline__ void each(Team& team, int first, int last, Body body) {
    if constexpr (FLAT) {
        // Bounds that do not change with the loops outside, so that the compiler counts the passes.
#pragma unroll
        for (int e = 0; e < COUNT; ++e) {
            if (e >= first && e < last) body(e);
        }
    } else if constexpr (Team::threads == 1) {
#pragma unroll 1
        for (int e = first; e < last; ++e) body(e);
    } else {
        for (int e = first + team.thread; e < last; e += Team::threads) body(e);
    }
}
template <int COUNT, bool FLAT, class Team, class Body>
__device__ __forceinline__ void each(Team& team, Body body) { each<COUNT, FLAT>(team, 0, COUNT, body); }

// array[first + index * stride], for an index in [low, COUNT)
template <int COUNT, bool FLAT, class T, class Array>
__device__ __forceinline__ T pick(Array array, int index, int low = 0, int first = 0, int stride = 1) {
    if constexpr (FLAT) {
        T value = array[first + low * stride];
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            if (i > low) {
                T const other = array[first + i * stride];
                value = i == index ? other : value;
            }
        }
        return value;
    } else {
        return array[first + index * stride];
    }
}

// array[index] = value, for an index in [0, COUNT)
template <int COUNT, bool FLAT, class T, class Array>
__device__ __forceinline__ void put(Array array, int index, T value) {
    if constexpr (FLAT) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            if (i == index) array[i] = value;
        }
    } else {
        array[index] = value;
    }
}

template <int COUNT, bool FLAT, class T, class Team, class Array>
__device__ __forceinline__ void fill(Team& team, Array array, T value) {
    each<COUNT, FLAT>(team, [&](int e) { array[e] = value; });
}

template <int COUNT, bool FLAT, class T, class Team, class In, class Out>
__device__ __forceinline__ void copy(Team& team, In from, Out to) {
    each<COUNT, FLAT>(team, [&](int e) {
        T const value = from[e];
        to[e] = value;
    });
}

}  // namespace gs
