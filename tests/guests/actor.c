/* A dsp component that plays the part it is told: tests write the part into the built file.
 *
 * PART reads "hook:deed", for example "create:loop". At that hook the guest does the deed, otherwise it is a plain
 * gain. A first sample of 666, 667, 668 or 669 makes any actor trap, loop, grow its memory, or answer with an error,
 * so that one instance can run well and then fail. The configuration "gain": N (one digit) sets the gain;
 * "sidecar": N makes it use the host's sidecar functions.
 */
#ifdef TALKS
static void greet(void);
#define GREET greet
#endif
#include "guest.h"

#define DSP INTERFACE("dsp")
#define SIDECAR INTERFACE("sidecar")
#define METHOD(name) EXPORT(DSP "#[method]processor." name)

typedef struct { u32 in_offset; maybe_u32 out_offset; u32 max_frames; u16 channels; u8 format, interleaved; } buffer;
typedef struct {
    u8 role;
    text path;
    u32 abi;
    text memory, init, process;
    maybe_text reset, drop;
    buffer layout;
} module_spec;
typedef struct { u8 some; module_spec value; } maybe_spec;
typedef struct { u8 failed; union { maybe_spec spec; plugin_error error; }; } spec_result;
_Static_assert(sizeof(spec_result) == 92, "the canonical layout");

static int deep(int n) {
    volatile char room[256];
    room[n & 255] = (char)n;
    return deep(n + 1) + room[(n * 7) & 255];
}

/* ---- the host's functions ---- */
IMPORT("[export]" DSP, "[resource-new]processor") i32 processor_new(void *self);
IMPORT(SIDECAR, "launch")
void sidecar_launch(u32 scope, const void *exe, u32 exe_size, const void *args, u32 arg_count, const void *control,
                    u32 control_count, const void *data, u32 data_count, const void *env, u32 env_count,
                    handle_result *out);
IMPORT(SIDECAR, "lock")
void sidecar_lock(const void *name, u32 size, u32 has_timeout, u32 timeout, handle_result *out);
IMPORT(SIDECAR, "[method]process.terminate") void process_terminate(i32 process, u32 grace, unit_result *out);
IMPORT(SIDECAR, "[resource-drop]process") void process_drop(i32 process);
IMPORT(SIDECAR, "[method]channel.read")
void channel_read(i32 channel, u32 most, u32 has_timeout, u32 timeout, bytes_result *out);
IMPORT(SIDECAR, "[method]channel.write")
void channel_write(i32 channel, const void *data, u32 size, u32_result *out);
IMPORT(SIDECAR, "[method]process.open-data")
void process_open_data(i32 process, const void *role, u32 size, const void *wishes, u32 count, handle_result *out);
typedef struct { u8 failed; union { maybe_u32 code; plugin_error error; }; } exit_result;
IMPORT(SIDECAR, "[method]process.wait-exit")
void process_wait_exit(i32 process, u32 has_timeout, u32 timeout, exit_result *out);
IMPORT(SIDECAR, "[method]channel.close") void channel_close(i32 channel);
IMPORT(SIDECAR, "[resource-drop]channel") void channel_drop(i32 channel);
IMPORT(SIDECAR, "[method]process.open-control") void process_open_control(i32 process, handle_result *out);
IMPORT(SIDECAR, "[method]lock-guard.unlock") void guard_unlock(i32 guard);
IMPORT(SIDECAR, "[resource-drop]lock-guard") void guard_drop(i32 guard);

