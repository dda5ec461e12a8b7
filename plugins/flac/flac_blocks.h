/* What stands before the sound: ID3 tags, and the metadata blocks (RFC 9639, section 8). */
#pragma once
#include "flac_session.h"

#define FLAC_BLOCKS_MOST 65536u
enum { FLAC_STREAMINFO = 0, FLAC_SEEKTABLE = 3, FLAC_COMMENT = 4, FLAC_PICTURE = 6, FLAC_INVALID = 127 };

static int flac_refuse(st_decoder *d, u8 tag, const char *why) {
    if (d->in.failed) flac_fail_host(d);
    else flac_fail(d, tag, why);
    return 0;
}

/* Past `n` bytes: by seeking where they are many. */
static int flac_pass(st_decoder *d, u64 n) {
    const u32 there = d->in.end - d->in.start;
    if (d->seekable && n > there && n - there > FLAC_READ) return flac_go(&d->in, flac_tell(&d->in) + n);
    return flac_skip(&d->in, n);
}

static void flac_take_points(st_decoder *d, u32 count) {
    /* More points than there is room for: every second one, every third one, ... */
    const u32 step = count / FLAC_POINTS + 1;
    for (u32 i = 0; i < count; i++) {
        if (!flac_have(&d->in, 18)) return;
        const u8 *p = d->in.buffer + d->in.start;
        const flac_point point = {flac_be64(p), flac_be64(p + 8)};
        d->in.start += 18;
        if (i % step == 0 && point.sample != ~0ull && d->points < FLAC_POINTS) d->point[d->points++] = point;
    }
}

static int flac_take_block(st_decoder *d, u32 type, u32 bytes, u8 *seen) {
    flac_input *in = &d->in;
    const u64 after = flac_tell(in) + bytes;
    if (type == FLAC_STREAMINFO && !*seen) {
        if (bytes < FLAC_INFO_BYTES || !flac_have(in, FLAC_INFO_BYTES)) return 0;
        flac_read_info(in->buffer + in->start, &d->info);
        *seen = 1;
    } else if (type == FLAC_SEEKTABLE && !d->points) {
        flac_take_points(d, bytes / 18);
    } else if (type == FLAC_COMMENT && !d->comment_bytes) {
        const u32 kept = bytes < FLAC_COMMENT_BYTES ? bytes : FLAC_COMMENT_BYTES;
        if (!flac_have(in, kept)) return 0;
        st_copy(d->comments, in->buffer + in->start, kept);
        d->comment_bytes = kept;
    } else if (type == FLAC_PICTURE && d->seekable && d->pictures < FLAC_PICTURES) {
        d->picture[d->pictures].offset = flac_tell(in), d->picture[d->pictures].bytes = bytes;
        d->pictures++;
    }
    return flac_pass(d, after - flac_tell(in));
}

/* Up to the first frame. */
static int flac_read_blocks(st_decoder *d) {
    flac_input *in = &d->in;
    for (u32 tags = 0; tags < 16 && flac_have(in, 10); tags++) {
        const u8 *p = in->buffer + in->start;
        if (!(p[0] == 'I' && p[1] == 'D' && p[2] == '3')) break;
        /* Four times seven bits, and perhaps a second header at the end. */
        const u32 bytes = (p[6] & 127u) << 21 | (p[7] & 127u) << 14 | (p[8] & 127u) << 7 | (p[9] & 127u);
        if (!flac_pass(d, 10 + bytes + (p[5] & 0x10 ? 10 : 0))) break;
    }
    if (!flac_have(in, 4)) return flac_refuse(d, ST_E_UNSUPPORTED, "not a FLAC stream: it ends before it begins");
    const u32 mark = flac_be32(in->buffer + in->start);
    if (mark == 0x4f676753) return flac_refuse(d, ST_E_UNSUPPORTED, "FLAC in an Ogg container is not supported");
    if (mark != 0x664c6143) return flac_refuse(d, ST_E_UNSUPPORTED, "not a FLAC stream");
    in->start += 4;
    u8 seen = 0;
    for (u32 i = 0; i < FLAC_BLOCKS_MOST; i++) {
        if (!flac_have(in, 4)) return flac_refuse(d, ST_E_IO, "the stream ends within its metadata");
        const u32 head = flac_be32(in->buffer + in->start), type = head >> 24 & 127;
        in->start += 4;
        if (type == FLAC_INVALID) return flac_refuse(d, ST_E_IO, "the metadata is damaged");
        if (!flac_take_block(d, type, head & 0xffffff, &seen))
            return flac_refuse(d, ST_E_IO, "the stream ends within its metadata");
        if (!(head & 0x80000000)) continue;
        if (!seen) return flac_refuse(d, ST_E_IO, "the stream does not say what it is: there is no STREAMINFO");
        return 1;
    }
    return flac_refuse(d, ST_E_IO, "the metadata does not end");
}
