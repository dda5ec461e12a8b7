/* Reverb: a feedback delay network of eight lines behind a diffuser.
 *
 * Structure: J.-M. Jot and A. Chaigne, "Digital delay networks for designing artificial reverberators", AES 90,
 * 1991: each line's gain is set from its length, so that all of them fall by 60 dB in the same time, and a one-pole
 * low-pass in each makes high frequencies fall faster. The lines are mixed by an 8 x 8 Hadamard matrix over the root of
 * eight, which keeps energy. The input runs through three all-pass diffusers a side (M. R. Schroeder, "Natural
 * sounding artificial reverberation", JAES 10(3), 1962), after a pre-delay and a low cut.
 *
 * Everything happens in steps of at most STEP frames, which is shorter than any delay, so delays are read and written
 * as runs of neighbouring samples. Only the low-passes need the lines side by side in a vector.
 */
#include "st_dsp.h"

enum { DECAY_S, SIZE, PREDELAY_MS, DAMPING_HZ, LOW_CUT_HZ, WIDTH, WET_DB, DRY_DB };

static const st_param verb_params[] = {
    [DECAY_S] = {"decay_s", ST_NUMBER, 0.2, 10.0, 1.8, 0},
    [SIZE] = {"size", ST_NUMBER, 0.0, 1.0, 0.6, 0},
    [PREDELAY_MS] = {"predelay_ms", ST_NUMBER, 0.0, 100.0, 12.0, 0},
    [DAMPING_HZ] = {"damping_hz", ST_NUMBER, 500.0, 20000.0, 5500.0, 0},
    [LOW_CUT_HZ] = {"low_cut_hz", ST_NUMBER, 20.0, 1000.0, 120.0, 0},
    [WIDTH] = {"width", ST_NUMBER, 0.0, 1.0, 1.0, 0},
    [WET_DB] = {"wet_db", ST_NUMBER, -96.0, 6.0, -10.0, 0},
    [DRY_DB] = {"dry_db", ST_NUMBER, -96.0, 6.0, 0.0, 0},
};
static const st_schema verb_schema = {verb_params, ST_COUNT(verb_params), 0, 0, 0, 0, 0};
static const st_descriptor st_describe = {"dev.stellatune.reverb", "wasm/reverb.hot.wasm", ST_LAYOUT_MONO | ST_LAYOUT_STEREO, &verb_schema};

#define STEP 32
#define LINES 8
#define DIFFUSERS 3
#define LINE_RING 16384   /* powers of two above the longest delay at 192 kHz, plus a step */
#define DIFFUSER_RING 4096
#define PREDELAY_RING 32768
#define RAMP_MS 50.0
#define DUCK_MS 10.0
#define SPREAD 0.6f       /* the diffusers' coefficient */

/* Lengths in ms of a room of size 1; mutually prime in samples near enough, from 39 to 78 ms. */
static const double verb_line_ms[LINES] = {39.31, 43.79, 48.17, 53.83, 59.93, 66.11, 72.07, 78.37};
static const double verb_diffuser_ms[2][DIFFUSERS] = {{4.771, 7.313, 10.627}, {5.137, 7.841, 9.973}};

/* What is ramped from one configuration to the next. */
typedef struct {
    float line_gain[LINES];
    float damp, low_cut;
    float wet_same, wet_other, dry;
} verb_setting;

struct st_plugin {
    float line[LINES][LINE_RING] __attribute__((aligned(16)));
    float diffuser[2][DIFFUSERS][DIFFUSER_RING] __attribute__((aligned(16)));
    float predelay[2][PREDELAY_RING] __attribute__((aligned(16)));
    float tap[LINES][STEP] __attribute__((aligned(16)));     /* what the lines give */
    float input[2][STEP] __attribute__((aligned(16)));
    f32x4 low[2];                /* the low-passes of lines 0 to 3 and 4 to 7 */
    f32x4 cut;                   /* the low cut's state, left and right */
    u32 line_length[LINES], diffuser_length[2][DIFFUSERS], predelay_length;
    u32 position;
    u32 rate, channels;
    verb_setting now, from, to;
    u32 ramp_frames, ramp_at;
    st_values values;
    int duck_stage;              /* a change of size or pre-delay: 0 none, 1 wet goes down, 2 comes up */
    u32 duck_frames, duck_at;
};

