/* Seeking: a narrowing search over the frames' own numbers, with the seek table as a first guess.
 *
 * Nothing that the file says about places is believed: a frame counts when it decodes and its checksum is right.
 */
#pragma once
#include "flac_session.h"

#define FLAC_NEAR (96u << 10)      /* so few bytes are decoded through */
#define FLAC_WALK (64ull << 20)    /* more bytes than this are not */
#define FLAC_NARROWINGS 96u

/* From `low` on in the stream there are frames of `low_sample` and later; from `high` on, of `high_sample` and later. */
typedef struct {
    u64 low, low_sample, high, high_sample;
} flac_range;

/* The frame at `point`, if there is one that begins at `wanted` or before. */
static int flac_point_holds(st_decoder *d, const flac_point *point, u64 wanted) {
    flac_header h;
    if (point->offset >= d->size - d->data || !flac_go(&d->in, d->data + point->offset)) return 0;
    return flac_header_here(d, &h) && flac_place(d, &h) <= wanted && flac_decode_frame(&d->in, &h, &d->block);
}

static void flac_use_points(st_decoder *d, u64 wanted, flac_range *r) {
    const flac_point *low = 0, *high = 0;
    for (u32 i = 0; i < d->points; i++) {
        const flac_point *p = &d->point[i];
        if (p->sample <= wanted && (!low || p->sample > low->sample)) low = p;
        if (p->sample > wanted && (!high || p->sample < high->sample)) high = p;
    }
    if (!low || !flac_point_holds(d, low, wanted)) return;
    r->low = d->data + low->offset, r->low_sample = low->sample < wanted ? low->sample : wanted;
    if (high && high->offset > low->offset && high->offset < d->size - d->data)
        r->high = d->data + high->offset, r->high_sample = high->sample;
}

/* A place to look at: where `wanted` would be if all frames had the same size, or the middle. */
static u64 flac_guess(const flac_range *r, u64 wanted, u32 turn) {
    const u64 width = r->high - r->low;
    u64 step = width / 2;
    if (r->high_sample > r->low_sample && turn % 3 != 2) {
        const double part = (double)(wanted - r->low_sample) / (double)(r->high_sample - r->low_sample);
        const u64 straight = (u64)(part * (double)width);
        step = straight > FLAC_NEAR / 2 ? straight - FLAC_NEAR / 2 : 0;
        /* Never so near to an end that nothing is gained. */
        if (step < width / 32) step = width / 32;
        if (step > width - width / 32) step = width - width / 32;
    }
    return r->low + (step ? step : 1);
}

static int flac_narrow(st_decoder *d, u64 wanted, flac_range *r) {
    for (u32 turn = 0; turn < FLAC_NARROWINGS && r->high - r->low > FLAC_NEAR; turn++) {
        flac_header h;
        u32 bytes;
        const u64 middle = flac_guess(r, wanted, turn);
        if (!flac_go(&d->in, middle)) return 0;
        const int found = flac_find(d, r->high, &h, &bytes);
        if (d->in.failed) return 0;
        const u64 sample = found ? flac_place(d, &h) : 0;
        if (found && sample <= wanted) r->low = flac_tell(&d->in), r->low_sample = sample;
        else {
            r->high = middle;
            if (found) r->high_sample = sample;
        }
    }
    return 1;
}

/* Decodes on from `low` to the frame that holds `wanted`; at the end of the stream there is none. */
static int flac_walk(st_decoder *d, u64 wanted, u64 low) {
    flac_input *in = &d->in;
    if (!flac_go(in, low)) return 0;
    for (u64 end = low + FLAC_WALK; flac_tell(in) < end;) {
        flac_header h;
        u32 bytes = 0;
        if (flac_header_here(d, &h)) bytes = flac_decode_frame(in, &h, &d->block);
        if (!bytes && !in->failed) {
            const u64 before = flac_tell(in);
            if (!flac_find(d, ~0ull, &h, &bytes)) {
                if (in->failed) return 0;
                if (in->ended && in->end - in->start < 2) return in->start = in->end, d->taken = d->block.block = 0, 1;
                if (flac_tell(in) == before) return 0;
                continue;
            }
        }
        if (in->failed) return 0;
        const u64 sample = flac_place(d, &h);
        in->start += bytes;
        if (sample + d->block.block <= wanted) continue;
        /* Frames that are lost before it are silence. */
        d->silence = sample > wanted ? sample - wanted : 0;
        d->taken = sample > wanted ? 0 : (u32)(wanted - sample);
        return 1;
    }
    return 0;
}

static void flac_rewind(st_decoder *d) {
    d->next = d->silence = 0, d->taken = d->block.block = 0;
    d->lost = d->ended = 0, d->failure.set = 0;
}

/* The next frame of sound given is number `wanted`. */
static int flac_seek(st_decoder *d, u64 wanted) {
    if (d->info.total && wanted > d->info.total) wanted = d->info.total;
    flac_rewind(d);
    if (wanted == 0) {
        d->checked = 1, flac_md5_start(&d->md5);
        return flac_go(&d->in, d->data);
    }
    d->checked = 0, d->next = wanted;
    if (wanted == d->info.total) return 1; /* nothing is read there */
    flac_range r = {d->data, 0, d->size > d->data ? d->size : d->data, d->info.total};
    flac_use_points(d, wanted, &r);
    d->in.failed = 0;
    if (!flac_narrow(d, wanted, &r)) return 0;
    return flac_walk(d, wanted, r.low);
}
