/* A source: music from a server that speaks the Subsonic or OpenSubsonic API.
 *
 * Ids: `artists`, `albums`, `newest`, `playlists` and `genres` are the roots; `artist:ID`, `album:ID`, `playlist:ID`, `genre:NAME`
 * and `track:ID` are the server's ids. URIs are `opensubsonic:track/ID` and `opensubsonic:cover/ID`, percent-encoded, so that nothing
 * that leaves this plugin has credentials in it.
 *
 * https://opensubsonic.netlify.app and http://www.subsonic.org/pages/api.jsp
 */
#include "lists.h"

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
            return api_failure(s, code, ST_TEXT("an error"), (st_text){0, 0}, error);
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
