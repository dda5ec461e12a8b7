/* A source: music from a server that speaks the Subsonic or OpenSubsonic API.
 *
 * Ids: `artists`, `albums`, `newest`, `playlists` and `genres` are the roots; `artist:ID`, `album:ID`, `playlist:ID`, `genre:NAME`
 * and `track:ID` are the server's ids. URIs are `opensubsonic:track/ID` and `opensubsonic:cover/ID`, percent-encoded, so that nothing
 * that leaves this plugin has credentials in it.
 *
 * https://opensubsonic.netlify.app and http://www.subsonic.org/pages/api.jsp
 */
#include "st_source.h"

#include "st_http.h"
#include "st_md5.h"

#define MOST_ANSWER (32u << 20)
#define MOST_ITEMS 500u
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
    const int old = st_text_starts(version, "1.") && version.len > 3 && (((const char *)version.at)[3] == '.' || st_text_starts(version, "1.10")
        || st_text_starts(version, "1.11") || st_text_starts(version, "1.12"));
    if (st_text_is(setting(s, AUTH), "token") && (code == 41 || code == 42 || (code == 10 && old))) {
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

/* ---- items ---- */

/* The part of a list that was asked for. */
typedef struct {
    st_buffer *out;
    u64 offset, limit, seen, given;
} page;

/* Counts an item, and gives whether it is on the page; its object is then begun. */
static int takes(page *p) {
    const int wanted = p->seen >= p->offset && p->given < p->limit;
    p->seen++;
    if (!wanted) return 0;
    if (p->given++) st_add_char(p->out, ',');
    st_add_char(p->out, '{');
    return 1;
}

static void add_id(st_buffer *out, const char *kind, st_text id) {
    st_buffer whole = {0};
    st_add(&whole, kind), st_add_char(&whole, ':'), st_add_text(&whole, id);
    st_add_text_member(out, "id", st_built(&whole));
}
static void add_uri(st_buffer *out, const char *name, const char *kind, st_text id) {
    st_buffer uri = {0};
    st_add(&uri, "opensubsonic:"), st_add(&uri, kind), st_add_char(&uri, '/'), st_add_encoded(&uri, id);
    st_add_text_member(out, name, st_built(&uri));
}
static void copy_count(st_buffer *out, st_slice from, const char *key, const char *name, u64 factor) {
    u64 n;
    if (st_json_count(from, key, MOST_MS, &n) && n * factor <= MOST_MS) st_add_count_member(out, name, n * factor);
}

static void add_container(page *p, st_slice item, const char *kind, const char *name_key) {
    st_text id, title, artist, cover;
    if (!st_json_text(item, "id", &id) || !id.len) return;
    if (!st_json_text(item, name_key, &title) && !st_json_text(item, "title", &title)) title = ST_TEXT("(no name)");
    if (!takes(p)) return;
    add_id(p->out, kind, id);
    st_add_text_member(p->out, "kind", st_text_of(kind));
    st_add_text_member(p->out, "title", title.len ? title : ST_TEXT("(no name)"));
    if (st_json_text(item, "artist", &artist)) st_add_text_member(p->out, "artist", artist);
    copy_count(p->out, item, "year", "year", 1);
    copy_count(p->out, item, "duration", "duration_ms", 1000);
    copy_count(p->out, item, "songCount", "track_count", 1);
    if (st_json_text(item, "coverArt", &cover) && cover.len) add_uri(p->out, "cover", "cover", cover);
    st_add_char(p->out, '}');
}

static const char *const track_texts[] = {"title", "artist", "album", "genre", "suffix", 0};
static const char *const track_counts[] = {"track", "discNumber", "year", "duration", "bitRate", "samplingRate", "channelCount", 0};

static void add_track(page *p, st_slice song) {
    st_text id, title, text;
    if (!st_json_text(song, "id", &id) || !id.len || st_json_true(song, "isDir") || st_json_true(song, "isVideo")) return;
    if (!takes(p)) return;
    st_json_text(song, "title", &title);
    add_id(p->out, "track", id);
    st_add(p->out, ",\"kind\":\"track\"");
    st_add_text_member(p->out, "title", title.len ? title : ST_TEXT("(no title)"));
    if (st_json_text(song, "artist", &text)) st_add_text_member(p->out, "artist", text);
    if (st_json_text(song, "album", &text)) st_add_text_member(p->out, "album", text);
    copy_count(p->out, song, "duration", "duration_ms", 1000);
    copy_count(p->out, song, "track", "track_number", 1);
    copy_count(p->out, song, "discNumber", "disc_number", 1);
    add_uri(p->out, "uri", "track", id);
    if (st_json_text(song, "coverArt", &text) && text.len) add_uri(p->out, "cover", "cover", text);
    /* What opening wants to know, in the server's own words. */
    st_add_name(p->out, "track"), st_add_char(p->out, '{');
    st_add_text_member(p->out, "id", id);
    for (u32 i = 0; track_texts[i]; i++)
        if (st_json_text(song, track_texts[i], &text)) st_add_text_member(p->out, track_texts[i], text);
    for (u32 i = 0; track_counts[i]; i++) copy_count(p->out, song, track_counts[i], track_counts[i], 1);
    st_add(p->out, "}}");
}

static void add_folder(page *p, const char *kind, st_text id, st_text title) {
    if (!takes(p)) return;
    if (kind) add_id(p->out, kind, id);
    else st_add_text_member(p->out, "id", id);
    st_add(p->out, ",\"kind\":\"folder\"");
    st_add_text_member(p->out, "title", title);
    st_add_char(p->out, '}');
}

/* Goes through `root.outer.inner[]`. */
static int each_of(st_slice root, const char *outer, const char *inner, st_slice *list) {
    st_slice holder;
    return st_json_member(root, outer, &holder) && st_json_member(holder, inner, list);
}

static void add_containers(page *p, st_slice root, const char *outer, const char *inner, const char *kind) {
    st_slice list, item;
    u32 index = 0;
    if (each_of(root, outer, inner, &list))
        while (st_json_each(&list, &index, &item)) add_container(p, item, kind, "name");
}
static void add_tracks(page *p, st_slice root, const char *outer, const char *inner) {
    st_slice list, item;
    u32 index = 0;
    if (each_of(root, outer, inner, &list))
        while (st_json_each(&list, &index, &item)) add_track(p, item);
}
static void add_artists(page *p, st_slice root) {
    st_slice letters, letter, list, item;
    u32 index = 0;
    if (!each_of(root, "artists", "index", &letters)) return;
    while (st_json_each(&letters, &index, &letter)) {
        u32 place = 0;
        if (st_json_member(letter, "artist", &list))
            while (st_json_each(&list, &place, &item)) add_container(p, item, "artist", "name");
    }
}
static void add_genres(page *p, st_slice root) {
    st_slice list, item;
    st_text name;
    u32 index = 0;
    if (!each_of(root, "genres", "genre", &list)) return;
    while (st_json_each(&list, &index, &item))
        if ((st_json_text(item, "value", &name) || st_json_text(item, "name", &name)) && name.len) add_folder(p, "genre", name, name);
}

static void close_page(page *p, int has_next, u64 next, int knows_total) {
    st_add_char(p->out, ']');
    if (knows_total) st_add_count_member(p->out, "total", p->seen);
    if (has_next) st_add_count_member(p->out, "next_offset", next);
    st_add_char(p->out, '}');
}

/* A list of albums that the server cuts into pages itself. */
static int list_albums(const st_source *s, page *p, const char *type, st_text genre, st_plugin_error *error) {
    st_slice root;
    st_buffer url = start_url(s, "getAlbumList2");
    add_parameter(&url, "type", st_text_of(type));
    if (genre.len) add_parameter(&url, "genre", genre);
    add_number_parameter(&url, "size", p->limit), add_number_parameter(&url, "offset", p->offset);
    if (!ask(s, &url, &root, error)) return 0;
    const u64 offset = p->offset;
    p->offset = 0;
    add_containers(p, root, "albumList2", "album", "album");
    close_page(p, p->seen >= p->limit, offset + p->seen, 0);
    return 1;
}

static int browse(const st_source *s, st_text id, page *p, st_plugin_error *error) {
    static const struct {
        const char *id, *title;
    } roots[] = {{"artists", "Artists"}, {"albums", "Albums"}, {"newest", "Newest albums"}, {"playlists", "Playlists"}, {"genres", "Genres"}};
    static const struct {
        const char *prefix, *method, *outer, *inner;
    } holders[] = {{"artist:", "getArtist", "artist", "album"}, {"album:", "getAlbum", "album", "song"}, {"playlist:", "getPlaylist", "playlist", "entry"}};
    st_slice root;
    if (!id.len) {
        for (u32 i = 0; i < ST_COUNT(roots); i++) add_folder(p, 0, st_text_of(roots[i].id), st_text_of(roots[i].title));
    } else if (st_text_is(id, "albums")) {
        return list_albums(s, p, "alphabeticalByName", (st_text){0, 0}, error);
    } else if (st_text_is(id, "newest")) {
        return list_albums(s, p, "newest", (st_text){0, 0}, error);
    } else if (st_text_starts(id, "genre:")) {
        return list_albums(s, p, "byGenre", st_text_from(id, 6), error);
    } else if (st_text_is(id, "artists") || st_text_is(id, "playlists") || st_text_is(id, "genres")) {
        st_buffer url = start_url(s, st_text_is(id, "artists") ? "getArtists" : st_text_is(id, "playlists") ? "getPlaylists" : "getGenres");
        if (!ask(s, &url, &root, error)) return 0;
        if (st_text_is(id, "artists")) add_artists(p, root);
        else if (st_text_is(id, "playlists")) add_containers(p, root, "playlists", "playlist", "playlist");
        else add_genres(p, root);
    } else {
        u32 i = 0;
        while (i < ST_COUNT(holders) && !st_text_starts(id, holders[i].prefix)) i++;
        const st_text below = i < ST_COUNT(holders) ? st_text_from(id, st_length(holders[i].prefix)) : (st_text){0, 0};
        if (!below.len) return *error = st_fail(ST_E_NOT_FOUND, ST_TEXT("there is no such item")), 0;
        st_buffer url = start_url(s, holders[i].method);
        add_parameter(&url, "id", below);
        if (!ask(s, &url, &root, error)) return 0;
        if (i == 0) add_containers(p, root, holders[i].outer, holders[i].inner, "album");
        else add_tracks(p, root, holders[i].outer, holders[i].inner);
    }
    close_page(p, p->offset + p->given < p->seen, p->offset + p->given, 1);
    return 1;
}

/* The first page has artists and albums before its tracks; offsets count tracks. */
static int search(const st_source *s, st_text query, page *p, st_plugin_error *error) {
    st_slice root;
    const u64 others = p->offset || p->limit < 4 ? 0 : p->limit / 4 < 20 ? p->limit / 4 : 20, songs = p->limit - 2 * others;
    if (!query.len) return close_page(p, 0, 0, 1), 1;
    st_buffer url = start_url(s, "search3");
    add_parameter(&url, "query", query);
    add_number_parameter(&url, "artistCount", others), add_number_parameter(&url, "albumCount", others);
    add_number_parameter(&url, "songCount", songs), add_number_parameter(&url, "songOffset", p->offset);
    if (!ask(s, &url, &root, error)) return 0;
    const u64 offset = p->offset;
    p->offset = 0;
    if (others) add_containers(p, root, "searchResult3", "artist", "artist"), add_containers(p, root, "searchResult3", "album", "album");
    const u64 before = p->seen;
    add_tracks(p, root, "searchResult3", "song");
    close_page(p, p->seen - before >= songs, offset + p->seen - before, 0);
    return 1;
}

static int st_source_list(st_source *s, st_text request, st_buffer *out, st_plugin_error *error) {
    st_slice document;
    st_text action = {0, 0}, id, query;
    page p = {out, 0, 100, 0, 0};
    if (!st_json_document(request, &document) || !st_json_text(document, "action", &action))
        return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("the request is no JSON object with an action")), 0;
    st_json_text(document, "id", &id), st_json_text(document, "query", &query);
    st_json_count(document, "offset", 1u << 30, &p.offset), st_json_count(document, "limit", 1u << 30, &p.limit);
    p.limit = p.limit < 1 ? 1 : p.limit > MOST_ITEMS ? MOST_ITEMS : p.limit;
    if (st_text_is(action, "cover")) {
        /* For the server, the id of a song, an album or an artist is one of its cover too. */
        static const char *const kinds[] = {"track:", "album:", "artist:", "playlist:"};
        for (u32 i = 0; i < ST_COUNT(kinds); i++)
            if (st_text_starts(id, kinds[i])) {
                id = st_text_from(id, st_length(kinds[i]));
                break;
            }
        if (!id.len) return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("a cover needs the id of an item")), 0;
        st_add_char(out, '{'), add_uri(out, "uri", "cover", id), st_add_char(out, '}');
        return 1;
    }
    st_add(out, "{\"items\":[");
    if (st_text_is(action, "browse")) return browse(s, id, &p, error);
    if (st_text_is(action, "search")) return search(s, query, &p, error);
    return *error = st_fail(ST_E_UNSUPPORTED, ST_TEXT("the actions are browse, search and cover")), 0;
}

