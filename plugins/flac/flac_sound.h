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
static u8 flac_packed[FLAC_PACK * 4] __attribute__((aligned(16)));

/* Little-endian, interleaved, in whole bytes: RFC 9639, section 8.2. */
static u32 flac_pack(const i32 *s, u32 stride, u32 channels, u32 n, u32 bits) {
    const u32 width = (bits + 7) / 8;
    if (width == 2 && channels == 2) {
        u32 *out = (u32 *)flac_packed;
        for (u32 i = 0; i < n; i++) out[i] = ((u32)s[i] & 0xffff) | (u32)s[stride + i] << 16;
        return 4 * n;
    }
    if (width == 2 && channels == 1) {
        u16 *out = (u16 *)flac_packed;
        for (u32 i = 0; i < n; i++) out[i] = (u16)s[i];
        return 2 * n;
    }
    u8 *out = flac_packed;
    for (u32 i = 0; i < n; i++)
        for (u32 c = 0; c < channels; c++) {
            const u32 x = (u32)s[c * stride + i];
            for (u32 k = 0; k < width; k++) *out++ = (u8)(x >> 8 * k);
        }
    return (u32)(out - flac_packed);
}

static void flac_add_to_md5(flac_md5 *m, const flac_block *b, u32 channels, u32 frames, u32 bits) {
    const u32 most = FLAC_PACK / channels;
    for (u32 at = 0; at < frames; at += most) {
        const u32 n = frames - at < most ? frames - at : most;
        flac_md5_add(m, flac_packed, flac_pack(b->samples + at, b->stride, channels, n, bits));
    }
}
