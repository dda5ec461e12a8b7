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
 * The kernels keep q = M (a1 s1 - g a1 s2) and r = 2 M g a1 s2 instead, with M = (m1 + m2 g) / 2: both are in the output's
 * scale. With w = M g a1 x, f = 2 g^2 a1 and e = a1 - f / 2 a step is
 *
 *     b = q + w,   q = e b - (q + r),   r = r + f b,   y = m0 x + m2 / (2 M g a1) r_old + b
 *
 * For a bell (m0 = 1, m2 = 0) these are eight operations, and ten cycles or so lie between one step and the next; with s1 and
 * s2 it is nine and seventeen. Where a band's decay per sample is so small that it would get lost among the last digits of e,
 * which is close to 2, the fine form takes 2 - e: q = w - r + b - (2 - e) b.
 *
 * Precision: all bands run in 32-bit lanes, two bands times two channels in a vector, the second band one sample behind the first,
 * but those whose rounding errors would add up for too long: they run in 64-bit lanes, one band times two channels in a vector.
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

/* Where 64-bit lanes begin: a frequency in parts of the rate, and a decay in nepers a sample. */
#define WIDE_BELOW 0.0003
#define WIDE_DECAY 0.001
#define FINE_DECAY 0.01 /* where the fine form begins */
#define BANDS ST_MAX_ITEMS
#define PAIRS (BANDS / 2)
#define WIDES 2      /* bands of 64 bits that go in one pass */
#define SIDES (ST_MAX_CHANNELS / 2) /* channels go in pairs */
#define CHUNK 64
#define FADE_MS 20.0

/* One band, as the formulas give it. */
typedef struct {
    int active, bell; /* bell: m0 = 1 and m2 = 0 */
    double g, a1, a2, m0, m1, m2;
} eq_band;

/* The coefficients as the kernels take them; `e` is 2 - e in the fine kernels. */
typedef struct {
    f32x4 k, e, f, m0, m2;
} eq_pair;
typedef struct {
    f64x2 k, e, f, m0, m2;
} eq_wide;
typedef struct {
    f32x4 q, r, y; /* y: the last output, within a block */
} eq_pair_state;
typedef struct {
    f64x2 q, r;
} eq_wide_state;

typedef struct {
    eq_pair pair[PAIRS];
    eq_wide wide[BANDS];
    eq_pair_state pair_state[SIDES][PAIRS];
    eq_wide_state wide_state[SIDES][BANDS];
    f32x4 preamp;
    f64x2 preamp_wide;
    u32 narrows, pairs, wides;
    int bells;                     /* every active band is a bell: the short kernels do */
    u32 fines;                     /* so many pairs at the front run in the fine form: 1, 2 or all */
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
    b.active = b.m1 != 0.0; /* zero only where a gain is too small to be one */
    return b;
}

/* What a band loses per sample once its input has ended, in nepers. The poles of s^2 + k s + 1 decay with the real part of
 * (k -+ sqrt(k^2 - 4)) / 2, in units of the band's own frequency. */
static double eq_decay(const eq_band *b) {
    const double g = b->g, k = (2.0 / b->a1 - 1.0) / g - g;
    return g * (k < 2.0 ? k : k - st_sqrt(k * k - 4.0));
}

static eq_wide eq_coefficients(const eq_band *b, int fine) {
    const double c = b->g * b->a2, e = b->a1 - c;
    return (eq_wide){st_splat2(b->a2 * b->m1), st_splat2(fine ? 2.0 - e : e), st_splat2(2.0 * c), st_splat2(b->m0),
                     st_splat2(0.5 * b->m2 / b->m1)};
}

static void eq_set_half(eq_pair *p, u32 half, const eq_wide *w) {
    for (u32 lane = 2 * half; lane < 2 * half + 2; lane++) {
        p->k[lane] = (float)w->k[0], p->e[lane] = (float)w->e[0], p->f[lane] = (float)w->f[0];
        p->m0[lane] = (float)w->m0[0], p->m2[lane] = (float)w->m2[0];
    }
}

