/* What a decoder plugin implements.
 *
 * A plugin includes this header, defines `struct st_decoder` (all that one session needs) and the functions below,
 * and ends with `#include "st_glue_decoder.h"`. A function that gives 0 has filled in `error`.
 */
#pragma once
#include "st_metadata.h"

/* The stream that the glue lends: st_stream_read, st_stream_seek, st_stream_size. */
#if defined(ST_BUILD_TWIN)
#include "st_memory_stream.h"
#else
#include "st_host_stream.h"
#endif

typedef struct st_decoder st_decoder;

typedef struct {
    u32 sample_rate;
    u16 channels;
    st_option_u64 duration_ms;
    u8 seekable;
    u32 encoder_delay_frames, encoder_padding_frames;
} st_decoder_info;

/* Reads as far as the shape of the sound. The session owns the stream if this gives 1. `d` may hold what an earlier
 * session left there. */
static int st_decoder_open(st_decoder *d, st_stream stream, st_text ext_hint, st_plugin_error *error);
static void st_decoder_describe(st_decoder *d, st_decoder_info *out);
/* What `out` points to has to live until the next call. */
static int st_decoder_metadata(st_decoder *d, st_media_metadata *out, st_plugin_error *error);
/* At most `frames` frames to `out`; fewer are no end. `eof` is set where nothing follows. */
static int st_decoder_read(st_decoder *d, float *out, u32 frames, u32 *got, u8 *eof, st_plugin_error *error);
/* The next frame read is the one at `position_ms`, rounded down to a frame. */
static int st_decoder_seek_ms(st_decoder *d, u64 position_ms, st_plugin_error *error);
static st_stream *st_decoder_stream(st_decoder *d);

/* Memory until the end of the call, for st_decoder_metadata; null where there is none. */
#if defined(ST_BUILD_TWIN)
ST_UNUSED static void *st_scratch(u32 size) { return (void)size, (void *)0; }
#else
ST_UNUSED static void *st_scratch(u32 size) { return st_arena(size, 16); }
#endif