static unit_result *use_sidecar(char how) {
    handle_result got;
    if (how == '2') {
        sidecar_lock("name", 4, 1, 10, &got);
        if (got.failed) return fail(got.error.tag, got.error.message);
        guard_unlock(got.handle), guard_drop(got.handle);
        return done();
    }
    if (how == '3') { /* a handle that the host never gave */
        guard_unlock(77);
        return done();
    }
    sidecar_launch(0, "tool", 4, 0, 0, 0, 0, 0, 0, 0, 0, &got);
    if (got.failed) return fail(got.error.tag, got.error.message);
    i32 process = got.handle;
    if (how == '6') { /* waits for its end */
        exit_result code;
        process_wait_exit(process, 0, 0, &code);
        process_drop(process);
        return code.failed ? fail(code.error.tag, code.error.message) : done();
    }
    if (how == '5') process_open_data(process, "pcm", 3, 0, 0, &got);
    else process_open_control(process, &got);
    if (how >= '4' && how <= '8') { /* waits for word from it, or for room for a word to it */
        if (got.failed) {
            process_drop(process);
            return fail(got.error.tag, got.error.message);
        }
        i32 channel = got.handle;
        bytes_result word;
        u32_result written = {0};
        if (how == '7') channel_write(channel, "word", 4, &written);
        else channel_read(channel, 16, 0, 0, &word);
        channel_drop(channel), process_drop(process);
        if (how == '7') return written.failed ? fail(written.error.tag, written.error.message) : done();
        return word.failed ? fail(word.error.tag, word.error.message) : done();
    }
    if (!got.failed) channel_close(got.handle), channel_drop(got.handle);
    unit_result ended;
    process_terminate(process, 10, &ended);
    process_drop(process);
    return ended.failed ? fail(ended.error.tag, ended.error.message) : done();
}

/* ---- printing, in the build with -DTALKS ---- */
#ifdef TALKS
typedef struct { u8 failed; u8 rest[11]; } stream_result;
IMPORT("wasi:cli/stdout@0.2.0", "get-stdout") i32 get_stdout(void);
IMPORT("wasi:cli/stderr@0.2.0", "get-stderr") i32 get_stderr(void);
IMPORT("wasi:io/streams@0.2.0", "[method]output-stream.blocking-write-and-flush")
void stream_write(i32 stream, const void *at, u32 size, stream_result *out);
IMPORT("wasi:io/streams@0.2.0", "[resource-drop]output-stream") void stream_drop(i32 stream);
static void say(i32 stream, text line) {
    stream_result result;
    stream_write(stream, line.at, line.size, &result);
    stream_drop(stream);
}
static void greet(void) { say(get_stdout(), TEXT("hello\nfrom ")), say(get_stderr(), TEXT("\x1b[31mred\n")); }
static void complain(void) { say(get_stdout(), TEXT("the talker\n")), say(get_stderr(), TEXT("last words")); }
#else
static void complain(void) {}
#endif

/* ---- processor ---- */
typedef struct { int used; u32 channels, gain, blocks; } processor;
static processor pool[4];

EXPORT(DSP "#create") handle_result *create(u32 rate, u32 channels) {
    static handle_result result;
    HOOK("create");
    if (!enabled) __builtin_trap(); /* on-enable comes first */
    REFUSED(result)
    for (u32 i = 0; i < 4; i++)
        if (!pool[i].used) {
            pool[i] = (processor){1, channels, 1, 0};
            result.handle = processor_new(&pool[i]);
            return &result;
        }
    result.failed = 1, result.error = (plugin_error){INTERNAL, TEXT("no room")};
    return &result;
}
EXPORT(DSP "#[dtor]processor") void destroy(processor *self) {
    HOOK("drop");
    self->used = 0;
}
METHOD("close") void close_(processor *self) { HOOK("close"); }

