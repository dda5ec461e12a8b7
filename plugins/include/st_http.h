/* Documents over the host's HTTP streams, for worlds without the HTTP client. */
#pragma once
#include "st_host_stream.h"
#include "st_text.h"

#define ST_PIECE 65536u

/* Reads to the end of the stream, behind what `out` has already; the caller closes it. */
ST_UNUSED static int st_stream_read_all(st_stream *stream, u32 most, st_buffer *out, st_plugin_error *error) {
    for (;;) {
        if (out->len > most) return *error = st_fail(ST_E_IO, ST_TEXT("the server's answer is too long")), 0;
        if (!st_reserve_more(out, ST_PIECE)) return *error = st_fail(ST_E_INTERNAL, ST_TEXT("there is no room for the server's answer")), 0;
        const i64 n = st_stream_read(stream, out->at + out->len, ST_PIECE, error);
        if (n < 0) return 0;
        if (n == 0) return 1;
        out->len += (u32)n;
    }
}

/* A GET as a stream. */
ST_UNUSED static int st_http_open(st_text url, st_stream *out, st_plugin_error *error) {
    const st_open_request request = {.kind = ST_OPEN_HTTP, .target = url};
    const st_result_handle *r = st_stream_open(&request);
    if (r->failed) return *error = r->error, 0;
    *out = (st_stream){r->handle, 1};
    return 1;
}

/* The body of a GET, at most `most` bytes and a piece. */
ST_UNUSED static int st_http_get(st_text url, u32 most, st_text *out, st_plugin_error *error) {
    st_stream stream;
    st_buffer body = {0};
    if (!st_http_open(url, &stream, error)) return 0;
    const int done = st_stream_read_all(&stream, most, &body, error);
    st_stream_close(&stream);
    *out = st_built(&body);
    return done;
}

/* What a host says about a URL may repeat its query, where credentials stand: everything from a `?` to the end of the word goes. */
ST_UNUSED static st_text st_without_queries(st_text message) {
    st_buffer b = {0};
    int inside = 0;
    for (u32 i = 0; i < message.len; i++) {
        const char c = ((const char *)message.at)[i];
        if (c == ' ' || c == '\'' || c == '"' || c == '\n') inside = 0;
        if (c == '?') inside = 1;
        if (!inside) st_add_char(&b, c);
    }
    return st_built(&b);
}
