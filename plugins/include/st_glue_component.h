/* The component of a DSP plugin: world stellatune:plugin/dsp-plugin@0.1.0, with the canonical ABI written out. */
#pragma once
#include "st_component.h"
#include "st_layout.h"

#define ST_DSP "stellatune:plugin/dsp@0.1.0"
#define ST_METHOD ST_DSP "#[method]processor."

#define ST_MAX_INSTANCES 8

typedef struct {
    u32 in_offset;
    st_option_u32 out_offset;
    u32 max_frames;
    u16 channels;
    u8 sample_format, interleaved;
} st_buffer_layout;
typedef struct {
    u8 role;
    st_text wasm_rel_path;
    u32 abi_version;
    st_text memory_export, init_export, process_export;
    st_option_text reset_export, drop_export;
    st_buffer_layout buffer;
} st_core_module_spec;
typedef struct {
    u8 failed;
    union {
        struct {
            u8 some;
            st_core_module_spec value;
        } spec;
        st_plugin_error error;
    };
} st_result_spec;
_Static_assert(sizeof(st_core_module_spec) == 84, "canonical layout");
_Static_assert(sizeof(st_result_spec) == 92, "canonical layout");

/* ---- instances ---- */
typedef struct {
    int used, started, closed;
    u32 rate, channels;
    st_values values;
    st_plugin plugin __attribute__((aligned(16)));
} st_processor;
static st_processor st_pool[ST_MAX_INSTANCES];
static st_values st_fresh;
static st_error st_message;
static char st_state[ST_STATE_BYTES];

ST_IMPORT("[export]" ST_DSP, "[resource-new]processor") i32 st_resource_new(st_processor *rep);

static st_text st_message_text(void) { return (st_text){st_message.text, st_message.len}; }
#define ST_CLOSED ST_TEXT("the processor is closed")

ST_EXPORT(ST_DSP "#create") st_result_handle *st_create(u32 rate, u32 channels) {
    static st_result_handle r;
    r.failed = 1;
    if (!st_rate_allowed(rate)) {
        r.error = st_fail(ST_E_UNSUPPORTED, ST_TEXT("sample-rate: expected 8000 to 192000 Hz"));
        return &r;
    }
    if (!st_layout_allows(channels)) {
        r.error = st_fail(ST_E_UNSUPPORTED, ST_TEXT("channels: this layout is not supported"));
        return &r;
    }
    for (u32 i = 0; i < ST_MAX_INSTANCES; i++) {
        st_processor *p = &st_pool[i];
        if (p->used) continue;
        p->used = 1, p->started = 0, p->closed = 0, p->rate = rate, p->channels = channels;
        st_defaults(st_describe.schema, &p->values);
        st_plugin_init(&p->plugin, rate, channels);
        st_plugin_apply(&p->plugin, &p->values, 0);
        r.failed = 0;
        r.handle = st_resource_new(p);
        return &r;
    }
    r.error = st_fail(ST_E_INTERNAL, ST_TEXT("too many processors in one instance (8)"));
    return &r;
}
ST_EXPORT("cabi_post_" ST_DSP "#create") void st_post_create(void *r) { (void)r, st_arena_clear(); }

ST_EXPORT(ST_DSP "#[dtor]processor") void st_destroy(st_processor *p) { p->used = 0; }

ST_EXPORT(ST_METHOD "describe-hot-path") st_result_spec *st_describe_hot_path(st_processor *p, u32 rate, u32 channels) {
    static st_result_spec r;
    st_zero(&r, sizeof r);
    (void)p;
    if (!st_rate_allowed(rate) || !st_layout_allows(channels)) return &r; /* none: no hot path for this spec */
    r.spec.some = 1;
    st_core_module_spec *m = &r.spec.value;
    u32 n = 0;
    while (st_describe.hot_path[n]) n++;
    m->role = 0;
    m->wasm_rel_path = (st_text){st_describe.hot_path, n};
    m->abi_version = 1;
    m->memory_export = ST_TEXT("memory");
    m->init_export = ST_TEXT("st_hot_init");
    m->process_export = ST_TEXT("st_hot_process");
    m->reset_export = (st_option_text){1, ST_TEXT("st_hot_reset")};
    m->drop_export = (st_option_text){1, ST_TEXT("st_hot_drop")};
    m->buffer = (st_buffer_layout){ST_IN_OFFSET, {1, ST_OUT_OFFSET}, ST_MAX_FRAMES, (u16)channels, 0, 1};
    return &r;
}
ST_EXPORT("cabi_post_" ST_METHOD "describe-hot-path") void st_post_describe(void *r) { (void)r, st_arena_clear(); }

