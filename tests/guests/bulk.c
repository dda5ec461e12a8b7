/* A guest for the functions that carry bytes in bulk, one build a world: -DDECODER, -DSOURCE, -DDSP or -DSINK.
 *
 * The first character of a configuration says where bytes come from and go to:
 *   p  a pattern, whose start is the second character       s  the host's stream, as they are
 *   c  the sidecar's channel, there and back                i  what was given, inverted (dsp, sink)
 *   e  an error                                             E  an error with 100,000 characters
 *   t  a trap, with the bytes ready    l  no end            w  bytes beyond the memory's end
 *   m  five megabytes                  g  the pattern, in fresh memory at each call
 *   f  a trap in post-return           W  to the channel, bytes beyond the memory's end
 *   M  to the channel, five megabytes  k  whatever lies there or was given: only the way is measured
 *   r  like i, and its allocator and its cleaning up use the channel, which the component model forbids them
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef int i32;
typedef long long i64;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define LIFECYCLE "stellatune:plugin/lifecycle@0.1.0"
#define STREAM "stellatune:plugin/host-stream@0.1.0"
#define SIDECAR "stellatune:plugin/sidecar@0.1.0"
#define TEXT(literal) ((text){literal, sizeof(literal) - 1})

typedef struct { const void *at; u32 size; } text;
typedef struct { u8 tag; text message; } plugin_error;
typedef struct { u8 failed; plugin_error error; } unit_result;
typedef struct { u8 failed; union { i32 handle; u32 number; plugin_error error; }; } word_result;
typedef struct { u8 failed; union { text bytes; plugin_error error; }; } bytes_result;
typedef struct { u8 failed; union { struct { text bytes; u32 frames; u8 eof; }; plugin_error error; }; } pcm_result;
typedef struct { u8 failed; union { struct { text bytes; u8 eof; }; plugin_error error; }; } chunk_result;
/* For what nobody here asks for: room for any result; a failed one without text is all zeros behind that. */
typedef struct { u8 failed; u8 rest[7]; u64 words[40]; } any_result;

/* ---- memory ---- */
static void meddle(void);
extern u8 __heap_base;
static u32 top;
static void reset(void) { top = (u32)&__heap_base; }
EXPORT("cabi_realloc") void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
    if (!top) reset();
    u32 at = (top + align - 1) & ~(align - 1), have = __builtin_wasm_memory_size(0) << 16;
    if (size > 0x7fffffffu - at) __builtin_trap();
    top = at + size;
    if (top > have && __builtin_wasm_memory_grow(0, (top - have + 0xffff) >> 16) == (unsigned long)-1) __builtin_trap();
    if (old) __builtin_memcpy((void *)at, old, old_size < size ? old_size : size);
    meddle();
    return (void *)at;
}

/* ---- the host's functions ---- */
#if defined(DECODER) || defined(SOURCE)
IMPORT(STREAM, "[method]host-stream-handle.read") void stream_read(i32 stream, u32 most, bytes_result *out);
IMPORT(STREAM, "[resource-drop]host-stream-handle") void stream_drop(i32 stream);
#endif
#ifdef SOURCE
IMPORT(STREAM, "open")
void stream_open(u32 kind, const void *target, u32 target_size, u32 has_method, u32 method, const void *headers,
                 u32 header_count, u32 has_body, const void *body, u32 body_size, u32 has_connect, u32 connect,
                 u32 has_read, u32 read, word_result *out);
#endif
IMPORT(SIDECAR, "launch")
void sidecar_launch(u32 scope, const void *exe, u32 exe_size, const void *args, u32 arg_count, const void *control,
                    u32 control_count, const void *data, u32 data_count, const void *env, u32 env_count,
                    word_result *out);
IMPORT(SIDECAR, "[method]process.open-control") void process_open_control(i32 process, word_result *out);
IMPORT(SIDECAR, "[method]channel.read")
void channel_read(i32 channel, u32 most, u32 has_timeout, u32 timeout, bytes_result *out);
IMPORT(SIDECAR, "[method]channel.write") void channel_write(i32 channel, const void *at, u32 size, word_result *out);
IMPORT(SIDECAR, "[resource-drop]process") void process_drop(i32 process);
IMPORT(SIDECAR, "[resource-drop]channel") void channel_drop(i32 channel);

/* ---- what is told by the configuration ---- */
static char how = 'p', seed;
static i32 process_, channel;
static unit_result unit;
static unit_result *done(void) {
    unit.failed = 0;
    return &unit;
}
static unit_result *configure(const char *json, u32 size) {
    how = size ? json[0] : 'p', seed = size > 1 ? json[1] : 0;
    reset();
    if ((how == 'c' || how == 'W' || how == 'M' || how == 'r') && !channel) {
        word_result got;
        sidecar_launch(0, "tool", 4, 0, 0, 0, 0, 0, 0, 0, 0, &got);
        if (got.failed) __builtin_trap();
        process_ = got.handle;
        process_open_control(process_, &got);
        if (got.failed) __builtin_trap();
        channel = got.handle;
    }
    return done();
}
static void meddle(void) {
    static int inside;
    static char heard[64];
    if (how != 'r' || inside || !channel) return;
    inside = 1;
    word_result written;
    bytes_result got;
    channel_write(channel, "meddling", 8, &written);
    channel_read(channel, 64, 1, 250, &got);
    if (got.failed || got.bytes.size != 8) __builtin_trap();
    __builtin_memcpy(heard, got.bytes.at, 8);
    for (u32 i = 0; i < 8; i++)
        if (heard[i] != "meddling"[i]) __builtin_trap();
    inside = 0;
}
static void forget(void) {
    if (channel) channel_drop(channel), process_drop(process_);
    channel = process_ = 0;
}

