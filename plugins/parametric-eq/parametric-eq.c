/* Parametric equaliser: up to ten bands and a preamp.
 *
 * Responses: R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients"
 * (peakingEQ, lowShelf, highShelf, LPF, HPF, notch and BPF with constant 0 dB peak gain).
 *
 * Structure: not the biquad of the cookbook but the trapezoidal state-variable filter with the same
 * response (V. Zavalishin, "The Art of VA Filter Design", 2012; A. Simper, "Linear Trapezoidal Integrated
 * State Variable Filter", 2014). A biquad's coefficients crowd around 2 and 1 for low frequencies and lose
 * their digits there; g = tan(pi f / rate) keeps them. With s1 and s2 the two integrators, a1 = 2 / (1 + g (g + k)):
 *
 *     b  = a1 s1 + g a1 (x - s2)            twice the band-pass
 *     s1 = b - s1,   s2 = s2 + g b
 *     y  = m0 x + m1 b / 2 + m2 (s2_old + g b / 2)
 *
 * The kernels keep S = g a1 s2 instead of s2: the longest loop through the recurrence becomes four
 * operations instead of five, for the same number in all.
 *
 * Precision: bands from WIDE_BELOW of the sample rate up run in 32-bit lanes, two bands times two channels
 * in a vector, the second band one sample behind the first. Lower bands, whose integrators move by tiny
 * steps, run in 64-bit lanes, one band times two channels in a vector.
 *
 * A new configuration is a second bank of filters that starts from the old one's state and is faded in.
 */
#include "st_dsp.h"

enum { PREAMP_DB };
enum { BAND_TYPE, BAND_FREQ, BAND_GAIN, BAND_Q, BAND_ENABLED };
enum { PEAK, LOW_SHELF, HIGH_SHELF, LOW_PASS, HIGH_PASS, NOTCH, BAND_PASS };

static const char *const eq_types[] = {"peak", "low_shelf", "high_shelf", "low_pass", "high_pass", "notch", "band_pass", 0};
static const st_param eq_params[] = {
    [PREAMP_DB] = {"preamp_db", ST_NUMBER, -48.0, 24.0, 0.0, 0},
};
static const st_param eq_fields[] = {
    [BAND_TYPE] = {"type", ST_CHOICE, 0.0, 0.0, 0.0, eq_types},
    [BAND_FREQ] = {"freq_hz", ST_NUMBER, 10.0, 40000.0, 1000.0, 0},
    [BAND_GAIN] = {"gain_db", ST_NUMBER, -30.0, 30.0, 0.0, 0},
    [BAND_Q] = {"q", ST_NUMBER, 0.1, 30.0, 1.0, 0},
    [BAND_ENABLED] = {"enabled", ST_BOOL, 0.0, 1.0, 1.0, 0},
};
#define OCTAVE_BAND(f) {PEAK, f, 0.0, 1.41, 1.0}
static const double eq_default_bands[][ST_MAX_FIELDS] = {
    OCTAVE_BAND(31.25), OCTAVE_BAND(62.5),  OCTAVE_BAND(125.0),  OCTAVE_BAND(250.0),  OCTAVE_BAND(500.0),
    OCTAVE_BAND(1000.0), OCTAVE_BAND(2000.0), OCTAVE_BAND(4000.0), OCTAVE_BAND(8000.0), OCTAVE_BAND(16000.0),
};
static const st_schema eq_schema = {eq_params, ST_COUNT(eq_params), "bands", eq_fields, ST_COUNT(eq_fields), eq_default_bands,
                                    ST_COUNT(eq_default_bands)};
static const st_descriptor st_describe = {"dev.stellatune.parametric-eq", "wasm/parametric-eq.hot.wasm", ST_LAYOUT_ANY, &eq_schema};

#ifndef WIDE_BELOW
#define WIDE_BELOW 0.002 /* f / rate */
#endif
#define BANDS ST_MAX_ITEMS
#define PAIRS (BANDS / 2)
#define SIDES (ST_MAX_CHANNELS / 2) /* channels go in pairs */
#define CHUNK 64
#define FADE_MS 20.0

/* One band, as the formulas give it. */
typedef struct {
    int active, bell; /* bell: m0 = 1 and m2 = 0 */
    double g, a1, a2, m0, m1, m2;
} eq_band;