static u32 verb_frames(const st_plugin *p, double ms) { return (u32)st_round(ms * 1e-3 * (double)p->rate); }

static u32 verb_length(const st_plugin *p, double ms, u32 ring) {
    const u32 n = verb_frames(p, ms);
    return n < STEP ? STEP : n > ring - STEP ? ring - STEP : n;
}

static double verb_scale(const st_values *values) { return 0.25 + 0.75 * values->value[SIZE]; }

static void verb_lengths(st_plugin *p) {
    const double scale = verb_scale(&p->values);
    for (u32 i = 0; i < LINES; i++) p->line_length[i] = verb_length(p, verb_line_ms[i] * scale, LINE_RING);
    for (u32 s = 0; s < 2; s++)
        for (u32 i = 0; i < DIFFUSERS; i++) p->diffuser_length[s][i] = verb_length(p, verb_diffuser_ms[s][i], DIFFUSER_RING);
    /* The pre-delay's ring is written before it is read, so zero is a length too. */
    p->predelay_length = verb_frames(p, p->values.value[PREDELAY_MS]);
}

static verb_setting verb_design(const st_plugin *p, const st_values *values) {
    verb_setting s;
    const double rate = (double)p->rate, scale = verb_scale(values);
    for (u32 i = 0; i < LINES; i++) {
        const double seconds = (double)verb_length(p, verb_line_ms[i] * scale, LINE_RING) / rate;
        /* 60 dB in decay_s, and the matrix's 1 / sqrt(8). */
        s.line_gain[i] = (float)(st_pow(10.0, -3.0 * seconds / values->value[DECAY_S]) * 0.35355339059327378);
    }
    s.damp = (float)st_exp(-2.0 * ST_PI * st_min(values->value[DAMPING_HZ], 0.45 * rate) / rate);
    s.low_cut = (float)(1.0 - st_exp(-2.0 * ST_PI * values->value[LOW_CUT_HZ] / rate));
    const double wet = values->value[WET_DB] <= -96.0 ? 0.0 : st_db_to_gain(values->value[WET_DB]);
    const double width = p->channels == 2 ? values->value[WIDTH] : 0.0;
    s.wet_same = (float)(wet * 0.5 * (1.0 + width));
    s.wet_other = (float)(wet * 0.5 * (1.0 - width));
    s.dry = (float)(values->value[DRY_DB] <= -96.0 ? 0.0 : st_db_to_gain(values->value[DRY_DB]));
    return s;
}

static void verb_clear(st_plugin *p) {
    st_zero(p->line, sizeof p->line);
    st_zero(p->diffuser, sizeof p->diffuser);
    st_zero(p->predelay, sizeof p->predelay);
    p->low[0] = p->low[1] = st_splat(0.0f);
    p->cut = st_splat(0.0f);
    p->position = 0;
}

static void st_plugin_init(st_plugin *p, u32 rate, u32 channels) {
    p->rate = rate;
    p->channels = channels;
    p->duck_stage = 0;
    p->ramp_at = p->ramp_frames = 0;
    verb_clear(p);
}

static void st_plugin_apply(st_plugin *p, const st_values *values, int smooth) {
    const st_values old = p->values;
    p->values = *values;
    p->to = verb_design(p, values);
    p->from = p->now;
    p->ramp_at = p->ramp_frames = 0;
    if (!smooth) {
        p->now = p->to;
        p->duck_stage = 0;
        verb_lengths(p);
        return;
    }
    p->ramp_frames = verb_frames(p, RAMP_MS);
    if (old.value[SIZE] == values->value[SIZE] && old.value[PREDELAY_MS] == values->value[PREDELAY_MS]) return;
    if (p->duck_stage == 2) p->duck_at = p->duck_frames - p->duck_at; /* turn round where it is */
    else if (p->duck_stage == 0) p->duck_at = 0;
    p->duck_stage = 1;
    p->duck_frames = verb_frames(p, DUCK_MS);
}

