/* The component of a decoder plugin: world stellatune:plugin/decoder-plugin@0.1.0, with the canonical ABI written out.
 *
 * An instance has room for ST_MAX_SESSIONS sessions at a time; a session's memory is taken from the host when its place is first
 * used, and kept for the next one.
 */
#pragma once
#include "st_config.h"

#define ST_DECODER "stellatune:plugin/decoder@0.1.0"
#define ST_METHOD ST_DECODER "#[method]session."

#define ST_MAX_SESSIONS 4
#define ST_PCM_SAMPLES (1u << 16)

typedef struct {
    u8 failed;
    union {
        st_decoder_info info;
        st_plugin_error error;
    };
} st_result_info;
typedef struct {
    u8 failed;
    union {
        struct {
            st_text interleaved;
            u32 frames;
            u8 eof;
        } chunk;
        st_plugin_error error;
    };
} st_result_chunk;
_Static_assert(sizeof(st_result_info) == 48, "canonical layout");
_Static_assert(sizeof(st_result_chunk) == 20, "canonical layout");

typedef struct {
    u8 used, closed;
    st_decoder *decoder;
} st_session;
static st_session st_sessions[ST_MAX_SESSIONS];
static float st_pcm[ST_PCM_SAMPLES] __attribute__((aligned(16)));
static const st_schema st_no_parameters;
static st_values st_fresh;
static st_error st_message;

ST_IMPORT("[export]" ST_DECODER, "[resource-new]session") i32 st_resource_new(st_session *rep);

#define ST_CLOSED st_fail(ST_E_INVALID_ARG, ST_TEXT("the session is closed"))

static st_result_unit *st_unit_of(int done, st_plugin_error error) {
    st_unit.failed = !done;
    if (!done) st_unit.error = error;
    return &st_unit;
}

/* A free place with its memory; null where there is none. */
static st_session *st_place(st_plugin_error *error) {
    for (u32 i = 0; i < ST_MAX_SESSIONS; i++) {
        st_session *s = &st_sessions[i];
        if (s->used) continue;
        if (!s->decoder) s->decoder = st_keep(sizeof *s->decoder);
        if (!s->decoder) return *error = st_fail(ST_E_INTERNAL, ST_TEXT("the host gives no more memory")), (void *)0;
        return s;
    }
    return *error = st_fail(ST_E_INTERNAL, ST_TEXT("too many sessions in one instance (4)")), (void *)0;
}

ST_EXPORT(ST_DECODER "#open") st_result_handle *st_open(i32 handle, u32 has_hint, const char *hint, u32 hint_len) {
    static st_result_handle r;
    st_stream stream = {handle, 1};
    r.failed = 1;
    st_session *s = st_place(&r.error);
    if (!s || !st_decoder_open(s->decoder, stream, has_hint ? (st_text){hint, hint_len} : (st_text){0, 0}, &r.error)) {
        st_stream_close(&stream);
        return &r;
    }
    s->used = 1, s->closed = 0;
    r.failed = 0;
    r.handle = st_resource_new(s);
    return &r;
}
ST_POST(ST_DECODER "#open", st_post_open)

static void st_end(st_session *s) {
    if (!s->closed) st_stream_close(st_decoder_stream(s->decoder));
    s->closed = 1;
}
ST_EXPORT(ST_DECODER "#[dtor]session") void st_destroy(st_session *s) { st_end(s), s->used = 0; }
ST_EXPORT(ST_METHOD "close") void st_close(st_session *s) { st_end(s); }

ST_EXPORT(ST_METHOD "info") st_result_info *st_info(st_session *s) {
    static st_result_info r;
    st_zero(&r, sizeof r);
    if (s->closed) r.failed = 1, r.error = ST_CLOSED;
    else st_decoder_describe(s->decoder, &r.info);
    return &r;
}
ST_POST(ST_METHOD "info", st_post_info)

ST_EXPORT(ST_METHOD "metadata") st_result_metadata *st_metadata(st_session *s) {
    static st_result_metadata r;
    st_plugin_error error = ST_CLOSED;
    st_zero(&r, sizeof r);
    r.failed = s->closed || !st_decoder_metadata(s->decoder, &r.metadata, &error);
    if (r.failed) r.error = error;
    return &r;
}
ST_POST(ST_METHOD "metadata", st_post_metadata)

ST_EXPORT(ST_METHOD "read-pcm-f32") st_result_chunk *st_read(st_session *s, u32 max_frames) {
    static st_result_chunk r;
    st_plugin_error error = ST_CLOSED;
    st_zero(&r, sizeof r);
    if (s->closed) return r.failed = 1, r.error = error, &r;
    st_decoder_info info;
    st_decoder_describe(s->decoder, &info);
    const u32 room = ST_PCM_SAMPLES / info.channels, frames = max_frames < room ? max_frames : room;
    u32 got = 0;
    u8 eof = 0;
    r.failed = !st_decoder_read(s->decoder, st_pcm, frames, &got, &eof, &error);
    if (r.failed) return r.error = error, &r;
    r.chunk.interleaved = (st_text){st_pcm, got * info.channels * 4};
    r.chunk.frames = got, r.chunk.eof = eof;
    return &r;
}
ST_POST(ST_METHOD "read-pcm-f32", st_post_read)

ST_EXPORT(ST_METHOD "seek-ms") st_result_unit *st_seek_ms(st_session *s, u64 position_ms) {
    st_plugin_error error = ST_CLOSED;
    const int done = !s->closed && st_decoder_seek_ms(s->decoder, position_ms, &error);
    return st_unit_of(done, error);
}
ST_POST(ST_METHOD "seek-ms", st_post_seek)

/* ---- configuration: there is none, so any object will do ---- */
static int st_config_fits(const char *text, u32 len) {
    return st_parse(&st_no_parameters, text, len, &st_fresh, &st_message);
}
static st_text st_message_text(void) { return (st_text){st_message.text, st_message.len}; }

ST_EXPORT(ST_METHOD "plan-config-update-json") st_result_plan *st_plan(st_session *s, const char *text, u32 len) {
    static st_result_plan r;
    (void)s;
    st_zero(&r, sizeof r);
    if (!st_config_fits(text, len)) r.plan.mode = ST_REJECT, r.plan.reason = (st_option_text){1, st_message_text()};
    return &r;
}
ST_POST(ST_METHOD "plan-config-update-json", st_post_plan)

ST_EXPORT(ST_METHOD "apply-config-update-json") st_result_unit *st_apply(st_session *s, const char *text, u32 len) {
    if (s->closed) return st_unit_of(0, ST_CLOSED);
    const int fits = st_config_fits(text, len);
    return st_unit_of(fits, st_fail(ST_E_INVALID_ARG, st_message_text()));
}
ST_POST(ST_METHOD "apply-config-update-json", st_post_apply)

ST_EXPORT(ST_METHOD "export-state-json") st_result_option_text *st_export_state(st_session *s) {
    static st_result_option_text r;
    (void)s;
    st_zero(&r, sizeof r);
    return &r;
}
ST_POST(ST_METHOD "export-state-json", st_post_export)

ST_EXPORT(ST_METHOD "import-state-json") st_result_unit *st_import_state(st_session *s, const char *text, u32 len) {
    (void)text, (void)len;
    return st_unit_of(!s->closed, ST_CLOSED);
}
ST_POST(ST_METHOD "import-state-json", st_post_import)
