/* The host's byte streams, as a component imports them. */
#pragma once
#include "st_component.h"

#define ST_HOST_STREAM "stellatune:plugin/host-stream@0.1.0"
#define ST_STREAM_METHOD "[method]host-stream-handle."

ST_IMPORT(ST_HOST_STREAM, ST_STREAM_METHOD "read") void st_import_stream_read(i32 handle, u32 most, st_result_bytes *result);
ST_IMPORT(ST_HOST_STREAM, ST_STREAM_METHOD "seek")
void st_import_stream_seek(i32 handle, i64 offset, u32 whence, st_result_u64 *result);
ST_IMPORT(ST_HOST_STREAM, ST_STREAM_METHOD "tell") void st_import_stream_tell(i32 handle, st_result_u64 *result);
ST_IMPORT(ST_HOST_STREAM, ST_STREAM_METHOD "size") void st_import_stream_size(i32 handle, st_result_u64 *result);
ST_IMPORT(ST_HOST_STREAM, "[resource-drop]host-stream-handle") void st_import_stream_drop(i32 handle);

/* A stream that this component owns. */
typedef struct {
    i32 handle;
    u8 open;
} st_stream;

/* Reads at most `size` bytes straight to `into`; gives their number, 0 at the end, or -1 with `error` filled in, whose text
 * lives until the call of the export ends. */
ST_UNUSED static i64 st_stream_read(st_stream *stream, void *into, u32 size, st_plugin_error *error) {
    static st_result_bytes r;
    st_aim(into, size);
    st_import_stream_read(stream->handle, size, &r);
    st_aim(0, 0);
    if (r.failed) return *error = r.error, -1;
    const u32 n = r.bytes.len < size ? r.bytes.len : size;
    if (r.bytes.at != into && n) st_copy(into, r.bytes.at, n);
    return (i64)n;
}

/* To `position` from the start; gives 0 with `error` filled in where that fails. */
ST_UNUSED static int st_stream_seek(st_stream *stream, u64 position, st_plugin_error *error) {
    static st_result_u64 r;
    st_import_stream_seek(stream->handle, (i64)position, 0, &r);
    if (!r.failed && r.value != position) r.failed = 1, r.error = st_fail(ST_E_IO, ST_TEXT("the stream went to another place"));
    if (r.failed) *error = r.error;
    return !r.failed;
}

ST_UNUSED static int st_stream_tell(st_stream *stream, u64 *position, st_plugin_error *error) {
    static st_result_u64 r;
    st_import_stream_tell(stream->handle, &r);
    if (r.failed) *error = r.error;
    else *position = r.value;
    return !r.failed;
}

ST_UNUSED static int st_stream_size(st_stream *stream, u64 *size, st_plugin_error *error) {
    static st_result_u64 r;
    st_import_stream_size(stream->handle, &r);
    if (r.failed) *error = r.error;
    else *size = r.value;
    return !r.failed;
}

/* Gives the stream back to the host, which closes it. */
ST_UNUSED static void st_stream_close(st_stream *stream) {
    if (stream->open) st_import_stream_drop(stream->handle);
    stream->open = 0;
}

/* ---- opening streams, for sources ---- */
enum { ST_OPEN_FILE, ST_OPEN_HTTP, ST_OPEN_TCP, ST_OPEN_UDP };
enum { ST_HTTP_GET, ST_HTTP_POST, ST_HTTP_PUT, ST_HTTP_DELETE, ST_HTTP_HEAD, ST_HTTP_PATCH };
typedef struct {
    st_text name, value;
} st_header;
typedef struct {
    u8 kind;
    st_text target;
    struct {
        u8 some, value;
    } method;
    struct {
        const st_header *at;
        u32 len;
    } headers;
    st_option_text body;
    st_option_u32 connect_timeout_ms, read_timeout_ms;
} st_open_request;

ST_IMPORT(ST_HOST_STREAM, "open")
void st_import_stream_open(u32 kind, const void *target, u32 target_len, u32 has_method, u32 method, const st_header *headers,
                           u32 header_count, u32 has_body, const void *body, u32 body_len, u32 has_connect, u32 connect_ms,
                           u32 has_read, u32 read_ms, st_result_handle *result);

/* Gives the handle, which the caller owns, or an error. */
ST_UNUSED static st_result_handle *st_stream_open(const st_open_request *q) {
    static st_result_handle r;
    st_import_stream_open(q->kind, q->target.at, q->target.len, q->method.some, q->method.value, q->headers.at, q->headers.len,
                          q->body.some, q->body.value.at, q->body.value.len, q->connect_timeout_ms.some,
                          q->connect_timeout_ms.value, q->read_timeout_ms.some, q->read_timeout_ms.value, &r);
    return &r;
}
