/* A source component that plays the part it is told (guest.h). Its tracks are numbers: the text that opens one is the
 * number of bytes of a processed stream ("5000"), or begins with a letter:
 *
 *   p  a stream of the host's ("track.bin"), handed through
 *   s  the same, after seeking it to 4
 *   t  the handle that was handed through before, a second time
 *   f  a number that is no handle at all
 *   o  one of its own streams where the host's is due
 *   c  a stream of the host's that it closed before
 *   e  an error
 *   r  a processed stream in the format of decoder_actor.c: "r500" has 500 stereo frames, sample n is n % 1000 / 1000
 *
 * Byte n of any other processed stream is n % 251. A list answers what it was asked, but for the actions of the
 * convention, which find a folder and a track of each sort. Own deeds: list:garbage, list:big, next:many, next:never, next:pieces (three
 * bytes at a time), next:fails (after 100 bytes), describe:none, and those of metadata.h.
 */
#define ARENA (10 << 20)
#include "guest.h"
#include "streams.h"
#include "metadata.h"

#define SOURCE INTERFACE("source")
#define RESOURCE SOURCE "#[method]catalog."
#define STREAM_METHOD(name) EXPORT(SOURCE "#[method]source-stream." name)

typedef struct { u8 some; media_metadata value; } maybe_metadata;
typedef struct { u8 tag; i32 handle; maybe_text hint; maybe_metadata metadata; } opened_stream;
typedef struct { u8 failed; union { opened_stream stream; plugin_error error; }; } opened_result;
typedef struct { text bytes; u8 eof; } encoded;
typedef struct { u8 failed; union { encoded chunk; plugin_error error; }; } encoded_result;

IMPORT("[export]" SOURCE, "[resource-new]catalog") i32 catalog_new(void *self);
IMPORT("[export]" SOURCE, "[resource-new]source-stream") i32 source_stream_new(void *self);

typedef struct { u32 size, at, open, rawf; } own_stream;
static own_stream streams[80];
static u32 catalogs;

EXPORT(SOURCE "#create") handle_result *create(void) {
    static handle_result result;
    HOOK("create");
    if (!enabled) __builtin_trap(); /* on-enable comes first */
    REFUSED(result)
    result.handle = catalog_new(&catalogs);
    return &result;
}
EXPORT(SOURCE "#[dtor]catalog") void destroy(void *self) { HOOK("drop"); }

EXPORT(RESOURCE "list-items-json") bytes_result *list_items(void *self, const char *json, u32 size) {
    static bytes_result result;
    HOOK("list");
    REFUSED(result)
    arena_used = 0;
    result.bytes = (text){json, size}; /* what it was asked, which is JSON */
    if (value_of(json, size, "\"action\"")) result.bytes = TEXT(
        "{\"items\": [{\"id\": \"f\", \"kind\": \"folder\", \"title\": \"A folder\"},"
        "{\"id\": \"1\", \"kind\": \"track\", \"title\": \"By \\u001b[31mJSON\", \"artist\": \"One\","
        " \"duration_ms\": 61000, \"track\": \"r500\"},"
        "{\"id\": \"2\", \"kind\": \"track\", \"title\": \"By URI\", \"uri\": \"actor:r700\"},"
        "{\"id\": \"3\", \"kind\": \"spaceship\", \"title\": \"?\"}], \"total\": 9, \"next_offset\": 4}");
    if (plays("list:garbage")) result.bytes = TEXT("{\"items\": [");
    if (plays("list:big")) {
        __builtin_memset(arena, ' ', sizeof arena);
        arena[0] = '1';
        result.bytes = (text){arena, 9 << 20};
    }
    return &result;
}

