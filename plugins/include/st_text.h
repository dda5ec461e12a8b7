/* Texts: comparing, building in the memory of a call, and keeping beyond it. For components that speak JSON and HTTP. */
#pragma once
#include "st_component.h"

#define ST_BUFFER_MOST (64u << 20)
#define ST_KEPT_BYTES 512u

/* Text that grows in the memory of the call. `full` says that something did not go in. */
typedef struct {
    char *at;
    u32 len, room;
    u8 full;
} st_buffer;

static u32 st_length(const char *text) {
    u32 n = 0;
    while (text[n]) n++;
    return n;
}
static int st_same(const void *a, const void *b, u32 n) {
    for (u32 i = 0; i < n; i++)
        if (((const char *)a)[i] != ((const char *)b)[i]) return 0;
    return 1;
}
ST_UNUSED static st_text st_text_of(const char *text) { return (st_text){text, st_length(text)}; }

ST_UNUSED static int st_text_is(st_text a, const char *text) {
    const u32 n = st_length(text);
    return a.len == n && st_same(a.at, text, n);
}
ST_UNUSED static int st_text_starts(st_text a, const char *text) {
    const u32 n = st_length(text);
    return a.len >= n && st_same(a.at, text, n);
}
ST_UNUSED static st_text st_text_from(st_text a, u32 start) {
    return start < a.len ? (st_text){(const char *)a.at + start, a.len - start} : (st_text){a.at, 0};
}
/* Whether `part` stands anywhere in `a`; an empty part does not. */
ST_UNUSED static int st_text_has(st_text a, st_text part) {
    if (!part.len) return 0;
    for (u32 i = 0; i + part.len <= a.len; i++)
        if (st_same((const char *)a.at + i, part.at, part.len)) return 1;
    return 0;
}

/* Makes room for `more` bytes behind what is there; 0 where that is too much. */
static int st_reserve_more(st_buffer *b, u32 more) {
    if (b->full || more > ST_BUFFER_MOST - b->len) return b->full = 1, 0;
    if (b->len + more <= b->room) return 1;
    u32 room = b->room ? b->room * 2 : 1024;
    while (room < b->len + more) room *= 2;
    char *at = st_arena(room, 1);
    if (b->len) st_copy(at, b->at, b->len);
    b->at = at, b->room = room;
    return 1;
}
static void st_add_text(st_buffer *b, st_text text) {
    if (!st_reserve_more(b, text.len)) return;
    st_copy(b->at + b->len, text.at, text.len);
    b->len += text.len;
}
static void st_add(st_buffer *b, const char *text) { st_add_text(b, st_text_of(text)); }
static void st_add_char(st_buffer *b, char c) { st_add_text(b, (st_text){&c, 1}); }
static void st_add_number(st_buffer *b, u64 n) {
    char digits[20];
    u32 at = sizeof digits;
    do digits[--at] = (char)('0' + n % 10), n /= 10;
    while (n);
    st_add_text(b, (st_text){digits + at, (u32)sizeof digits - at});
}
static st_text st_built(const st_buffer *b) { return (st_text){b->at, b->len}; }

static const char st_hex_digits[] = "0123456789abcdef";
ST_UNUSED static void st_add_hex(st_buffer *b, const void *bytes, u32 len) {
    for (u32 i = 0; i < len; i++) {
        const u8 c = ((const u8 *)bytes)[i];
        st_add_char(b, st_hex_digits[c >> 4]), st_add_char(b, st_hex_digits[c & 15]);
    }
}

/* Percent-encoding (RFC 3986): everything but the unreserved characters. */
ST_UNUSED static void st_add_encoded(st_buffer *b, st_text text) {
    for (u32 i = 0; i < text.len; i++) {
        const u8 c = ((const u8 *)text.at)[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~')
            st_add_char(b, (char)c);
        else st_add_char(b, '%'), st_add_hex(b, &c, 1);
    }
}
static int st_hex_value(u8 c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The end of the UTF-8 sequence that begins at `i`; 0 where there is none. */
static u32 st_utf8_end(const u8 *at, u32 len, u32 i) {
    const u8 c = at[i];
    if (c < 0x80) return i + 1;
    const u32 n = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!n || len - i < n) return 0;
    for (u32 k = 1; k < n; k++)
        if ((at[i + k] & 0xc0) != 0x80) return 0;
    const u8 second = at[i + 1];
    if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
        return 0; /* overlong, a surrogate, or beyond the last character */
    return i + n;
}
/* Percent-encoded text as it was; 0 where it is no encoding, or of no text. */
ST_UNUSED static int st_decode(st_text text, st_text *out) {
    const u8 *at = text.at;
    char *decoded = st_arena(text.len + 1, 1);
    u32 n = 0;
    for (u32 i = 0; i < text.len; i++) {
        if (at[i] != '%') {
            decoded[n++] = (char)at[i];
            continue;
        }
        const int high = i + 2 < text.len ? st_hex_value(at[i + 1]) : -1, low = high < 0 ? -1 : st_hex_value(at[i + 2]);
        if (high < 0 || low < 0) return 0;
        decoded[n++] = (char)(high << 4 | low), i += 2;
    }
    for (u32 i = 0; i < n;)
        if (!(i = st_utf8_end((const u8 *)decoded, n, i))) return 0;
    *out = (st_text){decoded, n};
    return 1;
}

/* A text that outlives the call, such as one of the configuration. */
typedef struct {
    char at[ST_KEPT_BYTES];
    u32 len;
} st_kept;
ST_UNUSED static st_text st_kept_text(const st_kept *k) { return (st_text){k->at, k->len}; }
