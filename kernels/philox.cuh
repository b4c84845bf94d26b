// Philox4x32-10: random words as a function of where they are asked for. gpuscan/tensor/random/philox.py is the same
// in NumPy, and has the source.
#pragma once
#include "base.cuh"

namespace gs {

// A random state: the key, and how many draws were made from it.
struct RandomState {
    unsigned long long key, draws;
};
__device__ __forceinline__ RandomState advanced(RandomState state) { return {state.key, state.draws + 1}; }

struct PhiloxWords {
    unsigned int word[4];
};
__device__ __forceinline__ PhiloxWords philox4x32(PhiloxWords counter, unsigned int key0, unsigned int key1) {
    unsigned int c0 = counter.word[0], c1 = counter.word[1], c2 = counter.word[2], c3 = counter.word[3];
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned int const high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        unsigned int const high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ key0;
        c1 = low1;
        c2 = high0 ^ c3 ^ key1;
        c3 = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// One block of an element of a draw, as two 64-bit numbers. Elements are below 2^44, blocks below 2^20.
struct RandomBits {
    unsigned long long first, second;
};
__device__ __forceinline__ RandomBits random_bits(RandomState state, long long element, unsigned int block = 0) {
    unsigned int const low = (unsigned int)element, high = (unsigned int)(element >> 32);
    PhiloxWords const words = philox4x32(
        {{low, high << 20 | block, (unsigned int)state.draws, (unsigned int)(state.draws >> 32)}},
        (unsigned int)state.key, (unsigned int)(state.key >> 32));
    return {(unsigned long long)words.word[0] << 32 | words.word[1],
            (unsigned long long)words.word[2] << 32 | words.word[3]};
}

}  // namespace gs
