// Samples that one thread draws by itself. gpuscan/tensor/random/samplers.py is the same in NumPy, and has the sources.
#pragma once
#include "philox.cuh"

namespace gs {

// Products and sums that the compiler must not fuse: uniforms have the same bits on every device.
__device__ __forceinline__ double plain_sum(double a, double b) { return __dadd_rn(a, b); }
__device__ __forceinline__ float plain_sum(float a, float b) { return __fadd_rn(a, b); }
__device__ __forceinline__ double plain_product(double a, double b) { return __dmul_rn(a, b); }
__device__ __forceinline__ float plain_product(float a, float b) { return __fmul_rn(a, b); }

template <class T>
__device__ __forceinline__ T shifted(T loc, T scale, T standard) {
    return plain_sum(loc, plain_product(scale, standard));
}

// ---- uniforms: in [0, 1); in (0, 1], finer towards 0; in (0, 1/2], finer towards 0

template <class T>
__device__ __forceinline__ T unit_uniform(unsigned long long bits) {
    if constexpr (sizeof(T) == 4) return T(bits >> 40) * 0x1p-24f;
    else return T(bits >> 11) * 0x1p-53;
}
template <class T>
__device__ __forceinline__ T positive_uniform(unsigned long long bits) { return T(bits | 1) * T(0x1p-64); }
template <class T>
__device__ __forceinline__ T half_uniform(unsigned long long bits) { return T(bits << 1 | 1) * T(0x1p-65); }
template <class T>
__device__ __forceinline__ T sign_of(unsigned long long bits) { return bits >> 63 ? T(-1) : T(1); }

// ---- uniforms and integers: the same bits on every device

template <class T>
__device__ __forceinline__ T uniform(RandomState state, long long element, T low, T high) {
    return shifted(low, plain_sum(high, -low), unit_uniform<T>(random_bits(state, element).first));
}

__device__ __forceinline__ bool bernoulli(RandomState state, long long element, double p) {
    return unit_uniform<double>(random_bits(state, element).first) < p;
}

// High half of the product of 64-bit integers.
__device__ __forceinline__ unsigned long long high_product(unsigned long long a, unsigned long long b) {
    unsigned long long const a0 = a & 0xFFFFFFFFull, a1 = a >> 32, b0 = b & 0xFFFFFFFFull, b1 = b >> 32;
    unsigned long long const middle = a1 * b0 + (a0 * b0 >> 32);
    unsigned long long const other = a0 * b1 + (middle & 0xFFFFFFFFull);
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

__device__ __forceinline__ long long integers(RandomState state, long long element, long long low, long long high) {
    RandomBits const bits = random_bits(state, element);
    unsigned long long const span = (unsigned long long)high - (unsigned long long)low;
    unsigned long long const low_product = bits.first * span;
    unsigned long long const carry = low_product + high_product(bits.second, span);
    return (long long)((unsigned long long)low + high_product(bits.first, span) + (carry < low_product));
}

// ---- standard variates

template <class T>
__device__ __forceinline__ T normal(RandomState state, long long element) {
    RandomBits const bits = random_bits(state, element);
    T const radius = sqrt(T(-2) * log(positive_uniform<T>(bits.first)));
    return radius * cos(T(6.283185307179586477) * unit_uniform<T>(bits.second));
}

template <class T>
__device__ __forceinline__ T exponential(RandomState state, long long element) {
    return -log(positive_uniform<T>(random_bits(state, element).first));
}

template <class T>
__device__ __forceinline__ T laplace(RandomState state, long long element) {
    unsigned long long const bits = random_bits(state, element).first;
    return sign_of<T>(bits) * -log(T(2) * half_uniform<T>(bits));
}

template <class T>
__device__ __forceinline__ T logistic(RandomState state, long long element) {
    unsigned long long const bits = random_bits(state, element).first;
    T const half = half_uniform<T>(bits);
    return sign_of<T>(bits) * (log1p(-half) - log(half));
}

template <class T>
__device__ __forceinline__ T cauchy(RandomState state, long long element) {
    unsigned long long const bits = random_bits(state, element).first;
    return sign_of<T>(bits) / tan(T(3.141592653589793238) * half_uniform<T>(bits));
}

}  // namespace gs
