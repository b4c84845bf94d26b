// Eigenvalues and singular values of small dense matrices, by a team: Jacobi's rotations of two rows and columns at a
// time, which come closest to orthogonality of all methods, and of which a team does half as many at once as there are
// rows. Arrays as in matrices.cuh.
//
// Eigenvectors and right singular vectors have the sign that makes the first of their largest components positive.
#pragma once
#include "sharing.cuh"

namespace gs {

// ---- rotations

// Rounds in which each of N meets each other once, all N at a time: the circle method of tournaments, one of an even
// number staying where it is while the others go round. Of an odd number one sits out: its pair's `high` is N.
template <int N>
struct Tournament {
    static constexpr int PAIRS = (N + 1) / 2, ROUNDS = 2 * PAIRS - 1;
};
struct Pair {
    int low, high;
};
template <int N>
constexpr __device__ Pair pair_of(int round, int i) {
    constexpr int ROUNDS = Tournament<N>::ROUNDS;
    if (i == 0) return {round, ROUNDS};
    int const one = round + i < ROUNDS ? round + i : round + i - ROUNDS;
    int const other = round - i < 0 ? round - i + ROUNDS : round - i;
    return one < other ? Pair{one, other} : Pair{other, one};
}

constexpr int MOST_SWEEPS = 40;  // 5 to 10 are usual, of 32 rows of very different sizes some 20
constexpr int MOST_FLAT_ROWS = 6;  // of 8, a thread's written out rounds take 7 seconds to compile

template <class T>
constexpr __device__ T unit_roundoff() { return sizeof(T) == 4 ? T(0x1p-24) : T(0x1p-53); }

// What makes `off` of the symmetric [[first, off], [off, second]] zero: the tangent is the smaller of two (Golub and
// Van Loan, Matrix Computations, 8.5).
template <class T>
struct Rotation {
    T cosine = T(1), sine = T(0), tangent = T(0);

