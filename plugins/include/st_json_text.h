/* JSON documents of any shape, read and written: st_json.h walks them, here are strings, numbers and members by name.
 *
 * Documents come from servers. They are checked as a whole first (st_json_document); a value of another type than the one that is
 * asked for counts as missing.
 */
#pragma once
#include "st_json.h"
#include "st_text.h"

#define ST_STRING_MOST 4096u

ST_UNUSED static int st_json_document(st_text text, st_slice *out) {
    if (!text.len || !st_json_valid(text.at, text.len)) return 0;
    *out = (st_slice){text.at, (const char *)text.at + text.len};
    st_json_space(out);
    return 1;
}

/* The first member of that name, if `object` is an object and the member is not null. */
ST_UNUSED static int st_json_member(st_slice object, const char *name, st_slice *out) {
    if (object.at >= object.end || *object.at != '{') return 0;
    st_slice key, value;
    while (st_json_next(&object, &key, &value))
        if (st_slice_is(key, name)) {
            if (*value.at == 'n') return 0;
            *out = value;
            return 1;
        }
    return 0;
}

/* Goes through an array; an object stands for an array of one, since some servers leave the brackets out. Start with `it` a copy of
 * the value and `index` 0. */
ST_UNUSED static int st_json_each(st_slice *it, u32 *index, st_slice *element) {
    if (*it->at == '{' && !*index) return *index = 1, *element = *it, it->at = it->end, 1;
    if (it->at >= it->end || (!*index && *it->at != '[')) return 0;
    ++*index;
    return st_json_next(it, 0, element);
}

static u32 st_json_unit(const char *at, const char *end) {
    u32 unit = 0;
    if (end - at < 4) return 0xffff;
    for (u32 i = 0; i < 4; i++) {
        const int digit = st_hex_value((u8)at[i]);
        if (digit < 0) return 0xffff;
        unit = unit << 4 | (u32)digit;
    }
    return unit;
}
static void st_add_character(st_buffer *b, u32 c) {
    if (c < 0x80) st_add_char(b, (char)c);
    else if (c < 0x800) st_add_char(b, (char)(0xc0 | c >> 6)), st_add_char(b, (char)(0x80 | (c & 63)));
    else {
        if (c < 0x10000) st_add_char(b, (char)(0xe0 | c >> 12));
        else st_add_char(b, (char)(0xf0 | c >> 18)), st_add_char(b, (char)(0x80 | (c >> 12 & 63)));
        st_add_char(b, (char)(0x80 | (c >> 6 & 63))), st_add_char(b, (char)(0x80 | (c & 63)));
    }
}

/* The text of a string without its escapes, or of a number as it stands; at most `most` bytes and some. It is valid UTF-8
 * whatever stood there. */
static int st_json_to_text(st_slice v, u32 most, st_text *out) {
    if (v.at >= v.end) return 0;
    if (*v.at == '-' || (*v.at >= '0' && *v.at <= '9')) return *out = (st_text){v.at, (u32)(v.end - v.at)}, 1;
    if (*v.at != '"') return 0;
    st_buffer b = {0};
    const char *at = v.at + 1, *end = v.end - 1;
    while (at < end && b.len < most) {
        if (*at != '\\') {
            const u32 next = st_utf8_end((const u8 *)at, (u32)(end - at), 0);
            if (next) st_add_text(&b, (st_text){at, next}), at += next;
            else st_add(&b, "\xef\xbf\xbd"), at++;
            continue;
        }
        const char escape = at[1];
        at += 2;
        switch (escape) {
            case 'b': st_add_char(&b, '\b'); break;
            case 'f': st_add_char(&b, '\f'); break;
            case 'n': st_add_char(&b, '\n'); break;
            case 'r': st_add_char(&b, '\r'); break;
            case 't': st_add_char(&b, '\t'); break;
            case 'u': {
                u32 c = st_json_unit(at, end);
                at += end - at < 4 ? end - at : 4;
                if (c >= 0xd800 && c < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
                    const u32 low = st_json_unit(at + 2, end);
                    if (low >= 0xdc00 && low < 0xe000) c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), at += 6;
                }
                st_add_character(&b, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
                break;
            }
            default: st_add_char(&b, escape == '"' || escape == '\\' || escape == '/' ? escape : '?');
        }
    }
    *out = b.full ? (st_text){0, 0} : st_built(&b);
    return 1;
}
ST_UNUSED static int st_json_text(st_slice object, const char *name, st_text *out) {
    st_slice value;
    *out = (st_text){0, 0};
    return st_json_member(object, name, &value) && st_json_to_text(value, ST_STRING_MOST, out);
}
/* A whole number from 0 to `most`. */
ST_UNUSED static int st_json_count(st_slice object, const char *name, u64 most, u64 *out) {
    st_slice value;
    if (!st_json_member(object, name, &value) || st_json_kind(value) != ST_JSON_NUMBER) return 0;
    const double x = st_json_to_double(value);
    if (!(x >= 0.0 && x <= (double)most)) return 0;
    *out = (u64)x;
    return 1;
}
ST_UNUSED static int st_json_true(st_slice object, const char *name) {
    st_slice value;
    return st_json_member(object, name, &value) && *value.at == 't';
}

