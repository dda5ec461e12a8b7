/* The component of a source plugin: world stellatune:plugin/source-plugin@0.1.0, with the canonical ABI written out. */
#pragma once

#define ST_SOURCE "stellatune:plugin/source@0.1.0"
#define ST_METHOD ST_SOURCE "#[method]catalog."
#define ST_STREAM ST_SOURCE "#[method]source-stream."

#define ST_MAX_CATALOGS 8
#define ST_LIST_MOST (8u << 20) /* a host ends an instance that answers with more */

typedef struct {
    u8 failed;
    union {
        struct {
            struct {
                u8 tag; /* 0 passthrough, 1 processed */
                i32 handle;
            } stream;
            st_option_text ext_hint;
            struct {
                u8 some;
                st_media_metadata value;
            } metadata;
        } opened;
        st_plugin_error error;
    };
} st_result_opened;
_Static_assert(sizeof(st_result_opened) == 208, "canonical layout");

typedef struct {
    u8 used, closed;
    st_source source;
} st_catalog;
static st_catalog st_catalogs[ST_MAX_CATALOGS];
static st_source st_candidate;

ST_IMPORT("[export]" ST_SOURCE, "[resource-new]catalog") i32 st_resource_new(st_catalog *rep);

#define ST_CLOSED st_fail(ST_E_INVALID_ARG, ST_TEXT("the catalogue is closed"))
static st_result_unit *st_refused(st_plugin_error error) {
    st_unit.failed = 1, st_unit.error = error;
    return &st_unit;
}

ST_EXPORT(ST_SOURCE "#create") st_result_handle *st_create(void) {
    static st_result_handle r;
    for (u32 i = 0; i < ST_MAX_CATALOGS; i++) {
        st_catalog *c = &st_catalogs[i];
        if (c->used) continue;
        st_zero(c, sizeof *c);
        r.failed = !st_source_configure(&c->source, ST_TEXT("{}"), &r.error);
        if (r.failed) return &r;
        c->used = 1;
        r.handle = st_resource_new(c);
        return &r;
    }
    r.failed = 1, r.error = st_fail(ST_E_INTERNAL, ST_TEXT("too many catalogues in one instance (8)"));
    return &r;
}
ST_POST(ST_SOURCE "#create", st_post_create)

ST_EXPORT(ST_SOURCE "#[dtor]catalog") void st_destroy(st_catalog *c) { st_zero(c, sizeof *c); }
ST_EXPORT(ST_METHOD "close") void st_close(st_catalog *c) { st_zero(&c->source, sizeof c->source), c->closed = 1; }

ST_EXPORT(ST_METHOD "list-items-json") st_result_bytes *st_list(st_catalog *c, const char *request, u32 len) {
    static st_result_bytes r;
    st_plugin_error error = ST_CLOSED;
    st_buffer out = {0};
    r.failed = c->closed || !st_source_list(&c->source, (st_text){request, len}, &out, &error);
    if (!r.failed && (out.full || out.len > ST_LIST_MOST)) r.failed = 1, error = st_fail(ST_E_INTERNAL, ST_TEXT("the answer is too long; ask for fewer items"));
    if (r.failed) r.error = error;
    else r.bytes = st_built(&out);
    return &r;
}
ST_POST(ST_METHOD "list-items-json", st_post_list)

static st_result_opened st_opened_result;
static st_result_opened *st_give(int done, st_opened *opened, st_plugin_error error) {
    st_result_opened *r = &st_opened_result;
    st_zero(r, sizeof *r);
    r->failed = !done;
    if (!done) return r->error = error, r;
    r->opened.stream.handle = opened->stream.handle;
    r->opened.ext_hint = opened->ext_hint;
    r->opened.metadata.some = opened->has_metadata;
    r->opened.metadata.value = opened->metadata;
    return r;
}
ST_EXPORT(ST_METHOD "open-stream-json") st_result_opened *st_open_stream(st_catalog *c, const char *track, u32 len) {
    st_opened opened = {0};
    st_plugin_error error = ST_CLOSED;
    const int done = !c->closed && st_source_open_track(&c->source, (st_text){track, len}, &opened, &error);
    return st_give(done, &opened, error);
}
ST_POST(ST_METHOD "open-stream-json", st_post_open_stream)
ST_EXPORT(ST_METHOD "open-uri") st_result_opened *st_open_uri(st_catalog *c, const char *uri, u32 len) {
    st_opened opened = {0};
    st_plugin_error error = ST_CLOSED;
    const int done = !c->closed && st_source_open_uri(&c->source, (st_text){uri, len}, &opened, &error);
    return st_give(done, &opened, error);
}
ST_POST(ST_METHOD "open-uri", st_post_open_uri)

/* ---- configuration; there is no state ---- */
ST_EXPORT(ST_METHOD "plan-config-update-json") st_result_plan *st_plan(st_catalog *c, const char *text, u32 len) {
    static st_result_plan r;
    st_plugin_error error;
    (void)c;
    st_zero(&r, sizeof r), st_zero(&st_candidate, sizeof st_candidate);
    if (!st_source_configure(&st_candidate, (st_text){text, len}, &error))
        r.plan.mode = ST_REJECT, r.plan.reason = (st_option_text){1, error.message};
    st_zero(&st_candidate, sizeof st_candidate);
    return &r;
}
ST_POST(ST_METHOD "plan-config-update-json", st_post_plan)

ST_EXPORT(ST_METHOD "apply-config-update-json") st_result_unit *st_apply(st_catalog *c, const char *text, u32 len) {
    if (c->closed) return st_refused(ST_CLOSED);
    st_plugin_error error;
    return st_source_configure(&c->source, (st_text){text, len}, &error) ? st_done() : st_refused(error);
}
ST_POST(ST_METHOD "apply-config-update-json", st_post_apply)

ST_EXPORT(ST_METHOD "export-state-json") st_result_option_text *st_export_state(st_catalog *c) {
    static st_result_option_text r;
    (void)c;
    st_zero(&r, sizeof r);
    return &r;
}
ST_POST(ST_METHOD "export-state-json", st_post_export)

ST_EXPORT(ST_METHOD "import-state-json") st_result_unit *st_import_state(st_catalog *c, const char *text, u32 len) {
    (void)c, (void)text, (void)len;
    return st_refused(st_fail(ST_E_UNSUPPORTED, ST_TEXT("there is no state to take over")));
}
ST_POST(ST_METHOD "import-state-json", st_post_import)

/* ---- streams of the plugin's own: none are ever made, but the interface has them ---- */
ST_EXPORT(ST_SOURCE "#[dtor]source-stream") void st_stream_destroy(void *s) { (void)s; }
ST_EXPORT(ST_STREAM "close") void st_stream_end(void *s) { (void)s; }
ST_EXPORT(ST_STREAM "metadata") st_result_metadata *st_stream_metadata(void *s) { return (void)s, __builtin_trap(), (void *)0; }
ST_EXPORT(ST_STREAM "read") st_result_bytes *st_stream_chunk(void *s, u32 n) { return (void)s, (void)n, __builtin_trap(), (void *)0; }