    __device__ __forceinline__ void diagonalize(T first, T off, T second) {
        T const ratio = (second - first) / (T(2) * off);
        tangent = copysign(T(1) / (abs(ratio) + sqrt(T(1) + ratio * ratio)), ratio);
        cosine = T(1) / sqrt(T(1) + tangent * tangent);
        sine = tangent * cosine;
    }
    __device__ __forceinline__ void turn(T& x, T& y) const {
        T const turned = cosine * x - sine * y;
        y = sine * x + cosine * y;
        x = turned;
    }
};

// ---- order and signs

// Writes values[N] to ordered[N], ascending or descending, and to order[N] where each was.
template <int N, bool DESCENDING, bool FLAT, class T, class Team, class Values, class Ordered, class Order>
__device__ __forceinline__ void put_in_order(Team& team, Values values, int stride, Ordered ordered, Order order) {
    each<N, FLAT>(team, [&](int i) {
        T const value = values[i * stride];
        int rank = 0;
#pragma unroll(FLAT ? N : 1)
        for (int j = 0; j < N; ++j) {
            T const other = values[j * stride];
            rank += (DESCENDING ? other > value : other < value) || (other == value && j < i);
        }
        put<N, FLAT>(ordered, rank, value);
        put<N, FLAT>(order, rank, T(i));
    });
    team.sync();
}

// The sign that makes the largest component of column j of v[N, N] positive.
template <int N, bool FLAT, class T, class V>
__device__ __forceinline__ T sign_of_column(V v, int j) {
    T largest = T(0);
#pragma unroll(FLAT ? N : 1)
    for (int i = 0; i < N; ++i) {
        T const value = pick<N, FLAT, T>(v, j, 0, i * N);
        largest = abs(value) > abs(largest) ? value : largest;
    }
    return largest < T(0) ? T(-1) : T(1);
}

// ---- symmetric matrices

constexpr __device__ int in_upper(int n, int i, int j) { return i < j ? i * n + j : j * n + i; }

// One round of rotations of the upper triangle of w[N, N], and of the columns of v[N, N]. Whether there were any.
template <int N, bool FLAT, class T, class Team, class W, class V, class Turns>
__device__ __forceinline__ bool rotate_symmetric(Team& team, int round, W w, V v, Turns cosines, Turns sines) {
    constexpr int PAIRS = Tournament<N>::PAIRS;
    bool rotated = false;
    each<PAIRS, FLAT>(team, [&](int i) {
        Pair const p = pair_of<N>(round, i);
        Rotation<T> turn;
        if (p.high < N) {
            T const first = w[p.low * (N + 1)], off = w[p.low * N + p.high], second = w[p.high * (N + 1)];
            if (abs(off) > unit_roundoff<T>() * sqrt(abs(first)) * sqrt(abs(second))) {
                rotated = true;
                turn.diagonalize(first, off, second);
                w[p.low * (N + 1)] = first - turn.tangent * off;
                w[p.low * N + p.high] = T(0);
                w[p.high * (N + 1)] = second + turn.tangent * off;
            }
        }
        cosines[i] = turn.cosine;
        sines[i] = turn.sine;
    });
    team.sync();
    // Where the rows of one pair meet the columns of another; only the first pair may be one element.
    each<PAIRS * PAIRS, FLAT>(team, [&](int e) {
        int const row_pair = e / PAIRS, column_pair = e % PAIRS;
        if (row_pair >= column_pair) return;
        Pair const p = pair_of<N>(round, row_pair), q = pair_of<N>(round, column_pair);
        Rotation<T> rows, columns;
        rows.cosine = cosines[row_pair], rows.sine = sines[row_pair];
        columns.cosine = cosines[column_pair], columns.sine = sines[column_pair];
        T low_low = w[in_upper(N, p.low, q.low)], low_high = w[in_upper(N, p.low, q.high)];
        columns.turn(low_low, low_high);
        if (p.high < N) {
            T high_low = w[in_upper(N, p.high, q.low)], high_high = w[in_upper(N, p.high, q.high)];
            columns.turn(high_low, high_high);
            rows.turn(low_low, high_low);
            rows.turn(low_high, high_high);
            w[in_upper(N, p.high, q.low)] = high_low;
            w[in_upper(N, p.high, q.high)] = high_high;
        }
        w[in_upper(N, p.low, q.low)] = low_low;
        w[in_upper(N, p.low, q.high)] = low_high;
    });
    each<N * PAIRS, FLAT>(team, [&](int e) {
        int const row = e / PAIRS * N;
        Pair const q = pair_of<N>(round, e % PAIRS);
        if (q.high == N) return;
        Rotation<T> columns;
        columns.cosine = cosines[e % PAIRS], columns.sine = sines[e % PAIRS];
        T low = v[row + q.low], high = v[row + q.high];
        columns.turn(low, high);
        v[row + q.low] = low;
        v[row + q.high] = high;
    });
    team.sync();
    return rotated;
}

// values[N], ascending, and as columns of vectors[N, N] the eigenvectors, of the symmetric a[N, N], of which the lower
// or the upper triangle is read; all NaN if it has an element that is not finite. work[N * N + N + 1]
template <int N, bool LOWER, class T, class Team, class A, class Values, class Vectors, class Work>
__device__ __forceinline__ void eigh(Team& team, A a, Values values, Vectors vectors, Work work) {
    constexpr bool FLAT = N <= MOST_FLAT_ROWS && is_flat<Team, T>(2 * N * N);
    auto const v = work, turns = work + N * N;
    bool finite = true;
    each<N * N, FLAT>(team, [&](int e) {
        int const i = e / N, j = e % N;
        if (i <= j) {
            T const value = a[LOWER ? j * N + i : e];
            finite = finite && is_finite(value);
            vectors[e] = value;
        }
        v[e] = T(i == j);
    });
    finite = team.template all<Both>(finite);
    team.sync();
    if (!finite) {
        fill<N * N, FLAT, T>(team, vectors, not_a_number<T>());
        fill<N, FLAT, T>(team, values, not_a_number<T>());
        team.sync();
        return;
    }
    // The results' own memory holds the matrix meanwhile.
    for (int sweep = 0; sweep < MOST_SWEEPS; ++sweep) {
        bool rotated = false;
#pragma unroll(FLAT ? Tournament<N>::ROUNDS : 1)
        for (int round = 0; round < Tournament<N>::ROUNDS; ++round) {
            rotated |= rotate_symmetric<N, FLAT, T>(team, round, vectors, v, turns, turns + Tournament<N>::PAIRS);
        }
        if (!team.template all<Either>(rotated)) break;
    }
    auto const order = turns;
    put_in_order<N, false, FLAT, T>(team, vectors, N + 1, values, order);
    each<N, FLAT>(team, [&](int j) {
        int const from = int(T(order[j]));
        T const sign = sign_of_column<N, FLAT, T>(v, from);
#pragma unroll(FLAT ? N : 1)
        for (int i = 0; i < N; ++i) vectors[i * N + j] = sign * pick<N, FLAT, T>(v, from, 0, i * N);
    });
    team.sync();
}

// ---- any matrices
//
// The columns of b[L, K], the matrix or its transpose, L >= K, are rotated until they are orthogonal: their norms are
// then the singular values (Hestenes' one-sided method), and the rotations' product v[K, K] the vectors of that side.

// Norms up to this, of columns with elements up to 1, are of squares that are not exact: such a column has no
// direction.
template <class T>
constexpr __device__ T least_norm() { return sizeof(T) == 4 ? T(1e-15) : T(1e-145); }

// One round of rotations. Whether there were any.
template <int L, int K, bool VECTORS, bool FLAT, class T, class Team, class B, class V>
__device__ __forceinline__ bool rotate_columns(Team& team, int round, B b, V v) {
    bool rotated = false;
    each<Tournament<K>::PAIRS, FLAT>(team, [&](int pair) {
        Pair const p = pair_of<K>(round, pair);
        if (p.high == K) return;
        T first = T(0), off = T(0), second = T(0);
#pragma unroll(FLAT ? L : 1)
        for (int i = 0; i < L; ++i) {
            T const low = b[i * K + p.low], high = b[i * K + p.high];
            first += low * low;
            off += low * high;
            second += high * high;
        }
        T const low_norm = sqrt(first), high_norm = sqrt(second);
        if (low_norm <= least_norm<T>() || high_norm <= least_norm<T>()) return;
        // As far as the rounding errors of the sums let one tell.
        if (abs(off) <= T(L) * unit_roundoff<T>() * low_norm * high_norm) return;
        rotated = true;
        Rotation<T> turn;
        turn.diagonalize(first, off, second);
#pragma unroll(FLAT ? L : 1)
        for (int i = 0; i < L; ++i) {
            T low = b[i * K + p.low], high = b[i * K + p.high];
            turn.turn(low, high);
            b[i * K + p.low] = low;
            b[i * K + p.high] = high;
        }
        if constexpr (VECTORS) {
#pragma unroll(FLAT ? K : 1)
            for (int i = 0; i < K; ++i) {
                T low = v[i * K + p.low], high = v[i * K + p.high];
                turn.turn(low, high);
                v[i * K + p.low] = low;
                v[i * K + p.high] = high;
            }
        }
    });
    team.sync();
    return rotated;
}

// Rotates a[M, N] / largest until its columns, or if there are more of those its rows, are orthogonal; writes their
// norms, and v if VECTORS. `largest` is what no element's size exceeds.
template <int M, int N, bool VECTORS, bool FLAT, class T, class Team, class A, class B, class V, class Norms>
__device__ __forceinline__ void orthogonalize(Team& team, A a, T largest, B b, V v, Norms norms) {
    constexpr int L = M < N ? N : M, K = M < N ? M : N;
    each<L * K, FLAT>(team, [&](int e) {
        T const value = a[M < N ? e % K * N + e / K : e];
        b[e] = largest == T(0) ? value : value / largest;
    });
    if constexpr (VECTORS) each<K * K, FLAT>(team, [&](int e) { v[e] = T(e / K == e % K); });
    team.sync();
    for (int sweep = 0; sweep < MOST_SWEEPS; ++sweep) {
        bool rotated = false;
#pragma unroll(FLAT ? Tournament<K>::ROUNDS : 1)
        for (int round = 0; round < Tournament<K>::ROUNDS; ++round) {
            rotated |= rotate_columns<L, K, VECTORS, FLAT, T>(team, round, b, v);
        }
        if (!team.template all<Either>(rotated)) break;
    }
    each<K, FLAT>(team, [&](int j) {
        T squares = T(0);
#pragma unroll(FLAT ? L : 1)
        for (int i = 0; i < L; ++i) {
            T const value = b[i * K + j];
            squares += value * value;
        }
        norms[j] = sqrt(squares);
    });
    team.sync();
}

// The size of the largest element of a[COUNT], given to all threads; NaN if there is one.
template <int COUNT, bool FLAT, class T, class Team, class A>
__device__ __forceinline__ T largest_size(Team& team, A a) {
    T largest = T(0);
    each<COUNT, FLAT>(team, [&](int e) {
        T const value = a[e];
        largest = Larger::of(largest, T(abs(value)));
    });
    return team.template all<Larger>(largest);
}

template <int COUNT, bool FLAT, class T, class Team, class X>
__device__ __forceinline__ void scale_by(Team& team, X x, T scale) {
    each<COUNT, FLAT>(team, [&](int e) {
        T const value = x[e];
        x[e] = value * scale;
    });
    team.sync();
}

// s[min(M, N)], the singular values of a[M, N], descending. work[M * N + 2 * min(M, N)]. False if there is a NaN in a;
// all NaN then and if there is an infinity.
template <int M, int N, class T, class Team, class A, class S, class Work>
__device__ __forceinline__ bool singular_values(Team& team, A a, S s, Work work) {
    constexpr int K = M < N ? M : N;
    constexpr bool FLAT = M <= MOST_FLAT_ROWS && N <= MOST_FLAT_ROWS && is_flat<Team, T>(M * N);
    T const largest = largest_size<M * N, FLAT, T>(team, a);
    if (!is_finite(largest)) {
        fill<K, FLAT, T>(team, s, not_a_number<T>());
        team.sync();
        return !is_nan(largest);
    }
    auto const norms = work + M * N;
    orthogonalize<M, N, false, FLAT, T>(team, a, largest, work, work, norms);
    put_in_order<K, true, FLAT, T>(team, norms, 1, s, norms + K);
    scale_by<K, FLAT, T>(team, s, largest);
    return true;
}

// Vectors of L elements, as columns of array[L, COUNT] or, if !UPRIGHT, as rows of array[COUNT, L].
template <class T, class Array, int L, int COUNT, bool UPRIGHT>
struct Basis {
    Array array;

