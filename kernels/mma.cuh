// Products of matrices on tensor cores (compute capability 8.0 on), one or more warps to a product. Operands are float
// and are rounded, to tf32 or to bf16, when a warp takes them up; sums are float.
//
// The instructions and the places of elements in their registers: PTX ISA, "Warp-level matrix instructions", fragments
// of mma.m16n8k8 with .tf32 and of mma.m16n8k16 with .bf16. There, lane 4 * g + t of a warp has of the rows (columns) g
// and g + 8 the terms t and t + 4, or the pairs of terms 2 * t and 2 * t + 8. Which terms these are is free, as long as
// both operands agree: here lane 4 * g + t takes the four neighbours 4 * t to 4 * t + 3 out of 16 terms, one load of
// 16 bytes, whatever the type.
#pragma once
#include "base.cuh"

#ifndef GPUSCAN_EMULATOR

// The nearest tf32, ties away from 0; its bits are those of a float whose last 13 do not count.
__device__ __forceinline__ unsigned int gpuscan_tf32(float x) {
    unsigned int word;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(x));
    return word;
}

// The nearest bf16 of two numbers, ties to even; `first` in the lower half.
__device__ __forceinline__ unsigned int gpuscan_bf16_pair(float first, float second) {
    unsigned int word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
    return word;
}

