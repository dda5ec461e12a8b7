/* A stream over bytes in memory, with the interface of st_host_stream.h: what native twins read from. */
#pragma once
#include "st_abi.h"

typedef struct {
    const u8 *data;
    u64 length, at;
    u8 open;
    u8 only_forward; /* behave like a stream that cannot seek and knows no size */
} st_stream;

ST_UNUSED static i64 st_stream_read(st_stream *stream, void *into, u32 size, st_plugin_error *error) {
    (void)error;
    const u64 left = stream->length - stream->at, n = left < size ? left : size;
    if (n) st_copy(into, stream->data + stream->at, n);
    stream->at += n;
    return (i64)n;
}
ST_UNUSED static int st_stream_seek(st_stream *stream, u64 position, st_plugin_error *error) {
    if (stream->only_forward) return *error = st_fail(ST_E_UNSUPPORTED, ST_TEXT("the stream cannot seek")), 0;
    stream->at = position < stream->length ? position : stream->length;
    return 1;
}
ST_UNUSED static int st_stream_tell(st_stream *stream, u64 *position, st_plugin_error *error) {
    return (void)error, *position = stream->at, 1;
}
ST_UNUSED static int st_stream_size(st_stream *stream, u64 *size, st_plugin_error *error) {
    if (stream->only_forward) return *error = st_fail(ST_E_UNSUPPORTED, ST_TEXT("the stream has no known size")), 0;
    return *size = stream->length, 1;
}
ST_UNUSED static void st_stream_close(st_stream *stream) { stream->open = 0; }
