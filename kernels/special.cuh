// Special functions that CUDA C++ lacks, as SciPy defines them. DLMF is the NIST Digital Library of Mathematical
// Functions, https://dlmf.nist.gov.
#pragma once
#include "numbers.cuh"

namespace gs {

// Logarithm of the absolute gamma function, which SciPy continues to -infinity with that sign.
template <class T>
__device__ __forceinline__ T gammaln(T x) { return x == -infinity<T>() ? x : lgamma(x); }

// Derivative of log gamma. Reflection at 0, recurrence up to 10 (6 in single precision), then the asymptotic series:
// Abramowitz and Stegun, 6.3.7, 6.3.5 and 6.3.18.
template <class T>
__device__ __forceinline__ T digamma(T x) {
    if (x == infinity<T>()) return x;
    if (x == T(0)) return copysign(infinity<T>(), -x);
    T result = T(0);
    if (x < T(0)) {
        T const fraction = x - floor(x);
        if (fraction == T(0)) return not_a_number<T>();
        result = -T(3.14159265358979323846) / tan(T(3.14159265358979323846) * fraction);
        x = T(1) - x;
    }
    for (; x < T(10); x += T(1)) result -= T(1) / x;
    T const inverse = T(1) / x;
    T const square = inverse * inverse;
    T const series =
        square *
        (T(1) / 12 -
         square * (T(1) / 120 -
                   square * (T(1) / 252 -
                             square * (T(1) / 240 - square * (T(1) / 132 - square * (T(691) / 32760 - square / 12))))));
    return result + log(x) - inverse / 2 - series;
}

// Sum over k of (x + k)^-s for whole s > 1: terms up to 10 + s, and Euler and Maclaurin's series for the rest, whose
// coefficients are Bernoulli's numbers over factorials: Abramowitz and Stegun, 6.4.10, 6.4.11 and 23.1.30. Not inline:
// it is long, and compilers take seconds over each copy.
template <class T>
__device__ __noinline__ T hurwitz_zeta(T s, T x) {
    T sum = T(0);
    for (; x < T(10) + s; x += T(1)) sum += pow(x, -s);
    T const whole = pow(x, T(1) - s);  // of large x the next is too small to be exact in single precision
    T const first = whole / x;
    T const square = T(1) / (x * x);
    T term = s * first / x;
    T series = term / 12;
    term *= (s + 1) * (s + 2) * square;
    series -= term / 720;
    term *= (s + 3) * (s + 4) * square;
    series += term / 30240;
    term *= (s + 5) * (s + 6) * square;
    series -= term / 1209600;
    term *= (s + 7) * (s + 8) * square;
    series += term / 47900160;
    term *= (s + 9) * (s + 10) * square;
    series -= term * T(691.0 / 1307674368000.0);
    term *= (s + 11) * (s + 12) * square;
    series += term / T(74724249600.0);
    return sum + whole / (s - 1) + first / 2 + series;
}

// Derivative of order n > 0 of digamma: Abramowitz and Stegun, 6.4.1 and 6.4.10. Of an x far below 0 the terms below
// 0 are a difference of two sums above 0, so that none is long; near 0 their sum itself is more exact.
template <class T>
__device__ __noinline__ T polygamma(T n, T x) {
    T const s = n + T(1);
    T const below = floor(x);
    bool const is_odd = fmod(n, T(2)) != T(0);
    T const factor = is_odd ? tgamma(s) : -tgamma(s);
    if (x == infinity<T>()) return T(0) * factor;
    if (x <= T(0) && below == x) return factor * infinity<T>();
    T sum;
    if (x < T(-64)) {
        T const fraction = x - below;
        T const reflected = hurwitz_zeta(s, T(1) - fraction) - hurwitz_zeta(s, T(1) - x);
        sum = hurwitz_zeta(s, fraction) + (is_odd ? reflected : -reflected);
    } else {
        sum = hurwitz_zeta(s, x);
    }
    return factor * sum;
}

// SciPy has no gamma function at -infinity, where CUDA's is that of an even integer.
template <class T>
__device__ __forceinline__ T gamma(T x) { return tgamma(x); }

// log(1 - exp(x)) for x below 0; Maechler, "Accurately computing log(1 - exp(-|a|))", 2012.
template <class T>
__device__ __forceinline__ T log1mexp(T x) {
    return x > T(-0.69314718055994530942) ? log(-expm1(x)) : log1p(-exp(x));
}

// Quantile of the normal distribution. In the middle by erfinv, as normcdfinv there sees p only to an absolute error.
template <class T>
__device__ __forceinline__ T ndtri(T p) {
    return T(0.25) < p && p < T(0.75) ? T(1.4142135623730950488) * erfinv(2 * p - T(1)) : normcdfinv(p);
}

// ---- what the gamma function is made of

template <class T>
constexpr T rounding = sizeof(T) == 4 ? T(6e-8) : T(1.1e-16);

// log(gamma(a)) - ((a - 1/2) log(a) - a + log(2 pi) / 2) for a >= 10: Stirling's series, DLMF 5.11.1.
template <class T>
__device__ __forceinline__ T stirling_rest(T a) {
    T const inverse = T(1) / a;
    T const square = inverse * inverse;
    return inverse *
           (T(1) / 12 -
            square * (T(1) / 360 -
                      square * (T(1) / 1260 -
                                square * (T(1) / 1680 -
                                          square * (T(1) / 1188 - square * (T(691) / 360360 - square / 156))))));
}

// log(gamma(1 + a)) for small a, which 1 + a rounds: the rest of it counts by the derivative.
template <class T>
__device__ __forceinline__ T gammaln_plus_1(T a) {
    T const above = T(1) + a;
    return lgamma(above) + digamma(above) * (a - (above - T(1)));
}

// y - log(1 + y) without cancellation: with r = y / (2 + y), log(1 + y) is 2 artanh(r), DLMF 4.6.6.
template <class T>
__device__ __forceinline__ T minus_log1p(T y) {
    if (!(fabs(y) < T(0.4))) return y - log1p(y);
    T const r = y / (T(2) + y);
    T const square = r * r;
    T sum = T(0), power = square, term;
    int odd = 3;
    do {
        term = power / T(odd);
        sum += term;
        power *= square;
        odd += 2;
    } while (term > rounding<T> * sum);
    return r * (y - 2 * sum);
}

// coefficients[0] + coefficients[1] y + ..., by Horner's rule.
template <class T, int count>
__device__ __forceinline__ T polynomial(double const (&coefficients)[count], T y) {
    T sum = T(coefficients[count - 1]);
#pragma unroll
    for (int k = count - 2; k >= 0; --k) sum = sum * y + T(coefficients[k]);
    return sum;
}

// ---- incomplete gamma functions

// a (m - log(1 + m)) with m = (x - a) / a: what the exponent of x^a exp(-x) / gamma(a) is short of its largest value.
template <class T>
__device__ __forceinline__ T gamma_exponent(T a, T x) {
    T const m = (x - a) / a;
    // Far from a, log(x / a) is better known than log(1 + m).
    return a * (fabs(m) < T(0.4) ? minus_log1p(m) : m - log(x / a));
}

// x^a exp(-x) / gamma(a + 1).
template <class T>
__device__ __noinline__ T gamma_term(T a, T x) {
    if (a < T(10)) {
        T const decay = exp(-x);
        return decay == T(0) ? T(0) : pow(x, a) * decay / tgamma(a + T(1));
    }
    return exp(-gamma_exponent(a, x) - stirling_rest(a)) / sqrt(T(6.2831853071795864769) * a);
}

// P(a, x) by its power series, of positive terms: DLMF 8.7.1.
template <class T>
__device__ __forceinline__ T gamma_lower_series(T a, T x) {
    T sum = T(1), term = T(1), divisor = a;
    do {
        divisor += T(1);
        term *= x / divisor;
        sum += term;
    } while (term > rounding<T> * sum);
    return gamma_term(a, x) * sum;
}

// Q(a, x) for x <= 1. P(a, x) = exp(u) (1 + a s) with u = a log(x) - log(gamma(1 + a)) and s the sum over k >= 1 of
// (-x)^k / (k! (a + k)), DLMF 8.7.1; it is subtracted from 1 by expm1.
template <class T>
__device__ __forceinline__ T gamma_upper_series(T a, T x) {
    T s = T(0), power = T(1), term;
    int k = 0;
    do {
        ++k;
        power *= -x / T(k);
        term = power / (a + T(k));
        s += term;
    } while (fabs(term) > rounding<T> * fabs(s));
    T const u = a * log(x) - gammaln_plus_1(a);
    return -expm1(u) - exp(u) * a * s;
}

// Q(a, x) by the continued fraction of DLMF 8.9.2, contracted to 1 / (b0 + a1 / (b1 + a2 / (b2 + ...))) with
// b_n = x + 1 - a + 2 n and a_n = n (a - n). Each convergent is the last one plus a correction: Barnett, Feng, Steed
// and Goldfarb, Computer Physics Communications 8, 1974.
template <class T>
__device__ __forceinline__ T gamma_upper_fraction(T a, T x) {
    T b = x + T(1) - a;
    T inverse = T(1) / b, correction = inverse, fraction = inverse;
    T n = T(0);
    do {
        n += T(1);
        b += T(2);
        inverse = T(1) / (n * (a - n) * inverse + b);
        correction *= b * inverse - T(1);
        fraction += correction;
    } while (fabs(correction) > rounding<T> * fabs(fraction));
    return gamma_term(a, x) * a * fraction;
}

// P(a, x), or Q(a, x) if `upper`, for large a: Temme's uniform expansion, DLMF 8.12.3, 8.12.4 and 8.12.7. The
// coefficients are c_0 = 1 / m - 1 / y and c_k = c_{k-1}' / y + (-1)^k g_k / m, with m = (x - a) / a and g_k Stirling's
// (DLMF 8.12.9, 8.12.11, 5.11.3), expanded in powers of y. For a >= 10^4, one of the two is 0 unless |y| < 0.39.
template <class T>
__device__ __forceinline__ T gamma_uniform(T a, T x, bool upper) {
    T const exponent = gamma_exponent(a, x);
    T y = sqrt(2 * exponent / a);
    if (x < a) y = -y;
    T const side = upper ? T(1) : T(-1);
    // exp(-exponent) is 0 here, and the powers of y below could be infinite.
    if (exponent > T(750)) return (y > T(0)) == upper ? T(0) : T(1);
    constexpr double c0[] = {
        -0.33333333333333331, 0.083333333333333329, -0.014814814814814815, 0.0011574074074074073,
        0.00035273368606701942, -0.0001787551440329218, 3.9192631785224377e-05,
        -2.185448510679992e-06, -1.85406221071516e-06, 8.2967113409530865e-07,
        -1.7665952736826078e-07, 6.7078535434014984e-09, 1.0261809784240309e-08,
        -4.3820360184533529e-09, 9.1476995822367902e-10, -2.5514193994946248e-11,
        -5.8307721325504256e-11};
    constexpr double c1[] = {
        -0.0018518518518518519, -0.003472222222222222, 0.0026455026455026454,
        -0.00099022633744855963, 0.00020576131687242798, -4.018775720164609e-07,
        -1.8098550334489977e-05, 7.6491609160811098e-06, -1.6120900894563446e-06,
        4.647127802807434e-09, 1.3786334469157209e-07};
    constexpr double c2[] = {
        0.0041335978835978834, -0.0026813271604938273, 0.0007716049382716049,
        2.0093878600823047e-06, -0.0001073665322636516, 5.2923448829120125e-05,
        -1.2760635188618728e-05, 3.4235787340961378e-08};
    constexpr double c3[] = {
        0.00064943415637860077, 0.00022947209362139917, -0.0004691894943952557,
        0.00026772063206283885};
    constexpr double c4 = -0.00086188829091671171;
    T const sum =
        polynomial(c0, y) + (polynomial(c1, y) + (polynomial(c2, y) + (polynomial(c3, y) + T(c4) / a) / a) / a) / a;
    T const rest = exp(-exponent) / sqrt(T(6.2831853071795864769) * a) * sum;
    return T(0.5) * erfc(side * (y < T(0) ? -sqrt(exponent) : sqrt(exponent))) + side * rest;
}

// Regularised: of shape a the distribution function at x, and 1 less it. Not inlined: NVRTC takes seconds for two
// copies, and a call is nothing beside the series.
template <class T>
__device__ __noinline__ T gamma_ratio(T a, T x, bool upper) {
    if (!(a >= T(0) && x >= T(0)) || (a == T(0) && x == T(0))) return not_a_number<T>();
    if (a == infinity<T>() && x == infinity<T>()) return not_a_number<T>();
    T const all = upper ? T(0) : T(1);  // where all of the distribution is at or below x
    if (a == T(0) || x == infinity<T>()) return all;
    if (x == T(0) || a == infinity<T>()) return T(1) - all;
    if (a > T(1e4)) return gamma_uniform(a, x, upper);
    // Each series gives the one that is not close to 1, or nearly so; the other is 1 less it.
    bool const has_upper = x > T(1) ? x >= a : upper && (a < T(0.5) || a < x);
    T const found = !has_upper ? gamma_lower_series(a, x)
                    : x > T(1) ? gamma_upper_fraction(a, x)
                               : gamma_upper_series(a, x);
    return has_upper == upper ? found : T(1) - found;
}
template <class T>
__device__ __forceinline__ T gammainc(T a, T x) { return gamma_ratio(a, x, false); }
template <class T>
__device__ __forceinline__ T gammaincc(T a, T x) { return gamma_ratio(a, x, true); }

// ---- beta function

// Logarithm of the absolute beta function. Of large arguments the logarithms of gamma functions nearly cancel; by
// Stirling's series they are left out.
template <class T>
__device__ __forceinline__ T betaln(T a, T b) {
    T const small = a < b ? a : b, large = a < b ? b : a;
    if (large == infinity<T>()) return small > T(0) && small < large ? -large : not_a_number<T>();
    if (large < T(10) || small < T(0)) return gammaln(a) + gammaln(b) - gammaln(a + b);
    T const sum = small + large, ratio = small / large;
    T const rest = stirling_rest(large) - stirling_rest(sum) - (large - T(0.5)) * log1p(ratio);
    if (small < T(10)) return gammaln(small) - small * log(sum) + small + rest;
    return stirling_rest(small) + rest + small * log(small / sum) - T(0.5) * log(small) + T(0.91893853320467274178);
}

}  // namespace gs
