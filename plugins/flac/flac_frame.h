/* One frame: subframes, stereo, checksum (RFC 9639, section 9.2). */
#pragma once
#include "flac_header.h"
#include "flac_predict.h"
#include "flac_residual.h"

/* Samples of a frame, one channel after the other, `stride` apart. */
typedef struct {
    i32 *samples;
    u32 stride, block;
} flac_block;

/* A side channel of 32-bit sound has 33 bits. One for all sessions: a frame is decoded in one go. */
static i64 flac_wide[FLAC_MAX_BLOCK + 1];

static void flac_widen(const i32 *from, i64 *to, u32 n) {
    for (u32 i = 0; i < n; i++) to[i] = from[i];
}

/* Kind and parameters of a subframe. */
typedef struct {
    u32 kind, order, wasted;
} flac_subframe;
enum { FLAC_CONSTANT, FLAC_VERBATIM, FLAC_FIXED, FLAC_LINEAR };

static int flac_read_subframe(flac_input *in, u32 bits, u32 block, flac_subframe *f) {
    const u32 head = (u32)flac_take(in, 8), type = head >> 1 & 63;
    if (head & 0x80) return 0;
    f->order = 0;
    if (type < 2) f->kind = type;
    else if (type >= 8 && type <= 12) f->kind = FLAC_FIXED, f->order = type - 8;
    else if (type >= 32) f->kind = FLAC_LINEAR, f->order = type - 31;
    else return 0;
    f->wasted = 0;
    if (head & 1) f->wasted = flac_unary(in, bits) + 1;
    return f->wasted < bits && f->order <= block;
}

/* Coefficients of a linear predictor; gives 0 where they are malformed. */
static int flac_read_lpc(flac_input *in, u32 order, i32 *coefficients, u32 *shift) {
    const u32 precision = (u32)flac_take(in, 4) + 1;
    const i32 amount = (i32)flac_take_signed(in, 5);
    if (precision == 16 || amount < 0) return 0;
    for (u32 i = 0; i < order; i++) coefficients[i] = (i32)flac_take_signed(in, precision);
    *shift = (u32)amount;
    return 1;
}

/* A subframe of at most 32 bits a sample. */
static int flac_narrow_subframe(flac_input *in, const flac_subframe *f, i32 *out, u32 block, u32 bits) {
    i32 coefficients[32];
    u32 shift = 0;
    if (f->kind == FLAC_CONSTANT) {
        const i32 value = (i32)flac_take_signed(in, bits);
        for (u32 i = 0; i < block; i++) out[i] = value;
        return 1;
    }
    const u32 given = f->kind == FLAC_VERBATIM ? block : f->order;
    for (u32 i = 0; i < given; i++) out[i] = (i32)flac_take_signed(in, bits);
    if (f->kind == FLAC_VERBATIM) return 1;
    if (f->kind == FLAC_LINEAR && !flac_read_lpc(in, f->order, coefficients, &shift)) return 0;
    if (!flac_residual(in, out, block, f->order)) return 0;
    if (f->kind == FLAC_LINEAR) flac_lpc(out, block, coefficients, f->order, shift, bits);
    else flac_fixed(out, block, f->order);
    return 1;
}

/* A subframe of 33 bits a sample, into flac_wide; `scratch` takes the residual. */
static int flac_wide_subframe(flac_input *in, const flac_subframe *f, i32 *scratch, u32 block, u32 bits) {
    static const i32 fixed[5][4] = {{0}, {1}, {2, -1}, {3, -3, 1}, {4, -6, 4, -1}};
    i32 coefficients[32];
    u32 shift = 0;
    if (f->kind == FLAC_CONSTANT) {
        const i64 value = flac_take_signed(in, bits);
        for (u32 i = 0; i < block; i++) flac_wide[i] = value;
        return 1;
    }
    const u32 given = f->kind == FLAC_VERBATIM ? block : f->order;
    for (u32 i = 0; i < given; i++) flac_wide[i] = flac_take_signed(in, bits);
    if (f->kind == FLAC_VERBATIM) return 1;
    if (f->kind == FLAC_LINEAR && !flac_read_lpc(in, f->order, coefficients, &shift)) return 0;
    if (f->kind == FLAC_FIXED) st_copy(coefficients, fixed[f->order], sizeof fixed[0]);
    if (!flac_residual(in, scratch, block, f->order)) return 0;
    for (u32 i = f->order; i < block; i++) {
        u64 sum = 0; /* may wrap in a damaged frame */
        for (u32 t = 0; t < f->order; t++) sum += (u64)(i64)coefficients[t] * (u64)flac_wide[i - 1 - t];
        flac_wide[i] = (i64)((u64)(i64)scratch[i] + (u64)((i64)sum >> shift));
    }
    return 1;
}