/* The two integrators of a band, in the formulas' scale, wherever the bank keeps them. */
static void eq_get_state(const eq_bank *k, u32 band, u32 side, f64x2 *s1, f64x2 *s2) {
    f64x2 q = st_splat2(0.0), r = q;
    const eq_band *b = &k->band[band];
    *s1 = *s2 = q;
    if (!b->active) return;
    for (u32 i = 0; i < k->wides; i++)
        if (k->wide_band[i] == band) q = k->wide_state[side][i].q, r = k->wide_state[side][i].r;
    for (u32 i = 0; i < k->narrows; i++)
        if (k->pair_band[i] == band) {
            const eq_pair_state *s = &k->pair_state[side][i / 2];
            for (u32 c = 0; c < 2; c++) q[c] = (double)s->q[2 * (i & 1) + c], r[c] = (double)s->r[2 * (i & 1) + c];
        }
    const f64x2 scaled = 0.5 * r / st_splat2(b->m1);
    *s1 = (q / st_splat2(b->m1) + scaled) / st_splat2(b->a1);
    *s2 = scaled / st_splat2(b->a2);
}

static void eq_put_state(eq_bank *k, u32 band, u32 side, f64x2 s1, f64x2 s2) {
    const eq_band *b = &k->band[band];
    const f64x2 scaled = s2 * st_splat2(b->a2);
    const f64x2 q = st_splat2(b->m1) * (st_splat2(b->a1) * s1 - scaled), r = 2.0 * st_splat2(b->m1) * scaled;
    for (u32 i = 0; i < k->wides; i++)
        if (k->wide_band[i] == band) k->wide_state[side][i] = (eq_wide_state){q, r};
    for (u32 i = 0; i < k->narrows; i++)
        if (k->pair_band[i] == band) {
            eq_pair_state *s = &k->pair_state[side][i / 2];
            for (u32 c = 0; c < 2; c++) s->q[2 * (i & 1) + c] = (float)q[c], s->r[2 * (i & 1) + c] = (float)r[c];
        }
}

static void eq_build(eq_bank *k, const st_values *values, double rate) {
    st_zero(k, sizeof *k);
    u32 low = 0;
    k->bells = 1;
    for (u32 i = 0; i < values->items; i++) {
        eq_band *b = &k->band[i];
        *b = eq_design(values->item[i], rate);
        if (!b->active) continue;
        k->bells &= b->bell;
        if (values->item[i][BAND_FREQ] < WIDE_BELOW * rate || eq_decay(b) < WIDE_DECAY) {
            k->wide[k->wides] = eq_coefficients(b, 0);
            k->wide_band[k->wides++] = (u8)i;
            continue;
        }
        /* Those that need the fine form first. */
        u32 at = k->narrows++;
        if (eq_decay(b) < FINE_DECAY) {
            for (; at > low; at--) k->pair_band[at] = k->pair_band[at - 1];
            low++;
        }
        k->pair_band[at] = (u8)i;
    }
    k->pairs = (k->narrows + 1) / 2;
    k->fines = !k->bells || low > 4 ? k->pairs : low > 2 ? 2 : 1;
    for (u32 i = 0; i < k->pairs; i++) k->pair[i].m0 = st_splat(1.0f); /* half of the last may stay empty */
    for (u32 i = 0; i < k->narrows; i++) {
        const eq_wide w = eq_coefficients(&k->band[k->pair_band[i]], i / 2 < k->fines);
        eq_set_half(&k->pair[i / 2], i & 1, &w);
    }
    const double preamp = st_db_to_gain(values->value[PREAMP_DB]);
    k->preamp = st_splat(k->wides ? 1.0f : (float)preamp);
    k->preamp_wide = st_splat2(preamp);
}

/* ---- kernels ---- */