static plugin_error refusal(void) {
    if (how == 'E') {
        u8 *long_text = cabi_realloc(0, 0, 1, 100000);
        __builtin_memset(long_text, 'x', 100000);
        return (plugin_error){2, {long_text, 100000}};
    }
    return (plugin_error){3, TEXT("zu sp\xc3\xa4t")};
}

/* The bytes that the next call gives; the stream is 0 where there is none. */
static u8 pattern[1 << 20];
static volatile u32 nowhere;
static bytes_result give(text given, u32 most, i32 stream) {
    bytes_result got = {0};
    switch (how) {
    case 'e':
    case 'E': got.failed = 1, got.error = refusal(); return got;
    case 't': __builtin_trap();
    case 'l': for (;;) nowhere++;
    case 'w': got.bytes = (text){(void *)0x7ffffff0, 64}; return got;
    case 'm': got.bytes = (text){cabi_realloc(0, 0, 1, 5 << 20), 5 << 20}; return got;
#if defined(DECODER) || defined(SOURCE)
    case 's': stream_read(stream, most, &got); return got;
#endif
    case 'W':
    case 'M':
    case 'c': {
        word_result written;
        if (how == 'W') given = (text){(void *)0x7ffffff0, 64};
        if (how == 'M') given = (text){cabi_realloc(0, 0, 1, 5 << 20), 5 << 20};
        channel_write(channel, given.at, given.size, &written);
        if (written.failed) {
            got.failed = 1, got.error = written.error;
            return got;
        }
        channel_read(channel, most, 1, 250, &got);
        return got;
    }
    case 'r':
    case 'i': {
        u8 *bytes = (u8 *)given.at;
        for (u32 i = 0; i < given.size; i++) bytes[i] = (u8)~bytes[i];
        got.bytes = given;
        return got;
    }
    case 'k':
#if defined(DECODER) || defined(SOURCE)
        given = (text){pattern, most > sizeof pattern ? (u32)sizeof pattern : most};
#endif
        got.bytes = given;
        return got;
    case 'g': got.bytes = (text){cabi_realloc(0, 0, 1, most), most}; break;
    default: got.bytes = (text){pattern, most > sizeof pattern ? (u32)sizeof pattern : most};
    }
    for (u32 i = 0; i < got.bytes.size; i++) ((u8 *)got.bytes.at)[i] = (u8)(i * 31 + (i >> 8) * 7 + (u8)seed);
    return got;
}
static void given_back(void) {
    if (how == 'f') __builtin_trap();
    meddle();
    if (how != 'g') reset();
}

#ifdef STARTS
EXPORT("_initialize") void initialize(void) { seed = 9; }
#endif
EXPORT(LIFECYCLE "#on-enable") unit_result *on_enable(void) { return done(); }
EXPORT(LIFECYCLE "#on-disable") unit_result *on_disable(u32 reason) { return done(); }

#if defined(DECODER)
#define IT "stellatune:plugin/decoder@0.1.0"
#define RESOURCE "session"
#elif defined(SOURCE)
#define IT "stellatune:plugin/source@0.1.0"
#define RESOURCE "catalog"
#elif defined(DSP)
#define IT "stellatune:plugin/dsp@0.1.0"
#define RESOURCE "processor"
#else
#define IT "stellatune:plugin/output-sink@0.1.0"
#define RESOURCE "session"
#endif
#define METHOD(name) EXPORT(IT "#[method]" RESOURCE "." name)
IMPORT("[export]" IT, "[resource-new]" RESOURCE) i32 resource_new(i32 self);

METHOD("apply-config-update-json") unit_result *apply_config(i32 self, const char *json, u32 size) {
    return configure(json, size);
}
static any_result nothing;
static any_result *no(void) {
    nothing.failed = 1;
    return &nothing;
}
METHOD("plan-config-update-json") any_result *plan_config(i32 self, const char *json, u32 size) { return no(); }
METHOD("export-state-json") any_result *export_state(i32 self) { return no(); }
METHOD("import-state-json") any_result *import_state(i32 self, const char *json, u32 size) { return no(); }
METHOD("close") void close_(i32 self) { forget(); }
static word_result made;
static word_result *make(i32 self) {
    made.failed = 0, made.handle = resource_new(self);
    return &made;
}

