// Kinds of numbers, and constants that have no literal.
#pragma once
#include "base.cuh"

namespace gs {

template <class T>
struct IsFloat {
    static constexpr bool value = false;
};
template <>
struct IsFloat<float> {
    static constexpr bool value = true;
};
template <>
struct IsFloat<double> {
    static constexpr bool value = true;
};

template <class T>
constexpr bool is_signed = T(-1) < T(0);

// ---- constants that have no literal

__device__ __forceinline__ double bits(unsigned long long pattern) { return __longlong_as_double((long long)pattern); }
template <class T>
__device__ __forceinline__ T infinity() { return T(bits(0x7ff0000000000000ull)); }
template <class T>
__device__ __forceinline__ T not_a_number() { return T(bits(0x7ff8000000000000ull)); }

// ---- classification; x != x rather than isnan(x), which is a macro of some host compilers

template <class T>
__device__ __forceinline__ bool is_nan(T x) { return x != x; }
template <class T>
__device__ __forceinline__ bool is_inf(T x) { return x == infinity<T>() || x == -infinity<T>(); }
template <class T>
__device__ __forceinline__ bool is_finite(T x) { return x - x == T(0); }

}  // namespace gs
