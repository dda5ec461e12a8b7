/* Look-ahead limiter with a true-peak ceiling; all channels get the same gain.
 *
 * Detection: the peak between samples is read from a four times oversampled signal, as in ITU-R BS.1770-5, Annex 2,
 * with a polyphase filter of our own (a sinc under a Kaiser window, 16 taps a phase).
 *
 * Gain: what each sample needs (ceiling / peak, at most 1) is held for the look-ahead time by a sliding minimum,
 * released exponentially, and smoothed by two moving averages in a row, together as long as the look-ahead. An average
 * over values that all satisfy a peak satisfies it too, so the gain is down when the delayed peak arrives, and it has
 * moved there along a curve without corners. The moving averages add and subtract integers, so their sums never drift.
 */
#include "st_dsp.h"

enum { INPUT_DB, CEILING_DB, LOOKAHEAD_MS, RELEASE_MS };

static const st_param limit_params[] = {
    [INPUT_DB] = {"input_db", ST_NUMBER, -24.0, 24.0, 0.0, 0},
    [CEILING_DB] = {"ceiling_db", ST_NUMBER, -24.0, 0.0, -1.0, 0},
    [LOOKAHEAD_MS] = {"lookahead_ms", ST_NUMBER, 0.5, 10.0, 2.0, 0},
    [RELEASE_MS] = {"release_ms", ST_NUMBER, 5.0, 2000.0, 100.0, 0},
};
static const st_schema limit_schema = {limit_params, ST_COUNT(limit_params), 0, 0, 0, 0, 0};
static const st_descriptor st_describe = {"dev.stellatune.limiter", "wasm/limiter.hot.wasm", ST_LAYOUT_ANY, &limit_schema};

#define CHUNK 64
#define TAPS 16                 /* a phase */
#define CENTRE (TAPS / 2)       /* the detector's delay */
#define GUARD 3                 /* samples before a peak that its gain covers too; one more after it */
#define RING 2048               /* frames; above the longest delay plus a chunk, and a power of two */
#define RING_MASK (RING - 1)
#define ONE 1073741824.0        /* gains in the moving averages are integers: 2^30 is 1 */
#define RAMP_MS 20.0
#define DUCK_MS 5.0
#define MARGIN_DB 0.1           /* for what four points a sample miss, and for the moving gain */

struct st_plugin {
    f32x4 taps[TAPS / 2][3];    /* the folded phases, each tap repeated four times; see limit_detect */
    i32x4 magnitude;            /* all bits but the sign's: a load, where wasmtime takes two instructions each time for |x| */
    float plane[ST_MAX_CHANNELS][TAPS + CHUNK] __attribute__((aligned(16))); /* history, then the chunk */
    float peak[CHUNK] __attribute__((aligned(16)));
    float gain[CHUNK] __attribute__((aligned(16)));
    float delay[RING * ST_MAX_CHANNELS] __attribute__((aligned(16)));
    u32 rate, channels, lookahead, next_lookahead, latency;
    u32 position;               /* frames written to the delay line, modulo RING */

    double ceiling, release;
    double input_from, input_to;
    u32 ramp_frames, ramp_at;

    u32 clock;                  /* frames seen by the gain computer */
    u32 hold;                   /* length of the sliding minimum */
    u32 queue_time[RING];       /* the minimum's candidates, rising in value; only gains below 1 */
    double queue_gain[RING];
    u32 queue_head, queue_size;
    double envelope;
    u32 first[RING], second[RING]; /* what the moving averages have taken in */
    u32 first_length, second_length;
    u64 first_sum, second_sum;
    u32 idle;                   /* frames since everything was at 1 */

    u32 duck_at, duck_frames, duck_silence; /* a change of look-ahead: fade out, switch, fill, fade in */
    int duck_stage;             /* 0 none, 1 going down, 2 silent, 3 coming up */
};