#if defined(DECODER)
EXPORT(IT "#open") word_result *open(i32 input, u32 has_hint, const char *hint, u32 size) { return make(input); }
EXPORT(IT "#[dtor]session") void destroy(i32 self) { forget(), stream_drop(self); }
METHOD("info") any_result *info(i32 self) { return no(); }
METHOD("metadata") any_result *metadata(i32 self) { return no(); }
METHOD("seek-ms") any_result *seek(i32 self, u64 position) { return no(); }
METHOD("read-pcm-f32") pcm_result *read(i32 self, u32 frames) {
    static pcm_result result;
    bytes_result got = give((text){"ping", 4}, frames, self);
    result.failed = got.failed;
    if (got.failed) result.error = got.error;
    else result.bytes = got.bytes, result.frames = got.bytes.size / 8, result.eof = got.bytes.size < frames;
    return &result;
}
EXPORT("cabi_post_" IT "#[method]session.read-pcm-f32") void read_given_back(void *result) { given_back(); }

#elif defined(SOURCE)
#define CHUNKS(name) EXPORT(IT "#[method]source-stream." name)
IMPORT("[export]" IT, "[resource-new]source-stream") i32 stream_new(i32 self);
static any_result opened;
EXPORT(IT "#create") word_result *create(void) { return make(1); }
METHOD("list-items-json") any_result *list(i32 self, const char *json, u32 size) { return no(); }
METHOD("open-stream-json") any_result *open_track(i32 self, const char *json, u32 size) { return no(); }
METHOD("open-uri") any_result *open(i32 self, const char *uri, u32 size) {
    word_result got;
    stream_open(0, uri, size, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, &got);
    if (got.failed) return no();
    opened = (any_result){0};
    u32 *words = (u32 *)opened.words; /* processed(the stream), neither hint nor metadata */
    words[0] = 1, words[1] = (u32)stream_new(got.handle);
    return &opened;
}
EXPORT(IT "#[dtor]catalog") void destroy(i32 self) { forget(); }
EXPORT(IT "#[dtor]source-stream") void destroy_stream(i32 self) { stream_drop(self); }
CHUNKS("metadata") any_result *metadata(i32 self) { return no(); }
CHUNKS("close") void close_stream(i32 self) {}
CHUNKS("read") chunk_result *read(i32 self, u32 most) {
    static chunk_result result;
    bytes_result got = give((text){"ping", 4}, most, self);
    result.failed = got.failed;
    if (got.failed) result.error = got.error;
    else result.bytes = got.bytes, result.eof = got.bytes.size < most;
    return &result;
}
EXPORT("cabi_post_" IT "#[method]source-stream.read") void read_given_back(void *result) { given_back(); }

#elif defined(DSP)
EXPORT(IT "#create") word_result *create(u32 rate, u32 channels) { return make(1); }
EXPORT(IT "#[dtor]processor") void destroy(i32 self) { forget(); }
METHOD("describe-hot-path") any_result *describe(i32 self, u32 rate, u32 channels) { return no(); }
METHOD("supported-layouts") u32 layouts(i32 self) { return 2; }
METHOD("output-channels") u32 output_channels(i32 self) { return 2; }
METHOD("process-interleaved-f32") bytes_result *process(i32 self, u32 channels, u8 *at, u32 size) {
    static bytes_result result;
    result = give((text){at, size}, channels ? size : 0, 0);
    return &result;
}
EXPORT("cabi_post_" IT "#[method]processor.process-interleaved-f32") void processed(void *result) { given_back(); }

#else
EXPORT(IT "#create") word_result *create(void) { return make(1); }
EXPORT(IT "#[dtor]session") void destroy(i32 self) { forget(); }
METHOD("list-targets-json") any_result *targets(i32 self) { return no(); }
METHOD("negotiate-spec-json") any_result *negotiate(i32 self, const char *t, u32 size, u32 rate, u32 channels) { return no(); }
METHOD("describe-hot-path") any_result *describe(i32 self, u32 rate, u32 channels) { return no(); }
METHOD("open-json") any_result *open(i32 self, const char *json, u32 size, u32 rate, u32 channels) { return no(); }
METHOD("query-status") any_result *status(i32 self) { return no(); }
METHOD("flush") any_result *flush(i32 self) { return no(); }
METHOD("reset") any_result *reset_(i32 self) { return no(); }
/* Accepts as many frames as a sum over the bytes, each weighted by its place, says. */
METHOD("write-interleaved-f32") word_result *write(i32 self, u32 channels, u8 *at, u32 size) {
    static word_result result;
    bytes_result got = give((text){at, size}, size, 0);
    result.failed = got.failed;
    if (got.failed) {
        result.error = got.error;
        return &result;
    }
    result.number = how == 'k' ? size : 0;
    for (u32 i = 0; how != 'k' && i < got.bytes.size; i++) result.number = result.number * 31 + ((const u8 *)got.bytes.at)[i];
    return &result;
}
EXPORT("cabi_post_" IT "#[method]session.write-interleaved-f32") void written(void *result) { given_back(); }
#endif