METHOD("describe-hot-path") spec_result *describe(processor *self, u32 rate, u32 channels) {
    static spec_result result;
    HOOK("describe");
    arena_used = 0;
    REFUSED(result)
    result.spec.some = plays("describe:some") || plays("describe:escape");
    result.spec.value = (module_spec){
        0, TEXT("wasm/actor.hot.wasm"), 1, TEXT("memory"), TEXT("init"), TEXT("process"),
        {1, TEXT("reset")}, {0, {0, 0}}, {16, {1, 8192}, 512, (u16)channels, 0, 1}};
    if (plays("describe:escape")) result.spec.value.path = TEXT("../../etc/passwd");
    return &result;
}
METHOD("process-interleaved-f32") bytes_result *process(processor *self, u32 channels, float *samples, u32 size) {
    static bytes_result result;
    HOOK("process");
    u32 count = size / 4;
    if (count && samples[0] == 666.0f) complain(), __builtin_trap();
    if (count && samples[0] == 667.0f) loop();
    if (count && samples[0] == 668.0f) grow();
    if (count && samples[0] == 669.0f) error_wanted = 1;
    if (count && samples[0] == 670.0f) nowhere = (u32)deep(1);
    REFUSED(result)
    self->blocks++;
    for (u32 i = 0; i < count; i++) samples[i] *= (float)self->gain;
    result.bytes = (text){samples, size};
    if (plays("process:short")) result.bytes.size = size - 4 * channels;
    if (plays("process:long")) result.bytes.size = size + 4 * channels;
    if (plays("process:odd")) result.bytes.size = size - 1;
    if (plays("process:empty")) result.bytes.size = 0;
    if (plays("process:wild")) result.bytes = (text){(void *)0x7ffffff0, 4096};
    return &result;
}
EXPORT("cabi_post_" DSP "#[method]processor.process-interleaved-f32") void processed(void *result) { arena_used = 0; }

METHOD("supported-layouts") u32 layouts(processor *self) {
    HOOK("layouts");
    return plays("layouts:zero") ? 0 : 3;
}
METHOD("output-channels") u32 output_channels(processor *self) {
    HOOK("channels");
    if (plays("channels:zero")) return 0;
    if (plays("channels:many")) return 65;
    return self->channels;
}

METHOD("plan-config-update-json") plan_result *plan_config(processor *self, const char *json, u32 size) {
    static plan_result result;
    HOOK("plan");
    arena_used = 0;
    REFUSED(result)
    result.answer = (plan){0, {0, {0, 0}}};
    if (plays("plan:recreate")) result.answer.mode = 1;
    if (plays("plan:reject")) result.answer = (plan){2, {1, TEXT("not \x1b[2Jtoday")}};
    if (plays("plan:wild")) result.answer.mode = 9;
    return &result;
}

METHOD("apply-config-update-json") unit_result *apply_config(processor *self, const char *json, u32 size) {
    HOOK("apply");
    arena_used = 0;
    char gain = value_of(json, size, "\"gain\""), sidecar = value_of(json, size, "\"sidecar\"");
    if (sidecar) return use_sidecar(sidecar);
    if (plays("apply:refuse") || (gain && (gain < '0' || gain > '9')))
        return fail(INVALID_ARG, TEXT("gain is one digit"));
    if (gain) self->gain = (u32)(gain - '0');
    return done();
}
METHOD("export-state-json") state_result *export_state(processor *self) {
    static state_result result;
    static char json[] = "{\"blocks\":000}";
    HOOK("export");
    REFUSED(result)
    json[10] = (char)('1' + self->blocks / 100 % 9), json[11] = (char)('0' + self->blocks / 10 % 10);
    json[12] = (char)('0' + self->blocks % 10);
    result.state = (maybe_text){!plays("export:none"), {json, sizeof json - 1}};
    if (plays("export:garbage")) result.state.value = TEXT("{not json");
    if (plays("export:binary")) result.state.value = TEXT("\xff\xfe");
    if (plays("export:huge")) result.state.value = (text){arena, sizeof arena};
    return &result;
}
METHOD("import-state-json") unit_result *import_state(processor *self, const char *json, u32 size) {
    HOOK("import");
    arena_used = 0;
    if (size < 14) return fail(INVALID_ARG, TEXT("no such state"));
    self->blocks = (u32)((json[10] - '1') * 100 + (json[11] - '0') * 10 + (json[12] - '0'));
    return done();
}
