/* The host-stream interface, and a tour of it that an actor goes on when its configuration says {"tour": N}. */
#define STREAM INTERFACE("host-stream")
#define HANDLE "[method]host-stream-handle."

IMPORT(STREAM, "open")
void stream_open(u32 kind, const void *target, u32 target_size, u32 has_method, u32 method, const void *headers,
                 u32 header_count, u32 has_body, const void *body, u32 body_size, u32 has_connect, u32 connect,
                 u32 has_read, u32 read, handle_result *out);
IMPORT(STREAM, HANDLE "read") void stream_read(i32 stream, u32 most, bytes_result *out);
IMPORT(STREAM, HANDLE "seek") void stream_seek(i32 stream, i64 offset, u32 whence, u64_result *out);
IMPORT(STREAM, HANDLE "tell") void stream_tell(i32 stream, u64_result *out);
IMPORT(STREAM, HANDLE "size") void stream_size(i32 stream, u64_result *out);
IMPORT(STREAM, HANDLE "close") void stream_close(i32 stream);
IMPORT(STREAM, "[resource-drop]host-stream-handle") void stream_drop(i32 stream);

typedef struct { text name, value; } header;
static const header headers[] = {{{"x-one", 5}, {"1", 1}}, {{"x-two", 5}, {"2", 1}}};
static handle_result opened;
static void open_one(u32 kind, text target) {
    stream_open(kind, target.at, target.size, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, &opened);
}

/* What the tour saw, as the text of a JSON list: numbers, or the case of the error as a string. */
static char diary[2048];
static u32 diary_used;
static void note_char(char c) {
    if (diary_used < sizeof diary) diary[diary_used++] = c;
}
static void note(int failed, u8 tag, u64 value) {
    static const char *cases[] = {"invalid-arg", "not-found", "io", "timeout", "unsupported", "denied", "internal"};
    char digits[20];
    u32 n = 0;
    if (diary_used) note_char(',');
    if (failed) {
        note_char('"');
        for (const char *c = cases[tag]; *c; c++) note_char(*c);
        note_char('"');
        return;
    }
    do digits[n++] = (char)('0' + value % 10);
    while (value /= 10);
    while (n) note_char(digits[--n]);
}
#define NOTE(result, good) note((result).failed, (result).error.tag, (result).failed ? 0 : (u64)(good))

static unit_result *tour(char which) {
    bytes_result got;
    u64_result at;
    diary_used = 0;
    if (which == '2') { /* everything that a request can say */
        stream_open(1, "https://music.example/a b", 25, 1, 1, headers, 2, 1, "\0\xff body", 7, 1, 1500, 1, 0xffffffff,
                    &opened);
        NOTE(opened, 1);
        if (!opened.failed) stream_drop(opened.handle);
        return done();
    }
    if (which == '3') { /* a handle that the host never gave */
        stream_close(77);
        return done();
    }
    if (which == '4') { /* leaves everything open */
        for (u32 i = 0; i < 3; i++) open_one(0, TEXT("track.bin"));
        return done();
    }
    if (which == '9') { /* never gives up */
        do {
            open_one(0, TEXT("slow"));
            if (opened.failed) return fail(opened.error.tag, opened.error.message);
            arena_used = 0, stream_read(opened.handle, 16, &got);
            stream_drop(opened.handle);
        } while (got.failed);
        return done();
    }
    if (which >= '5') { /* waits in the host, and answers with what it was told */
        open_one(0, TEXT("slow"));
        if (opened.failed) return fail(opened.error.tag, opened.error.message);
        at.failed = got.failed = 0;
        if (which == '5') stream_read(opened.handle, 16, &got);
        if (which == '6') stream_seek(opened.handle, 16, 0, &at);
        if (which == '7') stream_tell(opened.handle, &at);
        if (which == '8') stream_size(opened.handle, &at);
        stream_drop(opened.handle);
        if (at.failed) return fail(at.error.tag, at.error.message);
        return got.failed ? fail(got.error.tag, got.error.message) : done();
    }
    open_one(0, TEXT("track.bin"));
    NOTE(opened, 1);
    if (opened.failed) return done();
    i32 stream = opened.handle;
    arena_used = 0, stream_read(stream, 4, &got), NOTE(got, got.bytes.size);
    arena_used = 0, stream_read(stream, 0, &got), NOTE(got, got.bytes.size);
    stream_tell(stream, &at), NOTE(at, at.value);
    stream_size(stream, &at), NOTE(at, at.value);
    stream_seek(stream, -2, 2, &at), NOTE(at, at.value);
    arena_used = 0, stream_read(stream, 0xffffffff, &got), NOTE(got, got.bytes.size);
    arena_used = 0, stream_read(stream, 4, &got), NOTE(got, got.bytes.size);
    stream_seek(stream, 3, 0, &at), NOTE(at, at.value);
    stream_seek(stream, 1, 1, &at), NOTE(at, at.value);
    stream_seek(stream, (i64)(1ull << 63), 1, &at), NOTE(at, at.value);
    stream_close(stream);
    arena_used = 0, stream_read(stream, 4, &got), NOTE(got, got.bytes.size);
    stream_drop(stream);
    return done();
}
static text diary_text(void) {
    static char json[sizeof diary + 2];
    json[0] = '[';
    __builtin_memcpy(json + 1, diary, diary_used);
    json[1 + diary_used] = ']';
    return (text){json, diary_used + 2};
}
