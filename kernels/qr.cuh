// QR factors of small dense matrices, by a team, with the signs that LAPACK gives them. Arrays as in matrices.cuh.
#pragma once
#include "sharing.cuh"

namespace gs {

// The reflection I - tau * v @ v.T that takes a column's elements from its diagonal one on to (beta, 0, ..., 0): v is
// 1, and below it those elements times `scale` (dlarfg of LAPACK).
template <class T>
struct Reflection {
    T beta, tau, scale;
};

// Of column k of w[M, N].
template <int M, int N, bool FLAT, class T, class W>
__device__ __forceinline__ Reflection<T> reflection_of(W w, int k) {
    T const alpha = w[k * N + k];
    T largest = T(0);  // by which elements are divided, so that no square is too large or too small
#pragma unroll(FLAT ? M : 1)
    for (int i = FLAT ? 0 : k + 1; i < M; ++i) {
        if (i > k) {
            T const value = w[i * N + k];
            largest = Larger::of(largest, T(abs(value)));
        }
    }
    if (largest == T(0)) return {alpha, T(0), T(0)};
    largest = Larger::of(largest, T(abs(alpha)));
    T squares = (alpha / largest) * (alpha / largest);
#pragma unroll(FLAT ? M : 1)
    for (int i = FLAT ? 0 : k + 1; i < M; ++i) {
        if (i > k) {
            T const value = w[i * N + k], part = value / largest;
            squares += part * part;
        }
    }
    T const beta = -copysign(largest * sqrt(squares), alpha);
    return {beta, (beta - alpha) / beta, T(1) / (alpha - beta)};
}

// Applies a reflection to column j of a[M, COLUMNS]. Its v is column k of w[M, N] below the diagonal, times `scale`.
template <int M, int N, int COLUMNS, bool FLAT, class T, class W, class A>
__device__ __forceinline__ void reflect(W w, int k, T tau, T scale, A a, int j) {
    T const top = a[k * COLUMNS + j];
    T product = top;
#pragma unroll(FLAT ? M : 1)
    for (int i = FLAT ? 0 : k + 1; i < M; ++i) {
        if (i > k) {
            T const v = w[i * N + k], own = a[i * COLUMNS + j];
            product += v * scale * own;
        }
    }
    product *= tau;
    a[k * COLUMNS + j] = top - product;
#pragma unroll(FLAT ? M : 1)
    for (int i = FLAT ? 0 : k + 1; i < M; ++i) {
        if (i > k) {
            T const v = w[i * N + k], own = a[i * COLUMNS + j];
            a[i * COLUMNS + j] = own - v * scale * product;
        }
    }
}

// q[M, INNER], of orthonormal columns, and r[INNER, N], zero below its diagonal, with q @ r = a[M, N]: INNER is M with
// COMPLETE, else the smaller of M and N. work[M * N + 2 * min(M, N)]
//
// All threads read column k, which nobody writes in step k; the other columns have a thread each.
template <int M, int N, bool COMPLETE, class T, class Team, class A, class Q, class R, class Work>
__device__ __forceinline__ void qr(Team& team, A a, Q q, R r, Work work) {
    constexpr int STEPS = M < N ? M : N, INNER = COMPLETE ? M : STEPS;
    constexpr bool FLAT = is_flat<Team, T>(M * N + M * INNER);
    auto const taus = work + M * N, scales = taus + STEPS;
    copy<M * N, FLAT, T>(team, a, work);
    each<M * INNER, FLAT>(team, [&](int e) { q[e] = T(e / INNER == e % INNER); });
    team.sync();
#pragma unroll(FLAT ? STEPS : 1)
    for (int k = 0; k < STEPS; ++k) {
        Reflection<T> const h = reflection_of<M, N, FLAT, T>(work, k);
        each<N, FLAT>(team, k + 1, N, [&](int j) { reflect<M, N, N, FLAT, T>(work, k, h.tau, h.scale, work, j); });
        team.sync();
        // From now on column k is read for what is below its diagonal only.
        if (team.thread == 0) {
            work[k * N + k] = h.beta;
            taus[k] = h.tau;
            scales[k] = h.scale;
        }
    }
    team.sync();
    each<INNER * N, FLAT>(team, [&](int e) {
        T const value = work[e];
        r[e] = e / N <= e % N ? value : T(0);
    });
    // Each column of q is one thread's from here to the end.
    each<INNER, FLAT>(team, [&](int j) {
#pragma unroll(FLAT ? STEPS : 1)
        for (int step = 0; step < STEPS; ++step) {
            int const k = STEPS - 1 - step;
            T const tau = taus[k], scale = scales[k];
            reflect<M, N, INNER, FLAT, T>(work, k, tau, scale, q, j);
        }
    });
    team.sync();
}

}  // namespace gs
