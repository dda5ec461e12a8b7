/* What all actors share: the canonical ABI's types, the part that a test writes into the built file, and the deeds.
 *
 * PART reads "hook:deed", for example "create:loop": at that hook the guest does the deed, otherwise it is honest.
 * Every hook knows trap, loop, grow (all the memory there is) and error (an answer with a plugin-error); an actor's
 * own file says which other deeds it knows.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;

#define INTERFACE(name) "stellatune:plugin/" name "@0.1.0"
#define LIFECYCLE INTERFACE("lifecycle")
#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define TEXT(literal) ((text){literal, sizeof(literal) - 1})

typedef struct { const void *at; u32 size; } text;
typedef struct { u8 some; text value; } maybe_text;
typedef struct { u8 some; u32 value; } maybe_u32;
typedef struct { u8 some; u16 value; } maybe_u16;
typedef struct { u8 some; u64 value; } maybe_u64;
typedef struct { u8 tag; text message; } plugin_error;
typedef struct { u8 failed; plugin_error error; } unit_result;
typedef struct { u8 failed; union { i32 handle; plugin_error error; }; } handle_result;
typedef struct { u8 failed; union { text bytes; plugin_error error; }; } bytes_result;
typedef struct { u8 failed; union { u32 value; plugin_error error; }; } u32_result;
typedef struct { u8 failed; union { u64 value; plugin_error error; }; } u64_result;
typedef struct { u8 failed; union { maybe_text state; plugin_error error; }; } state_result;
typedef struct { u8 mode; maybe_text reason; } plan;
typedef struct { u8 failed; union { plan answer; plugin_error error; }; } plan_result;

enum { INVALID_ARG, NOT_FOUND, IO, TIMEOUT, UNSUPPORTED, DENIED, INTERNAL };

/* Filled in by the test; volatile, or the compiler would believe what stands here. */
static volatile char part[64] = "PART=";

static int plays(const char *line) {
    u32 i = 0;
    for (; line[i]; i++)
        if (part[5 + i] != line[i]) return 0;
    return part[5 + i] == 0;
}

/* ---- memory of one call ---- */
#ifndef ARENA
#define ARENA (1 << 20)
#endif
static u8 arena[ARENA] __attribute__((aligned(16)));
static u32 arena_used;
EXPORT("cabi_realloc") void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
    u32 at = (arena_used + align - 1) & ~(align - 1);
    if (at > sizeof arena || size > sizeof arena - at) __builtin_trap();
    arena_used = at + size;
    if (old) __builtin_memcpy(arena + at, old, old_size < size ? old_size : size);
    return arena + at;
}

/* ---- deeds ---- */
static volatile u32 nowhere;
static void loop(void) {
    for (;;) nowhere++;
}
/* Takes all the memory there is, a megabyte at a time; what cannot be had ends the guest. */
static void grow(void) {
    for (;;)
        if (__builtin_wasm_memory_grow(0, 16) == (unsigned long)-1) __builtin_trap();
}
static int error_wanted;
static void maybe(const char *trap, const char *spin, const char *hoard, const char *fail) {
    error_wanted = 0;
    if (plays(trap)) __builtin_trap();
    if (plays(spin)) loop();
    if (plays(hoard)) grow();
    if (plays(fail)) error_wanted = 1;
}
#define HOOK(name) maybe(name ":trap", name ":loop", name ":grow", name ":error")

static plugin_error refusal(void) {
    if (part[63] == 'L') { /* a message without end */
        for (u32 i = 0; i < 100000; i++) arena[i] = 'x';
        return (plugin_error){IO, {arena, 100000}};
    }
    return (plugin_error){INTERNAL, TEXT("as the \x1b[31mpart\r\nsays")};
}
/* Leaves a function with the part's error, where the part wants one. */
#define REFUSED(result) \
    if (((result).failed = (u8)error_wanted)) { \
        (result).error = refusal(); \
        return &(result); \
    }
/* Leaves a function with an error that it was given. */
#define PASSED_ON(result, got) \
    if ((got).failed) { \
        (result).failed = 1, (result).error = (got).error; \
        return &(result); \
    }

static unit_result unit;
static unit_result *done(void) {
    unit.failed = (u8)error_wanted;
    if (error_wanted) unit.error = refusal();
    return &unit;
}
static unit_result *fail(u8 tag, text message) {
    unit.failed = 1, unit.error = (plugin_error){tag, message};
    return &unit;
}

/* The character behind "key": in a JSON text, 0 where the key is not there. */
static char value_of(const char *json, u32 size, const char *key) {
    for (u32 i = 0; i < size; i++) {
        u32 n = 0;
        while (key[n] && i + n < size && json[i + n] == key[n]) n++;
        if (key[n]) continue;
        u32 at = i + n;
        while (at < size && (json[at] == ' ' || json[at] == ':')) at++;
        return at < size ? json[at] : 0;
    }
    return 0;
}

/* ---- lifecycle; an actor that prints defines GREET ---- */
#ifndef GREET
#define GREET()
#endif
static u32 enabled;
EXPORT("_initialize") void initialize(void) { HOOK("start"); }
EXPORT(LIFECYCLE "#on-enable") unit_result *on_enable(void) {
    enabled++;
    GREET();
    HOOK("on-enable");
    return done();
}
EXPORT(LIFECYCLE "#on-disable") unit_result *on_disable(u32 reason) {
    (void)reason;
    HOOK("on-disable");
    return done();
}
