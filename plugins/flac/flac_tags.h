/* Vorbis comments and pictures, as the host wants them (RFC 9639, sections 8.6 and 8.8). */
#pragma once
#include "flac_session.h"

#define FLAC_NAMES 64u
#define FLAC_EXTRAS 256u
/* Hosts built on wasmtime drop an instance that passes more than 128 MiB in one call, and count 48 for each byte of a list, but 1
 * for a byte of text. So what does not fit into these 2.3 MiB any more crosses as a data URI. */
#define FLAC_LIST_ROOM (2400u << 10)
#define FLAC_PICTURE_ROOM (16u << 20) /* of all pictures together: the host keeps no more */

/* One for all sessions: they live until the next call. */
static st_text flac_artists[FLAC_NAMES], flac_album_artists[FLAC_NAMES], flac_genres[FLAC_NAMES];
static st_metadata_entry flac_extras[FLAC_EXTRAS + FLAC_PICTURES];
static char flac_keys[FLAC_PICTURES][40], flac_notes[FLAC_PICTURES][80];

/* Bytes of the UTF-8 character at `p`; 0 where there is none (Unicode, table 3-7). */
static u32 flac_utf8(const u8 *p, const u8 *end) {
    const u32 a = p[0], left = (u32)(end - p);
    if (a < 0x80) return 1;
    const u32 n = a >= 0xf0 ? 4 : a >= 0xe0 ? 3 : 2;
    if (a < 0xc2 || a > 0xf4 || left < n) return 0;
    const u32 low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80, high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) return 0;
    for (u32 i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}
/* The host takes nothing but UTF-8: what is none becomes a question mark, a byte each. */
static void flac_clean_text(u8 *p, u32 n) {
    for (const u8 *end = p + n; p < end;) {
        const u32 step = flac_utf8(p, end);
        if (!step) *p = '?';
        p += step ? step : 1;
    }
}

static int flac_same(st_text a, const char *b) {
    const char *p = a.at;
    u32 i = 0;
    for (; i < a.len && b[i]; i++)
        if (p[i] != b[i]) return 0;
    return i == a.len && !b[i];
}

/* The number at the start of `text`, and the one behind a slash. */
static void flac_numbers(st_text text, st_option_u32 *first, st_option_u32 *second) {
    const char *p = text.at, *end = p + text.len;
    for (u32 i = 0; i < 2; i++) {
        st_option_u32 *out = i ? second : first;
        u32 value = 0, digits = 0;
        while (p < end && *p == ' ') p++;
        while (p < end && *p >= '0' && *p <= '9' && digits < 6) value = value * 10 + (u32)(*p++ - '0'), digits++;
        if (out && value && !out->some) *out = (st_option_u32){1, value};
        while (p < end && *p == ' ') p++;
        if (p == end || *p++ != '/') return;
    }
}
/* The first four digits in a row. */
static void flac_year(st_text text, st_option_u32 *year) {
    const char *p = text.at;
    for (u32 i = 0, digits = 0, value = 0; i < text.len && !year->some; i++) {
        const u32 digit = (u32)(p[i] - '0');
        if (digit > 9) digits = value = 0;
        else if (value = value * 10 + digit, ++digits == 4) *year = (st_option_u32){1, value};
    }
}

static void flac_add(st_text *names, st_texts *list, st_text name) {
    if (list->len < FLAC_NAMES) names[list->len] = name, list->at = names, list->len++;
}
static void flac_set(st_option_text *option, st_text value) {
    if (!option->some) *option = (st_option_text){1, value};
}

/* A field whose meaning has a place of its own; gives 0 for any other. */
static int flac_known_field(st_text key, st_text value, st_audio_tags *tags) {
    if (flac_same(key, "title")) flac_set(&tags->title, value);
    else if (flac_same(key, "album")) flac_set(&tags->album, value);
    else if (flac_same(key, "artist")) flac_add(flac_artists, &tags->artists, value);
    else if (flac_same(key, "albumartist") || flac_same(key, "album artist") || flac_same(key, "album_artist"))
        flac_add(flac_album_artists, &tags->album_artists, value);
    else if (flac_same(key, "genre")) flac_add(flac_genres, &tags->genres, value);
    else if (flac_same(key, "tracknumber") || flac_same(key, "track"))
        flac_numbers(value, &tags->track_number, &tags->track_total);
    else if (flac_same(key, "tracktotal") || flac_same(key, "totaltracks")) flac_numbers(value, &tags->track_total, 0);
    else if (flac_same(key, "discnumber") || flac_same(key, "disc"))
        flac_numbers(value, &tags->disc_number, &tags->disc_total);
    else if (flac_same(key, "disctotal") || flac_same(key, "totaldiscs")) flac_numbers(value, &tags->disc_total, 0);
    else if (flac_same(key, "date") || flac_same(key, "year")) flac_year(value, &tags->year);
    else if (flac_same(key, "comment") || flac_same(key, "description")) flac_set(&tags->comment, value);
    else return 0;
    return 1;
}

static u32 flac_take_comments(st_decoder *d, st_audio_tags *tags) {
    u8 *p = (u8 *)d->comments, *end = p + d->comment_bytes;
    u32 extras = 0;
    if (d->comment_bytes < 8) return 0;
    const u32 vendor = flac_le32(p);
    if (vendor > d->comment_bytes - 8) return 0;
    p += 4 + vendor;
    u32 count = flac_le32(p);
    p += 4;
    for (; count && end - p >= 4; count--) {
        const u32 n = flac_le32(p);
        p += 4;
        if (n > (u32)(end - p)) break;
        u32 name = 0;
        while (name < n && p[name] != '=') name++;
        if (name && name < n) {
            for (u32 i = 0; i < name; i++)
                if (p[i] >= 'A' && p[i] <= 'Z') p[i] |= 32;
            flac_clean_text(p, n);
            const st_text key = {p, name}, value = {p + name + 1, n - name - 1};
            if (value.len && !flac_known_field(key, value, tags) && extras < FLAC_EXTRAS) {
                flac_extras[extras].key = key;
                flac_extras[extras].value.tag = ST_V_TEXT, flac_extras[extras].value.text = value;
                extras++;
            }
        }
        p += n;
    }
    return extras;
}

