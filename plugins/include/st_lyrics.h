/* What a lyrics plugin implements.
 *
 * A plugin includes this header, defines `struct st_lyrics` (all that one provider keeps; it comes zeroed) and the functions below,
 * and ends with `#include "st_glue_lyrics.h"`. A function that gives 0 has filled in `error`. Texts in results may lie in the memory
 * of the call.
 */
#pragma once
#include "st_http_client.h"
#include "st_json_text.h"

typedef struct st_lyrics st_lyrics;

typedef struct {
    st_text id, title, artist;
} st_candidate;

#define ST_MAX_CANDIDATES 100

/* Takes a configuration, or leaves `l` as it is. Never asks the host for anything: plans are made with it. */
static int st_lyrics_configure(st_lyrics *l, st_text json, st_plugin_error *error);
/* At most ST_MAX_CANDIDATES hits, the best first. */
static int st_lyrics_search(st_lyrics *l, st_text keyword, st_candidate *out, u32 *count, st_plugin_error *error);
static int st_lyrics_fetch(st_lyrics *l, st_text id, st_text *out, st_plugin_error *error);
