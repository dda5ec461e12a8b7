/* The host's HTTP client, as a component imports it. */
#pragma once
#include "st_component.h"

ST_IMPORT("stellatune:plugin/http-client@0.1.0", "fetch-json")
void st_import_fetch_json(const void *url, u32 len, st_result_bytes *result);

/* The document behind a URL; it lives until the call of the export ends. */
ST_UNUSED static int st_fetch_json(st_text url, st_text *out, st_plugin_error *error) {
    static st_result_bytes r;
    st_import_fetch_json(url.at, url.len, &r);
    if (r.failed) *error = r.error;
    else *out = r.bytes;
    return !r.failed;
}
