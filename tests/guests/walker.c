/* A component that calls the host's functions one by one, as a test says, and tells what came of each: the error that
 * it got, or an error of its own whose text is "ok" and a number. Two builds: a source (-DWALKS_SOURCE), which does what
 * "walk:" and a letter in open-uri name (see walk() below), and a lyrics provider, whose search fetches JSON.
 *
 * What a function gives is kept, one of a kind, for those that need it.
 */
#define ARENA (2 << 20)
#include "guest.h"

static plugin_error told;
static text ok(u64 value) {
    static char line[32] = "ok ";
    char digits[20];
    u32 n = 0, at = 3;
    do digits[n++] = (char)('0' + value % 10);
    while (value /= 10);
    while (n) line[at++] = digits[--n];
    return (text){line, at};
}
/* Evaluates to the good value's number, or leaves with the error. */
#define TELL(result, good) \
    told = (result).failed ? (result).error : (plugin_error){INTERNAL, ok((u64)(good))}

#ifdef WALKS_SOURCE
#include "streams.h"
#define SIDECAR INTERFACE("sidecar")
typedef struct { u8 kind, priority, pad[2]; u8 has_size, pad2[3]; u32 size; } transport_option;
typedef struct { u8 failed; union { maybe_u32 code; plugin_error error; }; } exit_result;
_Static_assert(sizeof(transport_option) == 12 && sizeof(exit_result) == 16, "the canonical layout");

IMPORT(SIDECAR, "launch")
void sidecar_launch(u32 scope, const void *exe, u32 exe_size, const void *args, u32 arg_count, const void *control,
                    u32 control_count, const void *data, u32 data_count, const void *env, u32 env_count,
                    handle_result *out);
IMPORT(SIDECAR, "lock")
void sidecar_lock(const void *name, u32 size, u32 has_timeout, u32 timeout, handle_result *out);
IMPORT(SIDECAR, "[method]lock-guard.unlock") void guard_unlock(i32 guard);
IMPORT(SIDECAR, "[method]process.open-control") void process_open_control(i32 process, handle_result *out);
IMPORT(SIDECAR, "[method]process.open-data")
void process_open_data(i32 process, const void *role, u32 size, const void *wishes, u32 count, handle_result *out);
IMPORT(SIDECAR, "[method]process.wait-exit") void process_wait(i32 process, u32 has, u32 timeout, exit_result *out);
IMPORT(SIDECAR, "[method]process.terminate") void process_terminate(i32 process, u32 grace, unit_result *out);
IMPORT(SIDECAR, "[method]channel.transport") u32 channel_transport(i32 channel);
IMPORT(SIDECAR, "[method]channel.write") void channel_write(i32 channel, const void *at, u32 size, u32_result *out);
IMPORT(SIDECAR, "[method]channel.read")
void channel_read(i32 channel, u32 most, u32 has_timeout, u32 timeout, bytes_result *out);
IMPORT(SIDECAR, "[method]channel.close") void channel_close(i32 channel);

#define LONG 60000 /* ms: longer than the host ever waits */
static i32 guard, process, channel;

