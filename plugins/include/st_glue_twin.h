/* The native twin: the same code behind a small C interface, for benchmarks and bit-exactness tests. */
#pragma once

#define ST_EXPORT __attribute__((visibility("default")))

extern void *calloc(usize n, usize size);
extern void free(void *p);

typedef struct {
    int started;
    st_values values, fresh;
    st_error error;
    u32 max_frames;
    st_plugin plugin __attribute__((aligned(16)));
} st_twin;

ST_EXPORT const char *st_twin_id(void) { return st_describe.id; }
ST_EXPORT u32 st_twin_supported_layouts(void) { return st_describe.layouts; }

/* Null where the spec is not supported. */
ST_EXPORT st_twin *st_twin_create(u32 rate, u32 channels, u32 max_frames) {
    if (!st_rate_allowed(rate) || !st_layout_allows(channels) || max_frames == 0 || max_frames > ST_MAX_FRAMES) return 0;
    st_twin *t = calloc(1, sizeof *t);
    if (!t) return 0;
    t->max_frames = max_frames;
    st_defaults(st_describe.schema, &t->values);
    st_plugin_init(&t->plugin, rate, channels);
    st_plugin_apply(&t->plugin, &t->values, 0);
    return t;
}

ST_EXPORT void st_twin_destroy(st_twin *t) { free(t); }

/* 0, or 1 where the configuration is refused (the old one stays). */
ST_EXPORT i32 st_twin_config(st_twin *t, const char *text, u32 len) {
    if (!st_parse(st_describe.schema, text, len, &t->fresh, &t->error)) return 1;
    t->values = t->fresh;
    t->error.len = 0;
    st_plugin_apply(&t->plugin, &t->values, t->started);
    return 0;
}

/* The last refusal's message; returns its length. Nothing ends it with a zero. */
ST_EXPORT u32 st_twin_error(const st_twin *t, char *out, u32 capacity) {
    const u32 n = t->error.len < capacity ? t->error.len : capacity;
    st_copy(out, t->error.text, n);
    return n;
}

/* The effective configuration as JSON; returns its length. */
ST_EXPORT u32 st_twin_export(const st_twin *t, char *out, u32 capacity) {
    return st_export(st_describe.schema, &t->values, out, capacity);
}

/* 0, or 1 where `frames` is above max_frames. `in` and `out` may be the same. */
ST_EXPORT i32 st_twin_process(st_twin *t, const float *in, float *out, u32 frames) {
    if (frames > t->max_frames) return 1;
    t->started = 1;
    if (frames) st_plugin_process(&t->plugin, in, out, frames);
    return 0;
}

ST_EXPORT void st_twin_reset(st_twin *t) { st_plugin_reset(&t->plugin); }
ST_EXPORT u32 st_twin_latency(const st_twin *t) { return st_plugin_latency(&t->plugin); }
ST_EXPORT i32 st_twin_tail(const st_twin *t) { return st_plugin_tail(&t->plugin); }

/* The math header, for its own tests: 0 exp, 1 log, 2 sin, 3 cos, 4 tan, 5 log10, 6 dB to gain, 7 sqrt. */
ST_EXPORT double st_twin_math(u32 function, double x) {
    switch (function) {
        case 0: return st_exp(x);
        case 1: return st_log(x);
        case 2: return st_sin(x);
        case 3: return st_cos(x);
        case 4: return st_tan(x);
        case 5: return st_log10(x);
        case 6: return st_db_to_gain(x);
        default: return st_sqrt(x);
    }
}
