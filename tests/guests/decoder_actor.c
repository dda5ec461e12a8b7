/* A decoder component that plays the part it is told (guest.h). It is a real decoder, of a format that a test writes
 * in a line: "RAWF", u32 rate, u16 channels, u16 zero, and float samples.
 *
 * Own deeds: info:rate, info:channels, info:padding, info:long, those of metadata.h, read:many, read:short,
 * read:odd, read:never, read:nan, read:wild, open:hold (keeps the stream when it refuses), seek:back.
 */
#define ARENA (3 << 20)
#include "guest.h"
#include "streams.h"

#define DECODER INTERFACE("decoder")
#define RESOURCE DECODER "#[method]session."

typedef struct {
    u32 rate;
    u16 channels;
    maybe_u64 duration;
    u8 seekable;
    u32 delay, padding;
} decoder_info;
typedef struct { u8 failed; union { decoder_info info; plugin_error error; }; } info_result;
_Static_assert(sizeof(info_result) == 48, "the canonical layout");
typedef struct { text bytes; u32 frames; u8 eof; } pcm;
typedef struct { u8 failed; union { pcm chunk; plugin_error error; }; } pcm_result;
_Static_assert(sizeof(pcm_result) == 20, "the canonical layout");
#include "metadata.h"

IMPORT("[export]" DECODER, "[resource-new]session") i32 session_new(void *self);

typedef struct { i32 stream; u32 rate, channels; u64 frames; } track;
static track opened_track;

static u32 le(const u8 *at, u32 bytes) {
    u32 value = 0;
    while (bytes--) value = value << 8 | at[bytes];
    return value;
}

EXPORT(DECODER "#open") handle_result *open_(i32 stream, u32 has_hint, const char *hint, u32 hint_size) {
    static handle_result result;
    HOOK("open");
    if (!enabled) __builtin_trap(); /* on-enable comes first */
    arena_used = 0;
    if (plays("open:hold")) {
        result.failed = 1, result.error = (plugin_error){UNSUPPORTED, TEXT("mine now")};
        return &result;
    }
    if (error_wanted) stream_drop(stream);
    REFUSED(result)
    bytes_result head;
    u64_result size;
    stream_read(stream, 12, &head);
    if (!head.failed) stream_size(stream, &size);
    if (head.failed || head.bytes.size != 12 || le(head.bytes.at, 4) != 0x46574152) {
        stream_drop(stream);
        PASSED_ON(result, head)
        result.failed = 1, result.error = (plugin_error){UNSUPPORTED, TEXT("no RAWF")};
        return &result;
    }
    const u8 *at = head.bytes.at;
    opened_track = (track){stream, le(at + 4, 4), le(at + 8, 2), 0};
    if (!size.failed && opened_track.channels) opened_track.frames = (size.value - 12) / (4 * opened_track.channels);
    result.handle = session_new(&opened_track);
    return &result;
}
EXPORT(DECODER "#[dtor]session") void destroy(track *self) {
    HOOK("drop");
    stream_drop(self->stream);
}

EXPORT(RESOURCE "info") info_result *info(track *self) {
    static info_result result;
    HOOK("info");
    REFUSED(result)
    u64 ms = self->rate ? self->frames * 1000 / self->rate : 0;
    result.info = (decoder_info){self->rate, (u16)self->channels, {self->frames != 0, ms}, 1, 0, 0};
    if (plays("info:rate")) result.info.rate = 0;
    if (plays("info:channels")) result.info.channels = 65;
    if (plays("info:padding")) result.info.padding = 0xffffffff;
    if (plays("info:long")) result.info.duration = (maybe_u64){1, ~0ull};
    return &result;
}

EXPORT(RESOURCE "metadata") metadata_result *metadata(track *self) {
    HOOK("metadata");
    REFUSED(metadata_answer)
    describe_track(&metadata_answer.metadata);
    return &metadata_answer;
}

EXPORT(RESOURCE "read-pcm-f32") pcm_result *read_pcm(track *self, u32 most) {
    static pcm_result result;
    HOOK("read");
    REFUSED(result)
    arena_used = 0;
    if (plays("read:never")) {
        result.chunk = (pcm){{arena, 0}, 0, 0};
        return &result;
    }
    bytes_result got;
    u32 frame = 4 * self->channels, have = 0;
    u8 *samples = arena;
    arena_used = most * frame;
    if (arena_used > sizeof arena) __builtin_trap();
    for (;;) { /* a stream gives what it has, not what it was asked for */
        u32 keep = arena_used;
        stream_read(self->stream, most * frame - have, &got);
        PASSED_ON(result, got)
        if (!got.bytes.size) break;
        __builtin_memmove(samples + have, got.bytes.at, got.bytes.size);
        have += got.bytes.size, arena_used = keep;
        if (have == most * frame) break;
    }
    result.chunk = (pcm){{samples, have / frame * frame}, have / frame, have < most * frame};
    if (plays("read:many")) result.chunk = (pcm){{samples, (most + 1) * frame}, most + 1, 0};
    if (plays("read:short")) result.chunk.bytes.size -= frame;
    if (plays("read:odd")) result.chunk.bytes.size -= 1;
    if (plays("read:nan")) *(u32 *)samples = 0x7fc00000;
    if (plays("read:wild")) result.chunk.bytes.at = (void *)0x7ffffff0;
    return &result;
}

EXPORT(RESOURCE "seek-ms") unit_result *seek_ms(track *self, u64 ms) {
    u64_result at;
    HOOK("seek");
    if (error_wanted) return done();
    stream_seek(self->stream, (i64)(12 + ms * self->rate / 1000 * 4 * self->channels), 0, &at);
    return at.failed ? fail(at.error.tag, at.error.message) : done();
}

static unit_result *configured(const char *json, u32 size) {
    char which = value_of(json, size, "\"tour\"");
    return which ? tour(which) : done();
}
static text exported(void) { return diary_text(); }
#include "config.h"