static void st_plugin_reset(st_plugin *p) {
    p->now = p->to;
    p->ramp_at = p->ramp_frames;
    if (p->duck_stage) verb_lengths(p);
    p->duck_stage = 0;
    verb_clear(p);
}

/* `n` neighbouring samples of a ring, out and in; `at` may be anywhere. */
ST_INLINE void verb_read(const float *ring, u32 mask, u32 at, float *to, u32 n) {
    at &= mask;
    if (n == STEP && at + STEP <= mask + 1) {
        ST_UNROLL for (u32 i = 0; i < STEP; i += 4) st_store4(to + i, st_load4(ring + at + i));
    } else {
        for (u32 i = 0; i < n; i++) to[i] = ring[(at + i) & mask];
    }
}
/* Where `n` samples of a ring can be read as a run: in the ring, or copied to `spare`. */
ST_INLINE const float *verb_run(const float *ring, u32 mask, u32 at, float *spare, u32 n) {
    at &= mask;
    if (at + STEP <= mask + 1) return ring + at;
    verb_read(ring, mask, at, spare, n);
    return spare;
}

ST_INLINE void verb_write(float *ring, u32 mask, u32 at, const float *from, u32 n) {
    at &= mask;
    if (n == STEP && at + STEP <= mask + 1) {
        ST_UNROLL for (u32 i = 0; i < STEP; i += 4) st_store4(ring + at + i, st_load4(from + i));
    } else {
        for (u32 i = 0; i < n; i++) ring[(at + i) & mask] = from[i];
    }
}

/* Four frames of two channels. */
#define TAKE_4(at)                                                                                     \
    {                                                                                                  \
        const f32x4 a = st_clean(st_load4(in + 2 * (at))), b = st_clean(st_load4(in + 2 * (at) + 4));  \
        const f32x4 ta = take * a, tb = take * b;                                                      \
        const f32x4 l0 = keep * low + ta, l1 = keep * l0 + __builtin_shufflevector(ta, ta, 2, 3, 2, 3); \
        const f32x4 l2 = keep * l1 + tb, l3 = keep * l2 + __builtin_shufflevector(tb, tb, 2, 3, 2, 3);  \
        const f32x4 y01 = a - __builtin_shufflevector(l0, l1, 0, 1, 4, 5), y23 = b - __builtin_shufflevector(l2, l3, 0, 1, 4, 5); \
        st_store4(left + (at), __builtin_shufflevector(y01, y23, 0, 2, 4, 6));                         \
        st_store4(right + (at), __builtin_shufflevector(y01, y23, 1, 3, 5, 7));                        \
        low = l3;                                                                                      \
    }

/* Takes a step's input: one vector a side, through the low cut. Mono goes to both sides. */
static ST_APART void verb_take(st_plugin *p, const float *in, u32 n) {
    float *left = p->input[0], *right = p->input[1];
    /* keep + take is 1 to the bit, so nothing of a constant gets through. */
    const float rest = 1.0f - p->now.low_cut;
    const f32x4 keep = st_splat(rest), take = st_splat(1.0f - rest);
    f32x4 low = p->cut;
    u32 i = 0;
    if (n < STEP) st_zero(p->input, sizeof p->input);
    if (p->channels == 2) {
        for (; i + 8 <= n; i += 8, in += 16, left += 8, right += 8) {
            TAKE_4(0)
            TAKE_4(4)
        }
        for (; i < n; i++, in += 2, left++, right++) {
            const f32x4 x = st_clean(st_load2(in));
            low = keep * low + take * x;
            *left = x[0] - low[0], *right = x[1] - low[1];
        }
    }
    for (; i < n; i++, in++, left++, right++) {
        const f32x4 x = st_clean(st_splat(*in));
        low = keep * low + take * x;
        *left = *right = x[0] - low[0];
    }
    p->cut = st_clean(low);
}