#define UPPER_LOWER(a, b) __builtin_shufflevector(a, b, 2, 3, 4, 5) /* upper half of a, then lower half of b */
#define LOWER_LOWER(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define LOWER_UPPER(a, b) __builtin_shufflevector(a, b, 0, 1, 6, 7)
#define UPPER_UPPER(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)

/* Coefficients and state of vector i as locals; the outputs q1, r1 and y of one step; see the top. */
#define VECTOR(i)                                                                                      \
    const eq_pair *c = pair + (i);                                                                     \
    eq_pair_state *s = state + (i);
#define STEP(input, q, r)                                                                              \
    const f32x4 x = (input), w = c->k * x, b = (q) + w;                                                \
    const f32x4 y = (bells ? x : c->m0 * x + c->m2 * (r)) + b;                                         \
    const f32x4 q1 = fine ? ((w - (r)) + b) - c->e * b : c->e * b - ((q) + (r)), r1 = (r) + c->f * b;

/* One step of the vectors `first` to `last`. The lower half of the last one, or the upper half of the first one, may be the
 * only half that has a sample: the other half keeps its state. `above` is the input, in its lower half. */
enum { BOTH, LOWER_OF_LAST, UPPER_OF_FIRST };
ST_INLINE f32x4 eq_step(const eq_pair *pair, eq_pair_state *state, f32x4 above, const u32 first, const u32 last, const int halves,
                        const u32 fines, const int bells) {
    ST_UNROLL for (u32 i = first; i <= last; i++) {
        VECTOR(i)
        const int fine = i < fines, lower = halves == LOWER_OF_LAST && i == last, upper = halves == UPPER_OF_FIRST && i == first;
        STEP(i ? UPPER_LOWER(above, s->y) : LOWER_LOWER(above, s->y), s->q, s->r)
        s->q = lower ? LOWER_UPPER(q1, s->q) : upper ? LOWER_UPPER(s->q, q1) : q1;
        s->r = lower ? LOWER_UPPER(r1, s->r) : upper ? LOWER_UPPER(s->r, r1) : r1;
        s->y = above = y;
    }
    return above;
}

/* `n` pairs of bands in series over two channels; the first `fines` in the fine form. Vector i takes, in its lower half, what
 * vector i - 1 gives at this step in its upper half, and in its upper half what its own lower half gave one step
 * ago; so each vector is one sample behind the one before. At both ends of a block the half without a sample
 * keeps its state, so that nothing is late: a block of N frames takes N + n steps, n + N vectors each.
 *
 * Four steps at a time go through one vector after the other, whose coefficients and state then fit into the registers. */
