/* The component of a sink: world stellatune:plugin/output-sink-plugin@0.1.0, with the canonical ABI written out. A sink has no
 * configuration and no core module: what there is to choose belongs to its targets. */
#pragma once

#define ST_SINK "stellatune:plugin/output-sink@0.1.0"
#define ST_METHOD ST_SINK "#[method]session."

#define ST_MAX_SESSIONS 4

typedef struct {
    u8 failed;
    union {
        st_negotiated negotiated;
        st_plugin_error error;
    };
} st_result_negotiated;
typedef struct {
    u8 failed;
    union {
        st_sink_state state;
        st_plugin_error error;
    };
} st_result_state;
_Static_assert(sizeof(st_result_negotiated) == 20, "canonical layout");
_Static_assert(sizeof(st_result_state) == 16, "canonical layout");

typedef struct {
    u8 used, closed;
    st_sink sink;
} st_session;
static st_session st_sessions[ST_MAX_SESSIONS];

ST_IMPORT("[export]" ST_SINK, "[resource-new]session") i32 st_resource_new(st_session *rep);

#define ST_CLOSED st_fail(ST_E_INVALID_ARG, ST_TEXT("the session is closed"))
static st_result_unit *st_answer(int succeeded, st_plugin_error error) {
    st_unit.failed = !succeeded;
    if (!succeeded) st_unit.error = error;
    return &st_unit;
}
static int st_is_target(st_text text, st_plugin_error *error) {
    st_slice document;
    if (st_json_document(text, &document) && *document.at == '{') return 1;
    return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("the target is no JSON object")), 0;
}

ST_EXPORT(ST_SINK "#create") st_result_handle *st_create(void) {
    static st_result_handle r;
    for (u32 i = 0; i < ST_MAX_SESSIONS; i++) {
        st_session *p = &st_sessions[i];
        if (p->used) continue;
        st_zero(p, sizeof *p);
        p->used = 1;
        r.failed = 0, r.handle = st_resource_new(p);
        return &r;
    }
    r.failed = 1, r.error = st_fail(ST_E_INTERNAL, ST_TEXT("too many sessions in one instance (4)"));
    return &r;
}
ST_POST(ST_SINK "#create", st_post_create)

ST_EXPORT(ST_METHOD "close") void st_close(st_session *p) {
    if (!p->closed) st_sink_close(&p->sink);
    p->closed = 1;
}
ST_EXPORT(ST_SINK "#[dtor]session") void st_destroy(st_session *p) {
    st_close(p);
    st_zero(p, sizeof *p);
}

ST_EXPORT(ST_METHOD "list-targets-json") st_result_bytes *st_targets(st_session *p) {
    static st_result_bytes r;
    st_plugin_error error = ST_CLOSED;
    st_text text = {0, 0};
    r.failed = p->closed || !st_sink_targets(&p->sink, &text, &error);
    if (r.failed) r.error = error;
    else r.bytes = text;
    return &r;
}
ST_POST(ST_METHOD "list-targets-json", st_post_targets)

ST_EXPORT(ST_METHOD "negotiate-spec-json")
st_result_negotiated *st_negotiate(st_session *p, const char *target, u32 len, u32 rate, u32 channels) {
    static st_result_negotiated r;
    st_plugin_error error = ST_CLOSED;
    st_negotiated found = {0};
    const st_text text = {target, len};
    r.failed = p->closed || !st_is_target(text, &error) || !st_sink_negotiate(&p->sink, text, rate, channels, &found, &error);
    if (r.failed) r.error = error;
    else r.negotiated = found;
    return &r;
}
ST_POST(ST_METHOD "negotiate-spec-json", st_post_negotiate)

/* option<core-module-spec>, which is never there: as large as it would be. */
ST_EXPORT(ST_METHOD "describe-hot-path") u8 *st_describe_hot_path(st_session *p, u32 rate, u32 channels) {
    static u8 r[92] __attribute__((aligned(4)));
    (void)p, (void)rate, (void)channels;
    return r;
}
ST_POST(ST_METHOD "describe-hot-path", st_post_describe)