/* ---- streams ---- */

/* Instead of bytes, a server sends errors as documents, with status 200. Such a document as an error. */
static int document_failure(const st_source *s, st_stream *stream, st_buffer *head, st_plugin_error *error) {
    st_slice root;
    if (!st_stream_read_all(stream, 1u << 16, head, error)) return error->message = presentable(s, error->message), 0;
    const st_text body = st_built(head);
    if (*head->at == '{') {
        if (!read_answer(s, body, &root, error)) return 0;
    } else if (st_text_has(body, ST_TEXT("subsonic-response"))) {
        /* XML, whatever was asked for. */
        for (u32 i = 0; i + 8 < body.len; i++) {
            const char *at = head->at + i;
            u64 code = 0;
            if (!st_same(at, "code=\"", 6)) continue;
            for (at += 6; at < head->at + body.len && *at >= '0' && *at <= '9' && code < 1000; at++) code = code * 10 + (u64)(*at - '0');
            return api_failure(s, code, ST_TEXT("no"), (st_text){0, 0}, error);
        }
    }
    return *error = st_fail(ST_E_IO, ST_TEXT("the server sent a document instead of the data")), 0;
}

static int open_data(const st_source *s, st_buffer *url, st_stream *out, st_plugin_error *error) {
    if (!configured(s, error)) return 0;
    add_credentials(s, url);
    if (!st_http_open(st_built(url), out, error)) return error->message = presentable(s, error->message), 0;
    st_buffer head = {0};
    st_reserve_more(&head, ST_PIECE);
    const i64 n = st_stream_read(out, head.at, 64, error);
    int done = n > 0;
    if (n < 0) error->message = presentable(s, error->message);
    else if (n == 0) *error = st_fail(ST_E_IO, ST_TEXT("the server sent nothing"));
    else if (*head.at == '{' || *head.at == '<') head.len = (u32)n, done = document_failure(s, out, &head, error);
    if (done && !st_stream_seek(out, 0, error)) {
        /* Without ranges there is no way back but from the start. */
        st_stream_close(out);
        done = st_http_open(st_built(url), out, error);
        if (!done) error->message = presentable(s, error->message);
    }
    if (!done) st_stream_close(out);
    return done;
}

