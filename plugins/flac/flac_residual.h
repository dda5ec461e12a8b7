/* Residuals: Rice codes in partitions (RFC 9639, section 9.2.7). */
#pragma once
#include "flac_input.h"

/* The next code, if it is one of the many that lie within the bits at hand; to `rare` with it if not. */
#define FLAC_CODE(place)                                             \
    if (count < 32) {                                                \
        bits |= flac_load(at) >> count;                              \
        at += (63 - count) >> 3;                                     \
        count |= 56;                                                 \
    }                                                                \
    zeros = (u32)__builtin_clzll(bits | 1), whole = zeros + 1 + k;   \
    if (__builtin_expect(whole > count, 0)) goto rare;               \
    value = zeros << k | (u32)(bits << zeros << 1 >> 1 >> (63 - k)); \
    bits <<= whole, count -= whole;                                  \
    *(place) = (i32)(value >> 1 ^ (0u - (value & 1)));

/* One partition of `n` codes with parameter `k`, 0 to 30; gives 0 where a number has more than 32 bits. */
static ST_APART int flac_rice(flac_input *in, i32 *out, u32 n, u32 k) {
    const u32 most = 0xffffffffu >> k;
    i32 *const end = out + n;
    while (out < end) {
        u32 zeros, whole, value;
        /* The state of the bits in registers. Four codes take 32 bytes at the most: so far ahead there are some. Up to this
         * parameter no number whose code lies within 64 bits is too large. */
        u64 bits = in->bits;
        u32 count = in->count;
        const u8 *at = in->at;
        if (k <= 25) {
            while (end - out >= 4 && in->safe - at >= 32) {
                FLAC_CODE(out)
                out++;
                FLAC_CODE(out)
                out++;
                FLAC_CODE(out)
                out++;
                FLAC_CODE(out)
                out++;
            }
            while (out < end && in->safe >= at) {
                FLAC_CODE(out)
                out++;
            }
        }
    rare:
        in->bits = bits, in->count = count, in->at = at;
        if (out == end) break;
        const u32 high = flac_unary(in, most);
        if (high > most) return 0;
        value = high << k | (k ? (u32)flac_take(in, k) : 0);
        *out++ = (i32)(value >> 1 ^ (0u - (value & 1)));
    }
    return 1;
}

/* The residual of a subframe from its sample `order` on; gives 0 where it is malformed. */
static int flac_residual(flac_input *in, i32 *out, u32 block, u32 order) {
    const u32 method = (u32)flac_take(in, 2);
    if (method > 1) return 0;
    const u32 wide = method ? 5 : 4, escape = (1u << wide) - 1;
    const u32 partitions = 1u << flac_take(in, 4), length = block / partitions;
    if (block % partitions || length < order) return 0;
    out += order;
    for (u32 i = 0; i < partitions; i++) {
        const u32 n = i ? length : length - order;
        const u32 k = (u32)flac_take(in, wide);
        if (k < escape) {
            if (!flac_rice(in, out, n, k)) return 0;
        } else {
            const u32 width = (u32)flac_take(in, 5);
            if (width == 0) st_zero(out, n * sizeof *out);
            else
                for (u32 j = 0; j < n; j++) out[j] = (i32)flac_take_signed(in, width);
        }
        if (!flac_bits_there(in)) return 0;
        out += n;
    }
    return 1;
}