ST_INLINE void eq_pairs(eq_bank *bank, eq_pair_state *state, const float *in, float *out, u32 frames, const u32 n, const u32 fines,
                        const int bells) {
    const eq_pair *pair = bank->pair;
    const f32x4 preamp = bank->preamp;
    if (frames < n) {
        /* Too short for the pipeline: each vector twice a frame, one half at a time. */
        for (; frames; frames--, in += 2, out += 2) {
            f32x4 sample = st_load2(in) * preamp;
            for (u32 i = 0; i < n; i++) {
                VECTOR(i)
                const int fine = i < fines;
                f32x4 between;
                {
                    STEP(sample, s->q, s->r)
                    s->q = LOWER_UPPER(q1, s->q), s->r = LOWER_UPPER(r1, s->r), between = y;
                }
                {
                    STEP(LOWER_LOWER(between, between), s->q, s->r)
                    s->q = LOWER_UPPER(s->q, q1), s->r = LOWER_UPPER(s->r, r1), sample = UPPER_LOWER(y, y);
                }
            }
            st_store2_low(out, sample);
        }
    } else {
        ST_UNROLL for (u32 i = 0; i < n; i++) state[i].y = st_splat(0.0f);
        ST_UNROLL for (u32 t = 0; t < n; t++, in += 2) eq_step(pair, state, st_load2(in) * preamp, 0, t, LOWER_OF_LAST, fines, bells);
        u32 left = frames - n;
        for (; left >= 4; left -= 4, in += 8, out += 8) {
            const f32x4 in01 = st_load4(in) * preamp, in23 = st_load4(in + 4) * preamp;
            f32x4 x0 = in01, x1 = in01, x2 = in23, x3 = in23;
            ST_UNROLL for (u32 i = 0; i < n; i++) {
                ST_KEEP_IN_MEMORY();
                VECTOR(i)
                const int fine = i < fines;
                f32x4 q = s->q, r = s->r, last = s->y;
#define TURN(at, input)                                                                                \
    {                                                                                                  \
        STEP(input, q, r)                                                                              \
        q = q1, r = r1, at = last = y;                                                                 \
    }
                TURN(x0, i ? UPPER_LOWER(x0, last) : LOWER_LOWER(x0, last))
                TURN(x1, UPPER_LOWER(x1, last))
                TURN(x2, i ? UPPER_LOWER(x2, last) : LOWER_LOWER(x2, last))
                TURN(x3, UPPER_LOWER(x3, last))
                s->q = q, s->r = r, s->y = last;
            }
            st_store4(out, UPPER_UPPER(x0, x1)), st_store4(out + 4, UPPER_UPPER(x2, x3));
        }
        for (; left; left--, in += 2, out += 2)
            st_store2_high(out, eq_step(pair, state, st_load2(in) * preamp, 0, n - 1, BOTH, fines, bells));
        ST_UNROLL for (u32 t = 0; t < n; t++, out += 2)
            st_store2_high(out, eq_step(pair, state, st_splat(0.0f), t, n - 1, UPPER_OF_FIRST, fines, bells));
    }
    ST_UNROLL for (u32 i = 0; i < n; i++) state[i].q = st_clean(state[i].q), state[i].r = st_clean(state[i].r);
}

/* `n` bands in series in 64-bit lanes. */
ST_INLINE void eq_wides(const eq_wide *k, f64x2 preamp, eq_wide_state *state, const float *in, float *out, u32 frames, const u32 n) {
    f64x2 q[WIDES], r[WIDES];
    ST_UNROLL for (u32 i = 0; i < n; i++) q[i] = state[i].q, r[i] = state[i].r;
    _Pragma("clang loop unroll_count(4)") for (; frames; frames--, in += 2, out += 2) {
        const f32x4 narrow = st_load2(in);
        f64x2 x = __builtin_convertvector(__builtin_shufflevector(narrow, narrow, 0, 1), f64x2) * preamp;
        ST_UNROLL for (u32 i = 0; i < n; i++) {
            const f64x2 b = q[i] + k[i].k * x;
            x = (k[i].m0 * x + k[i].m2 * r[i]) + b;
            q[i] = k[i].e * b - (q[i] + r[i]), r[i] = r[i] + k[i].f * b;
        }
        const f32x2 y = __builtin_convertvector(x, f32x2);
        st_store2_low(out, __builtin_shufflevector(y, y, 0, 1, 0, 1));
    }
    ST_UNROLL for (u32 i = 0; i < n; i++) state[i] = (eq_wide_state){st_clean2(q[i]), st_clean2(r[i])};
}

typedef void eq_pairs_fn(eq_bank *, eq_pair_state *, const float *, float *, u32);
#define KERNEL(n, name, fines, bells)                                                                  \
    static void eq_pairs_##n##_##name(eq_bank *k, eq_pair_state *s, const float *i, float *o, u32 f) { \
        eq_pairs(k, s, i, o, f, n, fines, bells);                                                      \
    }
#define KERNELS(n) KERNEL(n, any, n, 0) KERNEL(n, bells, 1, 1) KERNEL(n, fine, n, 1)
KERNELS(1) KERNELS(2) KERNELS(3) KERNELS(4) KERNELS(5) KERNEL(3, two_fine, 2, 1) KERNEL(4, two_fine, 2, 1) KERNEL(5, two_fine, 2, 1)