ST_EXPORT(ST_METHOD "process-interleaved-f32")
st_result_bytes *st_process(st_processor *p, u32 channels, float *samples, u32 bytes) {
    static st_result_bytes r;
    r.failed = 1;
    if (p->closed) r.error = st_fail(ST_E_INVALID_ARG, ST_CLOSED);
    else if (channels != p->channels) r.error = st_fail(ST_E_INVALID_ARG, ST_TEXT("channels: not what the processor was created for"));
    else if (bytes % (4 * channels)) r.error = st_fail(ST_E_INVALID_ARG, ST_TEXT("interleaved-f32le: not a whole number of frames"));
    else r.failed = 0;
    if (r.failed) return &r;
    /* A list of bytes need not be aligned; wasm does not mind, and the kernels load unaligned. */
    p->started = 1;
    u32 left = bytes / (4 * channels);
    float *at = samples;
    while (left) {
        const u32 n = left < ST_MAX_FRAMES ? left : ST_MAX_FRAMES;
        st_plugin_process(&p->plugin, at, at, n);
        at += n * channels;
        left -= n;
    }
    r.bytes = (st_text){samples, bytes};
    return &r;
}
ST_EXPORT("cabi_post_" ST_METHOD "process-interleaved-f32") void st_post_process(void *r) { (void)r, st_arena_clear(); }

ST_EXPORT(ST_METHOD "supported-layouts") u32 st_supported_layouts(st_processor *p) { return (void)p, st_describe.layouts; }
ST_EXPORT(ST_METHOD "output-channels") u32 st_output_channels(st_processor *p) { return p->channels; }

ST_EXPORT(ST_METHOD "plan-config-update-json") st_result_plan *st_plan(st_processor *p, const char *text, u32 len) {
    static st_result_plan r;
    st_zero(&r, sizeof r);
    if (!st_parse(st_describe.schema, text, len, &st_fresh, &st_message)) {
        r.plan.mode = ST_REJECT;
        r.plan.reason = (st_option_text){1, st_message_text()};
    } else if (st_plugin_needs_recreate(&p->values, &st_fresh)) {
        r.plan.mode = ST_RECREATE;
        r.plan.reason = (st_option_text){1, ST_TEXT("the change alters the latency")};
    }
    return &r;
}
ST_EXPORT("cabi_post_" ST_METHOD "plan-config-update-json") void st_post_plan(void *r) { (void)r, st_arena_clear(); }

static st_result_unit *st_take(st_processor *p, const char *text, u32 len) {
    if (p->closed) {
        st_unit.failed = 1, st_unit.error = st_fail(ST_E_INVALID_ARG, ST_CLOSED);
        return &st_unit;
    }
    if (!st_parse(st_describe.schema, text, len, &st_fresh, &st_message)) {
        st_unit.failed = 1, st_unit.error = st_fail(ST_E_INVALID_ARG, st_message_text());
        return &st_unit;
    }
    p->values = st_fresh;
    st_plugin_apply(&p->plugin, &p->values, p->started);
    return st_done();
}
ST_EXPORT(ST_METHOD "apply-config-update-json") st_result_unit *st_apply(st_processor *p, const char *text, u32 len) {
    return st_take(p, text, len);
}
ST_EXPORT("cabi_post_" ST_METHOD "apply-config-update-json") void st_post_apply(void *r) { (void)r, st_arena_clear(); }

ST_EXPORT(ST_METHOD "export-state-json") st_result_option_text *st_export_state(st_processor *p) {
    static st_result_option_text r;
    r.failed = 0;
    r.text = (st_option_text){1, {st_state, st_export(st_describe.schema, &p->values, st_state, sizeof st_state)}};
    return &r;
}
ST_EXPORT("cabi_post_" ST_METHOD "export-state-json") void st_post_export(void *r) { (void)r, st_arena_clear(); }

ST_EXPORT(ST_METHOD "import-state-json") st_result_unit *st_import_state(st_processor *p, const char *text, u32 len) {
    return st_take(p, text, len);
}
ST_EXPORT("cabi_post_" ST_METHOD "import-state-json") void st_post_import(void *r) { (void)r, st_arena_clear(); }

ST_EXPORT(ST_METHOD "close") void st_close(st_processor *p) { p->closed = 1; }
