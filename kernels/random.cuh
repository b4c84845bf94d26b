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
__device__ __forceinline__ T normal(RandomState state, long long element, unsigned int block = 0) {
    RandomBits const bits = random_bits(state, element, block);
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

// ---- rejection, in double precision for every T; what is always rejected has a parameter that is not allowed

constexpr int MOST_ATTEMPTS = 1000;
__device__ __forceinline__ double no_sample() { return __longlong_as_double(0x7ff8000000000000ll); }

// A gamma variate is value * exp(boost).
struct GammaParts {
    double value, boost;
};
__device__ __forceinline__ GammaParts gamma_parts(
    RandomState state, long long element, double alpha, unsigned int first, unsigned int stride) {
    bool const small = alpha < 1.0;
    double const d = (small ? alpha + 1.0 : alpha) - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    double const boost = log(positive_uniform<double>(random_bits(state, element, first + 1).second)) / alpha;
    for (unsigned int attempt = 0; attempt < MOST_ATTEMPTS; ++attempt) {
        unsigned int const block = first + stride * attempt;
        double const x = normal<double>(state, element, block), root = 1.0 + c * x, cube = root * root * root;
        double const u = positive_uniform<double>(random_bits(state, element, block + 1).first);
        if (cube > 0.0 && log(u) < x * x / 2.0 + d * (1.0 - cube + log(cube))) return {d * cube, small ? boost : 0.0};
    }
    return {no_sample(), 0.0};
}

template <class T>
__device__ __forceinline__ T gamma(RandomState state, long long element, T shape, T scale) {
    GammaParts const g = gamma_parts(state, element, shape, 0, 2);
    return T(scale * (g.value * exp(g.boost)));
}

// Its logarithm, also where the variate itself underflows.
template <class T>
__device__ __forceinline__ T log_gamma(RandomState state, long long element, T alpha) {
    GammaParts const g = gamma_parts(state, element, alpha, 0, 2);
    return T(log(g.value) + g.boost);
}

template <class T>
__device__ __forceinline__ T beta(RandomState state, long long element, T alpha, T beta) {
    GammaParts const x = gamma_parts(state, element, alpha, 0, 4), y = gamma_parts(state, element, beta, 2, 4);
    return T(1.0 / (1.0 + exp(log(y.value) + y.boost - log(x.value) - x.boost)));
}

template <class T>
__device__ __forceinline__ T student_t(RandomState state, long long element, T df, T loc, T scale) {
    double const half = double(df) / 2.0;
    GammaParts const g = gamma_parts(state, element, half, 1, 2);
    double const standard = normal<double>(state, element) / sqrt(g.value * exp(g.boost) / half);
    return T(shifted(double(loc), double(scale), standard));
}

// ---- counts

// How many outcomes 0, 1, ... have a cumulated probability not above u; ratio(k) is the probability of k over that of
// k - 1. Not fused, so that it decides as NumPy does.
template <class Ratio>
__device__ __forceinline__ double count_by_search(double u, double probability, Ratio ratio) {
    double cumulated = probability, k = 0.0;
    for (bool more = u >= cumulated; more; more = u >= cumulated && probability > 1e-30) {
        k += 1.0;
        probability = plain_product(probability, ratio(k));
        cumulated = plain_sum(cumulated, probability);
    }
    return k;
}

// What Stirling's formula lacks of log k!, for k of 1 or more.
__device__ __forceinline__ double stirling_rest(double k) {
    double const exact[16] = {
        0.0, 0.08106146679532733, 0.04134069595540901, 0.027677925684998606,
        0.020790672103764507, 0.01664469118982259, 0.013876128823071543, 0.011896709945891981,
        0.010411265261973224, 0.009255462182709007, 0.008330563433359028, 0.00757367548795207,
        0.006942840107208692, 0.00640899418800478, 0.005951370112766252, 0.005554733551961899};
    if (k < 16.0) return exact[int(k)];
    double const square = k * k;
    return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / square) / square) / square) / square) / k;
}

__device__ __forceinline__ double log_poisson(double k, double mean) {
    if (!(k > 0.0)) return -mean;
    double const distance = (mean - k) / k;
    return k * (log1p(distance) - distance) - stirling_rest(k) - 0.5 * log(6.283185307179586477 * k);
}

__device__ __forceinline__ long long poisson(RandomState state, long long element, double lam) {
    if (lam < 10.0) {
        double const u = unit_uniform<double>(random_bits(state, element).first);
        return (long long)count_by_search(u, exp(-lam), [=](double k) { return lam / k; });
    }
    double const b = 0.931 + 2.53 * sqrt(lam), a = -0.059 + 0.02483 * b;
    for (unsigned int attempt = 0; attempt < MOST_ATTEMPTS; ++attempt) {
        RandomBits const bits = random_bits(state, element, attempt);
        double const u = unit_uniform<double>(bits.first) - 0.5, v = positive_uniform<double>(bits.second);
        double const us = 0.5 - fabs(u), k = floor((2.0 * a / us + b) * u + lam + 0.43);
        if (us >= 0.07 && v <= 0.9277 - 3.6224 / (b - 2.0)) return (long long)k;
        if (k < 0.0 || (us < 0.013 && v > us)) continue;
        if (log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b)) <= log_poisson(k, lam)) return (long long)k;
    }
    return 0;
}

__device__ __forceinline__ double binomial_by_rejection(RandomState state, long long element, double n, double p) {
    double const mean = n * p, others = n * (1.0 - p), deviation = sqrt(mean * (1.0 - p));
    double const b = 1.15 + 2.53 * deviation, a = -0.0873 + 0.0248 * b + 0.01 * p;
    double const scale = (2.83 + 5.1 / b) * deviation, mode = floor((n + 1.0) * p);
    double const at_mode = log_poisson(mode, mean) + log_poisson(n - mode, others);
    for (unsigned int attempt = 0; attempt < MOST_ATTEMPTS; ++attempt) {
        RandomBits const bits = random_bits(state, element, attempt);
        double const u = unit_uniform<double>(bits.first) - 0.5, v = positive_uniform<double>(bits.second);
        double const us = 0.5 - fabs(u), k = floor((2.0 * a / us + b) * u + mean + 0.5);
        if (k < 0.0 || k > n) continue;
        if (us >= 0.07 && v <= 0.92 - 4.2 / b) return k;
        double const log_k = log_poisson(k, mean) + log_poisson(n - k, others);
        if (log(v * scale / (a / (us * us) + b)) <= log_k - at_mode) return k;
    }
    return 0.0;
}

__device__ __forceinline__ long long binomial(RandomState state, long long element, long long trials, double p) {
    double const u = unit_uniform<double>(random_bits(state, element).first);
    if (trials == 1) return u < p;
    double const n = double(trials), rare = fmin(p, 1.0 - p), odds = rare / (1.0 - rare);
    double const k = n * rare < 10.0 ? count_by_search(u, exp(n * log1p(-rare)),
                                                       [=](double k) { return odds * ((n + 1.0 - k) / k); })
                                     : binomial_by_rejection(state, element, n, rare);
    return (long long)(p > 0.5 ? n - k : k);
}

}  // namespace gs