static eq_pairs_fn *eq_pairs_for(const eq_bank *k) {
    static eq_pairs_fn *const table[4][PAIRS] = {
        {eq_pairs_1_any, eq_pairs_2_any, eq_pairs_3_any, eq_pairs_4_any, eq_pairs_5_any},
        {eq_pairs_1_bells, eq_pairs_2_bells, eq_pairs_3_bells, eq_pairs_4_bells, eq_pairs_5_bells},
        {eq_pairs_1_fine, eq_pairs_2_fine, eq_pairs_3_two_fine, eq_pairs_4_two_fine, eq_pairs_5_two_fine},
        {eq_pairs_1_fine, eq_pairs_2_fine, eq_pairs_3_fine, eq_pairs_4_fine, eq_pairs_5_fine},
    };
    return table[!k->bells ? 0 : k->fines < 3 ? k->fines : 3][k->pairs - 1];
}

static ST_APART void eq_wides_1(const eq_wide *k, f64x2 p, eq_wide_state *s, const float *i, float *o, u32 f) {
    eq_wides(k, p, s, i, o, f, 1);
}
static ST_APART void eq_wides_2(const eq_wide *k, f64x2 p, eq_wide_state *s, const float *i, float *o, u32 f) {
    eq_wides(k, p, s, i, o, f, 2);
}

/* One pair of channels through a bank. */
static void eq_side(eq_bank *k, u32 side, const float *in, float *out, u32 frames) {
    for (u32 done = 0; done < k->wides; done += WIDES) {
        const f64x2 preamp = done ? st_splat2(1.0) : k->preamp_wide;
        if (k->wides - done == 1) eq_wides_1(k->wide + done, preamp, k->wide_state[side] + done, in, out, frames);
        else eq_wides_2(k->wide + done, preamp, k->wide_state[side] + done, in, out, frames);
        in = out;
    }
    if (k->pairs) {
        eq_pairs_for(k)(k, k->pair_state[side], in, out, frames);
    } else if (!k->wides) {
        for (u32 i = 0; i < frames; i++) st_store2_low(out + 2 * i, st_load2(in + 2 * i) * k->preamp);
    }
}

/* All channels of a block through a bank. */
static void eq_run(st_plugin *p, eq_bank *k, const float *in, float *out, u32 frames) {
    const u32 channels = p->channels;
    if (channels == 2) {
        eq_side(k, 0, in, out, frames);
        return;
    }
    float *both = p->scratch_b;
    for (u32 left = 0; left < channels; left += 2) {
        /* A channel without a partner is paired with itself. */
        const u32 right = left + 1 < channels ? left + 1 : left;
        for (u32 done = 0; done < frames;) {
            const u32 n = frames - done < CHUNK ? frames - done : CHUNK;
            const float *from = in + done * channels;
            float *to = out + done * channels;
            for (u32 i = 0; i < n; i++) both[2 * i] = from[i * channels + left], both[2 * i + 1] = from[i * channels + right];
            eq_side(k, left / 2, both, both, n);
            for (u32 i = 0; i < n; i++) to[i * channels + left] = both[2 * i], to[i * channels + right] = both[2 * i + 1];
            done += n;
        }
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

/* Until the slowest band has fallen by 60 dB. */
static i32 st_plugin_tail(const st_plugin *p) {
    const eq_bank *b = &p->bank[p->fade_at < p->fade_frames ? p->now ^ 1 : p->now];
    double longest = 0.0;
    for (u32 i = 0; i < BANDS; i++)
        if (b->band[i].active) longest = st_max(longest, 6.907755278982137 / eq_decay(&b->band[i]));
    return (i32)st_min(longest + 0.5, 1e9);
}

static int st_plugin_needs_recreate(const st_values *from, const st_values *to) { return (void)from, (void)to, 0; }

#include "st_glue.h"
