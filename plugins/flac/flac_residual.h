/* Residuals: Rice codes in partitions (RFC 9639, section 9.2.7). */
#pragma once
#include "flac_input.h"

/* One partition of `n` codes with parameter `k`, 0 to 30; gives 0 where a number has more than 32 bits. */
static ST_APART int flac_rice(flac_input *in, i32 *out, u32 n, u32 k) {
    const u32 most = 0xffffffffu >> k;
    /* The state of the bits in registers; back to memory around what is rare. */
    u64 bits = in->bits;
    u32 count = in->count;
    const u8 *at = in->at, *safe = in->safe;
    for (u32 i = 0; i < n; i++) {
        if (count < 32) {
            if (__builtin_expect(at <= safe, 1)) {
                bits |= flac_load(at) >> count;
                at += (63 - count) >> 3;
                count |= 56;
            } else {
                in->bits = bits, in->count = count, in->at = at;
                flac_refill_slow(in);
                bits = in->bits, count = in->count, at = in->at, safe = in->safe;
            }
        }
        const u32 zeros = (u32)__builtin_clzll(bits | 1), whole = zeros + 1 + k;
        u32 value;
        if (__builtin_expect(whole <= count && zeros <= most, 1)) {
            value = zeros << k | (u32)(bits << zeros << 1 >> 1 >> (63 - k));
            bits <<= whole, count -= whole;
        } else {
            in->bits = bits, in->count = count, in->at = at;
            const u32 high = flac_unary(in, most);
            if (high > most) return 0;
            value = high << k | (k ? (u32)flac_take(in, k) : 0);
            bits = in->bits, count = in->count, at = in->at, safe = in->safe;
        }
        out[i] = (i32)(value >> 1 ^ (0u - (value & 1)));
    }
    in->bits = bits, in->count = count, in->at = at;
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
