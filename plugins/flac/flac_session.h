/* A session's memory, its failures and its place in the stream. */
#pragma once
#include "flac_frame.h"
#include "st_json.h"

#define FLAC_SAMPLES (FLAC_MAX_CHANNELS * (FLAC_MAX_BLOCK + 17u)) /* channels with their stride: flac_decode_frame */
#define FLAC_POINTS 4096u
#define FLAC_PICTURES 16u
#define FLAC_COMMENT_BYTES (1u << 20)
#define FLAC_LONGEST_GAP_S 600u  /* silence for lost frames: whoever wrote a larger gap is not believed */
#define FLAC_LOOK_BYTES (4u << 20) /* how far one call looks for the next frame behind damage */
#define FLAC_LOOK_TRIES 64u      /* how many of what looks like a frame one call tries to decode */

typedef struct {
    u64 sample, offset;
} flac_point;

/* A failure that is kept until somebody can be told. */
typedef struct {
    u8 set, tag;
    u32 len;
    char text[200];
} flac_failure;

struct st_decoder {
    flac_input in;
    flac_info info;
    u64 size;       /* of the stream in bytes; counts only where seekable */
    u64 data;       /* where the first frame is */
    u64 first;      /* number of the very first sample: streams that were cut out of others do not start at 0 */
    u32 fixed;      /* samples a frame where the block size is fixed, as far as it is known */
    u8 seekable;
    u8 lost;        /* the next frame has to be searched */
    u8 ended;       /* nothing comes any more */
    u8 checked;     /* every frame so far went into `md5` */
    u64 next;       /* the frame of sound that comes next */
    u64 silence;    /* frames of it to be given before `block` goes on */
    u32 taken;      /* frames of `block` that were given */
    flac_block block;
    flac_md5 md5;
    flac_failure failure;
    u32 points, pictures, comment_bytes;
    flac_point point[FLAC_POINTS];
    struct {
        u64 offset;
        u32 bytes;
    } picture[FLAC_PICTURES];
    /* What is large comes last: the host lends untouched memory for nothing. */
    char comments[FLAC_COMMENT_BYTES];
    u8 bytes[FLAC_BUFFER + FLAC_SPARE];
    i32 samples[FLAC_SAMPLES] __attribute__((aligned(16)));
};

static st_writer flac_fail(st_decoder *d, u8 tag, const char *text) {
    flac_failure *f = &d->failure;
    f->set = 1, f->tag = tag;
    st_writer w = {f->text, f->text + sizeof f->text};
    st_puts(&w, text);
    f->len = (u32)(w.at - f->text);
    return w;
}
/* Goes on with the text of the last failure. */
static void flac_fail_number(st_decoder *d, st_writer *w, u64 number, const char *text) {
    char digits[21];
    u32 at = sizeof digits - 1;
    digits[at] = 0;
    do digits[--at] = (char)('0' + number % 10), number /= 10;
    while (number);
    st_puts(w, digits + at), st_puts(w, text);
    d->failure.len = (u32)(w->at - d->failure.text);
}

/* What the host reported, whose text lives no longer than the call. The stream may be tried again. */
static void flac_fail_host(st_decoder *d) {
    flac_failure *f = &d->failure;
    f->set = 1, f->tag = d->in.error.tag;
    f->len = d->in.error.message.len < sizeof f->text ? d->in.error.message.len : (u32)sizeof f->text;
    /* A cut may not go through a character. */
    const u8 *text = d->in.error.message.at;
    if (f->len < d->in.error.message.len)
        while (f->len && (text[f->len] & 0xc0) == 0x80) f->len--;
    st_copy(f->text, text, f->len);
    d->in.failed = 0;
}

/* Tells the failure; it is told once. */
static st_plugin_error flac_tell_failure(st_decoder *d) {
    d->failure.set = 0;
    return st_fail(d->failure.tag, (st_text){d->failure.text, d->failure.len});
}

/* The place of a frame's first sample in the track. */
static u64 flac_place(const st_decoder *d, const flac_header *h) {
    const u64 sample = h->variable ? h->number : h->number * d->fixed;
    return sample > d->first ? sample - d->first : 0;
}

/* Reads the header at `start`; gives 0 where there is none. */
static int flac_header_here(st_decoder *d, flac_header *h) {
    const u32 there = flac_have(&d->in, FLAC_HEADER_MOST) ? FLAC_HEADER_MOST : d->in.end - d->in.start;
    u8 *p = d->in.buffer + d->in.start;
    if (there < FLAC_HEADER_MOST) st_zero(p + there, FLAC_HEADER_MOST - there); /* what is behind the end: FLAC_SPARE */
    return flac_read_header(p, &d->info, h) && h->size <= there;
}

/* Finds and decodes the next frame at or behind `start`, as far as one call looks; `bytes` is its size. Gives 0 where none was
 * found: the stream has ended, the host failed, or there is more to look through. */
static int flac_find(st_decoder *d, u64 limit, flac_header *h, u32 *bytes) {
    flac_input *in = &d->in;
    u32 looked = 0, tries = 0;
    while (looked < FLAC_LOOK_BYTES && tries < FLAC_LOOK_TRIES && flac_tell(in) < limit) {
        if (!flac_have(in, 2)) return 0;
        const u8 *p = in->buffer + in->start, *stop = in->buffer + in->end - 1, *q = p;
        while (q < stop && !(q[0] == 0xff && (q[1] & 0xfe) == 0xf8)) q++;
        in->start += (u32)(q - p), looked += (u32)(q - p);
        if (q == stop) {
            if (!flac_fill(in)) return 0;
            continue;
        }
        if (flac_header_here(d, h) && flac_tell(in) < limit) {
            tries++;
            *bytes = flac_decode_frame(in, h, &d->block);
            if (*bytes) return 1;
        }
        if (in->failed) return 0;
        in->start++, looked++;
    }
    return 0;
}
