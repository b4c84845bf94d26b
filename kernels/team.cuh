// Teams: the threads that carry one lane, or a tile of lanes, through all steps. A step is written once, against these
// words, whatever the team:
//
//   Team::threads        how many threads a team has, and `thread`, which of them this is
//   Team::ranks          among how many of them elements are dealt out, and `rank`, whose this thread's are: slot k of
//                        a rank is element k * ranks + rank of every array
//   Team::parts          how many threads share a rank and divide the long sums of its elements among them; `part`
//   sync()               what members wrote before is read by all of them after
//   all<Op>(x)           the x of all threads combined, given to all
//   parts_all<Op>(x)     the x of the parts of one rank combined, given to all of those
//   parts_each<Op>(x)    the same for an x[0], x[1], ... for each part, which gets its own
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

// The WIDTH values of each of as many neighbouring threads combined, value by value; thread i gets the one of value i.
template <class Op, int WIDTH, class T>
__device__ __forceinline__ T across_each(T const* values) {
    T kept[WIDTH];
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) kept[i] = values[i];
#pragma unroll
    for (int half = WIDTH / 2; half > 0; half /= 2) {
        bool const upper = threadIdx.x & half;
#pragma unroll
        for (int i = 0; i < half; ++i) {
            T const given = upper ? kept[i] : kept[i + half];
            T const own = upper ? kept[i + half] : kept[i];
            kept[i] = Op::of(own, T(__shfl_xor_sync(WHOLE_WARP, given, half)));
        }
    }
    return kept[0];
}

constexpr int NO_RANK = 1 << 29;  // of a thread that owns nothing: beyond every element

template <int RANKS, int PARTS>
__device__ __forceinline__ int rank_of(int thread) { return thread / PARTS < RANKS ? thread / PARTS : NO_RANK; }

// ---- one thread

struct ThreadTeam {
    static constexpr int threads = 1, ranks = 1, parts = 1;
    static constexpr int thread = 0, rank = 0, part = 0;
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
        : thread(threadIdx.x % 32), rank(rank_of<RANKS, PARTS>(threadIdx.x % 32)), part(threadIdx.x % PARTS) {}
    __device__ __forceinline__ void sync() { __syncwarp(); }
    template <class Op, class T>
    __device__ __forceinline__ T all(T value) { return across<Op, 32>(value); }
    template <class Op, class T>
    __device__ __forceinline__ T parts_all(T value) { return across<Op, PARTS>(value); }
    template <class Op, class T>
    __device__ __forceinline__ T parts_each(T const* values) { return across_each<Op, PARTS>(values); }
};

// ---- a block of THREADS threads, whole warps

template <int THREADS, int RANKS, int PARTS>
struct BlockTeam {
    static constexpr int threads = THREADS, ranks = RANKS, parts = PARTS;
    int thread, rank, part;
    int half;  // which half of the meeting place comes next: a slow thread may still read the other

    __device__ __forceinline__ BlockTeam()
        : thread(threadIdx.x), rank(rank_of<RANKS, PARTS>(threadIdx.x)), part(threadIdx.x % PARTS), half(0) {}
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
    template <class Op, class T>
    __device__ __forceinline__ T parts_each(T const* values) { return across_each<Op, PARTS>(values); }
};

// ---- a grid of BLOCKS blocks of THREADS threads, all of which run at the same time

template <int BLOCKS, int THREADS, int RANKS, int PARTS>
struct GridTeam {
    static constexpr int threads = BLOCKS * THREADS, ranks = RANKS, parts = PARTS;
    int thread, rank, part;
    BlockTeam<THREADS, RANKS, PARTS> block;
    Global<unsigned int> arrivals;       // one word, zero at first
    Global<unsigned long long> meeting;  // a word for each block, twice
    unsigned int due;                    // how many arrivals there are when all blocks have come to the next barrier
    int half;

    __device__ __forceinline__ GridTeam(Global<unsigned int> arrivals, Global<unsigned long long> meeting)
        : thread(blockIdx.x * THREADS + threadIdx.x),
          rank(rank_of<RANKS, PARTS>(thread)),
          part(thread % PARTS),
          arrivals(arrivals),
          meeting(meeting),
          due(0),
          half(0) {}

    // One hop between SMs: 0.6 to 0.7 us on a Hopper, where the barrier of cooperative groups takes 1.1.
    __device__ __forceinline__ void sync() {
        __syncthreads();
        due += BLOCKS;
        if (threadIdx.x == 0) {
            gpuscan_add_release(&arrivals[0], 1u);
            while (int(gpuscan_load_acquire(&arrivals[0]) - due) < 0) gpuscan_pause();
        }
        __syncthreads();
    }
    template <class Op, class T>
    __device__ __forceinline__ T all(T value) {
        value = block.template all<Op>(value);
        int const first = half * BLOCKS;
        half ^= 1;
        if (threadIdx.x == 0) {
            __stcg(&meeting[first + blockIdx.x], word_of(value));
        }
        sync();
        for (int other = 0; other < BLOCKS; ++other) {
            T const met = from_word<T>(__ldcg(&meeting[first + other]));
            value = other ? Op::of(value, met) : met;
        }
        return value;
    }
    template <class Op, class T>
    __device__ __forceinline__ T parts_all(T value) { return across<Op, PARTS>(value); }
    template <class Op, class T>
    __device__ __forceinline__ T parts_each(T const* values) { return across_each<Op, PARTS>(values); }
};

}  // namespace gs