typedef struct {
    f32x4 a1, a2, c, m1, m0, m2;
} eq_pair;
typedef struct {
    f64x2 a1, a2, c, m1, m0, m2;
} eq_wide;
typedef struct {
    f32x4 s1, s2;
} eq_pair_state;
typedef struct {
    f64x2 s1, s2;
} eq_wide_state;

typedef struct {
    eq_pair pair[PAIRS];
    eq_wide wide[BANDS];
    eq_pair_state pair_state[SIDES][PAIRS];
    eq_wide_state wide_state[SIDES][BANDS];
    f32x4 preamp;
    f64x2 preamp_wide;
    u32 pairs, wides;
    int bells;                     /* every active band is a bell: the short kernels do */
    u8 wide_band[BANDS], pair_band[BANDS]; /* which band of the configuration sits where */
    eq_band band[BANDS];
} eq_bank;

struct st_plugin {
    eq_bank bank[2];
    u32 now;                       /* the bank that is heard */
    u32 rate, channels, sides;
    u32 fade_frames, fade_at;      /* equal: no fade running */
    int waiting;                   /* a configuration that came while a fade ran */
    st_values next;
    float scratch_a[CHUNK * ST_MAX_CHANNELS] __attribute__((aligned(16)));
    float scratch_b[CHUNK * ST_MAX_CHANNELS] __attribute__((aligned(16)));
};

/* ---- from a configuration to coefficients ---- */

static eq_band eq_design(const double *item, double rate) {
    eq_band b = {0, 1, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0};
    const u32 type = (u32)item[BAND_TYPE];
    const double gain_db = item[BAND_GAIN], q = item[BAND_Q];
    double f = item[BAND_FREQ] / rate;
    if (item[BAND_ENABLED] == 0.0) return b;
    if ((type == PEAK || type == LOW_SHELF || type == HIGH_SHELF) && gain_db == 0.0) return b;
    if (f > 0.49) {
        /* Above what the stream can carry these leave it as it is; the others act at its upper end. */
        if (type == PEAK || type == HIGH_SHELF || type == LOW_PASS || type == NOTCH) return b;
        f = 0.49;
    }
    const double a = st_sqrt(st_db_to_gain(gain_db)); /* the cookbook's A */
    double g = st_tan(ST_PI * f), k = 1.0 / q, m1, m2;
    b.active = 1;
    b.bell = 0;
    switch (type) {
        case PEAK: k = 1.0 / (q * a), b.m0 = 1.0, m1 = k * (a * a - 1.0), m2 = 0.0, b.bell = 1; break;
        case LOW_SHELF: g /= st_sqrt(a), b.m0 = 1.0, m1 = k * (a - 1.0), m2 = a * a - 1.0; break;
        case HIGH_SHELF: g *= st_sqrt(a), b.m0 = a * a, m1 = k * (1.0 - a) * a, m2 = 1.0 - a * a; break;
        case LOW_PASS: b.m0 = 0.0, m1 = 0.0, m2 = 1.0; break;
        case HIGH_PASS: b.m0 = 1.0, m1 = -k, m2 = -1.0; break;
        case NOTCH: b.m0 = 1.0, m1 = -k, m2 = 0.0, b.bell = 1; break;
        default: b.m0 = 0.0, m1 = k, m2 = 0.0; break;
    }
    b.g = g;
    b.a1 = 2.0 / (1.0 + g * (g + k));
    b.a2 = g * b.a1;
    b.m1 = 0.5 * (m1 + m2 * g);
    b.m2 = m2 / b.a2;
    return b;
}

static void eq_set_lane(eq_pair *p, u32 half, const eq_band *b) {
    for (u32 lane = 2 * half; lane < 2 * half + 2; lane++) {
        p->a1[lane] = (float)b->a1, p->a2[lane] = (float)b->a2, p->c[lane] = (float)(b->g * b->a2);
        p->m0[lane] = (float)b->m0, p->m1[lane] = (float)b->m1, p->m2[lane] = (float)b->m2;
    }
}

/* The two integrators of a band, in the formulas' scale, wherever the bank keeps them. */
static void eq_get_state(const eq_bank *k, u32 band, u32 side, f64x2 *s1, f64x2 *s2) {
    *s1 = *s2 = st_splat2(0.0);
    if (!k->band[band].active) return;
    for (u32 i = 0; i < k->wides; i++)
        if (k->wide_band[i] == band) *s1 = k->wide_state[side][i].s1, *s2 = k->wide_state[side][i].s2;
    for (u32 i = 0; i < 2 * k->pairs; i++)
        if (k->pair_band[i] == band) {
            const eq_pair_state *s = &k->pair_state[side][i / 2];
            for (u32 c = 0; c < 2; c++) (*s1)[c] = (double)s->s1[2 * (i & 1) + c], (*s2)[c] = (double)s->s2[2 * (i & 1) + c];
        }
    *s2 /= st_splat2(k->band[band].a2);
}

