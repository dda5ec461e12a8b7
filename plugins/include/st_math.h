/* Elementary functions in double precision that give the same bits on every machine.
 *
 * Only additions, multiplications, divisions and square roots are used, all of them exactly rounded by
 * IEEE 754, in a fixed order. Relative error is below 1e-14 in the ranges that the plugins use.
 *
 * Methods: argument reduction with a constant split in two (W. J. Cody and W. Waite, "Software Manual for
 * the Elementary Functions", 1980), then the Taylor or Maclaurin series, cut where the next term is below
 * half a unit in the last place.
 */
#pragma once
#include "st_base.h"

#define ST_PI 3.141592653589793238462643383279502884
#define ST_LN2 0.6931471805599453094172321214581766
#define ST_LN10 2.302585092994045684017991454684364

ST_INLINE double st_from_bits(u64 bits) {
    double x;
    __builtin_memcpy(&x, &bits, 8);
    return x;
}
ST_INLINE u64 st_to_bits(double x) {
    u64 bits;
    __builtin_memcpy(&bits, &x, 8);
    return bits;
}
ST_INLINE double st_sqrt(double x) { return __builtin_sqrt(x); }
ST_INLINE double st_abs(double x) { return __builtin_fabs(x); }
ST_INLINE double st_min(double a, double b) { return a < b ? a : b; }
ST_INLINE double st_max(double a, double b) { return a > b ? a : b; }
ST_INLINE double st_clamp(double x, double lo, double hi) { return st_min(st_max(x, lo), hi); }

/* Nearest integer, halves away from zero; for magnitudes below 2^62. */
ST_INLINE double st_round(double x) { return (double)(i64)(x < 0.0 ? x - 0.5 : x + 0.5); }

ST_UNUSED static double st_exp(double x) {
    if (x > 709.0) return st_from_bits(0x7ff0000000000000ull);
    if (x < -700.0) return 0.0;
    /* ln 2 in two parts: the first has 33 significant bits, so k times it is exact. */
    const double ln2_hi = 6.93147180369123816490e-01, ln2_lo = 1.90821492927058770002e-10;
    const double k = st_round(x / ST_LN2);
    const double r = (x - k * ln2_hi) - k * ln2_lo;
    double p = 1.0;
    for (int n = 16; n >= 1; n--) p = 1.0 + p * r / (double)n;
    return p * st_from_bits((u64)((i64)k + 1023) << 52);
}

/* Natural logarithm of a positive, normal number. */
ST_UNUSED static double st_log(double x) {
    const u64 bits = st_to_bits(x);
    i64 e = (i64)(bits >> 52) - 1023;
    double m = st_from_bits((bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e += 1;
    }
    /* log m = 2 artanh((m - 1) / (m + 1)), with the argument below 0.172. */
    const double s = (m - 1.0) / (m + 1.0), q = s * s;
    double p = 0.0;
    for (int n = 23; n >= 3; n -= 2) p = (p + 1.0 / (double)n) * q;
    const double ln2_hi = 6.93147180369123816490e-01, ln2_lo = 1.90821492927058770002e-10;
    return (double)e * ln2_hi + (2.0 * s + (2.0 * s * p + (double)e * ln2_lo));
}

ST_UNUSED static double st_pow(double base, double exponent) { return st_exp(exponent * st_log(base)); }
ST_UNUSED static double st_log10(double x) { return st_log(x) / ST_LN10; }
ST_UNUSED static double st_db_to_gain(double db) { return db == 0.0 ? 1.0 : st_exp(db * (ST_LN10 / 20.0)); }

/* Sine and cosine for |x| up to about 1e5. */
ST_UNUSED static void st_sincos(double x, double *sine, double *cosine) {
    const double hi = 1.57079632673412561417e+00, lo = 6.07710050650619224932e-11; /* pi / 2 in two parts */
    const double k = st_round(x * (2.0 / ST_PI));
    const double r = (x - k * hi) - k * lo, q = r * r;
    double s = 1.0, c = 1.0;
    for (int n = 19; n >= 3; n -= 2) s = 1.0 - s * q / (double)(n * (n - 1));
    for (int n = 20; n >= 2; n -= 2) c = 1.0 - c * q / (double)(n * (n - 1));
    s *= r;
    switch ((i64)k & 3) {
        case 0: *sine = s, *cosine = c; break;
        case 1: *sine = c, *cosine = -s; break;
        case 2: *sine = -s, *cosine = -c; break;
        default: *sine = -c, *cosine = s; break;
    }
}
ST_UNUSED static double st_sin(double x) {
    double s, c;
    st_sincos(x, &s, &c);
    return s;
}
ST_UNUSED static double st_cos(double x) {
    double s, c;
    st_sincos(x, &s, &c);
    return c;
}
ST_UNUSED static double st_tan(double x) {
    double s, c;
    st_sincos(x, &s, &c);
    return s / c;
}
