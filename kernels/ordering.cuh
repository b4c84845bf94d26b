// Elements in order of size, and running sums, by a team. Arrays are of shape [OUTER, N, INNER], stored row by row, and
// worked on along the middle axis. As in matrices.cuh, what a function is given is complete and stays as it is, and
// what it wrote is seen by the whole team at its end.
#pragma once
#include "sharing.cuh"

namespace gs {

// Where element 0 of a line along the middle axis is; the next are INNER further each.
template <int N, int INNER>
constexpr __device__ int line_start(int line) { return line / INNER * (N * INNER) + line % INNER; }

// Whether a belongs before b, as NumPy orders: NaN last, all of them equal.
template <class T>
__device__ __forceinline__ bool is_before(T a, T b) { return a < b || (is_nan(b) && !is_nan(a)); }

// ---- sorting

// Short lines of a thread's own are sorted by exchanges of neighbours, at constant places.
template <class Team, class T>
constexpr __device__ bool sorts_by_exchange(int n, int elements) { return n <= 16 && is_flat<Team, T>(elements); }

// The number of elements of a line that belong before its element `place`; of equal ones, those that stand before it.
template <int N, class T, class X>
__device__ __forceinline__ int rank_of(X x, int start, int stride, int place) {
    T const own = x[start + place * stride];
    int rank = 0;
    for (int i = 0; i < N; ++i) {
        T const other = x[start + i * stride];
        rank += is_before(other, own) || (i < place && !is_before(own, other));
    }
    return rank;
}

// Sorts what `at` and `exchange` reach, by rounds of exchanges of neighbours, which never change the order of equals.
template <int N, class At, class Exchange>
__device__ __forceinline__ void exchange_neighbours(At at, Exchange exchange) {
#pragma unroll
    for (int round = 0; round < N; ++round) {
#pragma unroll
        for (int i = 0; i + 1 < N; ++i) {
            if (i % 2 == round % 2) {
                bool const swaps = is_before(at(i + 1), at(i));
                exchange(i, swaps);
            }
        }
    }
}

// x[OUTER, N, INNER], the elements of a in ascending order
template <int OUTER, int N, int INNER, class T, class Team, class A, class X>
__device__ __forceinline__ void sort(Team& team, A a, X x) {
    constexpr int LINES = OUTER * INNER;
    if constexpr (sorts_by_exchange<Team, T>(N, LINES * N)) {
        copy<LINES * N, true, T>(team, a, x);
#pragma unroll
        for (int line = 0; line < LINES; ++line) {
            int const start = line_start<N, INNER>(line);
            exchange_neighbours<N>(
                [&](int i) { return T(x[start + i * INNER]); },
                [&](int i, bool swaps) {
                    T const first = x[start + i * INNER], second = x[start + (i + 1) * INNER];
                    x[start + i * INNER] = swaps ? second : first;
                    x[start + (i + 1) * INNER] = swaps ? first : second;
                });
        }
    } else if constexpr (Team::threads == 1) {
        for (int e = 0; e < LINES * N; ++e) {
            int const start = line_start<N, INNER>(e / N);
            T const value = a[start + e % N * INNER];
            int i = e % N;
            for (; i > 0 && is_before(value, T(x[start + (i - 1) * INNER])); --i) {
                T const moved = x[start + (i - 1) * INNER];
                x[start + i * INNER] = moved;
            }
            x[start + i * INNER] = value;
        }
    } else {
        each<LINES * N, false>(team, [&](int e) {
            int const start = line_start<N, INNER>(e / N);
            T const value = a[start + e % N * INNER];
            x[start + rank_of<N, T>(a, start, INNER, e % N) * INNER] = value;
        });
    }
    team.sync();
}

// x[OUTER, N, INNER], the places along the middle axis of the elements of a in ascending order; equal ones keep theirs
template <int OUTER, int N, int INNER, class T, class Team, class A, class X>
__device__ __forceinline__ void argsort(Team& team, A a, X x) {
    constexpr int LINES = OUTER * INNER;
    if constexpr (sorts_by_exchange<Team, T>(N, LINES * N)) {
#pragma unroll
        for (int line = 0; line < LINES; ++line) {
            int const start = line_start<N, INNER>(line);
            T values[N];
            int places[N];
#pragma unroll
            for (int i = 0; i < N; ++i) values[i] = a[start + i * INNER], places[i] = i;
            exchange_neighbours<N>(
                [&](int i) { return values[i]; },
                [&](int i, bool swaps) {
                    T const value = values[i];
                    int const place = places[i];
                    values[i] = swaps ? values[i + 1] : value, values[i + 1] = swaps ? value : values[i + 1];
                    places[i] = swaps ? places[i + 1] : place, places[i + 1] = swaps ? place : places[i + 1];
                });
#pragma unroll
            for (int i = 0; i < N; ++i) x[start + i * INNER] = places[i];
        }
    } else if constexpr (Team::threads == 1) {
        for (int e = 0; e < LINES * N; ++e) {
            int const start = line_start<N, INNER>(e / N);
            T const value = a[start + e % N * INNER];
            int i = e % N;
            for (; i > 0; --i) {
                int const place = x[start + (i - 1) * INNER];
                if (!is_before(value, T(a[start + place * INNER]))) break;
                x[start + i * INNER] = place;
            }
            x[start + i * INNER] = e % N;
        }
    } else {
        each<LINES * N, false>(team, [&](int e) {
            int const start = line_start<N, INNER>(e / N);
            x[start + rank_of<N, T>(a, start, INNER, e % N) * INNER] = e % N;
        });
    }
    team.sync();
}

// ---- searching

// places[COUNT], where each of values[COUNT] would be put into sorted[N], before equal elements or (RIGHT) after them
template <int N, int COUNT, bool RIGHT, class T, class Team, class Sorted, class Values, class Places>
__device__ __forceinline__ void searchsorted(Team& team, Sorted sorted, Values values, Places places) {
    constexpr bool FLAT = N <= 16 && is_flat<Team, T>(N + COUNT);
    each<COUNT, FLAT>(team, [&](int e) {
        T const value = values[e];
        auto const stands_before = [&](int i) {
            T const other = sorted[i];
            return RIGHT ? !is_before(value, other) : is_before(other, value);
        };
        int low = 0;
        if constexpr (FLAT) {
#pragma unroll
            for (int i = 0; i < N; ++i) low += stands_before(i);
        } else {
            for (int high = N; low < high;) {
                int const middle = (low + high) / 2;
                if (stands_before(middle)) low = middle + 1;
                else high = middle;
            }
        }
        places[e] = low;
    });
    team.sync();
}

// ---- running sums

// x[OUTER, N, INNER], of element type T: all elements of a up to each one, combined by Op (team.cuh) in T.
//
// Long lines are cut into as many chunks as a warp has threads, if there are threads for them: each chunk is summed on
// its own, then what came before it is added.
template <int OUTER, int N, int INNER, class Op, class T, class Team, class A, class X>
__device__ __forceinline__ void cumulate(Team& team, A a, X x) {
    constexpr int LINES = OUTER * INNER;
    constexpr int CHUNKS = LINES < Team::threads && N >= 64 ? 32 : 1, LENGTH = (N + CHUNKS - 1) / CHUNKS;
    constexpr bool FLAT = is_flat<Team, T>(LINES * N);
    constexpr int USED = (N + LENGTH - 1) / LENGTH;  // the last chunk of these may be shorter
    each<LINES * USED, FLAT>(team, [&](int e) {
        int const start = line_start<N, INNER>(e / USED), first = e % USED * LENGTH;
        T running = a[start + first * INNER];
        x[start + first * INNER] = running;
#pragma unroll(FLAT ? LENGTH : 1)
        for (int i = 1; i < LENGTH; ++i) {
            if (first + i < N) {
                T const value = a[start + (first + i) * INNER];
                running = Op::of(running, value);
                x[start + (first + i) * INNER] = running;
            }
        }
    });
    team.sync();
    if constexpr (USED > 1) {
        // The last element of each chunk is what later ones add: it stays as it is until all have.
        each<LINES * USED, false>(team, [&](int e) {
            int const start = line_start<N, INNER>(e / USED), chunk = e % USED;
            if (chunk == 0) return;
            T before = x[start + (LENGTH - 1) * INNER];
            for (int c = 1; c < chunk; ++c) {
                T const total = x[start + (c * LENGTH + LENGTH - 1) * INNER];
                before = Op::of(before, total);
            }
            int const end = chunk == USED - 1 ? N : chunk * LENGTH + LENGTH - 1;
            for (int i = chunk * LENGTH; i < end; ++i) {
                T const value = x[start + i * INNER];
                x[start + i * INNER] = Op::of(before, value);
            }
        });
        team.sync();
        each<LINES, false>(team, [&](int line) {
            int const start = line_start<N, INNER>(line);
            T before = x[start + (LENGTH - 1) * INNER];
            for (int c = 1; c < USED - 1; ++c) {
                T const total = x[start + (c * LENGTH + LENGTH - 1) * INNER];
                before = Op::of(before, total);
                x[start + (c * LENGTH + LENGTH - 1) * INNER] = before;
            }
        });
        team.sync();
    }
}

}  // namespace gs