static st_option_u32 count_of(st_slice song, const char *name) {
    u64 n;
    return st_json_count(song, name, 0xffffffffu, &n) && n ? (st_option_u32){1, (u32)n} : (st_option_u32){0, 0};
}
static st_option_text text_of(st_slice song, const char *name) {
    st_text text;
    return st_json_text(song, name, &text) && text.len ? (st_option_text){1, text} : (st_option_text){0, {0, 0}};
}
static st_texts one_of(st_slice song, const char *name) {
    const st_option_text text = text_of(song, name);
    if (!text.some) return (st_texts){0, 0};
    st_text *kept = st_arena(sizeof *kept, 4);
    *kept = text.value;
    return (st_texts){kept, 1};
}

/* Lower-case letters and digits, as file extensions are. */
static st_option_text suffix_of(st_slice song) {
    st_text suffix;
    if (!st_json_text(song, "suffix", &suffix) || !suffix.len || suffix.len > 8) return (st_option_text){0, {0, 0}};
    char *lower = st_arena(suffix.len, 1);
    for (u32 i = 0; i < suffix.len; i++) {
        const char c = ((const char *)suffix.at)[i], small = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        if (!((small >= 'a' && small <= 'z') || (small >= '0' && small <= '9'))) return (st_option_text){0, {0, 0}};
        lower[i] = small;
    }
    return (st_option_text){1, {lower, suffix.len}};
}