/* ---- pictures ---- */
static const char *const flac_picture_kinds[] = {
    "other", "icon", "other icon", "front cover", "back cover", "leaflet", "media", "lead artist", "artist", "conductor", "band",
    "composer", "lyricist", "recording location", "during recording", "during performance", "video capture", "bright fish",
    "illustration", "band logo", "publisher logo",
};

/* All of a block that was passed over at the beginning; null where it cannot be had any more. */
static const u8 *flac_fetch(st_decoder *d, u64 offset, u32 bytes) {
    flac_input *in = &d->in;
    u8 *out = st_scratch(bytes);
    u32 got = 0;
    if (!out || !st_stream_seek(&in->stream, offset, &in->error)) return 0;
    while (got < bytes) {
        const u32 most = bytes - got < FLAC_READ_MOST ? bytes - got : FLAC_READ_MOST;
        const i64 n = st_stream_read(&in->stream, out + got, most, &in->error);
        if (n <= 0) return 0;
        got += (u32)n;
    }
    return out;
}

/* The picture within its block: its kind, and its bytes; gives 0 where it is malformed. */
static int flac_find_picture(const u8 *p, u32 bytes, const char **kind, st_text *data) {
    if (bytes < 32) return 0;
    const u32 type = flac_be32(p), mime = flac_be32(p + 4);
    if (mime > bytes - 32) return 0;
    const u32 text = flac_be32(p + 8 + mime);
    if (text > bytes - 32 - mime) return 0;
    const u32 at = 32 + mime + text, length = flac_be32(p + at - 4);
    *kind = flac_picture_kinds[type < ST_COUNT(flac_picture_kinds) ? type : 0];
    *data = (st_text){p + at, length < bytes - at ? length : bytes - at};
    return data->len > 0;
}

/* Bytes as a data URI (RFC 2397): base64, three bytes to four characters. Of what kind they are, the host sees itself. */
static int flac_data_uri(st_text data, st_text *uri) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char head[] = "data:application/octet-stream;base64,";
    const u32 head_len = sizeof head - 1, len = head_len + (data.len + 2) / 3 * 4;
    const u8 *p = data.at, *end = p + data.len;
    char *out = st_scratch(len);
    if (!out) return 0;
    *uri = (st_text){out, len};
    st_copy(out, head, head_len);
    for (out += head_len; p < end; p += 3, out += 4) {
        const u32 left = (u32)(end - p);
        const u32 three = (u32)p[0] << 16 | (left > 1 ? (u32)p[1] << 8 : 0) | (left > 2 ? p[2] : 0);
        out[0] = digits[three >> 18], out[1] = digits[three >> 12 & 63];
        out[2] = left > 1 ? digits[three >> 6 & 63] : '=', out[3] = left > 2 ? digits[three & 63] : '=';
    }
    return 1;
}

/* Makes `e` say that picture `i` is missing, and why. */
static void flac_leave_out(st_decoder *d, u32 i, const char *why, st_metadata_entry *e) {
    st_writer w = {flac_notes[i], flac_notes[i] + sizeof flac_notes[i]};
    st_puts(&w, "picture "), st_put_number(&w, i + 1), st_puts(&w, " of ");
    st_put_number(&w, (d->picture[i].bytes + 1023) >> 10), st_puts(&w, " KiB: "), st_puts(&w, why);
    e->key = ST_TEXT("picture.left-out");
    e->value.tag = ST_V_TEXT, e->value.text = (st_text){flac_notes[i], (u32)(w.at - flac_notes[i])};
}

/* Extras, `picture.front cover` and the like, from `extras` on; gives how many there are now. */
static u32 flac_take_pictures(st_decoder *d, u32 extras) {
    u32 room = FLAC_PICTURE_ROOM, in_list = FLAC_LIST_ROOM;
    for (u32 i = 0; i < d->pictures; i++) {
        const u32 bytes = d->picture[i].bytes;
        st_metadata_entry *e = flac_extras + extras;
        const char *why = 0, *kind;
        st_text data;
        if (!d->seekable) why = "the stream cannot seek";
        else if (d->picture[i].offset + bytes > d->size) why = "the file ends before it does";
        else if (bytes > room) why = "no more than 16 MiB in all";
        if (why) {
            flac_leave_out(d, i, why, e), extras++;
            continue;
        }
        const u8 *block = flac_fetch(d, d->picture[i].offset, bytes);
        if (!block) {
            flac_leave_out(d, i, "it cannot be read", e), extras++;
            continue;
        }
        room -= bytes;
        if (!flac_find_picture(block, bytes, &kind, &data)) continue;
        if (data.len <= in_list) e->value.tag = ST_V_BYTES, e->value.bytes = data, in_list -= data.len;
        else if (flac_data_uri(data, &e->value.text)) e->value.tag = ST_V_TEXT;
        else continue;
        st_writer w = {flac_keys[i], flac_keys[i] + sizeof flac_keys[i]};
        st_puts(&w, "picture."), st_puts(&w, kind);
        e->key = (st_text){flac_keys[i], (u32)(w.at - flac_keys[i])};
        extras++;
    }
    return extras;
}
