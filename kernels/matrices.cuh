// Linear systems, determinants and Cholesky factors of small dense matrices, by a team. Matrices are stored row by row,
// in arrays of the thread's own, or of all its threads. What a function is given is complete and seen by the whole
// team; so is, at its end, what it wrote. It changes nothing that it is given, from which results and work arrays are
// distinct.
//
// Where NumPy raises an error the result is NaN throughout, and the function returns false, to every thread.
#pragma once
#include "sharing.cuh"

namespace gs {

// ---- elimination with partial pivoting

// What step k does to a column: rows k and `pivot_row` change places, and the new row k is subtracted from those below,
// times what makes column k zero there. `factors` is that column as it was before, `scale` the pivot's reciprocal.
template <int N, bool FLAT, class T, class Factors, class Column>
__device__ __forceinline__ void eliminate_in(Factors factors, Column column, int j, int stride, int k, int pivot_row,
                                             T scale) {
    T const top = column[k * stride + j], top_factor = factors[k * N + k];
    T const pivotal = pick<N, FLAT, T>(column, pivot_row, k, j, stride);
#pragma unroll(FLAT ? N : 1)
    for (int i = FLAT ? 0 : k + 1; i < N; ++i) {
        if (i > k) {
            T const own = column[i * stride + j], own_factor = factors[i * N + k];
            bool const moves = i == pivot_row;
            // As in LAPACK, this is the side that is scaled: of equal rows the product in brackets is 1, but for the
            // reciprocal's rounding, so that exactly 0 is left.
            column[i * stride + j] = (moves ? top : own) - ((moves ? top_factor : own_factor) * scale) * pivotal;
        }
    }
    column[k * stride + j] = pivotal;
}

// Brings [w | x] into the form [U | y] by elimination; below the diagonal of U, w holds anything. The solution of
// U @ solution = y is that of w @ solution = x. From a pivot of 0 on, the diagonal of U and all of y are NaN. Tells
// `see(pivot, swapped)` each pivot, and whether it came from another row.
//
// All threads read column k, which nobody writes in step k, to find the pivot; the other columns have a thread each.
template <int N, int COLUMNS, bool FLAT, class T, class Team, class W, class X, class See>
__device__ __forceinline__ void eliminate(Team& team, W w, X x, See see) {
#pragma unroll(FLAT ? N : 1)
    for (int k = 0; k < N; ++k) {
        T pivot = w[k * N + k];
        int pivot_row = k;
#pragma unroll(FLAT ? N : 1)
        for (int i = FLAT ? 0 : k + 1; i < N; ++i) {
            if (i > k) {
                T const value = w[i * N + k];
                bool const larger = abs(value) > abs(pivot);
                pivot = larger ? value : pivot;
                pivot_row = larger ? i : pivot_row;
            }
        }
        see(pivot, pivot_row != k);
        T const divisor = pivot == T(0) ? not_a_number<T>() : pivot, scale = T(1) / divisor;
        each<N + COLUMNS, FLAT>(team, k + 1, N + COLUMNS, [&](int j) {
            if (j < N) eliminate_in<N, FLAT, T>(w, w, j, N, k, pivot_row, scale);
            else if constexpr (COLUMNS > 0) eliminate_in<N, FLAT, T>(w, x, j - N, COLUMNS, k, pivot_row, scale);
        });
        team.sync();
        // Later steps do not read this column.
        if (team.thread == 0) w[k * N + k] = divisor;
    }
    team.sync();
}

// ---- triangular systems

// Replaces x, of COLUMNS columns, by the solution of a @ solution = x, of the lower or the upper triangle of a.
//
// Each row is divided by its diagonal element after the last step, so that no step both writes and reads it.
template <int N, int COLUMNS, bool LOWER, bool TRANS, bool UNIT, bool FLAT, class T, class Team, class A, class X>
__device__ __forceinline__ void substitute(Team& team, A a, X x) {
    constexpr bool DOWN = LOWER != TRANS;
#pragma unroll(FLAT ? N : 1)
    for (int step = 0; step < N - 1; ++step) {
        int const k = DOWN ? step : N - 1 - step;
        T const diagonal = UNIT ? T(1) : T(a[k * N + k]);
        T const scale = UNIT ? T(1) : T(1) / diagonal;
        each<N * COLUMNS, FLAT>(team, DOWN ? (k + 1) * COLUMNS : 0, DOWN ? N * COLUMNS : k * COLUMNS, [&](int e) {
            int const i = e / COLUMNS;
            T const factor = a[TRANS ? k * N + i : i * N + k], known = x[k * COLUMNS + e % COLUMNS], own = x[e];
            x[e] = own - factor * (known * scale);
        });
        team.sync();
    }
    if constexpr (!UNIT) {
        each<N * COLUMNS, FLAT>(team, [&](int e) {
            T const diagonal = a[e / COLUMNS * (N + 1)], own = x[e];
            x[e] = own * (T(1) / diagonal);
        });
        team.sync();
    }
}

// x[N, COLUMNS] with a[N, N] @ x = b[N, COLUMNS], of the lower or the upper triangle of a: transposed before with
// TRANS, its diagonal taken to be 1 with UNIT. False if there is a 0 on the diagonal.
template <int N, int COLUMNS, bool LOWER, bool TRANS, bool UNIT, class T, class Team, class A, class B, class X>
__device__ __forceinline__ bool solve_triangular(Team& team, A a, B b, X x) {
    constexpr bool FLAT = is_flat<Team, T>(N * (N + 1) / 2 + N * COLUMNS);
    bool regular = true;
    if constexpr (!UNIT) {
#pragma unroll(FLAT ? N : 1)
        for (int k = 0; k < N; ++k) {
            T const diagonal = a[k * (N + 1)];
            regular = regular && diagonal != T(0);
        }
    }
    each<N * COLUMNS, FLAT>(team, [&](int e) {
        T const value = b[e];
        x[e] = regular ? value : not_a_number<T>();
    });
    team.sync();
    substitute<N, COLUMNS, LOWER, TRANS, UNIT, FLAT, T>(team, a, x);
    return regular;
}

// ---- general systems

// Replaces x by the solution of w @ solution = x, and w by other values.
template <int N, int COLUMNS, bool FLAT, class T, class Team, class W, class X>
__device__ __forceinline__ bool solve_in_place(Team& team, W w, X x) {
    bool regular = true;
    eliminate<N, COLUMNS, FLAT, T>(team, w, x, [&](T pivot, bool) { regular = regular && pivot != T(0); });
    substitute<N, COLUMNS, false, false, false, FLAT, T>(team, w, x);
    return regular;
}

// x[N, COLUMNS] with a[N, N] @ x = b[N, COLUMNS]; work[N * N]. False if a is singular.
template <int N, int COLUMNS, class T, class Team, class A, class B, class X, class Work>
__device__ __forceinline__ bool solve(Team& team, A a, B b, X x, Work work) {
    constexpr bool FLAT = is_flat<Team, T>(N * (N + COLUMNS));
    copy<N * N, FLAT, T>(team, a, work);
    copy<N * COLUMNS, FLAT, T>(team, b, x);
    team.sync();
    return solve_in_place<N, COLUMNS, FLAT, T>(team, work, x);
}

// x[N, N], the inverse of a[N, N]; work[N * N]. False if a is singular.
template <int N, class T, class Team, class A, class X, class Work>
__device__ __forceinline__ bool inverse(Team& team, A a, X x, Work work) {
    constexpr bool FLAT = is_flat<Team, T>(2 * N * N);
    copy<N * N, FLAT, T>(team, a, work);
    each<N * N, FLAT>(team, [&](int e) { x[e] = T(e / N == e % N); });
    team.sync();
    return solve_in_place<N, N, FLAT, T>(team, work, x);
}

// ---- determinants

// x[1], the determinant of a[N, N]; work[N * N]
template <int N, class T, class Team, class A, class X, class Work>
__device__ __forceinline__ void determinant(Team& team, A a, X x, Work work) {
    constexpr bool FLAT = is_flat<Team, T>(N * N);
    copy<N * N, FLAT, T>(team, a, work);
    team.sync();
    T product = T(1);
    bool regular = true;
    eliminate<N, 0, FLAT, T>(team, work, work, [&](T pivot, bool swapped) {
        regular = regular && pivot != T(0);
        product *= swapped ? -pivot : pivot;
    });
    if (team.thread == 0) x[0] = regular ? product : T(0);
    team.sync();
}

// sign[1] of the determinant of a[N, N], and logarithm[1] of its absolute value; work[N * N]
template <int N, class T, class Team, class A, class Sign, class Logarithm, class Work>
__device__ __forceinline__ void sign_and_log_determinant(Team& team, A a, Sign sign, Logarithm logarithm, Work work) {
    constexpr bool FLAT = is_flat<Team, T>(N * N);
    copy<N * N, FLAT, T>(team, a, work);
    team.sync();
    T sum = T(0);
    bool regular = true, negative = false;
    eliminate<N, 0, FLAT, T>(team, work, work, [&](T pivot, bool swapped) {
        regular = regular && pivot != T(0);
        negative ^= (pivot < T(0)) != swapped;
        sum += log(abs(pivot));
    });
    if (team.thread == 0) {
        sign[0] = !regular ? T(0) : negative ? T(-1) : T(1);
        logarithm[0] = regular ? sum : -infinity<T>();
    }
    team.sync();
}

// ---- positive definite matrices

// x[N, N], the lower triangle L, zeros above it, with L @ L.T = a[N, N], whose lower triangle is read. False if a is
// not positive definite.
//
// Columns are divided by the roots of their diagonal elements after the last step, so that no step both writes and
// reads one.
template <int N, class T, class Team, class A, class X>
__device__ __forceinline__ bool cholesky(Team& team, A a, X x) {
    constexpr bool FLAT = is_flat<Team, T>(N * (N + 1) / 2);
    each<N * N, FLAT>(team, [&](int e) {
        if (e / N >= e % N) {
            T const value = a[e];
            x[e] = value;
        } else {
            x[e] = T(0);
        }
    });
    team.sync();
    bool definite = true;
#pragma unroll(FLAT ? N : 1)
    for (int k = 0; k < N; ++k) {
        T const diagonal = x[k * N + k];
        definite = definite && !(diagonal <= T(0));
        T const scale = T(1) / sqrt(diagonal);
        each<N * N, FLAT>(team, (k + 1) * N, N * N, [&](int e) {
            int const i = e / N, j = e % N;
            if (j > k && j <= i) {
                T const own = x[e], left = x[i * N + k], right = x[j * N + k];
                x[e] = own - (left * scale) * (right * scale);
            }
        });
        team.sync();
    }
    // A thread scales whole columns, so that nobody else reads the diagonal element that it replaces.
    each<N, FLAT>(team, [&](int k) {
        T const root = sqrt(T(x[k * N + k])), scale = T(1) / root;
#pragma unroll(FLAT ? N : 1)
        for (int i = 0; i < N; ++i) {
            T const own = x[i * N + k];
            T const scaled = i == k ? root : i > k ? own * scale : own;
            x[i * N + k] = definite ? scaled : not_a_number<T>();
        }
    });
    team.sync();
    return definite;
}

}  // namespace gs