/* Pre-delay and diffusers of one side, in place. */
static ST_APART void verb_enter(st_plugin *p, u32 side, u32 n) {
    float *x = p->input[side];
    verb_write(p->predelay[side], PREDELAY_RING - 1, p->position, x, n);
    verb_read(p->predelay[side], PREDELAY_RING - 1, p->position - p->predelay_length, x, n);
    const f32x4 g = st_splat(SPREAD);
    for (u32 d = 0; d < DIFFUSERS; d++) {
        float spare[STEP] __attribute__((aligned(16))), kept[STEP] __attribute__((aligned(16)));
        float *ring = p->diffuser[side][d];
        const float *late = verb_run(ring, DIFFUSER_RING - 1, p->position - p->diffuser_length[side][d], spare, n);
        const u32 at = p->position & (DIFFUSER_RING - 1);
        const int whole = n == STEP && at + STEP <= DIFFUSER_RING;
        float *to = whole ? ring + at : kept;
        for (u32 i = 0; i < STEP; i += 8) {
            const f32x4 d0 = st_load4(late + i), d1 = st_load4(late + i + 4);
            const f32x4 v0 = st_clean(st_load4(x + i) - g * d0), v1 = st_clean(st_load4(x + i + 4) - g * d1);
            st_store4(to + i, v0), st_store4(to + i + 4, v1);
            st_store4(x + i, d0 + g * v0), st_store4(x + i + 4, d1 + g * v1);
        }
        if (!whole) verb_write(ring, DIFFUSER_RING - 1, at, kept, n);
    }
}

#define TRANSPOSE(a, b, c, d)                                                                          \
    {                                                                                                  \
        const f32x4 ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7); \
        const f32x4 cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7); \
        a = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), b = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);         \
        c = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5), d = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);         \
    }

/* Low-pass and decay of four frames of four lines; `used` frames count for the state. */
#define DAMP(first, low, gain, used)                                                                   \
    {                                                                                                  \
        f32x4 a = st_load4(from[first] + i), b = st_load4(from[first + 1] + i);                        \
        f32x4 c = st_load4(from[first + 2] + i), d = st_load4(from[first + 3] + i);                    \
        TRANSPOSE(a, b, c, d)                                                                          \
        a *= take, b *= take, c *= take, d *= take;                                                    \
        a += keep * low, b += keep * a, c += keep * b, d += keep * c;                                  \
        low = used == 1 ? a : used == 2 ? b : used == 3 ? c : d;                                       \
        a *= gain, b *= gain, c *= gain, d *= gain;                                                    \
        TRANSPOSE(a, b, c, d)                                                                          \
        st_store4(tap[first] + i, a), st_store4(tap[first + 1] + i, b);                                \
        st_store4(tap[first + 2] + i, c), st_store4(tap[first + 3] + i, d);                            \
    }

/* All eight lines, from `source` to the taps. Both groups of four are in one loop, since each waits for its own recurrence.
 * The state that is kept is that after frame n - 1. */
static ST_APART void verb_damp(st_plugin *p, const float *const *source, u32 n) {
    const float *from[LINES];
    ST_UNROLL for (u32 k = 0; k < LINES; k++) from[k] = source[k];
    float (*tap)[STEP] = p->tap;
    const f32x4 keep = st_splat(p->now.damp), take = st_splat(1.0f - p->now.damp);
    const f32x4 gain0 = st_load4(p->now.line_gain), gain1 = st_load4(p->now.line_gain + 4);
    f32x4 low0 = p->low[0], low1 = p->low[1];
    u32 i = 0;
    _Pragma("clang loop unroll(disable)") for (; i + 8 <= n; i += 4) {
        DAMP(0, low0, gain0, 4)
        DAMP(4, low1, gain1, 4)
        i += 4;
        DAMP(0, low0, gain0, 4)
        DAMP(4, low1, gain1, 4)
    }
    _Pragma("clang loop unroll(disable)") for (; i + 4 <= n; i += 4) {
        DAMP(0, low0, gain0, 4)
        DAMP(4, low1, gain1, 4)
    }
    if (i < n) {
        const u32 left = n - i;
        DAMP(0, low0, gain0, left)
        DAMP(4, low1, gain1, left)
    }
    p->low[0] = st_clean(low0), p->low[1] = st_clean(low1);
}

/* Mixes the lines, feeds them (`to`), and collects the output: even lines on the left, odd ones on the right.
 * Cleaned of subnormals, which would go round for a long time and cost many times a normal number; what rings out ends as zeros. */