static void walk(char op, const char *arg, u32 size) {
    static const u8 block[1 << 20];
    transport_option wish = {(u8)(size ? arg[0] - '0' : 0), 1, {0}, 0, {0}, 0};
    handle_result got;
    bytes_result bytes;
    u64_result at;
    u32_result count;
    unit_result done_;
    exit_result ended;
    told = (plugin_error){INTERNAL, TEXT("ok 0")};
    arena_used = 0;
    switch (op) {
    case 'o': /* open: kind, target */
        open_one((u32)(arg[0] - '0'), (text){arg + 1, size - 1});
        TELL(opened, 1);
        return;
    case 'r': stream_read(opened.handle, 1 << 16, &bytes); TELL(bytes, bytes.bytes.size); return;
    case 's': stream_seek(opened.handle, 500, 0, &at); TELL(at, at.value); return;
    case 't': stream_tell(opened.handle, &at); TELL(at, at.value); return;
    case 'z': stream_size(opened.handle, &at); TELL(at, at.value); return;
    case 'c': stream_close(opened.handle); return;
    case 'k': /* lock: name */
        sidecar_lock(arg, size, 1, LONG, &got);
        TELL(got, 1);
        if (!got.failed) guard = got.handle;
        return;
    case 'u': guard_unlock(guard); return;
    case 'l': /* launch: transport of both channels, executable */
        sidecar_launch(0, arg + 1, size - 1, 0, 0, &wish, 1, &wish, 1, 0, 0, &got);
        TELL(got, 1);
        if (!got.failed) process = got.handle;
        return;
    case 'p': process_open_control(process, &got); TELL(got, 1); if (!got.failed) channel = got.handle; return;
    case 'd': process_open_data(process, "pcm", 3, &wish, 1, &got); TELL(got, 1); return;
    case 'w': process_wait(process, 1, LONG, &ended); TELL(ended, ended.code.some); return;
    case 'x': process_terminate(process, LONG, &done_); TELL(done_, 0); return;
    case 'i': told.message = ok(channel_transport(channel)); return;
    case 'W': channel_write(channel, block, sizeof block, &count); TELL(count, count.value); return;
    case 'R': channel_read(channel, 16, 1, LONG, &bytes); TELL(bytes, bytes.bytes.size); return;
    case 'C': channel_close(channel); return;
    }
    __builtin_trap();
}

#define SOURCE INTERFACE("source")
#define RESOURCE SOURCE "#[method]catalog."
#define STREAM_METHOD(name) EXPORT(SOURCE "#[method]source-stream." name)
IMPORT("[export]" SOURCE, "[resource-new]catalog") i32 catalog_new(void *self);
typedef struct { u64 whole[40]; } any_result; /* room for each of them; only the error of open-uri is ever set */
#define ERROR_AT 8 /* a track's duration is 64 bits wide, which aligns the whole */
static any_result *refused(void) {
    static any_result result;
    __builtin_memset(&result, 0, sizeof result);
    return &result;
}
EXPORT(SOURCE "#create") handle_result *create(void) {
    static handle_result result;
    static u32 self;
    result.handle = catalog_new(&self);
    return &result;
}
EXPORT(SOURCE "#[dtor]catalog") void destroy(void *self) {}
EXPORT(RESOURCE "list-items-json") any_result *list_items(void *self, const char *json, u32 size) { return refused(); }
EXPORT(RESOURCE "open-stream-json") any_result *open_stream(void *self, const char *json, u32 size) { return refused(); }
EXPORT(RESOURCE "open-uri") any_result *open_uri(void *self, const char *uri, u32 size) {
    any_result *result = refused();
    walk(uri[5], uri + 6, size - 6); /* walk: */
    ((u8 *)result)[0] = 1;
    __builtin_memcpy((u8 *)result + ERROR_AT, &told, sizeof told);
    return result;
}
STREAM_METHOD("metadata") any_result *stream_metadata(void *self) { return refused(); }
STREAM_METHOD("read") any_result *next(void *self, u32 most) { return refused(); }
STREAM_METHOD("close") void stream_close_(void *self) {}
EXPORT(SOURCE "#[dtor]source-stream") void stream_destroy(void *self) {}
#else
#define LYRICS INTERFACE("lyrics")
#define RESOURCE LYRICS "#[method]provider."
IMPORT("[export]" LYRICS, "[resource-new]provider") i32 provider_new(void *self);
IMPORT(INTERFACE("http-client"), "fetch-json") void fetch_json(const void *url, u32 size, bytes_result *out);
EXPORT(LYRICS "#create") handle_result *create(void) {
    static handle_result result;
    static u32 self;
    result.handle = provider_new(&self);
    return &result;
}
EXPORT(LYRICS "#[dtor]provider") void destroy(void *self) {}
EXPORT(RESOURCE "search") bytes_result *search(void *self, const char *keyword, u32 size) {
    static bytes_result result, got;
    fetch_json(keyword, size, &got);
    TELL(got, got.bytes.size);
    result.failed = 1, result.error = told;
    return &result;
}
EXPORT(RESOURCE "fetch") bytes_result *fetch(void *self, const char *id, u32 size) { return search(self, id, size); }
#endif

static unit_result *configured(const char *json, u32 size) { return done(); }
static text exported(void) { return TEXT("{}"); }
#include "config.h"
