/* The native twin of a decoder: the same code behind a small C interface, for benchmarks and tests. */
#pragma once

#define ST_EXPORT __attribute__((visibility("default")))

extern void *calloc(usize n, usize size);
extern void free(void *p);

typedef struct {
    st_plugin_error error;
    st_decoder decoder;
} st_twin;

/* Over bytes that have to stay where they are; null and a message in `why` (no final zero; `why_len` in and out) where it is refused. */
ST_EXPORT st_twin *st_twin_open(const u8 *data, u64 length, u32 only_forward, char *why, u32 *why_len) {
    st_twin *t = calloc(1, sizeof *t);
    if (!t) return 0;
    const st_stream stream = {data, length, 0, 1, only_forward != 0};
    if (st_decoder_open(&t->decoder, stream, (st_text){0, 0}, &t->error)) return *why_len = 0, t;
    const u32 n = t->error.message.len < *why_len ? t->error.message.len : *why_len;
    st_copy(why, t->error.message.at, n);
    *why_len = n;
    free(t);
    return 0;
}
ST_EXPORT void st_twin_close(st_twin *t) { free(t); }

ST_EXPORT u32 st_twin_rate(st_twin *t) {
    st_decoder_info info;
    return st_decoder_describe(&t->decoder, &info), info.sample_rate;
}
ST_EXPORT u32 st_twin_channels(st_twin *t) {
    st_decoder_info info;
    return st_decoder_describe(&t->decoder, &info), info.channels;
}

/* Frames that were written to `out`, at most `frames`; -1 where it failed. `eof` is set at the end. */
ST_EXPORT i64 st_twin_read(st_twin *t, float *out, u32 frames, u8 *eof) {
    u32 got = 0;
    *eof = 0;
    return st_decoder_read(&t->decoder, out, frames, &got, eof, &t->error) ? (i64)got : -1;
}
/* 0, or -1 where it failed. */
ST_EXPORT i32 st_twin_seek_ms(st_twin *t, u64 ms) { return st_decoder_seek_ms(&t->decoder, ms, &t->error) ? 0 : -1; }

/* The last failure's message; returns its length. Nothing ends it with a zero. */
ST_EXPORT u32 st_twin_error(const st_twin *t, char *out, u32 capacity) {
    const u32 n = t->error.message.len < capacity ? t->error.message.len : capacity;
    st_copy(out, t->error.message.at, n);
    return n;
}