static ST_APART void verb_mix(st_plugin *p, float *const *feed, float (*wet)[STEP]) {
    const float *left = p->input[0], *right = p->input[1];
    const float (*tap)[STEP] = (const float (*)[STEP])p->tap;
    float *to[LINES];
    ST_UNROLL for (u32 k = 0; k < LINES; k++) to[k] = feed[k];
    for (u32 k = 0; k < STEP; k += 4) {
        const f32x4 t0 = st_load4(tap[0] + k), t1 = st_load4(tap[1] + k), t2 = st_load4(tap[2] + k), t3 = st_load4(tap[3] + k);
        const f32x4 t4 = st_load4(tap[4] + k), t5 = st_load4(tap[5] + k), t6 = st_load4(tap[6] + k), t7 = st_load4(tap[7] + k);
        st_store4(wet[0] + k, (t0 - t2) + (t4 - t6)), st_store4(wet[1] + k, (t1 - t3) + (t5 - t7));
        const f32x4 a0 = t0 + t1, a1 = t0 - t1, a2 = t2 + t3, a3 = t2 - t3, a4 = t4 + t5, a5 = t4 - t5, a6 = t6 + t7, a7 = t6 - t7;
        const f32x4 b0 = a0 + a2, b1 = a1 + a3, b2 = a0 - a2, b3 = a1 - a3, b4 = a4 + a6, b5 = a5 + a7, b6 = a4 - a6, b7 = a5 - a7;
        const f32x4 x = st_load4(left + k);
        st_store4(to[0] + k, st_clean(b0 + b4 + x)), st_store4(to[4] + k, st_clean(b0 - b4 + x));
        st_store4(to[2] + k, st_clean(b2 + b6 + x)), st_store4(to[6] + k, st_clean(b2 - b6 + x));
        const f32x4 y = st_load4(right + k);
        st_store4(to[1] + k, st_clean(b1 + b5 + y)), st_store4(to[5] + k, st_clean(b1 - b5 + y));
        st_store4(to[3] + k, st_clean(b3 + b7 + y)), st_store4(to[7] + k, st_clean(b3 - b7 + y));
    }
}

#define GIVE_4(at)                                                                                     \
    {                                                                                                  \
        const f32x4 l = st_load4(left + (at)), r = st_load4(right + (at));                             \
        const f32x4 wl = s * l + o * r, wr = s * r + o * l;                                            \
        const f32x4 x = st_clean(st_load4(in + 2 * (at))), y = st_clean(st_load4(in + 2 * (at) + 4));  \
        st_store4(out + 2 * (at), d * x + __builtin_shufflevector(wl, wr, 0, 4, 1, 5));                \
        st_store4(out + 2 * (at) + 4, d * y + __builtin_shufflevector(wl, wr, 2, 6, 3, 7));            \
    }

/* The steady state in stereo; `n` is a multiple of four. */
static ST_APART void verb_give(const float (*wet)[STEP], const float *in, float *out, u32 n, float same, float other, float dry) {
    const f32x4 s = st_splat(same), o = st_splat(other), d = st_splat(dry);
    const float *left = wet[0], *right = wet[1];
    for (; n >= 8; n -= 8, in += 16, out += 16, left += 8, right += 8) {
        GIVE_4(0)
        GIVE_4(4)
    }
    if (n) GIVE_4(0)
}