/* Modified Bessel function of the first kind and order 0, by its series. */
static double limit_bessel(double x) {
    double sum = 1.0, term = 1.0;
    for (int k = 1; k < 40; k++) term *= (x / (2.0 * k)) * (x / (2.0 * k)), sum += term;
    return sum;
}

/* Phase 0 is the sample itself, phase 2 is symmetric and phase 3 is phase 1 backwards. So with the sum s and the
 * difference d of the two samples that lie equally far from the middle, E = sum of e s and O = sum of o d, phases 1 and 3 are
 * E + O and E - O: two thirds of the work. */
static void limit_design(st_plugin *p) {
    const double beta = 3.0; /* little ripple matters less here than reach: peaks up to 0.45 of the rate are seen */
    double h[2][TAPS];
    for (u32 phase = 0; phase < 2; phase++) {
        double sum = 0.0;
        for (u32 j = 0; j < TAPS; j++) {
            const double t = (double)j - CENTRE + 0.25 * (double)(phase + 1), edge = t / (double)CENTRE;
            h[phase][j] = st_sin(ST_PI * t) / (ST_PI * t) * limit_bessel(beta * st_sqrt(1.0 - edge * edge));
            sum += h[phase][j];
        }
        for (u32 j = 0; j < TAPS; j++) h[phase][j] /= sum;
    }
    p->magnitude = (i32x4){0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff};
    for (u32 j = 0; j < TAPS / 2; j++) {
        p->taps[j][0] = st_splat((float)(0.5 * (h[0][j] + h[0][TAPS - 1 - j])));
        p->taps[j][1] = st_splat((float)(0.5 * (h[0][j] - h[0][TAPS - 1 - j])));
        p->taps[j][2] = st_splat((float)h[1][j]);
    }
}

/* Empties everything that holds sound, for the look-ahead that is set. */
static void limit_clear(st_plugin *p) {
    st_zero(p->plane, sizeof p->plane);
    st_zero(p->delay, sizeof p->delay);
    p->position = p->clock = p->queue_head = p->queue_size = 0;
    p->envelope = 1.0;
    p->first_length = p->lookahead / 2 + 1;
    p->second_length = p->lookahead - p->lookahead / 2 + 1;
    p->first_sum = (u64)p->first_length << 30, p->second_sum = (u64)p->second_length << 30;
    for (u32 i = 0; i < RING; i++) p->first[i] = p->second[i] = 1u << 30;
    p->latency = p->lookahead + CENTRE + GUARD;
    p->hold = p->latency - GUARD;
    p->idle = RING;
}

static void st_plugin_init(st_plugin *p, u32 rate, u32 channels) {
    st_zero(p, sizeof *p);
    p->rate = rate;
    p->channels = channels;
    p->input_from = p->input_to = 1.0;
    limit_design(p);
}

static double limit_input(const st_plugin *p, u32 at) {
    if (at >= p->ramp_frames) return p->input_to;
    return p->input_from + (p->input_to - p->input_from) * ((double)at / (double)p->ramp_frames);
}

static u32 limit_frames(const st_plugin *p, double ms) { return (u32)st_max(1.0, st_round(ms * 1e-3 * (double)p->rate)); }

static void st_plugin_apply(st_plugin *p, const st_values *values, int smooth) {
    const u32 lookahead = limit_frames(p, values->value[LOOKAHEAD_MS]);
    p->ceiling = st_db_to_gain(values->value[CEILING_DB] - MARGIN_DB);
    p->release = 1.0 - st_exp(-1.0 / (double)limit_frames(p, values->value[RELEASE_MS]));
    p->input_from = limit_input(p, p->ramp_at);
    p->input_to = st_db_to_gain(values->value[INPUT_DB]);
    p->ramp_at = 0;
    p->ramp_frames = smooth && p->input_from != p->input_to ? limit_frames(p, RAMP_MS) : 0;
    p->next_lookahead = lookahead;
    if (!smooth) {
        p->lookahead = lookahead;
        p->duck_stage = 0;
        limit_clear(p);
    } else if (lookahead != p->lookahead && p->duck_stage == 0) {
        p->duck_stage = 1;
        p->duck_at = 0;
        p->duck_frames = limit_frames(p, DUCK_MS);
    }
}

