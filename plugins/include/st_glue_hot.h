/* The hot-path core module: ABI version 1 with the extensions st_hot_config, st_hot_latency, st_hot_tail.
 *
 * One stream a module instance; a host that wants several makes several instances. No allocation, no imports.
 */
#pragma once
#include "st_layout.h"

#define ST_EXPORT(name) __attribute__((export_name(name)))

enum { ST_OK = 0, ST_INVALID_ARG = 1, ST_UNSUPPORTED = 2, ST_NOT_READY = 6 };
enum { ST_ABI_VERSION = 1, ST_ROLE_DSP = 1, ST_FORMAT_F32LE = 1 };

typedef struct {
    u32 abi_version, role, sample_rate;
    u16 channels, sample_format;
    u32 max_frames, in_offset, out_offset, buffer_bytes, flags, reserved0, reserved1;
} st_init_args;
_Static_assert(sizeof(st_init_args) == 44, "the ABI says 44 bytes");
_Static_assert(ST_REGION_BYTES == ST_MAX_FRAMES * ST_MAX_CHANNELS * 4u, "regions hold a full block");

static struct {
    int ready, started;
    u32 max_frames;
    const float *in;
    float *out;
    st_plugin plugin;
    st_values values, fresh;
    st_error error;
} st_hot;

#define ST_HANDLE 1u

ST_EXPORT("st_hot_init") i32 st_hot_init(const st_init_args *args, u32 *out_ctx) {
    if (st_hot.ready) return ST_NOT_READY;
    if (args->abi_version != ST_ABI_VERSION || args->role != ST_ROLE_DSP || args->sample_format != ST_FORMAT_F32LE)
        return ST_UNSUPPORTED;
    if (!st_rate_allowed(args->sample_rate) || !st_layout_allows(args->channels)) return ST_UNSUPPORTED;
    if (args->max_frames == 0 || args->max_frames > ST_MAX_FRAMES) return ST_INVALID_ARG;
    if (args->in_offset != ST_IN_OFFSET) return ST_INVALID_ARG;
    if (args->out_offset != ST_OUT_OFFSET && args->out_offset != ST_IN_OFFSET) return ST_INVALID_ARG;
    if (args->buffer_bytes < args->max_frames * args->channels * 4u || args->buffer_bytes > ST_REGION_BYTES)
        return ST_INVALID_ARG;
    st_hot.max_frames = args->max_frames;
    st_hot.in = (const float *)(uptr)args->in_offset;
    st_hot.out = (float *)(uptr)args->out_offset;
    st_defaults(st_describe.schema, &st_hot.values);
    st_plugin_init(&st_hot.plugin, args->sample_rate, args->channels);
    st_plugin_apply(&st_hot.plugin, &st_hot.values, 0);
    st_hot.started = 0;
    st_hot.ready = 1;
    *out_ctx = ST_HANDLE;
    return ST_OK;
}

ST_EXPORT("st_hot_process") i32 st_hot_process(u32 ctx, u32 frames, u32 *out_frames, u32 *out_flags) {
    if (!st_hot.ready || ctx != ST_HANDLE) return ST_NOT_READY;
    if (frames > st_hot.max_frames) return ST_INVALID_ARG;
    st_hot.started = 1;
    if (frames) st_plugin_process(&st_hot.plugin, st_hot.in, st_hot.out, frames);
    *out_frames = frames;
    *out_flags = 0;
    return ST_OK;
}

ST_EXPORT("st_hot_reset") i32 st_hot_reset(u32 ctx, u32 flags) {
    (void)flags;
    if (!st_hot.ready || ctx != ST_HANDLE) return ST_NOT_READY;
    st_plugin_reset(&st_hot.plugin);
    return ST_OK;
}

ST_EXPORT("st_hot_drop") void st_hot_drop(u32 ctx) {
    if (ctx == ST_HANDLE) st_hot.ready = 0;
}

ST_EXPORT("st_hot_config") i32 st_hot_config(u32 ctx, const char *text, u32 len) {
    if (!st_hot.ready || ctx != ST_HANDLE) return ST_NOT_READY;
    if (!st_parse(st_describe.schema, text, len, &st_hot.fresh, &st_hot.error)) return ST_INVALID_ARG;
    st_hot.values = st_hot.fresh;
    st_plugin_apply(&st_hot.plugin, &st_hot.values, st_hot.started);
    return ST_OK;
}

ST_EXPORT("st_hot_latency") i32 st_hot_latency(u32 ctx) {
    return st_hot.ready && ctx == ST_HANDLE ? (i32)st_plugin_latency(&st_hot.plugin) : 0;
}

ST_EXPORT("st_hot_tail") i32 st_hot_tail(u32 ctx) {
    return st_hot.ready && ctx == ST_HANDLE ? st_plugin_tail(&st_hot.plugin) : 0;
}
