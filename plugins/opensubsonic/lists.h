/* What the catalogue lists: requests of the convention, made into questions to the server and their answers into items. */
#pragma once
#include "api.h"

#define MOST_ITEMS 500u

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
    } roots[] = {{"artists", "Artists"},
                 {"albums", "Albums"},
                 {"newest", "Newest albums"},
                 {"playlists", "Playlists"},
                 {"genres", "Genres"}};
    static const struct {
        const char *prefix, *method, *outer, *inner;
    } holders[] = {{"artist:", "getArtist", "artist", "album"},
                   {"album:", "getAlbum", "album", "song"},
                   {"playlist:", "getPlaylist", "playlist", "entry"}};
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