static void describe(st_slice song, st_opened *out) {
    st_media_metadata *m = &out->metadata;
    u64 n;
    out->ext_hint = suffix_of(song), out->has_metadata = 1;
    m->tags.title = text_of(song, "title"), m->tags.album = text_of(song, "album");
    m->tags.artists = one_of(song, "artist"), m->tags.genres = one_of(song, "genre");
    m->tags.track_number = count_of(song, "track"), m->tags.disc_number = count_of(song, "discNumber");
    m->tags.year = count_of(song, "year");
    if (st_json_count(song, "duration", MOST_MS / 1000, &n)) m->duration_ms = (st_option_u64){1, n * 1000};
    m->format.codec = out->ext_hint.some ? out->ext_hint.value : ST_TEXT("unknown");
    m->format.sample_rate = count_of(song, "samplingRate"), m->format.bitrate_kbps = count_of(song, "bitRate");
    if (st_json_count(song, "channelCount", 64, &n) && n) m->format.channels = (st_option_u16){1, (u16)n};
}

static int open_song(const st_source *s, st_slice song, st_opened *out, st_plugin_error *error) {
    st_text id;
    if (!st_json_text(song, "id", &id) || !id.len) return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("the track has no id")), 0;
    st_buffer url = start_url(s, "stream");
    add_parameter(&url, "id", id), add_parameter(&url, "format", ST_TEXT("raw"));
    describe(song, out);
    return open_data(s, &url, &out->stream, error);
}

static int st_source_open_track(st_source *s, st_text track, st_opened *out, st_plugin_error *error) {
    st_slice song;
    if (!st_json_document(track, &song) || *song.at != '{')
        return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("the track is no JSON object")), 0;
    return open_song(s, song, out, error);
}

static int st_source_open_uri(st_source *s, st_text uri, st_opened *out, st_plugin_error *error) {
    st_text id;
    const int track = st_text_starts(uri, "opensubsonic:track/"), cover = st_text_starts(uri, "opensubsonic:cover/");
    if ((!track && !cover) || !st_decode(st_text_from(uri, 19), &id) || !id.len)
        return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("the URI is none of opensubsonic:track/ID and opensubsonic:cover/ID")), 0;
    st_buffer url = start_url(s, track ? "getSong" : "getCoverArt");
    add_parameter(&url, "id", id);
    if (cover) return open_data(s, &url, &out->stream, error);
    st_slice root, song;
    if (!ask(s, &url, &root, error)) return 0;
    if (!st_json_member(root, "song", &song) || *song.at != '{')
        return *error = st_fail(ST_E_IO, ST_TEXT("the server's answer has no song in it")), 0;
    return open_song(s, song, out, error);
}

#include "st_glue_source.h"