    static constexpr __device__ int place(int i, int j) { return UPRIGHT ? i * COUNT + j : j * L + i; }
    __device__ __forceinline__ T get(int i, int j) const { return T(array[place(i, j)]); }
    __device__ __forceinline__ void set(int i, int j, T value) { array[place(i, j)] = value; }

    template <bool FLAT>
    __device__ __forceinline__ T product(int j, int k) const {
        T sum = T(0);
#pragma unroll(FLAT ? L : 1)
        for (int i = 0; i < L; ++i) sum += get(i, j) * get(i, k);
        return sum;
    }

    // Makes vector j one of length 1, orthogonal to those before it: of the axis that they leave most of. That is so
    // much, at least 1 / sqrt(L), that making it orthogonal once is enough.
    template <bool FLAT>
    __device__ __forceinline__ void complete(int j) {
        int axis = 0;
        T most = T(-1);
#pragma unroll(FLAT ? L : 1)
        for (int i = 0; i < L; ++i) {
            T left = T(1);
#pragma unroll(FLAT ? COUNT : 1)
            for (int k = 0; k < COUNT; ++k) {
                if (k < j) left -= get(i, k) * get(i, k);
            }
            axis = left > most ? i : axis;
            most = left > most ? left : most;
        }
#pragma unroll(FLAT ? L : 1)
        for (int i = 0; i < L; ++i) set(i, j, T(i == axis));
#pragma unroll(FLAT ? COUNT : 1)
        for (int k = 0; k < COUNT; ++k) {
            if (k < j) {
                T const shared = product<FLAT>(j, k);
#pragma unroll(FLAT ? L : 1)
                for (int i = 0; i < L; ++i) set(i, j, get(i, j) - shared * get(i, k));
            }
        }
        T const scale = T(1) / sqrt(product<FLAT>(j, j));
#pragma unroll(FLAT ? L : 1)
        for (int i = 0; i < L; ++i) set(i, j, get(i, j) * scale);
    }
};

// Writes the singular vectors from what `orthogonalize` left, in order: the rotations' to `inner`, the columns', and as
// many more as it has, to `outer`. s[K] are the columns' norms in order.
template <int L, int K, int COUNT, bool FLAT, class T, class Team, class B, class V, class S, class Order, class Outer,
          class Inner>
__device__ __forceinline__ void write_vectors(Team& team, B b, V v, S s, Order order, Outer outer, Inner inner) {
    each<K, FLAT>(team, [&](int j) {
        int const from = int(T(order[j]));
        T const sign = sign_of_column<K, FLAT, T>(v, from), norm = s[j];
        T const scale = norm > least_norm<T>() ? sign / norm : T(0);
#pragma unroll(FLAT ? K : 1)
        for (int i = 0; i < K; ++i) inner.set(i, j, sign * pick<K, FLAT, T>(v, from, 0, i * K));
#pragma unroll(FLAT ? L : 1)
        for (int i = 0; i < L; ++i) outer.set(i, j, scale * pick<K, FLAT, T>(b, from, 0, i * K));
    });
    team.sync();
    if (team.thread == 0) {
#pragma unroll(FLAT ? COUNT : 1)
        for (int j = 0; j < COUNT; ++j) {
            T norm = T(0);
            if (j < K) norm = s[j];
            if (!(norm > least_norm<T>())) outer.template complete<FLAT>(j);
        }
    }
    team.sync();
}

// u, s[K] descending and vh with u * s @ vh = a[M, N], where K = min(M, N): u[M, K] and vh[K, N], or with FULL u[M, M]
// and vh[N, N]. work[M * N + K * K + 2 * K]. False if there is a NaN in a; all NaN then and if there is an infinity.
template <int M, int N, bool FULL, class T, class Team, class A, class U, class S, class VH, class Work>
__device__ __forceinline__ bool svd(Team& team, A a, U u, S s, VH vh, Work work) {
    constexpr int L = M < N ? N : M, K = M < N ? M : N, COUNT = FULL ? L : K;
    constexpr bool FLAT = L <= MOST_FLAT_ROWS && is_flat<Team, T>(L * K + K * K + L * COUNT);
    T const largest = largest_size<M * N, FLAT, T>(team, a);
    if (!is_finite(largest)) {
        fill<(FULL ? M : K) * M, FLAT, T>(team, u, not_a_number<T>());
        fill<K, FLAT, T>(team, s, not_a_number<T>());
        fill<(FULL ? N : K) * N, FLAT, T>(team, vh, not_a_number<T>());
        team.sync();
        return !is_nan(largest);
    }
    auto const v = work + M * N, norms = v + K * K, order = norms + K;
    orthogonalize<M, N, true, FLAT, T>(team, a, largest, work, v, norms);
    put_in_order<K, true, FLAT, T>(team, norms, 1, s, order);
    if constexpr (M >= N) {
        Basis<T, U, L, COUNT, true> outer{u};
        Basis<T, VH, K, K, false> inner{vh};
        write_vectors<L, K, COUNT, FLAT, T>(team, work, v, s, order, outer, inner);
    } else {
        Basis<T, VH, L, COUNT, false> outer{vh};
        Basis<T, U, K, K, true> inner{u};
        write_vectors<L, K, COUNT, FLAT, T>(team, work, v, s, order, outer, inner);
    }
    scale_by<K, FLAT, T>(team, s, largest);
    return true;
}

}  // namespace gs