static void eq_put_state(eq_bank *k, u32 band, u32 side, f64x2 s1, f64x2 s2) {
    s2 *= st_splat2(k->band[band].a2);
    for (u32 i = 0; i < k->wides; i++)
        if (k->wide_band[i] == band) k->wide_state[side][i] = (eq_wide_state){s1, s2};
    for (u32 i = 0; i < 2 * k->pairs; i++)
        if (k->pair_band[i] == band) {
            eq_pair_state *s = &k->pair_state[side][i / 2];
            for (u32 c = 0; c < 2; c++) s->s1[2 * (i & 1) + c] = (float)s1[c], s->s2[2 * (i & 1) + c] = (float)s2[c];
        }
}

static void eq_build(eq_bank *k, const st_values *values, double rate) {
    st_zero(k, sizeof *k);
    u8 narrow[BANDS];
    u32 narrows = 0;
    k->bells = 1;
    for (u32 i = 0; i < values->items; i++) {
        eq_band *b = &k->band[i];
        *b = eq_design(values->item[i], rate);
        if (!b->active) continue;
        k->bells &= b->bell;
        if (values->item[i][BAND_FREQ] < WIDE_BELOW * rate) k->wide_band[k->wides++] = (u8)i;
        else narrow[narrows++] = (u8)i;
    }
    if (narrows & 1) {
        /* A vector holds two bands; the odd one, the lowest, gains more from the wide lanes. */
        u32 lowest = 0;
        for (u32 i = 1; i < narrows; i++)
            if (k->band[narrow[i]].g < k->band[narrow[lowest]].g) lowest = i;
        k->wide_band[k->wides++] = narrow[lowest];
        for (u32 i = lowest + 1; i < narrows; i++) narrow[i - 1] = narrow[i];
        narrows--;
    }
    k->pairs = narrows / 2;
    for (u32 i = 0; i < narrows; i++) {
        k->pair_band[i] = narrow[i];
        eq_set_lane(&k->pair[i / 2], i & 1, &k->band[narrow[i]]);
    }
    for (u32 i = 0; i < k->wides; i++) {
        const eq_band *b = &k->band[k->wide_band[i]];
        k->wide[i] = (eq_wide){st_splat2(b->a1), st_splat2(b->a2), st_splat2(b->g * b->a2),
                               st_splat2(b->m1), st_splat2(b->m0), st_splat2(b->m2)};
    }
    const double preamp = st_db_to_gain(values->value[PREAMP_DB]);
    k->preamp = st_splat(k->wides ? 1.0f : (float)preamp);
    k->preamp_wide = st_splat2(preamp);
}

/* ---- kernels ---- */

#define UPPER_LOWER(a, b) __builtin_shufflevector(a, b, 2, 3, 4, 5) /* upper half of a, then lower half of b */
#define LOWER_LOWER(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define LOWER_UPPER(a, b) __builtin_shufflevector(a, b, 0, 1, 6, 7)

#define PAIR_STEP(i, input)                                                                            \
    const f32x4 x = (input), old = s2[i];                                                              \
    ST_KEEP_IN_MEMORY();                                                                               \
    const f32x4 p1 = k[i].a1 * s1[i];                                                                  \
    ST_KEEP_IN_MEMORY();                                                                               \
    const f32x4 b = (p1 + k[i].a2 * x) - old;                                                          \
    ST_KEEP_IN_MEMORY();                                                                               \
    const f32x4 new1 = b - s1[i], new2 = old + k[i].c * b;                                             \
    ST_KEEP_IN_MEMORY();                                                                               \
    const f32x4 out_ = bells ? x + k[i].m1 * b : (k[i].m0 * x + k[i].m2 * old) + k[i].m1 * b;

/* `n` pairs of bands in series over two neighbouring channels. Vector i takes, in its lower half, what
 * vector i - 1 gives at this step in its upper half, and in its upper half what its own lower half gave one step
 * ago; so each vector is one sample behind the one before. At both ends of a block the half without a sample
 * keeps its state, so that nothing is late: a block of N frames takes N + n steps, n + N vectors each. */
