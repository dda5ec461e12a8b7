/* What a source plugin implements.
 *
 * A plugin includes this header, defines `struct st_source` (all that one catalogue keeps; it comes zeroed) and the functions below,
 * and ends with `#include "st_glue_source.h"`. A function that gives 0 has filled in `error`. Texts in results may lie in the memory
 * of the call. Streams are the host's, handed through.
 */
#pragma once
#include "st_host_stream.h"
#include "st_json_text.h"
#include "st_metadata.h"

typedef struct st_source st_source;

typedef struct {
    st_stream stream;
    st_option_text ext_hint;
    u8 has_metadata;
    st_media_metadata metadata;
} st_opened;

/* Takes a configuration, or leaves `s` as it is. Never asks the host for anything: plans are made with it. */
static int st_source_configure(st_source *s, st_text json, st_plugin_error *error);
static int st_source_list(st_source *s, st_text request, st_buffer *out, st_plugin_error *error);
static int st_source_open_track(st_source *s, st_text track, st_opened *out, st_plugin_error *error);
static int st_source_open_uri(st_source *s, st_text uri, st_opened *out, st_plugin_error *error);