/* Gives 0 where the channel is malformed. `*wide` says whether it went to flac_wide. */
static int flac_channel(flac_input *in, i32 *out, u32 block, u32 bits, u8 *wide) {
    flac_subframe f;
    if (!flac_read_subframe(in, bits, block, &f)) return 0;
    bits -= f.wasted;
    *wide = bits > 32 || (f.wasted && bits + f.wasted > 32);
    if (!*wide) {
        if (!flac_narrow_subframe(in, &f, out, block, bits)) return 0;
        if (f.wasted)
            for (u32 i = 0; i < block; i++) out[i] = (i32)((u32)out[i] << f.wasted);
        return 1;
    }
    if (bits > 32) return flac_wide_subframe(in, &f, out, block, bits);
    if (!flac_narrow_subframe(in, &f, out, block, bits)) return 0;
    flac_widen(out, flac_wide, block);
    for (u32 i = 0; i < block; i++) flac_wide[i] = (i64)((u64)flac_wide[i] << f.wasted);
    return 1;
}

/* Left and right from what was coded, for sums and differences that fit in 32 bits. */
static ST_APART void flac_stereo(u8 how, u32 *a, u32 *b, u32 n) {
    if (how == FLAC_LEFT_SIDE)
        for (u32 i = 0; i < n; i++) b[i] = a[i] - b[i];
    else if (how == FLAC_SIDE_RIGHT)
        for (u32 i = 0; i < n; i++) a[i] += b[i];
    else
        for (u32 i = 0; i < n; i++) {
            /* The sum's lowest bit is the difference's: it was lost when the sum was halved. */
            const u32 side = b[i], right = a[i] - (u32)((i32)side >> 1);
            b[i] = right, a[i] = right + side;
        }
}

/* The same with the difference in flac_wide. */
static void flac_stereo_wide(u8 how, u32 *a, u32 *b, u32 n) {
    const u64 *side = (const u64 *)flac_wide;
    if (how == FLAC_LEFT_SIDE)
        for (u32 i = 0; i < n; i++) b[i] = a[i] - (u32)side[i];
    else if (how == FLAC_SIDE_RIGHT)
        for (u32 i = 0; i < n; i++) a[i] = b[i] + (u32)side[i];
    else
        for (u32 i = 0; i < n; i++) {
            const u32 right = a[i] - (u32)((i64)side[i] >> 1);
            b[i] = right, a[i] = right + (u32)side[i];
        }
}

/* Decodes the frame at `start`, whose header was read; gives its bytes, or 0 where it is damaged, cut off, or where the host failed. */
static u32 flac_decode_frame(flac_input *in, const flac_header *h, flac_block *out) {
    /* Channels a few cache lines more than a block apart: at a power of two they would meet in the same places of the cache. */
    out->block = h->block, out->stride = (h->block + 15 & ~15u) + 16;
    const int has_side = h->stereo != FLAC_INDEPENDENT;
    const u32 side = h->stereo == FLAC_SIDE_RIGHT ? 0 : 1;
    u8 wide = 0;
    flac_bits_start(in, h->size);
    for (u32 c = 0; c < h->channels; c++) {
        u8 went_wide = 0;
        const u32 bits = h->bits + (has_side && c == side);
        if (!flac_channel(in, out->samples + c * out->stride, h->block, bits, &went_wide)) return 0;
        if (!flac_bits_there(in)) return 0;
        wide |= went_wide;
    }
    if (in->bits >> 1 >> (63 - (in->count & 7)) && in->count & 7) return 0; /* the filling has to be zeros */
    in->bits <<= in->count & 7, in->count &= ~7u;
    const u32 sum = (u32)flac_take(in, 16);
    if (!flac_bits_there(in)) return 0;
    const u32 size = flac_bits_used(in);
    if (flac_crc16(in->buffer + in->start, size - 2) != sum) return 0;
    u32 *a = (u32 *)out->samples, *b = a + out->stride;
    if (wide) flac_stereo_wide(h->stereo, a, b, h->block);
    else if (has_side) flac_stereo(h->stereo, a, b, h->block);
    return size;
}
