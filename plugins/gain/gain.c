/* Gain: volume in decibels, left/right balance and mute, with linear ramps between settings. */
#include "st_dsp.h"

enum { GAIN_DB, BALANCE, MUTE, RAMP_MS };

static const st_param gain_params[] = {
    [GAIN_DB] = {"gain_db", ST_NUMBER, -96.0, 24.0, 0.0, 0},
    [BALANCE] = {"balance", ST_NUMBER, -1.0, 1.0, 0.0, 0},
    [MUTE] = {"mute", ST_BOOL, 0.0, 1.0, 0.0, 0},
    [RAMP_MS] = {"ramp_ms", ST_NUMBER, 1.0, 1000.0, 20.0, 0},
};
static const st_schema gain_schema = {gain_params, ST_COUNT(gain_params), 0, 0, 0, 0, 0};
static const st_descriptor st_describe = {"dev.stellatune.gain", "wasm/gain.hot.wasm", ST_LAYOUT_ANY, &gain_schema};

/* 24 floats are a whole number of frames for 1, 2, 3, 4, 6 and 8 channels: six vectors of gains. */
#define PATTERN 24

struct st_plugin {
    u32 rate, channels;
    f32x4 pattern[PATTERN / 4];       /* the steady gains, repeated */
    double start[ST_MAX_CHANNELS];    /* gains where the ramp began */
    double target[ST_MAX_CHANNELS];
    u32 ramp_frames, ramp_at;         /* equal: no ramp running */
};

/* The channels that balance turns down: in 5.1 and 7.1 (front pair, centre, LFE, then pairs) all left or
 * right channels; centre and LFE stay. */
static int gain_side(u32 channel, u32 channels) {
    if (channels < 2 || channel >= channels) return 0;
    if (channels > 4 && (channel == 2 || channel == 3)) return 0;
    return channel & 1 ? 1 : -1;
}

static void gain_settle(st_plugin *p) {
    float *flat = (float *)p->pattern;
    for (u32 i = 0; i < PATTERN; i++) flat[i] = (float)p->target[i % p->channels];
}

static double gain_now(const st_plugin *p, u32 channel, u32 at) {
    if (at >= p->ramp_frames) return p->target[channel];
    return p->start[channel] + (p->target[channel] - p->start[channel]) * ((double)at / (double)p->ramp_frames);
}

static void st_plugin_init(st_plugin *p, u32 rate, u32 channels) {
    st_zero(p, sizeof *p);
    p->rate = rate;
    p->channels = channels;
}

static void st_plugin_apply(st_plugin *p, const st_values *values, int smooth) {
    const double gain = values->value[MUTE] != 0.0 ? 0.0 : st_db_to_gain(values->value[GAIN_DB]);
    const double balance = values->value[BALANCE];
    int moved = 0;
    for (u32 c = 0; c < p->channels; c++) {
        const int side = gain_side(c, p->channels);
        const double towards = (double)side * balance; /* negative: this side is turned down */
        p->start[c] = gain_now(p, c, p->ramp_at);
        p->target[c] = gain * (towards < 0.0 ? 1.0 + towards : 1.0);
        moved |= p->target[c] != p->start[c];
    }
    p->ramp_at = 0;
    p->ramp_frames = 0;
    if (smooth && moved) p->ramp_frames = (u32)st_max(1.0, st_round(values->value[RAMP_MS] * 1e-3 * (double)p->rate));
    gain_settle(p);
}

static void st_plugin_reset(st_plugin *p) { p->ramp_at = p->ramp_frames; }

static u32 gain_ramp(st_plugin *p, const float *in, float *out, u32 frames) {
    const u32 left = p->ramp_frames - p->ramp_at, n = frames < left ? frames : left, channels = p->channels;
    const double scale = 1.0 / (double)p->ramp_frames;
    for (u32 i = 0; i < n; i++) {
        const double t = (double)(p->ramp_at + i + 1) * scale;
        for (u32 c = 0; c < channels; c++) {
            const double gain = p->start[c] + (p->target[c] - p->start[c]) * t;
            out[i * channels + c] = in[i * channels + c] * (float)gain;
        }
    }
    p->ramp_at += n;
    return n;
}

#define SCALE_2(at, a, b) st_store4(y + (at), st_load4(x + (at)) * (a)), st_store4(y + (at) + 4, st_load4(x + (at) + 4) * (b));
#define SCALE_8(at, a, b) SCALE_2(at, a, b) SCALE_2((at) + 8, a, b) SCALE_2((at) + 16, a, b) SCALE_2((at) + 24, a, b)

static void st_plugin_process(st_plugin *p, const float *in, float *out, u32 frames) {
    if (p->ramp_at < p->ramp_frames) {
        const u32 n = gain_ramp(p, in, out, frames);
        in += n * p->channels, out += n * p->channels, frames -= n;
    }
    u32 i = 0;
    const u32 samples = frames * p->channels;
    if (p->channels == 5 || p->channels == 7) {
        for (; i < samples; i++) out[i] = in[i] * (float)p->target[i % p->channels];
        return;
    }
    if ((p->channels & (p->channels - 1)) == 0) {
        const f32x4 a = p->pattern[0], b = p->pattern[1]; /* 8 floats: 1, 2, 4 or 8 channels */
        /* Sixteen vectors a round: the loop's own cost (and the host's deadline check) counts at this size. */
        const float *x = in;
        float *y = out;
        for (; i + 64 <= samples; i += 64, x += 64, y += 64) {
            SCALE_8(0, a, b)
            SCALE_8(32, a, b)
        }
        for (; i + 8 <= samples; i += 8) {
            const f32x4 x0 = st_load4(in + i), x1 = st_load4(in + i + 4);
            st_store4(out + i, x0 * a), st_store4(out + i + 4, x1 * b);
        }
    } else {
        const f32x4 a = p->pattern[0], b = p->pattern[1], c = p->pattern[2]; /* 12 floats: 3 or 6 channels */
        for (; i + 24 <= samples; i += 24) {
            const f32x4 x0 = st_load4(in + i), x1 = st_load4(in + i + 4), x2 = st_load4(in + i + 8);
            const f32x4 x3 = st_load4(in + i + 12), x4 = st_load4(in + i + 16), x5 = st_load4(in + i + 20);
            st_store4(out + i, x0 * a), st_store4(out + i + 4, x1 * b), st_store4(out + i + 8, x2 * c);
            st_store4(out + i + 12, x3 * a), st_store4(out + i + 16, x4 * b), st_store4(out + i + 20, x5 * c);
        }
    }
    /* `i` is a whole number of patterns here. */
    const float *flat = (const float *)p->pattern;
    for (u32 k = 0; i < samples; i++, k++) out[i] = in[i] * flat[k];
}

static u32 st_plugin_latency(const st_plugin *p) { return (void)p, 0; }
static i32 st_plugin_tail(const st_plugin *p) { return (void)p, 0; }
static int st_plugin_needs_recreate(const st_values *from, const st_values *to) { return (void)from, (void)to, 0; }

#include "st_glue.h"