/* At most STEP frames. */
static void verb_step(st_plugin *p, const float *in, float *out, u32 n) {
    const u32 stereo = p->channels == 2;
    u32 i = 0;

    /* Where the levels go in this step. */
    verb_setting *now = &p->now;
    const float dry0 = now->dry, same0 = now->wet_same, other0 = now->wet_other;
    float duck0 = 1.0f, duck1 = 1.0f;
    if (p->ramp_at < p->ramp_frames) {
        p->ramp_at = p->ramp_at + n < p->ramp_frames ? p->ramp_at + n : p->ramp_frames;
        const float t = (float)((double)p->ramp_at / (double)p->ramp_frames);
        const float *from = (const float *)&p->from, *to = (const float *)&p->to;
        float *at = (float *)now;
        for (u32 k = 0; k < sizeof *now / sizeof *at; k++) at[k] = from[k] + t * (to[k] - from[k]);
        if (p->ramp_at == p->ramp_frames) *now = p->to;
    }
    int change = 0;
    if (p->duck_stage) {
        const float d0 = (float)((double)p->duck_at / (double)p->duck_frames);
        p->duck_at = p->duck_at + n < p->duck_frames ? p->duck_at + n : p->duck_frames;
        const float d1 = (float)((double)p->duck_at / (double)p->duck_frames);
        duck0 = p->duck_stage == 1 ? 1.0f - d0 : d0, duck1 = p->duck_stage == 1 ? 1.0f - d1 : d1;
        change = p->duck_at == p->duck_frames;
    }

    verb_take(p, in, n);
    verb_enter(p, 0, n);
    verb_enter(p, 1, n);
    const float *from[LINES];
    for (u32 k = 0; k < LINES; k++) from[k] = verb_run(p->line[k], LINE_RING - 1, p->position - p->line_length[k], p->tap[k], n);
    verb_damp(p, from, n);

    float wet[2][STEP] __attribute__((aligned(16)));
    /* A whole step that does not reach the ring's end goes there straight. No tap is read after it was written. */
    const u32 at = p->position & (LINE_RING - 1);
    const int straight = n == STEP && at + STEP <= LINE_RING;
    float *to[LINES];
    ST_UNROLL for (u32 k = 0; k < LINES; k++) to[k] = straight ? p->line[k] + at : p->tap[k];
    verb_mix(p, to, wet);
    if (!straight)
        for (u32 k = 0; k < LINES; k++) verb_write(p->line[k], LINE_RING - 1, p->position, p->tap[k], n);
    p->position = (p->position + n) & (PREDELAY_RING - 1);

    const float same_a = same0 * duck0, same_b = now->wet_same * duck1, other_a = other0 * duck0, other_b = now->wet_other * duck1;
    const float dry_b = now->dry;
    i = 0;
    if (stereo && same_a == same_b && other_a == other_b && dry0 == dry_b) {
        verb_give(wet, in, out, n & ~3u, same_b, other_b, dry_b);
        i = n & ~3u;
    }
    const double per_frame = 1.0 / (double)n;
    for (; i < n; i++) {
        const float t = (float)((double)(i + 1) * per_frame);
        const float s = same_a + t * (same_b - same_a), o = other_a + t * (other_b - other_a), d = dry0 + t * (dry_b - dry0);
        const float l = wet[0][i], r = wet[1][i];
        if (stereo) {
            const float x = st_clean(st_splat(in[2 * i]))[0], y = st_clean(st_splat(in[2 * i + 1]))[0];
            out[2 * i] = d * x + (s * l + o * r);
            out[2 * i + 1] = d * y + (s * r + o * l);
        } else {
            const float x = st_clean(st_splat(in[i]))[0];
            out[i] = d * x + (s * l + o * r);
        }
    }
    if (change) {
        p->duck_at = 0;
        if (p->duck_stage == 1) {
            verb_lengths(p);
            verb_clear(p);
            p->duck_stage = 2;
        } else {
            p->duck_stage = 0;
        }
    }
}

static void st_plugin_process(st_plugin *p, const float *in, float *out, u32 frames) {
    while (frames) {
        const u32 n = frames < STEP ? frames : STEP;
        verb_step(p, in, out, n);
        in += n * p->channels, out += n * p->channels, frames -= n;
    }
}

static u32 st_plugin_latency(const st_plugin *p) { return (void)p, 0; }

/* Until the room is 96 dB down: 1.6 times the decay, after everything that delays. */
static i32 st_plugin_tail(const st_plugin *p) {
    const double scale = verb_scale(&p->values);
    return (i32)(1.6 * p->values.value[DECAY_S] * (double)p->rate) + (i32)verb_frames(p, p->values.value[PREDELAY_MS]) +
           (i32)(2 * verb_length(p, verb_line_ms[LINES - 1] * scale, LINE_RING)) + (i32)verb_frames(p, 60.0);
}

static int st_plugin_needs_recreate(const st_values *from, const st_values *to) { return (void)from, (void)to, 0; }

#include "st_glue.h"
