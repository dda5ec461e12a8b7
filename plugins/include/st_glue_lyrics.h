/* The component of a lyrics plugin: world stellatune:plugin/lyrics-plugin@0.1.0, with the canonical ABI written out. */
#pragma once

#define ST_LYRICS "stellatune:plugin/lyrics@0.1.0"
#define ST_METHOD ST_LYRICS "#[method]provider."

#define ST_MAX_PROVIDERS 8

typedef struct {
    u8 failed;
    union {
        struct {
            const st_candidate *at;
            u32 len;
        } candidates;
        st_plugin_error error;
    };
} st_result_candidates;
_Static_assert(sizeof(st_candidate) == 24, "canonical layout");
_Static_assert(sizeof(st_result_candidates) == 16, "canonical layout");

typedef struct {
    u8 used, closed;
    st_lyrics lyrics;
} st_provider;
static st_provider st_providers[ST_MAX_PROVIDERS];
static st_lyrics st_untried;
static st_candidate st_hits[ST_MAX_CANDIDATES];

ST_IMPORT("[export]" ST_LYRICS, "[resource-new]provider") i32 st_resource_new(st_provider *rep);

#define ST_CLOSED st_fail(ST_E_INVALID_ARG, ST_TEXT("the provider is closed"))
static st_result_unit *st_refused(st_plugin_error error) {
    st_unit.failed = 1, st_unit.error = error;
    return &st_unit;
}

ST_EXPORT(ST_LYRICS "#create") st_result_handle *st_create(void) {
    static st_result_handle r;
    for (u32 i = 0; i < ST_MAX_PROVIDERS; i++) {
        st_provider *p = &st_providers[i];
        if (p->used) continue;
        st_zero(p, sizeof *p);
        r.failed = !st_lyrics_configure(&p->lyrics, ST_TEXT("{}"), &r.error);
        if (r.failed) return &r;
        p->used = 1;
        r.handle = st_resource_new(p);
        return &r;
    }
    r.failed = 1, r.error = st_fail(ST_E_INTERNAL, ST_TEXT("too many providers in one instance (8)"));
    return &r;
}
ST_POST(ST_LYRICS "#create", st_post_create)

ST_EXPORT(ST_LYRICS "#[dtor]provider") void st_destroy(st_provider *p) { st_zero(p, sizeof *p); }
ST_EXPORT(ST_METHOD "close") void st_close(st_provider *p) { p->closed = 1; }

ST_EXPORT(ST_METHOD "search") st_result_candidates *st_search(st_provider *p, const char *keyword, u32 len) {
    static st_result_candidates r;
    st_plugin_error error = ST_CLOSED;
    u32 count = 0;
    r.failed = p->closed || !st_lyrics_search(&p->lyrics, (st_text){keyword, len}, st_hits, &count, &error);
    if (r.failed) r.error = error;
    else r.candidates.at = st_hits, r.candidates.len = count;
    return &r;
}
ST_POST(ST_METHOD "search", st_post_search)

ST_EXPORT(ST_METHOD "fetch") st_result_bytes *st_fetch(st_provider *p, const char *id, u32 len) {
    static st_result_bytes r;
    st_plugin_error error = ST_CLOSED;
    st_text text = {0, 0};
    r.failed = p->closed || !st_lyrics_fetch(&p->lyrics, (st_text){id, len}, &text, &error);
    if (r.failed) r.error = error;
    else r.bytes = text;
    return &r;
}
ST_POST(ST_METHOD "fetch", st_post_fetch)

/* ---- configuration; there is no state ---- */
ST_EXPORT(ST_METHOD "plan-config-update-json") st_result_plan *st_plan(st_provider *p, const char *text, u32 len) {
    static st_result_plan r;
    st_plugin_error error;
    (void)p;
    st_zero(&r, sizeof r), st_zero(&st_untried, sizeof st_untried);
    if (!st_lyrics_configure(&st_untried, (st_text){text, len}, &error))
        r.plan.mode = ST_REJECT, r.plan.reason = (st_option_text){1, error.message};
    return &r;
}
ST_POST(ST_METHOD "plan-config-update-json", st_post_plan)

ST_EXPORT(ST_METHOD "apply-config-update-json") st_result_unit *st_apply(st_provider *p, const char *text, u32 len) {
    if (p->closed) return st_refused(ST_CLOSED);
    st_plugin_error error;
    return st_lyrics_configure(&p->lyrics, (st_text){text, len}, &error) ? st_done() : st_refused(error);
}
ST_POST(ST_METHOD "apply-config-update-json", st_post_apply)

ST_EXPORT(ST_METHOD "export-state-json") st_result_option_text *st_export_state(st_provider *p) {
    static st_result_option_text r;
    (void)p;
    st_zero(&r, sizeof r);
    return &r;
}
ST_POST(ST_METHOD "export-state-json", st_post_export)

ST_EXPORT(ST_METHOD "import-state-json") st_result_unit *st_import_state(st_provider *p, const char *text, u32 len) {
    (void)p, (void)text, (void)len;
    return st_refused(st_fail(ST_E_UNSUPPORTED, ST_TEXT("there is no state to take over")));
}
ST_POST(ST_METHOD "import-state-json", st_post_import)
