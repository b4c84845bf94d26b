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

template <class T>
constexpr __device__ __forceinline__ T highest() {
    if constexpr (is_signed<T>) return T(~(1ull << (sizeof(T) * 8 - 1)));
    else return T(~0ull);
}
template <class T>
__device__ __forceinline__ T lowest() { return T(~highest<T>()); }

// ---- classification; x != x rather than isnan(x), which is a macro of some host compilers

template <class T>
__device__ __forceinline__ bool is_nan(T x) { return x != x; }
template <class T>
__device__ __forceinline__ bool same(T a, T b) { return a == b || (is_nan(a) && is_nan(b)); }
template <class T>
__device__ __forceinline__ bool is_inf(T x) { return x == infinity<T>() || x == -infinity<T>(); }
template <class T>
__device__ __forceinline__ bool is_finite(T x) { return x - x == T(0); }

// ---- any number as one word of 64 bits, and back

template <class T>
__device__ __forceinline__ unsigned long long word_of(T x) { return (unsigned long long)x; }
__device__ __forceinline__ unsigned long long word_of(float x) { return __float_as_uint(x); }
__device__ __forceinline__ unsigned long long word_of(double x) { return (unsigned long long)__double_as_longlong(x); }
template <class T>
__device__ __forceinline__ T from_word(unsigned long long word) { return T(word); }
template <>
__device__ __forceinline__ float from_word<float>(unsigned long long word) {
    return __uint_as_float((unsigned int)word);
}
template <>
__device__ __forceinline__ double from_word<double>(unsigned long long word) {
    return __longlong_as_double((long long)word);
}

// ---- positions

// A position along an axis, a negative one counted from its end. One outside the axis becomes the nearest inside: a
// kernel has nobody to tell, and must not read what is not its own.
__device__ __forceinline__ int wrapped(long long position, int size) {
    long long const from_start = position < 0 ? position + size : position;
    return int(from_start < 0 ? 0 : from_start >= size ? size - 1 : from_start);
}

}  // namespace gs
