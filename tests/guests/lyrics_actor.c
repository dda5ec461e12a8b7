/* A lyrics component that plays the part it is told (guest.h). It finds what the host's http-client fetches: a search
 * for a keyword asks for http://lyrics.example/KEYWORD and gives one candidate, whose title is the answer.
 *
 * Own deeds: search:many, search:rude, search:odd-ids, fetch:big, fetch:rude.
 */
#define ARENA (3 << 20)
#include "guest.h"

#define LYRICS INTERFACE("lyrics")
#define RESOURCE LYRICS "#[method]provider."

typedef struct { text id, title, artist; } candidate;
IMPORT("[export]" LYRICS, "[resource-new]provider") i32 provider_new(void *self);
IMPORT(INTERFACE("http-client"), "fetch-json") void fetch_json(const void *url, u32 size, bytes_result *out);

static u32 providers;
static candidate found[1000];

EXPORT(LYRICS "#create") handle_result *create(void) {
    static handle_result result;
    HOOK("create");
    if (!enabled) __builtin_trap(); /* on-enable comes first */
    REFUSED(result)
    result.handle = provider_new(&providers);
    return &result;
}
EXPORT(LYRICS "#[dtor]provider") void destroy(void *self) { HOOK("drop"); }

EXPORT(RESOURCE "search") bytes_result *search(void *self, const char *keyword, u32 size) {
    static bytes_result result, got;
    static char url[256] = "http://lyrics.example/";
    HOOK("search");
    REFUSED(result)
    for (u32 i = 0; i < size && i < 200; i++) url[22 + i] = keyword[i];
    fetch_json(url, 22 + (size < 200 ? size : 200), &got);
    PASSED_ON(result, got)
    arena_used = 0;
    found[0] = (candidate){TEXT("id \x01 one"), got.bytes, TEXT("Some\x1b[2Jbody")};
    result.bytes = (text){found, 1};
    if (plays("search:many")) {
        for (u32 i = 0; i < 1000; i++) found[i] = (candidate){TEXT("x"), TEXT("title"), TEXT("artist")};
        result.bytes.size = 1000;
    }
    if (plays("search:rude")) {
        __builtin_memset(arena, 'x', sizeof arena);
        found[0].title = (text){arena, 2 << 20};
    }
    if (plays("search:odd-ids")) {
        __builtin_memset(arena, 'x', sizeof arena);
        found[1] = (candidate){{arena, 5000}, TEXT("long"), TEXT("")};
        found[2] = (candidate){{arena, 0}, TEXT("none"), TEXT("")};
        result.bytes.size = 3;
    }
    return &result;
}
EXPORT(RESOURCE "fetch") bytes_result *fetch(void *self, const char *id, u32 size) {
    static bytes_result result;
    HOOK("fetch");
    REFUSED(result)
    arena_used = 0;
    result.bytes = TEXT("[00:01.00]la\r\n[00:02.00]\x1b[31mla\n");
    if (size != 8 || id[3] != 1) { /* the id comes back as it was */
        result.failed = 1, result.error = (plugin_error){NOT_FOUND, TEXT("no such song")};
        return &result;
    }
    if (plays("fetch:big")) {
        __builtin_memset(arena, 'x', sizeof arena);
        result.bytes = (text){arena, 2 << 20};
    }
    return &result;
}

static unit_result *configured(const char *json, u32 size) { return done(); }
static text exported(void) { return TEXT("{}"); }
#include "config.h"