ST_INLINE void eq_pairs(const eq_bank *bank, eq_pair_state *state, const float *in, float *out, u32 frames, u32 stride, const u32 n,
                        const int bells) {
    const eq_pair *k = bank->pair;
    f32x4 s1[PAIRS], s2[PAIRS], y[PAIRS];
    const f32x4 preamp = bank->preamp;
    ST_UNROLL for (u32 i = 0; i < n; i++) s1[i] = state[i].s1, s2[i] = state[i].s2, y[i] = st_splat(0.0f);
    if (frames < n) {
        /* Too short for the pipeline: each vector twice a frame, one half at a time. */
        for (u32 t = 0; t < frames; t++, in += stride, out += stride) {
            f32x4 sample = st_load2(in) * preamp;
            ST_UNROLL for (u32 i = 0; i < n; i++) {
                {
                    PAIR_STEP(i, sample)
                    s1[i] = LOWER_UPPER(new1, s1[i]), s2[i] = LOWER_UPPER(new2, s2[i]), y[i] = out_;
                }
                {
                    PAIR_STEP(i, LOWER_LOWER(y[i], y[i]))
                    s1[i] = LOWER_UPPER(s1[i], new1), s2[i] = LOWER_UPPER(s2[i], new2), sample = UPPER_LOWER(out_, out_);
                }
            }
            st_store2_low(out, sample);
        }
    } else {
        ST_UNROLL for (u32 t = 0; t < n; t++, in += stride) {
            f32x4 above = st_load2(in) * preamp;
            ST_UNROLL for (u32 i = 0; i <= t; i++) {
                PAIR_STEP(i, i ? UPPER_LOWER(above, y[i]) : LOWER_LOWER(above, y[i]))
                s1[i] = i == t ? LOWER_UPPER(new1, s1[i]) : new1;
                s2[i] = i == t ? LOWER_UPPER(new2, s2[i]) : new2;
                y[i] = above = out_;
            }
        }
        _Pragma("clang loop unroll_count(2)") for (u32 t = n; t < frames; t++, in += stride, out += stride) {
            ST_KEEP_IN_MEMORY();
            f32x4 above = st_load2(in) * preamp;
            ST_UNROLL for (u32 i = 0; i < n; i++) {
                PAIR_STEP(i, i ? UPPER_LOWER(above, y[i]) : LOWER_LOWER(above, y[i]))
                s1[i] = new1, s2[i] = new2, y[i] = above = out_;
            }
            st_store2_high(out, above);
        }
        ST_UNROLL for (u32 t = 0; t < n; t++, out += stride) {
            f32x4 above = st_splat(0.0f);
            ST_UNROLL for (u32 i = t; i < n; i++) {
                PAIR_STEP(i, UPPER_LOWER(above, y[i]))
                s1[i] = i == t ? LOWER_UPPER(s1[i], new1) : new1;
                s2[i] = i == t ? LOWER_UPPER(s2[i], new2) : new2;
                y[i] = above = out_;
            }
            st_store2_high(out, above);
        }
    }
    ST_UNROLL for (u32 i = 0; i < n; i++) state[i] = (eq_pair_state){st_clean(s1[i]), st_clean(s2[i])};
}

/* `n` bands in series in 64-bit lanes. */
ST_INLINE void eq_wides(const eq_wide *k, f64x2 preamp, eq_wide_state *state, const float *in, float *out, u32 frames, u32 stride,
                        const u32 n, const int bells) {
    f64x2 s1[PAIRS], s2[PAIRS];
    ST_UNROLL for (u32 i = 0; i < n; i++) s1[i] = state[i].s1, s2[i] = state[i].s2;
    _Pragma("clang loop unroll_count(4)") for (u32 t = 0; t < frames; t++, in += stride, out += stride) {
        ST_KEEP_IN_MEMORY();
        const f32x4 narrow = st_load2(in);
        f64x2 x = __builtin_convertvector(__builtin_shufflevector(narrow, narrow, 0, 1), f64x2) * preamp;
        ST_UNROLL for (u32 i = 0; i < n; i++) {
            const f64x2 old = s2[i];
            const f64x2 p1 = k[i].a1 * s1[i];
            ST_KEEP_IN_MEMORY();
            const f64x2 b = (p1 + k[i].a2 * x) - old;
            ST_KEEP_IN_MEMORY();
            s1[i] = b - s1[i], s2[i] = old + k[i].c * b;
            ST_KEEP_IN_MEMORY();
            x = bells ? x + k[i].m1 * b : (k[i].m0 * x + k[i].m2 * old) + k[i].m1 * b;
        }
        const f32x2 y = __builtin_convertvector(x, f32x2);
        st_store2_low(out, __builtin_shufflevector(y, y, 0, 1, 0, 1));
    }
    ST_UNROLL for (u32 i = 0; i < n; i++) state[i] = (eq_wide_state){st_clean2(s1[i]), st_clean2(s2[i])};
}

