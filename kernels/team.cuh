// Teams: the threads that carry one lane, or a tile of lanes, through all steps. A step is written once, against these
// words, whatever the team:
//
//   Team::threads        how many threads a team has, and `thread`, which of them this is
//   Team::ranks          how many of them own elements of their own, and `rank`, whose elements are this thread's
//   Team::parts          how many threads share a rank and divide the long sums of its elements among them; `part`
//   Team::slots(n)       how many elements of an array of n each rank owns: slot k of a rank is element
//                        k * ranks + rank
//   sync()               what members wrote before is read by all of them after
//   all<Op>(x)           the x of all threads combined, given to all
//   parts_all<Op>(x)     the x of the parts of one rank combined, given to all of those
//
// An operation Op has `static T of(T a, T b)`. Combining goes by a fixed tree, so that a run repeats to the last bit.
#pragma once
#include "numbers.cuh"

namespace gs {

// ---- operations

struct Add {
    template <class T>
    static __device__ __forceinline__ T of(T a, T b) { return T(a + b); }
};
struct Multiply {
    template <class T>
    static __device__ __forceinline__ T of(T a, T b) { return T(a * b); }
};
struct Larger {  // a NaN wins, as in NumPy
    template <class T>
    static __device__ __forceinline__ T of(T a, T b) { return a > b || is_nan(a) ? a : b; }
};
struct Smaller {
    template <class T>
    static __device__ __forceinline__ T of(T a, T b) { return a < b || is_nan(a) ? a : b; }
};
struct Both {
    static __device__ __forceinline__ bool of(bool a, bool b) { return a && b; }
};
struct Either {
    static __device__ __forceinline__ bool of(bool a, bool b) { return a || b; }
};

// ---- what teams are made of

constexpr unsigned int WHOLE_WARP = 0xffffffffu;
constexpr int REDUCTION_BYTES = 512;  // the first bytes of a block's dynamic shared memory, where warps meet

// Combines the values of WIDTH neighbouring threads of a warp, a power of two of them.
template <class Op, int WIDTH, class T>
__device__ __forceinline__ T across(T value) {
#pragma unroll
    for (int distance = WIDTH / 2; distance > 0; distance /= 2) {
        value = Op::of(value, __shfl_xor_sync(WHOLE_WARP, value, distance));
    }
    return value;
}

constexpr __device__ int slots_of(int n, int ranks) { return (n + ranks - 1) / ranks; }

// ---- one thread

struct ThreadTeam {
    static constexpr int threads = 1, ranks = 1, parts = 1;
    static constexpr int thread = 0, rank = 0, part = 0;
    static constexpr __device__ int slots(int n) { return n; }
    __device__ __forceinline__ void sync() {}
    template <class Op, class T>
    __device__ __forceinline__ T all(T value) { return value; }
    template <class Op, class T>
    __device__ __forceinline__ T parts_all(T value) { return value; }
};

// ---- a warp: RANKS * PARTS are 32 or less, PARTS a power of two

template <int RANKS, int PARTS>
struct WarpTeam {
    static constexpr int threads = 32, ranks = RANKS, parts = PARTS;
    int thread, rank, part;

    __device__ __forceinline__ WarpTeam()
        : thread(threadIdx.x % 32), rank(threadIdx.x % 32 / PARTS), part(threadIdx.x % PARTS) {}
    static constexpr __device__ int slots(int n) { return slots_of(n, RANKS); }
    __device__ __forceinline__ void sync() { __syncwarp(); }
    template <class Op, class T>
    __device__ __forceinline__ T all(T value) { return across<Op, 32>(value); }
    template <class Op, class T>
    __device__ __forceinline__ T parts_all(T value) { return across<Op, PARTS>(value); }
};

// ---- a block of THREADS threads, whole warps

template <int THREADS, int RANKS, int PARTS>
struct BlockTeam {
    static constexpr int threads = THREADS, ranks = RANKS, parts = PARTS;
    int thread, rank, part;
    int half;  // which half of the meeting place comes next: a slow thread may still read the other

    __device__ __forceinline__ BlockTeam()
        : thread(threadIdx.x), rank(threadIdx.x / PARTS), part(threadIdx.x % PARTS), half(0) {}
    static constexpr __device__ int slots(int n) { return slots_of(n, RANKS); }
    __device__ __forceinline__ void sync() { __syncthreads(); }
    template <class Op, class T>
    __device__ __forceinline__ T all(T value) {
        value = across<Op, 32>(value);
        if constexpr (THREADS > 32) {
            GPUSCAN_DYNAMIC_SHARED_AT(T, met, 0, 64);
            int const first = half * 32;
            half ^= 1;
            if (thread % 32 == 0) met[first + thread / 32] = value;
            __syncthreads();
            value = met[first];
            for (int warp = 1; warp < THREADS / 32; ++warp) {
                T const other = met[first + warp];
                value = Op::of(value, other);
            }
        }
        return value;
    }
    template <class Op, class T>
    __device__ __forceinline__ T parts_all(T value) { return across<Op, PARTS>(value); }
};

}  // namespace gs
