/* What a plugin implements, once, for its component, its hot-path module and its native twin.
 *
 * A source file includes this header, defines `struct st_plugin`, the descriptor and the functions below,
 * and ends with `#include "st_glue.h"`.
 */
#pragma once
#include "st_base.h"
#include "st_config.h"
#include "st_math.h"

#define ST_LAYOUT_MONO 1u
#define ST_LAYOUT_STEREO 2u
#define ST_LAYOUT_5_1 4u
#define ST_LAYOUT_7_1 8u
#define ST_LAYOUT_ANY 0xffffffffu

typedef struct {
    const char *id;           /* the plugin's id, as in plugin.json */
    const char *hot_path;     /* the core module, relative to the package root */
    u32 layouts;              /* ST_LAYOUT_* bits */
    const st_schema *schema;
} st_descriptor;

typedef struct st_plugin st_plugin;

static const st_descriptor st_describe;

/* Prepares zeroed or used memory for a stream; the descriptor's layouts were checked. */
static void st_plugin_init(st_plugin *p, u32 rate, u32 channels);
/* Takes a checked configuration. `smooth` is set once audio has run: the change must not click. */
static void st_plugin_apply(st_plugin *p, const st_values *values, int smooth);
/* Forgets all sound, keeps the configuration. */
static void st_plugin_reset(st_plugin *p);
/* Interleaved samples, at most ST_MAX_FRAMES frames; `out` may be the same as `in`. */
static void st_plugin_process(st_plugin *p, const float *in, float *out, u32 frames);
static u32 st_plugin_latency(const st_plugin *p);
/* Frames of sound after the input has ended (latency included); -1 for no end. */
static i32 st_plugin_tail(const st_plugin *p);
/* Whether a change is too deep for a running instance (it alters the latency, say). */
static int st_plugin_needs_recreate(const st_values *from, const st_values *to);

static int st_layout_allows(u32 channels) {
    if (channels == 0 || channels > ST_MAX_CHANNELS) return 0;
    if (st_describe.layouts == ST_LAYOUT_ANY) return 1;
    switch (channels) {
        case 1: return (st_describe.layouts & ST_LAYOUT_MONO) != 0;
        case 2: return (st_describe.layouts & ST_LAYOUT_STEREO) != 0;
        case 6: return (st_describe.layouts & ST_LAYOUT_5_1) != 0;
        case 8: return (st_describe.layouts & ST_LAYOUT_7_1) != 0;
        default: return 0;
    }
}

static int st_rate_allowed(u32 rate) { return rate >= ST_MIN_RATE && rate <= ST_MAX_RATE; }
