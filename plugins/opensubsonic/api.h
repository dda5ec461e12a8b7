/* The server: whose configuration it is, how it is asked, and what its answers and errors mean. */
#pragma once
#include "st_source.h"

#include "st_http.h"
#include "st_md5.h"

#define MOST_ANSWER (32u << 20)
#define MOST_MS 1000000000000ull

enum { SERVER_URL, USERNAME, PASSWORD, AUTH, API_KEY, SETTINGS };
static const char *const auth_choices[] = {"token", "password", "api-key", 0};
static const st_text_param parameters[SETTINGS] = {
    {"server_url", "", 0}, {"username", "", 0}, {"password", "", 0}, {"auth", "token", auth_choices}, {"api_key", "", 0},
};

struct st_source {
    st_kept settings[SETTINGS];
};

static st_text setting(const st_source *s, u32 which) { return st_kept_text(&s->settings[which]); }

/* ---- configuration ---- */

/* Null where it is fine: a base URL without credentials, query or fragment, or nothing yet. */
static const char *url_fault(st_text url) {
    if (!url.len) return 0;
    const u32 host = st_text_starts(url, "https://") ? 8 : st_text_starts(url, "http://") ? 7 : 0;
    if (!host) return "expected a URL that begins with https:// or http://";
    for (u32 i = 0; i < url.len; i++) {
        const u8 c = ((const u8 *)url.at)[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\') return "has a character that no URL has";
        if (c == '@') return "credentials have settings of their own";
        if (c == '?' || c == '#') return "expected no query and no fragment";
    }
    return url.len == host || ((const char *)url.at)[host] == '/' ? "has no host" : 0;
}

static st_kept fresh[SETTINGS];
static int st_source_configure(st_source *s, st_text json, st_plugin_error *error) {
    if (!st_parse_texts(parameters, SETTINGS, json, fresh, error)) return 0;
    st_kept *url = &fresh[SERVER_URL];
    while (url->len > 8 && url->at[url->len - 1] == '/') url->len--;
    const char *fault = url_fault(st_kept_text(url));
    if (fault) {
        st_buffer b = {0};
        st_add(&b, "server_url: "), st_add(&b, fault);
        return *error = st_fail(ST_E_INVALID_ARG, st_built(&b)), 0;
    }
    st_copy(s->settings, fresh, sizeof fresh);
    st_zero(fresh, sizeof fresh);
    return 1;
}

/* ---- requests ---- */

ST_IMPORT("wasi:random/random@0.2.0", "get-random-u64") u64 import_random(void);

static int configured(const st_source *s, st_plugin_error *error) {
    const char *missing = 0;
    if (!setting(s, SERVER_URL).len) missing = "server_url is not configured";
    else if (st_text_is(setting(s, AUTH), "api-key")) missing = setting(s, API_KEY).len ? 0 : "api_key is not configured";
    else if (!setting(s, USERNAME).len) missing = "username is not configured";
    if (missing) *error = st_fail(ST_E_INVALID_ARG, st_text_of(missing));
    return !missing;
}

static st_buffer start_url(const st_source *s, const char *method) {
    st_buffer url = {0};
    st_add_text(&url, setting(s, SERVER_URL)), st_add(&url, "/rest/"), st_add(&url, method), st_add(&url, ".view?");
    return url;
}
static void start_parameter(st_buffer *url, const char *name) {
    if (url->at[url->len - 1] != '?') st_add_char(url, '&');
    st_add(url, name), st_add_char(url, '=');
}
static void add_parameter(st_buffer *url, const char *name, st_text value) { start_parameter(url, name), st_add_encoded(url, value); }
static void add_number_parameter(st_buffer *url, const char *name, u64 value) { start_parameter(url, name), st_add_number(url, value); }

/* Who asks. A token is the MD5 of password and salt: the password itself never leaves, and no two requests have the same salt. */
static void add_credentials(const st_source *s, st_buffer *url) {
    const st_text auth = setting(s, AUTH), password = setting(s, PASSWORD);
    if (st_text_is(auth, "api-key")) {
        add_parameter(url, "apiKey", setting(s, API_KEY));
    } else {
        add_parameter(url, "u", setting(s, USERNAME));
        if (st_text_is(auth, "password")) {
            start_parameter(url, "p"), st_add(url, "enc:"), st_add_hex(url, password.at, password.len);
        } else {
            const u64 random[2] = {import_random(), import_random()};
            st_buffer salt = {0};
            st_add_hex(&salt, random, sizeof random);
            st_md5 md5;
            u8 digest[16];
            st_md5_start(&md5);
            st_md5_add(&md5, password.at, password.len), st_md5_add(&md5, salt.at, salt.len);
            st_md5_finish(&md5, digest);
            start_parameter(url, "t"), st_add_hex(url, digest, sizeof digest);
            start_parameter(url, "s"), st_add_text(url, st_built(&salt));
        }
    }
    /* The lowest version that has what is used here: a server of an older one than we claim refuses. */
    start_parameter(url, "v"), st_add(url, st_text_is(auth, "password") ? "1.12.0" : st_text_is(auth, "token") ? "1.13.0" : "1.16.1");
    st_add(url, "&c=stellatune&f=json");
}

/* What the host or the server said, fit to be seen by anybody. */
static st_text presentable(const st_source *s, st_text message) {
    const st_text text = st_without_queries(message);
    const st_text password = setting(s, PASSWORD), key = setting(s, API_KEY);
    /* A password of two letters is in every message, and lost by none. */
    if ((password.len > 3 && st_text_has(text, password)) || (key.len > 3 && st_text_has(text, key)))
        return ST_TEXT("(a message that repeats credentials)");
    st_buffer clean = {0};
    for (u32 i = 0; i < text.len && clean.len < 300; i++) {
        const u8 c = ((const u8 *)text.at)[i];
        st_add_char(&clean, c >= 0x20 && c < 0x7f ? (char)c : '?');
    }
    return st_built(&clean);
}

/* Tokens came with version 1.13. */
static int is_before_tokens(st_text version) {
    if (!st_text_starts(version, "1.")) return 0;
    u32 minor = 0, digits = 0;
    for (u32 i = 2; i < version.len && digits < 4; i++, digits++) {
        const char c = ((const char *)version.at)[i];
        if (c < '0' || c > '9') break;
        minor = minor * 10 + (u32)(c - '0');
    }
    return digits && minor < 13;
}

/* The API's error codes as the contract's cases. */
static int api_failure(const st_source *s, u64 code, st_text said, st_text version, st_plugin_error *error) {
    u8 tag = ST_E_IO;
    switch (code) {
        case 10: case 43: tag = ST_E_INVALID_ARG; break;
        case 20: case 30: tag = ST_E_UNSUPPORTED; break;
        case 40: case 41: case 42: case 44: case 50: case 60: tag = ST_E_DENIED; break;
        case 70: tag = ST_E_NOT_FOUND; break;
    }
    st_buffer b = {0};
    st_add(&b, "the server answered: "), st_add_text(&b, presentable(s, said)), st_add(&b, " (code "), st_add_number(&b, code);
    st_add_char(&b, ')');
    if (st_text_is(setting(s, AUTH), "token") && (code == 41 || code == 42 || (code == 10 && is_before_tokens(version)))) {
        tag = ST_E_DENIED;
        st_add(&b, "; it takes no tokens: set auth to \"password\", over https alone");
    }
    *error = st_fail(tag, st_built(&b));
    return 0;
}

/* The answer's content, if it is one and no error. */
static int read_answer(const st_source *s, st_text body, st_slice *out, st_plugin_error *error) {
    st_slice document, root, failure;
    st_text status, said = {0, 0}, version;
    if (!st_json_document(body, &document) || !st_json_member(document, "subsonic-response", &root) || *root.at != '{')
        return *error = st_fail(ST_E_IO, ST_TEXT("this is no Subsonic server: its answer is of another kind")), 0;
    st_json_text(root, "version", &version);
    if (st_json_text(root, "status", &status) && st_text_is(status, "ok")) return *out = root, 1;
    u64 code = 0;
    if (st_json_member(root, "error", &failure))
        st_json_count(failure, "code", 1000, &code), st_json_text(failure, "message", &said);
    return api_failure(s, code, said, version, error);
}

static int ask(const st_source *s, st_buffer *url, st_slice *out, st_plugin_error *error) {
    st_text body;
    if (!configured(s, error)) return 0;
    add_credentials(s, url);
    if (!st_http_get(st_built(url), MOST_ANSWER, &body, error)) return error->message = presentable(s, error->message), 0;
    return read_answer(s, body, out, error);
}