static void st_plugin_reset(st_plugin *p) {
    p->lookahead = p->next_lookahead;
    p->duck_stage = 0;
    p->ramp_at = p->ramp_frames;
    limit_clear(p);
}

/* Takes a chunk in: scaled, into the planes that the detector reads and into the delay line. */
static ST_APART void limit_take(st_plugin *p, const float *in, u32 frames) {
    const u32 channels = p->channels;
    float *delay = p->delay;
    u32 i = 0;
    if (p->ramp_at >= p->ramp_frames && channels == 2 && p->position + frames <= RING) {
        const f32x4 gain = st_splat((float)p->input_to);
        float *ring = delay + 2 * p->position, *left = p->plane[0] + TAPS, *right = p->plane[1] + TAPS;
        for (; i + 4 <= frames; i += 4) {
            const f32x4 a = st_clean(st_load4(in + 2 * i)) * gain, b = st_clean(st_load4(in + 2 * i + 4)) * gain;
            st_store4(ring + 2 * i, a), st_store4(ring + 2 * i + 4, b);
            st_store4(left + i, __builtin_shufflevector(a, b, 0, 2, 4, 6));
            st_store4(right + i, __builtin_shufflevector(a, b, 1, 3, 5, 7));
        }
    }
    for (; i < frames; i++) {
        const float gain = (float)limit_input(p, p->ramp_at);
        if (p->ramp_at < p->ramp_frames) p->ramp_at++;
        float *ring = delay + ((p->position + i) & RING_MASK) * channels;
        for (u32 c = 0; c < channels; c++) {
            const float x = st_clean(st_splat(in[i * channels + c]))[0] * gain;
            ring[c] = x;
            p->plane[c][TAPS + i] = x;
        }
    }
    for (u32 c = 0; c < channels; c++) /* the detector reads whole vectors */
        for (u32 k = frames; k < ((frames + 7) & ~7u); k++) p->plane[c][TAPS + k] = 0.0f;
}

/* The true peaks of one channel, CENTRE frames late, for each frame of the chunk; `more`: on top of those that are there. The larger
 * one of |E + O| and |E - O| is |E| + |O|, to the bit. */
ST_INLINE f32x4 limit_detect_channel(const st_plugin *p, const float *x, float *peak, u32 frames, f32x4 top, const int more) {
    const i32x4 magnitude = p->magnitude;
    for (; frames; frames = frames > 8 ? frames - 8 : 0, x += 8, peak += 8) {
        f32x4 e0, o0, m0, e1, o1, m1;
        const f32x4 *h = p->taps[0];
        /* All offsets are positive: then they cost nothing in wasm. */
        ST_UNROLL for (u32 j = 0; j < TAPS / 2; j++, h += 3) {
            const f32x4 n0 = st_load4(x + TAPS - j), f0 = st_load4(x + 1 + j), n1 = st_load4(x + TAPS + 4 - j), f1 = st_load4(x + 5 + j);
            const f32x4 s0 = n0 + f0, d0 = n0 - f0, s1 = n1 + f1, d1 = n1 - f1;
            if (j == 0) {
                e0 = h[0] * s0, o0 = h[1] * d0, m0 = h[2] * s0;
                e1 = h[0] * s1, o1 = h[1] * d1, m1 = h[2] * s1;
            } else {
                e0 += h[0] * s0, o0 += h[1] * d0, m0 += h[2] * s0;
                e1 += h[0] * s1, o1 += h[1] * d1, m1 += h[2] * s1;
            }
            st_pin(0, e0), st_pin(1, o0), st_pin(2, m0), st_pin(3, e1), st_pin(4, o1), st_pin(5, m1);
        }
#define MAGNITUDE(v) ((f32x4)((i32x4)(v) & magnitude))
        f32x4 high0 = st_max4(MAGNITUDE(st_load4(x + CENTRE)), st_max4(MAGNITUDE(m0), MAGNITUDE(e0) + MAGNITUDE(o0)));
        f32x4 high1 = st_max4(MAGNITUDE(st_load4(x + CENTRE + 4)), st_max4(MAGNITUDE(m1), MAGNITUDE(e1) + MAGNITUDE(o1)));
        if (more) high0 = st_max4(high0, st_load4(peak)), high1 = st_max4(high1, st_load4(peak + 4));
        st_store4(peak, high0), st_store4(peak + 4, high1);
        top = st_max4(top, st_max4(high0, high1));
    }
    return top;
}
static ST_APART f32x4 limit_detect_first(const st_plugin *p, const float *x, float *peak, u32 frames, f32x4 top) {
    return limit_detect_channel(p, x, peak, frames, top, 0);
}
static ST_APART f32x4 limit_detect_next(const st_plugin *p, const float *x, float *peak, u32 frames, f32x4 top) {
    return limit_detect_channel(p, x, peak, frames, top, 1);
}