// Adds to a tile of 16 x 8 the product of one of 16 x 8 (tf32) or 16 x 16 (bf16) and one of as many x 8.
#define GPUSCAN_MMA(name, instruction)                                                                              \
    __device__ __forceinline__ void name(float (&sums)[4], unsigned int const (&a)[4], unsigned int const (&b)[2]) { \
        asm volatile("mma.sync.aligned." instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "              \
                     "{%0, %1, %2, %3};"                                                                            \
                     : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])                                   \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                           \
    }
GPUSCAN_MMA(gpuscan_mma_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32")
GPUSCAN_MMA(gpuscan_mma_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32")
#undef GPUSCAN_MMA

#endif

namespace gs {

// ---- types of operands: four neighbouring terms of a row or a column are so many words of a lane, two an instruction

struct Tf32 {
    static constexpr int words = 4;
    static __device__ __forceinline__ void pack(unsigned int (&to)[4], float4 x) {
        to[0] = gpuscan_tf32(x.x), to[1] = gpuscan_tf32(x.y), to[2] = gpuscan_tf32(x.z), to[3] = gpuscan_tf32(x.w);
    }
    static __device__ __forceinline__ void add(float (&sums)[4], unsigned int const (&a)[4],
                                               unsigned int const (&b)[2]) {
        gpuscan_mma_tf32(sums, a, b);
    }
};

struct Bf16 {
    static constexpr int words = 2;
    static __device__ __forceinline__ void pack(unsigned int (&to)[2], float4 x) {
        to[0] = gpuscan_bf16_pair(x.x, x.y), to[1] = gpuscan_bf16_pair(x.z, x.w);
    }
    static __device__ __forceinline__ void add(float (&sums)[4], unsigned int const (&a)[4],
                                               unsigned int const (&b)[2]) {
        gpuscan_mma_bf16(sums, a, b);
    }
};

// ---- operands

// The numbers element(term), ..., element(term + 3); from TERMS on they are 0.
template <int TERMS, class Element>
__device__ __forceinline__ float4 four(int term, Element element) {
    float const x = term < TERMS ? float(element(term)) : 0.0f, y = term + 1 < TERMS ? float(element(term + 1)) : 0.0f;
    float const z = term + 2 < TERMS ? float(element(term + 2)) : 0.0f;
    return make_float4(x, y, z, term + 3 < TERMS ? float(element(term + 3)) : 0.0f);
}

// ---- a product of ROWS x TERMS and TERMS x (8 * TILES)

// Warps divide it in three ways: PARTS share the terms of a sum, ACROSS the tiles of 8 columns, DOWN those of 16 rows.
// There are at least PARTS * ACROSS * DOWN warps; any more do nothing.
template <class Kind, int ROWS, int TERMS, int TILES, int PARTS, int ACROSS, int DOWN>
struct Tiles {
    static constexpr int columns = 8 * TILES;
    static constexpr int steps = (TERMS + 15) / 16, own_steps = (steps + PARTS - 1) / PARTS;
    static constexpr int own_tiles = (TILES + ACROSS - 1) / ACROSS;
    static constexpr int held = own_tiles * own_steps * Kind::words;  // words of the right operand, a lane
    static constexpr int size = PARTS * ROWS * columns;               // numbers that the warps leave

    int group, place, part, across, down;

    __device__ __forceinline__ explicit Tiles(int warp)
        : group(threadIdx.x % 32 / 4),
          place(threadIdx.x % 4),
          part(warp % PARTS),
          across(warp / PARTS % ACROSS),
          down(warp / (PARTS * ACROSS)) {}

    // This lane's words of one tile of the right operand at one step; right(term, column) is an element of it.
    template <class Right>
    __device__ __forceinline__ void take(unsigned int (&words)[Kind::words], int tile, int step, Right right) const {
        int const n = across + tile * ACROSS, term = (part + step * PARTS) * 16 + 4 * place;
        Kind::pack(words, n < TILES ? four<TERMS>(term, [&](int r) { return right(r, 8 * n + group); })
                                    : make_float4(0.0f, 0.0f, 0.0f, 0.0f));
    }

    // Has each lane hold its words of the right operand.
    template <class Right>
    __device__ __forceinline__ void hold(unsigned int (&all)[held], Right right) const {
#pragma unroll
        for (int tile = 0; tile < own_tiles; ++tile) {
#pragma unroll
            for (int step = 0; step < own_steps; ++step) {
                unsigned int words[Kind::words];
                take(words, tile, step, right);
#pragma unroll
                for (int i = 0; i < Kind::words; ++i) all[(tile * own_steps + step) * Kind::words + i] = words[i];
            }
        }
    }

    // Leaves the product in `sums`: the shares of the PARTS, one behind the other, each ROWS x columns. left(row, term)
    // is four neighbouring terms of a row, the first a multiple of 4, those from TERMS on 0.
    template <class Left, class Sums>
    __device__ __forceinline__ void multiply_held(Left left, unsigned int const (&all)[held], Sums sums) const {
        multiply<own_steps>(left, sums, [&](unsigned int (&words)[Kind::words], int tile, int step) {
#pragma unroll
            for (int i = 0; i < Kind::words; ++i) words[i] = all[(tile * own_steps + step) * Kind::words + i];
        });
    }
    template <class Left, class Right, class Sums>
    __device__ __forceinline__ void multiply_with(Left left, Right right, Sums sums) const {
        multiply<1>(left, sums, [&](unsigned int (&words)[Kind::words], int tile, int step) {
            take(words, tile, step, right);
        });
    }

    // `fragment(words, tile, step)` gives this lane's words of the right operand.
    template <int UNROLLED, class Left, class Fragment, class Sums>
    __device__ __forceinline__ void multiply(Left left, Sums sums, Fragment fragment) const {
        __syncwarp();  // the instructions are of a whole warp
#pragma unroll 1
        for (int m = down; m < (ROWS + 15) / 16 && down < DOWN; m += DOWN) {
            float tiles[own_tiles][4] = {};
            int const top = 16 * m + group, bottom = top + 8;
#pragma unroll(UNROLLED)
            for (int step = 0; step < own_steps; ++step) {
                int const term = (part + step * PARTS) * 16 + 4 * place;
                unsigned int above[Kind::words], below[Kind::words];
                Kind::pack(above, top < ROWS && term < TERMS ? left(top, term) : make_float4(0.0f, 0.0f, 0.0f, 0.0f));
                Kind::pack(below,
                           bottom < ROWS && term < TERMS ? left(bottom, term) : make_float4(0.0f, 0.0f, 0.0f, 0.0f));
#pragma unroll
                for (int tile = 0; tile < own_tiles; ++tile) {
                    unsigned int words[Kind::words];
                    fragment(words, tile, step);
#pragma unroll
                    for (int i = 0; i < Kind::words; i += 2) {
                        unsigned int const a[4] = {above[i], below[i], above[i + 1], below[i + 1]};
                        unsigned int const b[2] = {words[i], words[i + 1]};
                        Kind::add(tiles[tile], a, b);
                    }
                }
            }
#pragma unroll
            for (int tile = 0; tile < own_tiles; ++tile) {
                int const n = across + tile * ACROSS, column = 8 * n + 2 * place;
                if (n < TILES) {
                    if (top < ROWS) leave(sums, top, column, tiles[tile][0], tiles[tile][1]);
                    if (bottom < ROWS) leave(sums, bottom, column, tiles[tile][2], tiles[tile][3]);
                }
            }
        }
    }

    template <class Sums>
    __device__ __forceinline__ void leave(Sums sums, int row, int column, float x, float y) const {
        gpuscan_store_vector(sums + ((part * ROWS + row) * columns + column), make_float2(x, y));
    }

    // An element of the product, once all warps have left their shares.
    template <class Sums>
    static __device__ __forceinline__ float element(Sums sums, int row, int column) {
        float total = sums[row * columns + column];
#pragma unroll
        for (int part = 1; part < PARTS; ++part) {
            float const share = sums[(part * ROWS + row) * columns + column];
            total += share;
        }
        return total;
    }
};

}  // namespace gs
