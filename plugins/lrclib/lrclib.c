/* Lyrics from LRCLIB, or from any server with its API: https://lrclib.net/docs
 *
 * A search asks `/api/search?q=`, a fetch `/api/get/ID`. Lyrics with times come before those without, and instrumental tracks and
 * entries without any text are left out. The text is LRC where there are times.
 */
#include "st_lyrics.h"

enum { BASE_URL, SETTINGS };
static const st_text_param parameters[SETTINGS] = {{"base_url", "https://lrclib.net", 0}};

struct st_lyrics {
    st_kept settings[SETTINGS];
};

static st_kept fresh[SETTINGS];
static int st_lyrics_configure(st_lyrics *l, st_text json, st_plugin_error *error) {
    if (!st_parse_texts(parameters, SETTINGS, json, fresh, error)) return 0;
    st_kept *url = &fresh[BASE_URL];
    while (url->len > 8 && url->at[url->len - 1] == '/') url->len--;
    int fine = st_text_starts(st_kept_text(url), "https://") || st_text_starts(st_kept_text(url), "http://");
    for (u32 i = 0; i < url->len; i++) {
        const u8 c = (u8)url->at[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '@' || c == '?' || c == '#') fine = 0;
    }
    if (!fine) {
        *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("base_url: expected an http or https URL without credentials, query and fragment"));
        return 0;
    }
    st_copy(l->settings, fresh, sizeof fresh);
    return 1;
}

static st_buffer start_url(const st_lyrics *l, const char *path) {
    st_buffer url = {0};
    st_add_text(&url, st_kept_text(&l->settings[BASE_URL])), st_add(&url, path);
    return url;
}

static int ask(const st_buffer *url, st_slice *out, st_plugin_error *error) {
    st_text body;
    if (!st_fetch_json(st_built(url), &body, error)) return 0;
    if (!st_json_document(body, out)) return *error = st_fail(ST_E_IO, ST_TEXT("the server's answer is no JSON, or nested too deep")), 0;
    return 1;
}

/* Whether a member is a string with something in it. */
static int has_words(st_slice entry, const char *name) {
    st_slice value;
    return st_json_member(entry, name, &value) && *value.at == '"' && value.end - value.at > 2;
}

static int st_lyrics_search(st_lyrics *l, st_text keyword, st_candidate *out, u32 *count, st_plugin_error *error) {
    st_slice list;
    *count = 0;
    while (keyword.len && *(const char *)keyword.at == ' ') keyword = st_text_from(keyword, 1);
    if (!keyword.len) return 1;
    if (keyword.len > 1000) return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("the keyword is too long")), 0;
    st_buffer url = start_url(l, "/api/search?q=");
    st_add_encoded(&url, keyword);
    if (!ask(&url, &list, error)) return 0;
    if (*list.at != '[') return *error = st_fail(ST_E_IO, ST_TEXT("the server's answer is no list of lyrics")), 0;
    for (int timed = 1; timed >= 0; timed--) {
        st_slice it = list, entry;
        u32 index = 0;
        while (*count < ST_MAX_CANDIDATES && st_json_each(&it, &index, &entry)) {
            const int synced = has_words(entry, "syncedLyrics");
            u64 id;
            if (synced != timed || (!synced && !has_words(entry, "plainLyrics"))) continue;
            if (!st_json_count(entry, "id", 1ull << 53, &id)) continue;
            st_buffer number = {0};
            st_add_number(&number, id);
            st_candidate *c = &out[(*count)++];
            c->id = st_built(&number);
            if (!st_json_text(entry, "trackName", &c->title)) st_json_text(entry, "name", &c->title);
            st_json_text(entry, "artistName", &c->artist);
        }
    }
    return 1;
}

static int st_lyrics_fetch(st_lyrics *l, st_text id, st_text *out, st_plugin_error *error) {
    st_slice entry, value;
    int digits = id.len > 0 && id.len <= 16;
    for (u32 i = 0; i < id.len; i++)
        if (((const char *)id.at)[i] < '0' || ((const char *)id.at)[i] > '9') digits = 0;
    if (!digits) return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("this is no id of lyrics")), 0;
    st_buffer url = start_url(l, "/api/get/");
    st_add_text(&url, id);
    if (!ask(&url, &entry, error)) return 0;
    const char *name = has_words(entry, "syncedLyrics") ? "syncedLyrics" : has_words(entry, "plainLyrics") ? "plainLyrics" : 0;
    if (!name) return *error = st_fail(ST_E_NOT_FOUND, ST_TEXT("this entry has no lyrics")), 0;
    return st_json_member(entry, name, &value) && st_json_to_text(value, 1u << 20, out);
}

#include "st_glue_lyrics.h"
