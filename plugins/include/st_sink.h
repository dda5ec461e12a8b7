/* What an output-sink plugin implements.
 *
 * A plugin includes this header, defines `struct st_sink` (all that one session keeps; it comes zeroed) and the functions below, and
 * ends with `#include "st_glue_sink.h"`. A function that gives 0 has filled in `error`. Texts in results may lie in the memory of the
 * call. Targets come as the host passed them: checked to be JSON objects, nothing else.
 */
#pragma once
#include "st_json_text.h"
#include "st_sidecar.h"

typedef struct st_sink st_sink;

typedef struct {
    u32 sample_rate;
    u16 channels;
    u32 preferred_chunk_frames;
    u8 prefer_track_rate;
} st_negotiated;

typedef struct {
    u32 queued_samples;
    u8 running;
} st_sink_state;

static int st_sink_targets(st_sink *s, st_text *out, st_plugin_error *error);
static int st_sink_negotiate(st_sink *s, st_text target, u32 rate, u32 channels, st_negotiated *out, st_plugin_error *error);
/* A session may be opened again; the former target ends then. */
static int st_sink_open(st_sink *s, st_text target, u32 rate, u32 channels, st_plugin_error *error);
/* `samples` need not be aligned. */
static int st_sink_write(st_sink *s, const void *samples, u32 frames, u32 channels, u32 *accepted, st_plugin_error *error);
static int st_sink_status(st_sink *s, st_sink_state *out, st_plugin_error *error);
static int st_sink_flush(st_sink *s, st_plugin_error *error);
static int st_sink_reset(st_sink *s, st_plugin_error *error);
/* Called once at the session's end, whatever state it is in. */
static void st_sink_close(st_sink *s);
