/* Bytes from the stream, and bits out of them.
 *
 * What is read lies in one buffer that is large enough for any frame, so a frame is always in one piece from its first
 * byte on, and can be tried again from there. Behind the last byte there is room for one more load.
 */
#pragma once
#include "st_decoder.h"

#define FLAC_READ 65536u                 /* bytes asked for first, after a seek too: a search needs no more */
#define FLAC_READ_MOST (4 * FLAC_READ)   /* the more is read in a row, the more is asked for at a time, up to this */
#define FLAC_FRAME_MOST (9u << 18)       /* bytes of a frame: 65535 samples of 8 channels in 32 bits are 2 MiB less 32 bytes */
#define FLAC_BUFFER (FLAC_FRAME_MOST + 2 * FLAC_READ_MOST)
#define FLAC_SPARE 16u

typedef struct {
    st_stream stream;
    u64 offset;     /* of buffer[0] in the stream */
    u32 start, end; /* what is kept: from the first byte of the frame to the last byte read */
    u32 step;       /* bytes to be asked for next; 0 is FLAC_READ */
    u8 ended;       /* nothing comes after `end` */
    u8 failed;      /* the host reported `error` */
    st_plugin_error error;
    /* bits */
    const u8 *at;  /* next byte to be taken */
    const u8 *safe; /* eight bytes can be loaded from any place up to here */
    u64 bits;      /* next bits, the first one on top */
    u32 count;     /* how many of `bits` are there */
    u32 invented;  /* bits that were made up behind the end */
    u8 *buffer;
} flac_input;

/* Reads more behind `end`; gives 0 at the end of the stream, when the host fails and when the buffer is full. */
static ST_APART int flac_fill(flac_input *in) {
    if (in->ended || in->failed) return 0;
    const u32 kept = in->end - in->start, step = in->step ? in->step : FLAC_READ;
    if (in->start && (kept <= FLAC_READ || in->end + step > FLAC_BUFFER)) {
        st_copy(in->buffer, in->buffer + in->start, kept);
        in->at -= in->start;
        in->offset += in->start;
        in->start = 0, in->end = kept;
    }
    const u32 room = FLAC_BUFFER - in->end, most = room < step ? room : step;
    if (most == 0) return 0;
    const i64 n = st_stream_read(&in->stream, in->buffer + in->end, most, &in->error);
    if (n < 0) in->failed = 1;
    else if (n == 0) in->ended = 1;
    else in->end += (u32)n, in->step = step < FLAC_READ_MOST ? 2 * step : step;
    in->safe = in->end >= 8 ? in->buffer + in->end - 8 : in->buffer - 1;
    return n > 0;
}

/* Whether `n` bytes are there from `start` on, reading what is missing. */
static int flac_have(flac_input *in, u32 n) {
    while (in->end - in->start < n)
        if (!flac_fill(in)) return 0;
    return 1;
}

static u64 flac_tell(const flac_input *in) { return in->offset + in->start; }

/* Forgets what is buffered, and goes on at `offset` of the stream. */
static int flac_go(flac_input *in, u64 offset) {
    if (offset >= in->offset && offset <= in->offset + in->end) {
        in->start = (u32)(offset - in->offset);
        return 1;
    }
    if (!st_stream_seek(&in->stream, offset, &in->error)) return in->failed = 1, 0;
    in->offset = offset, in->start = in->end = 0, in->ended = 0, in->step = 0;
    in->safe = in->buffer - 1;
    return 1;
}

/* Skips forward, by reading where the stream cannot seek. */
static int flac_skip(flac_input *in, u64 n) {
    while (n) {
        const u32 there = in->end - in->start;
        const u32 step = n < there ? (u32)n : there;
        in->start += step, n -= step;
        if (n && !flac_fill(in)) return 0;
    }
    return 1;
}

/* ---- bits ---- */
ST_INLINE u64 flac_load(const u8 *p) {
#ifdef __wasm__
    /* Wasm has no byte swap; a shuffle of half a vector is one instruction. */
    typedef u8 bytes __attribute__((vector_size(16)));
    u64 raw;
    __builtin_memcpy(&raw, p, 8);
    const bytes v = (bytes)(i64x2){(i64)raw, 0};
    return (u64)((i64x2)__builtin_shufflevector(v, v, 7, 6, 5, 4, 3, 2, 1, 0, 8, 9, 10, 11, 12, 13, 14, 15))[0];
#else
    u64 raw;
    __builtin_memcpy(&raw, p, 8);
    return __builtin_bswap64(raw);
#endif
}

/* Bits from `start + skip` on. */
static void flac_bits_start(flac_input *in, u32 skip) {
    in->at = in->buffer + in->start + skip;
    in->bits = 0, in->count = 0, in->invented = 0;
}

/* Near the end of what is buffered: reads on, or makes up ones, which end any unary number. */
static ST_APART void flac_refill_slow(flac_input *in) {
    while (in->at > in->safe)
        if (!flac_fill(in)) break;
    const u8 *end = in->buffer + in->end;
    while (in->count <= 56) {
        u64 byte = 0xff;
        if (in->at < end) byte = *in->at++;
        else in->invented += 8;
        in->bits |= byte << (56 - in->count);
        in->count += 8;
    }
}

/* At least 56 bits. What lies below `count` in `bits` are bits of the byte at `at`, so taking them again changes nothing. */
ST_INLINE void flac_refill(flac_input *in) {
    if (__builtin_expect(in->at <= in->safe, 1)) {
        in->bits |= flac_load(in->at) >> in->count;
        in->at += (63 - in->count) >> 3;
        in->count |= 56;
    } else flac_refill_slow(in);
}

/* 1 to 33 bits. */
static u64 flac_take(flac_input *in, u32 n) {
    if (in->count < n) flac_refill(in);
    const u64 value = in->bits >> (64 - n);
    in->bits <<= n, in->count -= n;
    return value;
}
/* A two's complement number of 1 to 33 bits. */
static i64 flac_take_signed(flac_input *in, u32 n) {
    const u64 value = flac_take(in, n);
    return (i64)(value << (64 - n)) >> (64 - n);
}

/* Zeros up to the next one; `most` + 1 where there are more than `most`. */
static ST_APART u32 flac_unary(flac_input *in, u32 most) {
    u32 zeros = 0;
    for (;;) {
        if (in->count < 32) flac_refill(in);
        const u32 run = in->bits ? (u32)__builtin_clzll(in->bits) : 64;
        if (run < in->count) {
            in->bits = in->bits << run << 1, in->count -= run + 1;
            zeros += run;
            return zeros > most ? most + 1 : zeros;
        }
        zeros += in->count;
        if (zeros > most) return most + 1;
        in->bits = 0, in->count = 0;
    }
}

/* Whether everything taken was really there. */
static int flac_bits_there(const flac_input *in) { return in->invented <= in->count; }

/* Bytes from `start` to the next whole byte. */
static u32 flac_bits_used(const flac_input *in) {
    return (u32)(in->at - (in->buffer + in->start)) + in->invented / 8 - in->count / 8;
}