typedef void eq_pairs_fn(const eq_bank *, eq_pair_state *, const float *, float *, u32, u32);
typedef void eq_wides_fn(const eq_wide *, f64x2, eq_wide_state *, const float *, float *, u32, u32);
#define KERNELS(n)                                                                                                                    \
    static void eq_pairs_##n##_bells(const eq_bank *k, eq_pair_state *s, const float *i, float *o, u32 f, u32 t) {                    \
        eq_pairs(k, s, i, o, f, t, n, 1);                                                                                             \
    }                                                                                                                                 \
    static void eq_pairs_##n##_any(const eq_bank *k, eq_pair_state *s, const float *i, float *o, u32 f, u32 t) {                      \
        eq_pairs(k, s, i, o, f, t, n, 0);                                                                                             \
    }                                                                                                                                 \
    static void eq_wides_##n##_bells(const eq_wide *k, f64x2 p, eq_wide_state *s, const float *i, float *o, u32 f, u32 t) {           \
        eq_wides(k, p, s, i, o, f, t, n, 1);                                                                                          \
    }                                                                                                                                 \
    static void eq_wides_##n##_any(const eq_wide *k, f64x2 p, eq_wide_state *s, const float *i, float *o, u32 f, u32 t) {             \
        eq_wides(k, p, s, i, o, f, t, n, 0);                                                                                          \
    }
KERNELS(1) KERNELS(2) KERNELS(3) KERNELS(4) KERNELS(5)

static eq_pairs_fn *const eq_pairs_table[2][PAIRS + 1] = {
    {0, eq_pairs_1_any, eq_pairs_2_any, eq_pairs_3_any, eq_pairs_4_any, eq_pairs_5_any},
    {0, eq_pairs_1_bells, eq_pairs_2_bells, eq_pairs_3_bells, eq_pairs_4_bells, eq_pairs_5_bells},
};
static eq_wides_fn *const eq_wides_table[2][PAIRS + 1] = {
    {0, eq_wides_1_any, eq_wides_2_any, eq_wides_3_any, eq_wides_4_any, eq_wides_5_any},
    {0, eq_wides_1_bells, eq_wides_2_bells, eq_wides_3_bells, eq_wides_4_bells, eq_wides_5_bells},
};

/* One pair of channels through a bank. */
static void eq_side(eq_bank *k, u32 side, const float *in, float *out, u32 frames, u32 stride) {
    for (u32 done = 0; done < k->wides;) {
        const u32 left = k->wides - done, n = left > PAIRS ? (left + 1) / 2 : left;
        eq_wides_table[k->bells][n](k->wide + done, done ? st_splat2(1.0) : k->preamp_wide, k->wide_state[side] + done, in, out, frames, stride);
        in = out;
        done += n;
    }
    if (k->pairs) {
        eq_pairs_table[k->bells][k->pairs](k, k->pair_state[side], in, out, frames, stride);
    } else if (!k->wides) {
        for (u32 i = 0; i < frames; i++) st_store2_low(out + i * stride, st_load2(in + i * stride) * k->preamp);
    }
}

/* All channels of a block through a bank. */
static void eq_run(st_plugin *p, eq_bank *k, const float *in, float *out, u32 frames) {
    const u32 channels = p->channels;
    for (u32 side = 0; side < channels / 2; side++) eq_side(k, side, in + 2 * side, out + 2 * side, frames, channels);
    if (!(channels & 1)) return;
    /* The channel without a partner is paired with itself. */
    float *both = p->scratch_b;
    const u32 last = channels - 1;
    for (u32 done = 0; done < frames;) {
        const u32 n = frames - done < CHUNK ? frames - done : CHUNK;
        for (u32 i = 0; i < n; i++) both[2 * i] = both[2 * i + 1] = in[(done + i) * channels + last];
        eq_side(k, channels / 2, both, both, n, 2);
        for (u32 i = 0; i < n; i++) out[(done + i) * channels + last] = both[2 * i];
        done += n;
    }
}