static i32 handed_through;
static opened_result *open_track(const char *name, u32 size) {
    static opened_result result;
    HOOK("track");
    REFUSED(result)
    arena_used = 0;
    __builtin_memset(&result, 0, sizeof result);
    char first = size ? name[0] : 'e';
    if (first == 'e') {
        result.failed = 1, result.error = (plugin_error){NOT_FOUND, TEXT("no such track")};
        return &result;
    }
    result.stream.hint = (maybe_text){1, TEXT(".RAW")};
    if (!plays("describe:none")) {
        result.stream.metadata.some = 1;
        describe_track(&result.stream.metadata.value);
    }
    if (first == 'r' || (first >= '0' && first <= '9')) {
        own_stream *stream = 0;
        for (u32 i = 0; i < 80 && !stream; i++)
            if (!streams[i].open) stream = &streams[i];
        *stream = (own_stream){0, 0, 1, first == 'r'};
        for (u32 i = first == 'r'; i < size; i++) stream->size = stream->size * 10 + (u32)(name[i] - '0');
        if (stream->rawf) {
            stream->size = 12 + 8 * stream->size;
            result.stream.hint = (maybe_text){1, TEXT("rawf")};
        }
        result.stream.tag = 1;
        result.stream.handle = source_stream_new(stream);
        return &result;
    }
    if (first == 't') {
        result.stream.handle = handed_through;
        return &result;
    }
    if (first == 'f') {
        result.stream.handle = 4711;
        return &result;
    }
    if (first == 'o') {
        streams[79] = (own_stream){10, 0, 1, 0};
        result.stream.handle = source_stream_new(&streams[79]);
        return &result;
    }
    open_one(0, TEXT("track.bin"));
    PASSED_ON(result, opened)
    u64_result at;
    if (first == 's') stream_seek(opened.handle, 4, 0, &at);
    if (first == 'c') stream_close(opened.handle);
    result.stream.handle = handed_through = opened.handle;
    return &result;
}
EXPORT(RESOURCE "open-stream-json") opened_result *open_stream(void *self, const char *json, u32 size) {
    return open_track(json + 1, size - 2); /* a JSON string */
}
EXPORT(RESOURCE "open-uri") opened_result *open_uri(void *self, const char *uri, u32 size) {
    return open_track(uri + 6, size - 6); /* actor: */
}

STREAM_METHOD("metadata") metadata_result *stream_metadata(own_stream *self) {
    HOOK("describe");
    REFUSED(metadata_answer)
    if (plays("describe:none")) {
        metadata_answer.failed = 1, metadata_answer.error = (plugin_error){UNSUPPORTED, TEXT("nothing to say")};
        return &metadata_answer;
    }
    describe_track(&metadata_answer.metadata);
    return &metadata_answer;
}
static u8 byte_of(own_stream *self, u32 at) {
    static const u8 head[12] = {'R', 'A', 'W', 'F', 0x80, 0xbb, 0, 0, 2, 0, 0, 0};
    if (!self->rawf) return (u8)(at % 251);
    if (at < 12) return head[at];
    float sample = (float)((at - 12) / 4 % 1000) / 1000.0f;
    return ((u8 *)&sample)[(at - 12) % 4];
}
STREAM_METHOD("read") encoded_result *next(own_stream *self, u32 most) {
    static encoded_result result;
    HOOK("next");
    REFUSED(result)
    if (plays("next:fails") && self->at >= 100) {
        result.failed = 1, result.error = (plugin_error){IO, TEXT("the line is dead")};
        return &result;
    }
    u32 count = self->size - self->at;
    if (plays("next:pieces") && most > 3) most = 3;
    if (plays("next:fails") && most > 50) most = 50;
    if (count > most) count = most;
    for (u32 i = 0; i < count; i++) arena[i] = byte_of(self, self->at + i);
    self->at += count;
    result.chunk = (encoded){{arena, count}, self->at == self->size};
    if (plays("next:many")) result.chunk = (encoded){{arena, most + 1}, 0};
    if (plays("next:never")) result.chunk = (encoded){{arena, 0}, 0};
    return &result;
}
STREAM_METHOD("close") void stream_close_(own_stream *self) { HOOK("stream-close"); }
EXPORT(SOURCE "#[dtor]source-stream") void stream_destroy(own_stream *self) {
    HOOK("stream-drop");
    self->open = 0;
}

static unit_result *configured(const char *json, u32 size) {
    char which = value_of(json, size, "\"tour\"");
    return which ? tour(which) : done();
}
static text exported(void) { return diary_text(); }
#include "config.h"