/* ---- writing ---- */
static void st_add_string(st_buffer *b, st_text text) {
    st_add_char(b, '"');
    for (u32 i = 0; i < text.len; i++) {
        const u8 c = ((const u8 *)text.at)[i];
        if (c == '"' || c == '\\') st_add_char(b, '\\'), st_add_char(b, (char)c);
        else if (c >= 0x20) st_add_char(b, (char)c);
        else st_add(b, "\\u00"), st_add_hex(b, &c, 1);
    }
    st_add_char(b, '"');
}
/* `"name":`, with a comma before it where something stands there already. */
static void st_add_name(st_buffer *b, const char *name) {
    const char last = b->len ? b->at[b->len - 1] : '{';
    if (last != '{' && last != '[') st_add_char(b, ',');
    st_add_char(b, '"'), st_add(b, name), st_add(b, "\":");
}
ST_UNUSED static void st_add_text_member(st_buffer *b, const char *name, st_text text) {
    if (text.len) st_add_name(b, name), st_add_string(b, text);
}
ST_UNUSED static void st_add_count_member(st_buffer *b, const char *name, u64 n) { st_add_name(b, name), st_add_number(b, n); }

/* ---- configurations made of texts ---- */
typedef struct {
    const char *key;
    const char *fallback;
    const char *const *choices; /* null: any text */
} st_text_param;

/* Missing keys mean their fallback, unknown ones are left alone; `out` has a place for each parameter. */
ST_UNUSED static int st_parse_texts(const st_text_param *params, u32 count, st_text json, st_kept *out, st_plugin_error *error) {
    st_slice document;
    st_buffer b = {0};
    if (!st_json_document(json, &document) || *document.at != '{')
        return *error = st_fail(ST_E_INVALID_ARG, ST_TEXT("the configuration is no JSON object")), 0;
    for (u32 i = 0; i < count; i++) {
        const st_text_param *p = &params[i];
        st_slice value;
        st_text text = st_text_of(p->fallback);
        const char *why = 0;
        if (st_json_member(document, p->key, &value)) {
            if (*value.at != '"' || !st_json_to_text(value, ST_KEPT_BYTES + 1, &text)) why = ": expected a string";
            else if (text.len > ST_KEPT_BYTES) why = ": too long";
            for (u32 k = 0; k < text.len && !why; k++)
                if (((const u8 *)text.at)[k] < 0x20) why = ": has a control character";
        }
        u32 choice = 0;
        while (!why && p->choices && p->choices[choice] && !st_text_is(text, p->choices[choice])) choice++;
        if (!why && p->choices && !p->choices[choice]) why = ": expected one of";
        if (why) {
            st_add(&b, p->key), st_add(&b, why);
            for (u32 k = 0; p->choices && p->choices[k]; k++) st_add(&b, k ? ", " : " "), st_add(&b, p->choices[k]);
            return *error = st_fail(ST_E_INVALID_ARG, st_built(&b)), 0;
        }
        st_copy(out[i].at, text.at, text.len), out[i].len = text.len;
    }
    return 1;
}