/* The true peaks over all channels; returns the highest. */
static ST_APART float limit_detect(st_plugin *p, u32 frames) {
    f32x4 top = limit_detect_first(p, p->plane[0], p->peak, frames, st_splat(0.0f));
    for (u32 c = 1; c < p->channels; c++) top = limit_detect_next(p, p->plane[c], p->peak, frames, top);
    for (u32 c = 0; c < p->channels; c++) {
        /* The last TAPS samples become the history; with a short chunk the two overlap. */
        float *plane = p->plane[c];
        const f32x4 a = st_load4(plane + frames), b = st_load4(plane + frames + 4);
        const f32x4 d = st_load4(plane + frames + 8), e = st_load4(plane + frames + 12);
        st_store4(plane, a), st_store4(plane + 4, b), st_store4(plane + 8, d), st_store4(plane + 12, e);
    }
    return (float)st_max(st_max((double)top[0], (double)top[1]), st_max((double)top[2], (double)top[3]));
}

/* The gain for each frame that leaves the delay line. */
static ST_APART void limit_compute(st_plugin *p, u32 frames, float top) {
    const double ceiling = p->ceiling;
    if (p->idle >= RING && (double)top <= ceiling) {
        /* Nothing to do, nothing left over: the averages hold nothing but ones. */
        for (u32 i = 0; i < CHUNK; i += 4) st_store4(p->gain + i, st_splat(1.0f));
        p->clock += frames;
        return;
    }
    const double release = p->release;
    double envelope = p->envelope;
    u32 idle = p->idle, size = p->queue_size;
    const u32 hold = p->hold, first_length = p->first_length, second_length = p->second_length;
    u64 first_sum = p->first_sum, second_sum = p->second_sum;
    const double first_scale = 1.0 / (double)p->first_length, second_scale = 1.0 / ((double)p->second_length * ONE);
    for (u32 i = 0; i < frames; i++) {
        const u32 now = p->clock++, slot = now & RING_MASK;
        const double peak = (double)p->peak[i];
        if (peak > ceiling) {
            const double need = ceiling / peak;
            while (size && p->queue_gain[(p->queue_head + size - 1) & RING_MASK] >= need) size--;
            const u32 at = (p->queue_head + size++) & RING_MASK;
            p->queue_time[at] = now, p->queue_gain[at] = need;
        }
        double least = 1.0;
        if (size) {
            if (now - p->queue_time[p->queue_head] >= hold) p->queue_head = (p->queue_head + 1) & RING_MASK, size--;
            if (size) least = p->queue_gain[p->queue_head];
        }
        envelope = least < envelope ? least : envelope + release * (least - envelope);
        if (envelope > 0.9999999) envelope = 1.0;
        idle = envelope == 1.0 ? idle + (idle < RING) : 0;

        /* Gains are at most 1, so the integers fit in 31 bits. */
        const u32 enters = (u32)(i32)(envelope * ONE);
        first_sum += (u64)enters - p->first[(now - first_length) & RING_MASK];
        p->first[slot] = enters;
        const u32 smooth = (u32)(i32)((double)(i64)first_sum * first_scale);
        second_sum += (u64)smooth - p->second[(now - second_length) & RING_MASK];
        p->second[slot] = smooth;
        p->gain[i] = (float)((double)(i64)second_sum * second_scale);
    }
    p->envelope = envelope, p->idle = idle, p->queue_size = size;
    p->first_sum = first_sum, p->second_sum = second_sum;
}