/* ---- the plugin ---- */

static void eq_start_fade(st_plugin *p, const st_values *values) {
    eq_bank *old = &p->bank[p->now], *fresh = &p->bank[p->now ^ 1];
    eq_build(fresh, values, (double)p->rate);
    for (u32 band = 0; band < BANDS; band++)
        for (u32 side = 0; side < p->sides && fresh->band[band].active; side++) {
            f64x2 s1, s2;
            eq_get_state(old, band, side, &s1, &s2);
            eq_put_state(fresh, band, side, s1, s2);
        }
    p->fade_frames = (u32)st_max(1.0, st_round(FADE_MS * 1e-3 * (double)p->rate));
    p->fade_at = 0;
}

static void eq_end_fade(st_plugin *p) {
    p->now ^= 1;
    p->fade_at = p->fade_frames = 0;
    if (p->waiting) {
        p->waiting = 0;
        eq_start_fade(p, &p->next);
    }
}

static void st_plugin_init(st_plugin *p, u32 rate, u32 channels) {
    st_zero(p, sizeof *p);
    p->rate = rate;
    p->channels = channels;
    p->sides = (channels + 1) / 2;
}

static void st_plugin_apply(st_plugin *p, const st_values *values, int smooth) {
    if (!smooth) {
        p->fade_at = p->fade_frames = 0, p->waiting = 0;
        eq_build(&p->bank[p->now], values, (double)p->rate);
    } else if (p->fade_at < p->fade_frames) {
        p->next = *values;
        p->waiting = 1;
    } else {
        eq_start_fade(p, values);
    }
}

static void st_plugin_reset(st_plugin *p) {
    while (p->fade_at < p->fade_frames) eq_end_fade(p);
    st_zero(p->bank[p->now].pair_state, sizeof p->bank[0].pair_state);
    st_zero(p->bank[p->now].wide_state, sizeof p->bank[0].wide_state);
}

static void st_plugin_process(st_plugin *p, const float *in, float *out, u32 frames) {
    const u32 channels = p->channels;
    while (frames && p->fade_at < p->fade_frames) {
        const u32 left = p->fade_frames - p->fade_at, most = frames < left ? frames : left, n = most < CHUNK ? most : CHUNK;
        float *fresh = p->scratch_a;
        eq_run(p, &p->bank[p->now ^ 1], in, fresh, n);
        eq_run(p, &p->bank[p->now], in, out, n);
        const double scale = 1.0 / (double)p->fade_frames;
        for (u32 i = 0; i < n; i++) {
            const double along = (double)(p->fade_at + i + 1) * scale;
            const float t = (float)(along * along * (3.0 - 2.0 * along)); /* no corners at either end */
            for (u32 c = 0; c < channels; c++) {
                const u32 at = i * channels + c;
                out[at] = out[at] + t * (fresh[at] - out[at]);
            }
        }
        in += n * channels, out += n * channels, frames -= n;
        p->fade_at += n;
        if (p->fade_at == p->fade_frames) eq_end_fade(p);
    }
    if (frames) eq_run(p, &p->bank[p->now], in, out, frames);
}

static u32 st_plugin_latency(const st_plugin *p) { return (void)p, 0; }

/* Until the slowest band has fallen by 60 dB. The poles of s^2 + k s + 1 decay with the real part of
 * (k -+ sqrt(k^2 - 4)) / 2, in units of the band's own frequency. */
static i32 st_plugin_tail(const st_plugin *p) {
    const eq_bank *b = &p->bank[p->fade_at < p->fade_frames ? p->now ^ 1 : p->now];
    double longest = 0.0;
    for (u32 i = 0; i < BANDS; i++) {
        const eq_band *band = &b->band[i];
        if (!band->active) continue;
        const double g = band->g, k = (2.0 / band->a1 - 1.0) / g - g;
        const double decay = k < 2.0 ? 0.5 * k : 0.5 * (k - st_sqrt(k * k - 4.0));
        longest = st_max(longest, 6.907755278982137 / (2.0 * g * decay));
    }
    return (i32)st_min(longest + 0.5, 1e9);
}

static int st_plugin_needs_recreate(const st_values *from, const st_values *to) { return (void)from, (void)to, 0; }

#include "st_glue.h"
