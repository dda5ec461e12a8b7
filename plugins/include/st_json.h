/* A small JSON reader and writer (RFC 8259), without allocation.
 *
 * The whole text is checked first, so the iterators may trust it. Values are slices of the text.
 */
#pragma once
#include "st_base.h"
#include "st_math.h"

typedef struct {
    const char *at, *end;
} st_slice;

typedef enum { ST_JSON_NULL, ST_JSON_BOOL, ST_JSON_NUMBER, ST_JSON_STRING, ST_JSON_ARRAY, ST_JSON_OBJECT } st_json_type;

#define ST_JSON_DEPTH 16

ST_UNUSED static void st_json_space(st_slice *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) s->at++;
}
static int st_json_digits(st_slice *s) {
    const char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') s->at++;
    return s->at > start;
}
static int st_json_word(st_slice *s, const char *word, u32 n) {
    if ((usize)(s->end - s->at) < n) return 0;
    for (u32 i = 0; i < n; i++)
        if (s->at[i] != word[i]) return 0;
    s->at += n;
    return 1;
}
static int st_json_string(st_slice *s) {
    if (s->at >= s->end || *s->at != '"') return 0;
    for (s->at++; s->at < s->end; s->at++) {
        const u8 c = (u8)*s->at;
        if (c == '"') {
            s->at++;
            return 1;
        }
        if (c < 0x20) return 0;
        if (c == '\\' && ++s->at >= s->end) return 0;
    }
    return 0;
}
static int st_json_number(st_slice *s) {
    if (s->at < s->end && *s->at == '-') s->at++;
    if (s->at >= s->end) return 0;
    if (*s->at == '0') s->at++;
    else if (!st_json_digits(s)) return 0;
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!st_json_digits(s)) return 0;
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-')) s->at++;
        if (!st_json_digits(s)) return 0;
    }
    return 1;
}

/* Steps over one value; returns 0 where the text is not JSON. */
static int st_json_skip(st_slice *s, int depth) {
    st_json_space(s);
    if (depth > ST_JSON_DEPTH || s->at >= s->end) return 0;
    const char open = *s->at;
    if (open == '"') return st_json_string(s);
    if (open == 't') return st_json_word(s, "true", 4);
    if (open == 'f') return st_json_word(s, "false", 5);
    if (open == 'n') return st_json_word(s, "null", 4);
    if (open != '{' && open != '[') return st_json_number(s);
    const char close = open == '{' ? '}' : ']';
    s->at++;
    st_json_space(s);
    if (s->at < s->end && *s->at == close) {
        s->at++;
        return 1;
    }
    for (;;) {
        if (open == '{') {
            st_json_space(s);
            if (!st_json_string(s)) return 0;
            st_json_space(s);
            if (s->at >= s->end || *s->at++ != ':') return 0;
        }
        if (!st_json_skip(s, depth + 1)) return 0;
        st_json_space(s);
        if (s->at >= s->end) return 0;
        const char c = *s->at++;
        if (c == close) return 1;
        if (c != ',') return 0;
    }
}

ST_UNUSED static int st_json_valid(const char *text, u32 len) {
    st_slice s = {text, text + len};
    if (!st_json_skip(&s, 0)) return 0;
    st_json_space(&s);
    return s.at == s.end;
}

static st_json_type st_json_kind(st_slice v) {
    switch (*v.at) {
        case '{': return ST_JSON_OBJECT;
        case '[': return ST_JSON_ARRAY;
        case '"': return ST_JSON_STRING;
        case 't':
        case 'f': return ST_JSON_BOOL;
        case 'n': return ST_JSON_NULL;
        default: return ST_JSON_NUMBER;
    }
}

/* The next member of an object (`key` not null) or element of an array, in checked text. Start with
 * `it->at` on the opening bracket. Returns 0 at the end. */
static int st_json_next(st_slice *it, st_slice *key, st_slice *value) {
    it->at++; /* the opening bracket or the comma before */
    st_json_space(it);
    if (*it->at == '}' || *it->at == ']') return 0;
    if (key) {
        key->at = it->at + 1;
        st_json_string(it);
        key->end = it->at - 1;
        st_json_space(it);
        it->at++; /* colon */
        st_json_space(it);
    }
    value->at = it->at;
    st_json_skip(it, 0);
    value->end = it->at;
    st_json_space(it);
    if (*it->at == '}' || *it->at == ']') it->at--; /* the next call steps on to the bracket and stops */
    return 1;
}

static int st_slice_is(st_slice s, const char *text) {
    usize n = 0;
    while (text[n]) n++;
    if ((usize)(s.end - s.at) != n) return 0;
    for (usize i = 0; i < n; i++)
        if (s.at[i] != text[i]) return 0;
    return 1;
}

/* A number out of checked text. Exact for up to 19 digits and 22 places; close enough beyond. */
static double st_json_to_double(st_slice s) {
    int negative = 0, exponent = 0, e = 0, e_negative = 0;
    u64 mantissa = 0;
    const char *p = s.at;
    if (*p == '-') negative = 1, p++;
    int fraction = 0;
    for (; p < s.end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            fraction = 1;
            continue;
        }
        if (mantissa < 900000000000000000ull) mantissa = mantissa * 10 + (u64)(*p - '0'), exponent -= fraction;
        else exponent += !fraction;
    }
    if (p < s.end) {
        p++;
        if (*p == '-' || *p == '+') e_negative = *p++ == '-';
        for (; p < s.end; p++)
            if (e < 10000) e = e * 10 + (*p - '0');
    }
    exponent += e_negative ? -e : e;
    double x = (double)mantissa, scale = 1.0;
    int n = exponent < 0 ? -exponent : exponent;
    if (n > 400) n = 400;
    for (int i = 0; i < n; i++) scale *= 10.0;
    x = exponent < 0 ? x / scale : x * scale;
    if (mantissa == 0) x = 0.0;
    return negative ? -x : x;
}

/* ---- writer ---- */
typedef struct {
    char *at, *end;
} st_writer;

static void st_put(st_writer *w, char c) {
    if (w->at < w->end) *w->at++ = c;
}
static void st_puts(st_writer *w, const char *text) {
    while (*text) st_put(w, *text++);
}
ST_UNUSED static void st_put_slice(st_writer *w, st_slice s, u32 most) {
    for (u32 i = 0; i < most && s.at + i < s.end; i++) {
        const char c = s.at[i];
        /* Messages must be UTF-8 whatever the text was, so only plain ASCII is repeated. */
        st_put(w, c >= 0x20 && c < 0x7f ? c : '?');
    }
}

/* A decimal with as few places as give the same number back, at most nine. */
static void st_put_number(st_writer *w, double x) {
    if (!(st_abs(x) < 1e9)) {
        st_puts(w, x != x ? "nan" : x < 0 ? "-1e9" : "1e9");
        return;
    }
    if (x < 0.0) st_put(w, '-'), x = -x;
    double scale = 1.0;
    int places = 0;
    while (places < 9 && st_round(x * scale) / scale != x) scale *= 10.0, places++;
    u64 n = (u64)st_round(x * scale);
    char digits[24];
    int count = 0;
    while (n || count <= places) digits[count++] = (char)('0' + n % 10), n /= 10;
    while (count--) {
        st_put(w, digits[count]);
        if (count == places && places) st_put(w, '.');
    }
}
