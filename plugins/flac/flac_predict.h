/* Predictors: from residuals to samples, in place (RFC 9639, sections 9.2.5 and 9.2.6).
 *
 * The first `order` samples are given. Sums wrap around, so a damaged frame gives wrong numbers and no undefined ones.
 */
#pragma once
#include "st_base.h"

static ST_APART void flac_fixed(i32 *s, u32 n, u32 order) {
    /* No division in it, so 32 bits are enough for any sample of 32 bits: what wraps comes back. */
    u32 *x = (u32 *)s;
    switch (order) {
        case 1:
            for (u32 i = 1, a = x[0]; i < n; i++) x[i] = a += x[i];
            break;
        case 2:
            /* The differences of order 1, 2, ... run along: one addition each. */
            for (u32 i = 2, a = x[1], d = x[1] - x[0]; i < n; i++) d += x[i], x[i] = a += d;
            break;
        case 3: {
            u32 a = x[2], d = x[2] - x[1], e = d - (x[1] - x[0]);
            for (u32 i = 3; i < n; i++) e += x[i], d += e, x[i] = a += d;
            break;
        }
        case 4: {
            u32 a = x[3], d = x[3] - x[2], e = d - (x[2] - x[1]), f = e - (x[2] - 2 * x[1] + x[0]);
            for (u32 i = 4; i < n; i++) f += x[i], e += f, d += e, x[i] = a += d;
            break;
        }
        default: break;
    }
}

/* The latest samples and the coefficients in registers, a turn of `order` samples without a move between them. `type` is
 * unsigned, because sums may wrap in a damaged frame; `number` is the same with a sign. */
#define FLAC_LPC(name, type, number, order)                                                                 \
    static ST_APART void name(i32 *s, u32 n, const i32 *coefficients, u32 shift) {                          \
        type c[order], h[order];                                                                            \
        ST_UNROLL for (u32 j = 0; j < order; j++) c[j] = (type)(number)coefficients[j], h[j] = (type)(number)s[j]; \
        u32 i = order;                                                                                      \
        /* h[j] is the latest sample whose index is j modulo `order`. */                                    \
        for (; i + order <= n; i += order) {                                                                \
            ST_UNROLL for (u32 j = 0; j < order; j++) {                                                     \
                type sum = 0;                                                                               \
                /* The latest sample comes last, since it is the one that is waited for. */                 \
                ST_UNROLL for (u32 t = order; t-- > 0;) sum += c[t] * h[(j + 2 * order - 1 - t) % order];   \
                const u32 value = (u32)s[i + j] + (u32)((number)sum >> shift);                              \
                s[i + j] = (i32)value, h[j] = (type)(number)(i32)value;                                     \
            }                                                                                               \
        }                                                                                                   \
        for (; i < n; i++) {                                                                                \
            type sum = 0;                                                                                   \
            for (u32 t = 0; t < order; t++) sum += c[t] * (type)(number)s[i - 1 - t];                       \
            s[i] = (i32)((u32)s[i] + (u32)((number)sum >> shift));                                          \
        }                                                                                                   \
    }
#define FLAC_LPC_BOTH(order)                       \
    FLAC_LPC(flac_lpc32_##order, u32, i32, order)  \
    FLAC_LPC(flac_lpc64_##order, u64, i64, order)
FLAC_LPC_BOTH(1)
FLAC_LPC_BOTH(2)
FLAC_LPC_BOTH(3)
FLAC_LPC_BOTH(4)
FLAC_LPC_BOTH(5)
FLAC_LPC_BOTH(6)
FLAC_LPC_BOTH(7)
FLAC_LPC_BOTH(8)
FLAC_LPC_BOTH(9)
FLAC_LPC_BOTH(10)
FLAC_LPC_BOTH(11)
FLAC_LPC_BOTH(12)

/* Orders above 12, which encoders use in their least compatible settings. */
#define FLAC_LPC_LONG(name, type, number)                                                                   \
    static ST_APART void name(i32 *s, u32 n, const i32 *c, u32 order, u32 shift) {                          \
        for (u32 i = order; i < n; i++) {                                                                   \
            type a = 0, b = 0;                                                                              \
            u32 t = order;                                                                                  \
            for (; t >= 4; t -= 4) {                                                                        \
                const i32 *k = c + t - 4, *h = s + i - t;                                                   \
                a += (type)(number)k[3] * (type)(number)h[0], b += (type)(number)k[2] * (type)(number)h[1]; \
                a += (type)(number)k[1] * (type)(number)h[2], b += (type)(number)k[0] * (type)(number)h[3]; \
            }                                                                                               \
            for (; t > 0; t--) a += (type)(number)c[t - 1] * (type)(number)s[i - t];                        \
            s[i] = (i32)((u32)s[i] + (u32)((number)(a + b) >> shift));                                      \
        }                                                                                                   \
    }
FLAC_LPC_LONG(flac_lpc32_long, u32, i32)
FLAC_LPC_LONG(flac_lpc64_long, u64, i64)

typedef void (*flac_lpc_kernel)(i32 *, u32, const i32 *, u32);

/* `bits`: of a sample. */
static void flac_lpc(i32 *s, u32 n, const i32 *coefficients, u32 order, u32 shift, u32 bits) {
    static const flac_lpc_kernel narrow[12] = {
        flac_lpc32_1, flac_lpc32_2, flac_lpc32_3, flac_lpc32_4,  flac_lpc32_5,  flac_lpc32_6,
        flac_lpc32_7, flac_lpc32_8, flac_lpc32_9, flac_lpc32_10, flac_lpc32_11, flac_lpc32_12,
    };
    static const flac_lpc_kernel wide[12] = {
        flac_lpc64_1, flac_lpc64_2, flac_lpc64_3, flac_lpc64_4,  flac_lpc64_5,  flac_lpc64_6,
        flac_lpc64_7, flac_lpc64_8, flac_lpc64_9, flac_lpc64_10, flac_lpc64_11, flac_lpc64_12,
    };
    /* No sum can be larger than all coefficients times the largest sample. */
    u64 weight = 0;
    for (u32 j = 0; j < order; j++) weight += (u64)(coefficients[j] < 0 ? -coefficients[j] : coefficients[j]);
    const int fits = weight << (bits - 1) < 1ull << 31;
    if (order <= 12) (fits ? narrow : wide)[order - 1](s, n, coefficients, shift);
    else if (fits) flac_lpc32_long(s, n, coefficients, order, shift);
    else flac_lpc64_long(s, n, coefficients, order, shift);
}
