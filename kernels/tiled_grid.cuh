// A grid whose blocks own whole columns of matrices, all of whose rows a product on tensor cores makes at once.
#pragma once
#include "team.cuh"

namespace gs {

// Block b owns WIDTH of COLUMNS columns, from b * WIDTH on, and its threads ROWS of their rows at once: slot k is row
// k * ROWS + threadIdx.x / WIDTH.
template <int BLOCKS, int THREADS, int ROWS, int COLUMNS, int WIDTH>
struct TiledGridTeam : GridTeam<BLOCKS, THREADS, ROWS * COLUMNS, 1> {
    __device__ __forceinline__ TiledGridTeam(Global<unsigned int> arrivals, Global<unsigned long long> meeting)
        : GridTeam<BLOCKS, THREADS, ROWS * COLUMNS, 1>(arrivals, meeting) {
        int const row = threadIdx.x / WIDTH, column = blockIdx.x * WIDTH + threadIdx.x % WIDTH;
        this->rank = row < ROWS && column < COLUMNS ? row * COLUMNS + column : NO_RANK;
    }
};

}  // namespace gs
