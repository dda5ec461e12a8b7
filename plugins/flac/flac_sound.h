/* From decoded integers to what leaves the plugin: interleaved floats, and the bytes that the checksum is made of. */
#pragma once
#include "flac_session.h"

/* Full scale is 1: exact up to 25 bits, rounded to the nearest float above. */
static ST_APART void flac_to_floats(const i32 *s, u32 stride, u32 channels, u32 n, u32 bits, float *out) {
    const float scale = 1.0f / (float)(1u << (bits - 1));
    if (channels == 1) {
        for (u32 i = 0; i < n; i++) out[i] = (float)s[i] * scale;
    } else if (channels == 2) {
        const i32 *b = s + stride;
        u32 i = 0;
        for (; i + 4 <= n; i += 4) {
            i32x4 x, y;
            __builtin_memcpy(&x, s + i, 16), __builtin_memcpy(&y, b + i, 16);
            const f32x4 left = __builtin_convertvector(x, f32x4) * scale, right = __builtin_convertvector(y, f32x4) * scale;
            st_store4(out + 2 * i, __builtin_shufflevector(left, right, 0, 4, 1, 5));
            st_store4(out + 2 * i + 4, __builtin_shufflevector(left, right, 2, 6, 3, 7));
        }
        for (; i < n; i++) out[2 * i] = (float)s[i] * scale, out[2 * i + 1] = (float)b[i] * scale;
    } else {
        for (u32 c = 0; c < channels; c++)
            for (u32 i = 0; i < n; i++) out[i * channels + c] = (float)s[c * stride + i] * scale;
    }
}

#define FLAC_PACK 4096u /* samples at a time */
static u8 flac_packed[FLAC_PACK * 4 + 8] __attribute__((aligned(16)));

/* Little-endian, interleaved, in whole bytes: RFC 9639, section 8.2. Of each sample or pair the store is wider than what counts;
 * the next one goes over the rest. */
#define FLAC_PACK_ALL(type, width)                                              \
    for (u32 i = 0; i < n; i++)                                                 \
        for (u32 c = 0; c < channels; c++, out += width) {                      \
            const type x = (type)s[c * stride + i];                             \
            __builtin_memcpy(out, &x, sizeof x);                                \
        }
static ST_APART u32 flac_pack(const i32 *s, u32 stride, u32 channels, u32 n, u32 bits) {
    const u32 width = (bits + 7) / 8;
    const i32 *b = s + stride;
    u8 *out = flac_packed;
    if (width == 2 && channels == 2) {
        for (u32 i = 0; i < n; i++) ((u32 *)out)[i] = ((u32)s[i] & 0xffff) | (u32)b[i] << 16;
    } else if (width == 3 && channels == 2) {
        for (u32 i = 0; i < n; i++, out += 6) {
            const u64 pair = ((u32)s[i] & 0xffffff) | (u64)(u32)b[i] << 24;
            __builtin_memcpy(out, &pair, 8);
        }
    } else if (width == 1) {
        FLAC_PACK_ALL(u8, 1)
    } else if (width == 2) {
        FLAC_PACK_ALL(u16, 2)
    } else if (width == 3) {
        FLAC_PACK_ALL(u32, 3)
    } else {
        FLAC_PACK_ALL(u32, 4)
    }
    return n * channels * width;
}

static void flac_add_to_md5(flac_md5 *m, const flac_block *b, u32 channels, u32 frames, u32 bits) {
    const u32 most = FLAC_PACK / channels;
    for (u32 at = 0; at < frames; at += most) {
        const u32 n = frames - at < most ? frames - at : most;
        flac_md5_add(m, flac_packed, flac_pack(b->samples + at, b->stride, channels, n, bits));
    }
}
