/* An output-sink component that plays the part it is told (guest.h). It keeps what it is given in memory: 64 frames fit
 * in, which flush takes out; the status counts them, and the exported state has the sum of all samples ever written.
 *
 * Own deeds: targets:garbage, negotiate:rate, negotiate:channels, negotiate:chunk, open:refuse, write:many, write:none.
 */
#include "guest.h"

#define SINK INTERFACE("output-sink")
#define RESOURCE SINK "#[method]session."

typedef struct { u32 rate; u16 channels; u32 chunk; u8 prefer_track_rate; } negotiated;
typedef struct { u8 failed; union { negotiated spec; plugin_error error; }; } negotiated_result;
typedef struct { u32 queued; u8 running; } runtime_status;
typedef struct { u8 failed; union { runtime_status status; plugin_error error; }; } status_result;
typedef struct { u32 words[23]; } spec_result; /* 92 bytes; all zero says: no error, and none */

IMPORT("[export]" SINK, "[resource-new]session") i32 session_new(void *self);

typedef struct { u32 channels, queued; i64 sum; } output;
static output only;

EXPORT(SINK "#create") handle_result *create(void) {
    static handle_result result;
    HOOK("create");
    if (!enabled) __builtin_trap(); /* on-enable comes first */
    REFUSED(result)
    result.handle = session_new(&only);
    return &result;
}
EXPORT(SINK "#[dtor]session") void destroy(output *self) { HOOK("drop"); }

EXPORT(RESOURCE "list-targets-json") bytes_result *list_targets(output *self) {
    static bytes_result result;
    HOOK("targets");
    REFUSED(result)
    result.bytes = TEXT("[{\"id\": \"memory\", \"name\": \"Memory\"}]");
    if (plays("targets:garbage")) result.bytes = TEXT("[{");
    return &result;
}
EXPORT(RESOURCE "negotiate-spec-json") negotiated_result *negotiate(output *self, const char *json, u32 size, u32 rate,
                                                                    u32 channels) {
    static negotiated_result result;
    HOOK("negotiate");
    arena_used = 0;
    REFUSED(result)
    result.spec = (negotiated){rate > 48000 ? 48000 : rate, (u16)channels, 64, 1};
    if (plays("negotiate:rate")) result.spec.rate = 0;
    if (plays("negotiate:channels")) result.spec.channels = 0;
    if (plays("negotiate:chunk")) result.spec.chunk = 0xffffffff;
    return &result;
}
EXPORT(RESOURCE "describe-hot-path") spec_result *describe(output *self, u32 rate, u32 channels) {
    static spec_result result;
    HOOK("describe");
    return &result;
}
EXPORT(RESOURCE "open-json") unit_result *open_(output *self, const char *json, u32 size, u32 rate, u32 channels) {
    HOOK("open");
    arena_used = 0;
    if (plays("open:refuse")) return fail(NOT_FOUND, TEXT("no such target"));
    self->channels = channels;
    return done();
}
EXPORT(RESOURCE "write-interleaved-f32") u32_result *write(output *self, u32 channels, const float *samples, u32 size) {
    static u32_result result;
    HOOK("write");
    arena_used = 0;
    REFUSED(result)
    if (channels != self->channels) {
        result.failed = 1, result.error = (plugin_error){INVALID_ARG, TEXT("not open for so many channels")};
        return &result;
    }
    if (size && samples[0] == 666.0f) __builtin_trap();
    u32 frames = size / 4 / channels, room = 64 - self->queued;
    result.value = frames < room ? frames : room;
    for (u32 i = 0; i < result.value * channels; i++) self->sum += (i64)samples[i];
    self->queued += result.value;
    if (plays("write:many")) result.value = frames + 1;
    if (plays("write:none")) result.value = 0;
    return &result;
}
EXPORT(RESOURCE "query-status") status_result *status(output *self) {
    static status_result result;
    HOOK("status");
    REFUSED(result)
    result.status = (runtime_status){self->queued * self->channels, self->queued != 0};
    return &result;
}
EXPORT(RESOURCE "flush") unit_result *flush(output *self) {
    HOOK("flush");
    self->queued = 0;
    return done();
}
EXPORT(RESOURCE "reset") unit_result *reset(output *self) {
    HOOK("reset");
    self->queued = 0;
    return done();
}

static unit_result *configured(const char *json, u32 size) { return done(); }
static text exported(void) {
    static char json[] = "{\"sum\": \"0000000000\"}";
    i64 sum = only.sum;
    for (int i = 18; i > 8; i--) json[i] = (char)('0' + sum % 10), sum /= 10;
    return (text){json, sizeof json - 1};
}
#include "config.h"
