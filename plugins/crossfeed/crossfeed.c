/* Crossfeed for headphones: lets each ear hear the other channel's low frequencies, as loudspeakers do.
 *
 * The idea: B. B. Bauer, "Stereophonic Earphones and Binaural Loudspeakers", JAES 9(2), 1961. The figures and the
 * formulas of the two first-order filters are those of the "Bauer stereophonic-to-binaural" (bs2b) filter: a low-pass
 * crosses over, a shelf takes the same low frequencies down in the direct path, and the sum is scaled so that a
 * mono signal keeps its level at low frequencies. Well-known settings: 700 Hz with 4.5 dB (bs2b's own), 700 Hz with 6 dB
 * (C. Moy's circuit) and 650 Hz with 9.5 dB (J. Meier's circuit).
 *
 * With cross gain Gc = -5/6 feed - 3 dB and shelf depth Gs = 1 - 10^((feed / 6 - 3) / 20), the shelf's corner lies at
 * cutoff * 2^((Gc - Gs in dB) / 12), and
 *
 *     out = (x - Gs LP_shelf(x) + Gc LP_cutoff(other)) / (1 - Gs + Gc)
 */
#include "st_dsp.h"

enum { CUTOFF_HZ, FEED_DB, ENABLED };

static const st_param cross_params[] = {
    [CUTOFF_HZ] = {"cutoff_hz", ST_NUMBER, 300.0, 2000.0, 700.0, 0},
    [FEED_DB] = {"feed_db", ST_NUMBER, 1.0, 15.0, 4.5, 0},
    [ENABLED] = {"enabled", ST_BOOL, 0.0, 1.0, 1.0, 0},
};
static const st_schema cross_schema = {cross_params, ST_COUNT(cross_params), 0, 0, 0, 0, 0};
static const st_descriptor st_describe = {"dev.stellatune.crossfeed", "wasm/crossfeed.hot.wasm", ST_LAYOUT_STEREO, &cross_schema};

#define CHUNK 32
#define RAMP_MS 20.0

/* Lanes: the two crossed low-passes (right's, left's), then the two of the shelf (left's, right's). */
typedef struct {
    f32x4 keep, take; /* low = keep low + take x */
    f32x4 mix;        /* what each low-pass adds to the output */
    float direct;
} cross_setting;

struct st_plugin {
    u32 rate;
    f32x4 low;
    cross_setting now, from, to;
    u32 ramp_frames, ramp_at;
};

static cross_setting cross_design(const st_values *values, double rate) {
    cross_setting s;
    const double feed = values->value[FEED_DB], cutoff = values->value[CUTOFF_HZ];
    const double cross_db = -5.0 / 6.0 * feed - 3.0;
    const double cross = st_db_to_gain(cross_db), shelf = 1.0 - st_db_to_gain(feed / 6.0 - 3.0);
    const double shelf_db = 20.0 * st_log10(shelf);
    const double corner = cutoff * st_pow(2.0, (cross_db - shelf_db) / 12.0);
    const double p = st_exp(-2.0 * ST_PI * cutoff / rate), q = st_exp(-2.0 * ST_PI * corner / rate);
    const double scale = 1.0 / (1.0 - shelf + cross);
    const int on = values->value[ENABLED] != 0.0;
    s.keep = (f32x4){(float)p, (float)p, (float)q, (float)q};
    s.take = (f32x4){(float)(1.0 - p), (float)(1.0 - p), (float)(1.0 - q), (float)(1.0 - q)};
    const float c = on ? (float)(cross * scale) : 0.0f, d = on ? (float)(-shelf * scale) : 0.0f;
    s.mix = (f32x4){c, c, d, d};
    s.direct = on ? (float)scale : 1.0f;
    return s;
}

static void st_plugin_init(st_plugin *p, u32 rate, u32 channels) {
    (void)channels;
    st_zero(p, sizeof *p);
    p->rate = rate;
}

static void st_plugin_apply(st_plugin *p, const st_values *values, int smooth) {
    p->from = p->now;
    p->to = cross_design(values, (double)p->rate);
    p->ramp_at = p->ramp_frames = 0;
    if (smooth) p->ramp_frames = (u32)st_round(RAMP_MS * 1e-3 * (double)p->rate);
    else p->now = p->to;
}

static void st_plugin_reset(st_plugin *p) {
    p->low = st_splat(0.0f);
    if (p->ramp_at < p->ramp_frames) p->now = p->to;
    p->ramp_at = p->ramp_frames;
}

#define CROSS_FRAME(at)                                                                                \
    {                                                                                                  \
        const f32x4 x = st_load2(in + (at));                                                           \
        low = keep * low + take * __builtin_shufflevector(x, x, 1, 0, 0, 1);                           \
        const f32x4 added = mix * low;                                                                 \
        st_store2_low(out + (at), (x * direct + added) + __builtin_shufflevector(added, added, 2, 3, 0, 1)); \
    }

static f32x4 cross_run(const cross_setting *s, f32x4 low, const float *in, float *out, u32 frames) {
    const f32x4 keep = s->keep, take = s->take, mix = s->mix, direct = st_splat(s->direct);
    u32 i = 0;
    for (; i + 8 <= frames; i += 8, in += 16, out += 16) {
        CROSS_FRAME(0) CROSS_FRAME(2) CROSS_FRAME(4) CROSS_FRAME(6)
        CROSS_FRAME(8) CROSS_FRAME(10) CROSS_FRAME(12) CROSS_FRAME(14)
    }
    for (; i < frames; i++, in += 2, out += 2) CROSS_FRAME(0)
    return low;
}

static void st_plugin_process(st_plugin *p, const float *in, float *out, u32 frames) {
    f32x4 low = p->low;
    while (frames && p->ramp_at < p->ramp_frames) {
        /* One frame at a time, with coefficients on a straight line between the two settings. Any point between two
         * stable first-order filters is stable. */
        const float t = (float)((double)++p->ramp_at / (double)p->ramp_frames);
        const f32x4 v = st_splat(t);
        p->now.keep = p->from.keep + v * (p->to.keep - p->from.keep);
        p->now.take = p->from.take + v * (p->to.take - p->from.take);
        p->now.mix = p->from.mix + v * (p->to.mix - p->from.mix);
        p->now.direct = p->from.direct + t * (p->to.direct - p->from.direct);
        if (p->ramp_at == p->ramp_frames) p->now = p->to;
        low = st_clean(cross_run(&p->now, low, in, out, 1));
        in += 2, out += 2, frames--;
    }
    while (frames) {
        /* Often enough for a decaying state to be cleared before it turns subnormal. */
        const u32 n = frames < CHUNK ? frames : CHUNK;
        low = st_clean(cross_run(&p->now, low, in, out, n));
        in += 2 * n, out += 2 * n, frames -= n;
    }
    p->low = low;
}

static u32 st_plugin_latency(const st_plugin *p) { return (void)p, 0; }

/* Until the slower low-pass has fallen by 60 dB. */
static i32 st_plugin_tail(const st_plugin *p) {
    const cross_setting *s = p->ramp_at < p->ramp_frames ? &p->to : &p->now;
    const double keep = st_max((double)s->keep[0], (double)s->keep[2]);
    return keep > 0.0 ? (i32)(-6.907755278982137 / st_log(keep) + 1.0) : 0;
}

static int st_plugin_needs_recreate(const st_values *from, const st_values *to) { return (void)from, (void)to, 0; }

#include "st_glue.h"
