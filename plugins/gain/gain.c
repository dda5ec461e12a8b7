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

/* Whole frames of 1, 2, 4 and 8 channels in its first 8 floats, of 3 and 6 channels in its 12. */
#define PATTERN 12

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

static ST_APART u32 gain_ramp(st_plugin *p, const float *in, float *out, u32 frames) {
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

#define SCALE_1(at, a) st_store4(y + (at), st_load4(x + (at)) * (a));
#define SCALE_2(at, a, b) SCALE_1(at, a) SCALE_1((at) + 4, b)
#define SCALE_8(at, a, b) SCALE_2(at, a, b) SCALE_2((at) + 8, a, b) SCALE_2((at) + 16, a, b) SCALE_2((at) + 24, a, b)
#define SCALE_32(at, a, b) SCALE_8(at, a, b) SCALE_8((at) + 32, a, b) SCALE_8((at) + 64, a, b) SCALE_8((at) + 96, a, b)
#define SCALE_3(at) SCALE_1(at, a) SCALE_1((at) + 4, b) SCALE_1((at) + 8, c)
#define SCALE_12(at) SCALE_3(at) SCALE_3((at) + 12) SCALE_3((at) + 24) SCALE_3((at) + 36)

/* The steady state, in functions of their own: next to much other code, wasmtime keeps the pointers on the stack.
 * Many vectors a round: the loop's own cost (and the host's deadline check) counts at this size. */

/* 1, 2, 4 or 8 channels: a pattern of 8 floats. */
static ST_APART void gain_scale_8(const f32x4 *pattern, const float *x, float *y, u32 samples) {
    const f32x4 a = pattern[0], b = pattern[1];
    for (; samples >= 128; samples -= 128, x += 128, y += 128) {
        SCALE_32(0, a, b)
    }
    _Pragma("clang loop unroll(disable)") for (; samples >= 8; samples -= 8, x += 8, y += 8) {
        SCALE_2(0, a, b)
    }
    const float *flat = (const float *)pattern;
    for (u32 k = 0; k < samples; k++) y[k] = x[k] * flat[k];
}

/* 3 or 6 channels: a pattern of 12 floats. */
static ST_APART void gain_scale_12(const f32x4 *pattern, const float *x, float *y, u32 samples) {
    const f32x4 a = pattern[0], b = pattern[1], c = pattern[2];
    for (; samples >= 48; samples -= 48, x += 48, y += 48) {
        SCALE_12(0)
    }
    _Pragma("clang loop unroll(disable)") for (; samples >= 12; samples -= 12, x += 12, y += 12) {
        SCALE_3(0)
    }
    const float *flat = (const float *)pattern;
    for (u32 k = 0; k < samples; k++) y[k] = x[k] * flat[k];
}

static void st_plugin_process(st_plugin *p, const float *in, float *out, u32 frames) {
    const u32 channels = p->channels;
    if (p->ramp_at < p->ramp_frames) {
        const u32 n = gain_ramp(p, in, out, frames);
        in += n * channels, out += n * channels, frames -= n;
    }
    const u32 samples = frames * channels;
    if ((channels & (channels - 1)) == 0) gain_scale_8(p->pattern, in, out, samples);
    else if (channels == 5 || channels == 7)
        for (u32 i = 0; i < samples; i++) out[i] = in[i] * (float)p->target[i % channels];
    else gain_scale_12(p->pattern, in, out, samples);
}

static u32 st_plugin_latency(const st_plugin *p) { return (void)p, 0; }
static i32 st_plugin_tail(const st_plugin *p) { return (void)p, 0; }
static int st_plugin_needs_recreate(const st_values *from, const st_values *to) { return (void)from, (void)to, 0; }

#include "st_glue.h"