ST_EXPORT(ST_METHOD "open-json") st_result_unit *st_open(st_session *p, const char *target, u32 len, u32 rate, u32 channels) {
    st_plugin_error error = ST_CLOSED;
    const st_text text = {target, len};
    return st_answer(!p->closed && st_is_target(text, &error) && st_sink_open(&p->sink, text, rate, channels, &error), error);
}
ST_POST(ST_METHOD "open-json", st_post_open)

ST_EXPORT(ST_METHOD "write-interleaved-f32") st_result_u32 *st_write(st_session *p, u32 channels, const void *samples, u32 bytes) {
    static st_result_u32 r;
    st_plugin_error error = ST_CLOSED;
    u32 accepted = 0;
    r.failed = 1;
    if (p->closed) r.error = error;
    else if (!channels || bytes % (4 * channels)) r.error = st_fail(ST_E_INVALID_ARG, ST_TEXT("not a whole number of frames"));
    else if (!st_sink_write(&p->sink, samples, bytes / (4 * channels), channels, &accepted, &error)) r.error = error;
    else r.failed = 0, r.value = accepted;
    return &r;
}
ST_POST(ST_METHOD "write-interleaved-f32", st_post_write)

ST_EXPORT(ST_METHOD "query-status") st_result_state *st_query(st_session *p) {
    static st_result_state r;
    st_plugin_error error = ST_CLOSED;
    st_sink_state state = {0};
    r.failed = p->closed || !st_sink_status(&p->sink, &state, &error);
    if (r.failed) r.error = error;
    else r.state = state;
    return &r;
}
ST_POST(ST_METHOD "query-status", st_post_query)

ST_EXPORT(ST_METHOD "flush") st_result_unit *st_flush(st_session *p) {
    st_plugin_error error = ST_CLOSED;
    return st_answer(!p->closed && st_sink_flush(&p->sink, &error), error);
}
ST_POST(ST_METHOD "flush", st_post_flush)

ST_EXPORT(ST_METHOD "reset") st_result_unit *st_reset(st_session *p) {
    st_plugin_error error = ST_CLOSED;
    return st_answer(!p->closed && st_sink_reset(&p->sink, &error), error);
}
ST_POST(ST_METHOD "reset", st_post_reset)

/* ---- no configuration, no state ---- */
static int st_nothing_in(const char *text, u32 len, st_plugin_error *error) {
    st_slice document, key, value;
    if (!st_json_document((st_text){text, len}, &document) || *document.at != '{')
        return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("the configuration is no JSON object")), 0;
    if (st_json_next(&document, &key, &value))
        return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("there is nothing to configure")), 0;
    return 1;
}
ST_EXPORT(ST_METHOD "plan-config-update-json") st_result_plan *st_plan(st_session *p, const char *text, u32 len) {
    static st_result_plan r;
    st_plugin_error error;
    (void)p;
    st_zero(&r, sizeof r);
    if (!st_nothing_in(text, len, &error)) r.plan.mode = ST_REJECT, r.plan.reason = (st_option_text){1, error.message};
    return &r;
}
ST_POST(ST_METHOD "plan-config-update-json", st_post_plan)

ST_EXPORT(ST_METHOD "apply-config-update-json") st_result_unit *st_apply(st_session *p, const char *text, u32 len) {
    st_plugin_error error = ST_CLOSED;
    return st_answer(!p->closed && st_nothing_in(text, len, &error), error);
}
ST_POST(ST_METHOD "apply-config-update-json", st_post_apply)

ST_EXPORT(ST_METHOD "export-state-json") st_result_option_text *st_export_state(st_session *p) {
    static st_result_option_text r;
    (void)p;
    st_zero(&r, sizeof r);
    return &r;
}
ST_POST(ST_METHOD "export-state-json", st_post_export)

ST_EXPORT(ST_METHOD "import-state-json") st_result_unit *st_import_state(st_session *p, const char *text, u32 len) {
    (void)p, (void)text, (void)len;
    return st_answer(0, st_fail(ST_E_UNSUPPORTED, ST_TEXT("there is no state to take over")));
}
ST_POST(ST_METHOD "import-state-json", st_post_import)
