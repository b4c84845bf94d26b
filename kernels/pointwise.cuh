// Pointwise functions that CUDA C++ lacks or defines otherwise than NumPy, whose meaning all of these have.
#pragma once
#include "numbers.cuh"
#include "special.cuh"

namespace gs {

// ---- sign and order

template <class T>
__device__ __forceinline__ T absolute(T x) {
    if constexpr (IsFloat<T>::value) return fabs(x);
    else if constexpr (is_signed<T>) return x < T(0) ? T(0 - x) : x;
    else return x;
}
template <class T>
__device__ __forceinline__ T sign(T x) {
    if constexpr (IsFloat<T>::value) {
        if (is_nan(x)) return x;
    }
    return T(T(0) < x) - T(x < T(0));
}
template <class T>
__device__ __forceinline__ T maximum(T a, T b) { return a > b || is_nan(a) ? a : b; }
template <class T>
__device__ __forceinline__ T minimum(T a, T b) { return a < b || is_nan(a) ? a : b; }

// ---- division: rounded down, the remainder with the divisor's sign; by the integer 0 it gives 0

template <class T>
__device__ __forceinline__ T mod(T a, T b) {
    if constexpr (IsFloat<T>::value) {
        T rest = fmod(a, b);
        if (rest != T(0)) {
            if ((b < T(0)) != (rest < T(0))) rest += b;
            return rest;
        }
        return b == T(0) ? rest : copysign(T(0), b);
    } else {
        if (b == T(0)) return T(0);
        if constexpr (is_signed<T>) {
            if (b == T(-1)) return T(0);  // the smallest integer has no quotient by -1
            T const rest = T(a % b);
            return rest != T(0) && (rest < T(0)) != (b < T(0)) ? T(rest + b) : rest;
        } else {
            return T(a % b);
        }
    }
}
template <class T>
__device__ __forceinline__ T floor_div(T a, T b) {
    if constexpr (IsFloat<T>::value) {
        if (b == T(0)) return a / b;
        T const rest = fmod(a, b);
        T quotient = (a - rest) / b;
        if (rest != T(0) && (b < T(0)) != (rest < T(0))) quotient -= T(1);
        if (quotient == T(0)) return copysign(T(0), a / b);
        // (a - rest) / b is an integer but for its rounding.
        T const lower = floor(quotient);
        return quotient - lower > T(0.5) ? lower + T(1) : lower;
    } else {
        if (b == T(0)) return T(0);
        if constexpr (is_signed<T>) {
            if (b == T(-1)) return T(0 - a);
            T const quotient = T(a / b);
            return a % b != T(0) && (a < T(0)) != (b < T(0)) ? T(quotient - T(1)) : quotient;
        } else {
            return T(a / b);
        }
    }
}

// ---- powers

template <class T>
__device__ __forceinline__ T power(T base, T exponent) {
    if constexpr (IsFloat<T>::value) {
        return pow(base, exponent);
    } else {
        T result = T(1);
        for (; exponent > T(0); exponent = T(exponent >> 1)) {
            if (exponent & T(1)) result = T(result * base);
            base = T(base * base);
        }
        return result;
    }
}

// ---- bits; a shift by the width or more leaves nothing but the sign

template <class T>
__device__ __forceinline__ T invert(T x) { return T(~x); }
__device__ __forceinline__ bool invert(bool x) { return !x; }
template <class T>
__device__ __forceinline__ T left_shift(T x, T count) {
    bool const inside = count >= T(0) && (unsigned long long)count < sizeof(T) * 8;
    return inside ? T((unsigned long long)x << (unsigned long long)count) : T(0);
}
template <class T>
__device__ __forceinline__ T right_shift(T x, T count) {
    bool const inside = count >= T(0) && (unsigned long long)count < sizeof(T) * 8;
    return inside ? T(x >> count) : x < T(0) ? T(-1) : T(0);
}

// ---- angles

template <class T>
__device__ __forceinline__ T deg2rad(T x) { return x * T(0.017453292519943295769); }
template <class T>
__device__ __forceinline__ T rad2deg(T x) { return x * T(57.295779513082320877); }

// ---- exponentials that neither overflow nor cancel

template <class T>
__device__ __forceinline__ T sigmoid(T x) { return T(1) / (T(1) + exp(-x)); }
template <class T>
__device__ __forceinline__ T softplus(T x) { return maximum(x, T(0)) + log1p(exp(-fabs(x))); }
template <class T>
__device__ __forceinline__ T logaddexp(T a, T b) {
    // Equal infinities would be subtracted below.
    if (a == b) return a + T(0.69314718055994530942);
    T const distance = fabs(a - b);
    return is_nan(distance) ? distance : maximum(a, b) + log1p(exp(-distance));
}

// ---- the complex part of real numbers

template <class T>
__device__ __forceinline__ T real(T x) { return x; }
template <class T>
__device__ __forceinline__ T imag(T) { return T(0); }
template <class T>
__device__ __forceinline__ T conj(T x) { return x; }
template <class T>
__device__ __forceinline__ T angle(T x) { return atan2(T(0), x); }

}  // namespace gs