/* Multiplies the fade of a changing look-ahead into the gains. */
static ST_APART void limit_duck(st_plugin *p, u32 frames) {
    for (u32 i = 0; i < frames; i++) {
        const float t = (float)((double)p->duck_at / (double)p->duck_frames);
        p->gain[i] *= p->duck_stage == 1 ? 1.0f - t : p->duck_stage == 2 ? 0.0f : t;
        if (p->duck_at < p->duck_frames) p->duck_at++;
    }
}

/* Goes on to the next part of the fade where one is over, between two chunks. */
static ST_APART void limit_next_stage(st_plugin *p) {
    if (p->duck_at < p->duck_frames) return;
    p->duck_at = 0;
    if (p->duck_stage == 1) {
        p->lookahead = p->next_lookahead;
        limit_clear(p);
        p->duck_stage = 2;
        p->duck_frames = p->latency;
    } else {
        p->duck_stage = p->duck_stage == 2 ? 3 : p->next_lookahead == p->lookahead ? 0 : 1;
        p->duck_frames = limit_frames(p, DUCK_MS);
    }
}

static ST_APART void limit_give(st_plugin *p, float *out, u32 frames) {
    const u32 channels = p->channels, start = (p->position - p->latency) & RING_MASK;
    u32 i = 0;
    if (channels == 2 && start + frames <= RING) {
        const float *ring = p->delay + 2 * start;
        for (; i + 4 <= frames; i += 4) {
            const f32x4 g = st_load4(p->gain + i);
            st_store4(out + 2 * i, st_load4(ring + 2 * i) * __builtin_shufflevector(g, g, 0, 0, 1, 1));
            st_store4(out + 2 * i + 4, st_load4(ring + 2 * i + 4) * __builtin_shufflevector(g, g, 2, 2, 3, 3));
        }
    }
    for (; i < frames; i++) {
        const float *ring = p->delay + ((start + i) & RING_MASK) * channels;
        for (u32 c = 0; c < channels; c++) out[i * channels + c] = ring[c] * p->gain[i];
    }
}

static void st_plugin_process(st_plugin *p, const float *in, float *out, u32 frames) {
    while (frames) {
        const u32 n = frames < CHUNK ? frames : CHUNK;
        limit_take(p, in, n);
        const float top = limit_detect(p, n);
        limit_compute(p, n, top);
        if (p->duck_stage) limit_duck(p, n);
        limit_give(p, out, n);
        p->position = (p->position + n) & RING_MASK;
        if (p->duck_stage) limit_next_stage(p);
        in += n * p->channels, out += n * p->channels, frames -= n;
    }
}

static u32 st_plugin_latency(const st_plugin *p) { return p->next_lookahead + CENTRE + GUARD; }
static i32 st_plugin_tail(const st_plugin *p) { return (i32)st_plugin_latency(p); }

static int st_plugin_needs_recreate(const st_values *from, const st_values *to) {
    return from->value[LOOKAHEAD_MS] != to->value[LOOKAHEAD_MS];
}

#include "st_glue.h"
