/* A decoder for FLAC (RFC 9639): all of the format, in 4 to 32 bits and 1 to 8 channels.
 *
 * Damage is reported once, by the read that comes to it; the reads after that go on behind it, with silence in the
 * place of what is lost, so that the music stays where it belongs. At the end of a track that was read straight through, the
 * checksum of the whole sound is compared.
 */
#include "st_decoder.h"

#include "flac_blocks.h"
#include "flac_seek.h"
#include "flac_sound.h"
#include "flac_tags.h"

/* The first frame says where the numbers begin, and how long a frame is if the description leaves that open. Gives 0 where
 * there is no frame at all, so that another decoder gets its chance. */
static int flac_look_ahead(st_decoder *d) {
    flac_header h;
    u32 bytes;
    d->fixed = d->info.smallest_block == d->info.largest_block ? d->info.largest_block : 0;
    if (flac_header_here(d, &h)) {
        if (!h.variable && !d->fixed) d->fixed = h.block;
        d->first = h.variable ? h.number : h.number * d->fixed;
        return 1;
    }
    if (d->info.total == 0 && !flac_have(&d->in, 1) && !d->in.failed) return 1; /* a track without sound */
    if (!d->seekable) return 1;
    const int found = flac_find(d, ~0ull, &h, &bytes);
    if (!found && (d->in.failed || d->in.ended)) return flac_refuse(d, ST_E_IO, "there is no sound behind the metadata");
    if (!flac_go(&d->in, d->data)) return flac_refuse(d, ST_E_IO, "");
    d->block.block = 0;
    return 1;
}

static int st_decoder_open(st_decoder *d, st_stream stream, st_text ext_hint, st_plugin_error *error) {
    (void)ext_hint;
    st_zero(d, __builtin_offsetof(st_decoder, comments));
    flac_make_tables();
    flac_input *in = &d->in;
    in->stream = stream;
    in->buffer = d->bytes, in->at = d->bytes, in->safe = d->bytes - 1;
    d->block.samples = d->samples;
    st_plugin_error ignored;
    u64 begin = 0;
    if (st_stream_tell(&in->stream, &begin, &ignored)) in->offset = begin;
    d->seekable = st_stream_size(&in->stream, &d->size, &ignored) && st_stream_seek(&in->stream, begin, &ignored);
    int fits = flac_read_blocks(d);
    if (fits && d->info.rate == 0) fits = flac_refuse(d, ST_E_UNSUPPORTED, "the sample rate is 0: this is no sound");
    if (fits && d->info.bits < 4) fits = flac_refuse(d, ST_E_UNSUPPORTED, "fewer than 4 bits a sample");
    if (!fits) return *error = flac_tell_failure(d), 0;
    d->data = flac_tell(in);
    if (!flac_look_ahead(d)) return *error = flac_tell_failure(d), 0;
    in->failed = 0;
    d->checked = 1;
    flac_md5_start(&d->md5);
    return 1;
}

static void st_decoder_describe(st_decoder *d, st_decoder_info *out) {
    st_zero(out, sizeof *out);
    out->sample_rate = d->info.rate, out->channels = (u16)d->info.channels;
    out->duration_ms = (st_option_u64){d->info.total != 0, d->info.total * 1000 / d->info.rate};
    out->seekable = d->seekable;
}

static int st_decoder_metadata(st_decoder *d, st_media_metadata *out, st_plugin_error *error) {
    st_zero(out, sizeof *out);
    st_zero(flac_extras, sizeof flac_extras);
    out->duration_ms = (st_option_u64){d->info.total != 0, d->info.total * 1000 / d->info.rate};
    out->format.codec = ST_TEXT("flac");
    out->format.container = (st_option_text){1, ST_TEXT("flac")};
    out->format.sample_rate = (st_option_u32){1, d->info.rate};
    out->format.channels = (st_option_u16){1, (u16)d->info.channels};
    if (d->info.total && d->seekable && d->size > d->data) {
        const double seconds = (double)d->info.total / (double)d->info.rate;
        out->format.bitrate_kbps = (st_option_u32){1, (u32)((double)(d->size - d->data) * 8 / seconds / 1000)};
    }
    u32 extras = flac_take_comments(d, &out->tags);
    if (d->pictures) {
        extras = flac_take_pictures(d, extras);
        /* The stream stands behind what is buffered again. */
        if (!st_stream_seek(&d->in.stream, d->in.offset + d->in.end, error)) return 0;
    }
    out->extras.at = flac_extras, out->extras.len = extras;
    return 1;
}

static int flac_equal(const u8 *a, const u8 *b, u32 n) {
    u32 differs = 0;
    for (u32 i = 0; i < n; i++) differs |= a[i] ^ b[i];
    return !differs;
}

/* Nothing comes any more: what is there to be said about that? Gives 0. */
static int flac_end(st_decoder *d) {
    static const u8 none[16];
    u8 digest[16];
    if (d->ended) return 0;
    d->ended = 1;
    if (d->info.total && d->next < d->info.total) {
        st_writer w = flac_fail(d, ST_E_IO, "the stream ends after ");
        flac_fail_number(d, &w, d->next, " of ");
        flac_fail_number(d, &w, d->info.total, " frames of sound");
        return 0;
    }
    if (d->lost) return flac_fail(d, ST_E_IO, "the stream ends with something that is no sound"), 0;
    if (!d->checked || flac_equal(d->info.md5, none, 16)) return 0;
    flac_md5_end(&d->md5, digest);
    d->checked = 0;
    if (!flac_equal(d->info.md5, digest, 16))
        flac_fail(d, ST_E_IO, "the sound is not what was encoded: its MD5 checksum differs from the header's");
    return 0;
}

/* The frame at `start` is decoded: it comes next. */
static int flac_accept(st_decoder *d, const flac_header *h, u32 bytes) {
    flac_block *b = &d->block;
    d->in.start += bytes;
    d->taken = 0, d->silence = 0;
    if (d->lost) {
        const u64 sample = flac_place(d, h), gap = sample > d->next ? sample - d->next : 0;
        if (gap <= (u64)d->info.rate * FLAC_LONGEST_GAP_S && (!d->info.total || sample < d->info.total)) d->silence = gap;
        d->lost = 0;
    }
    if (d->info.total && d->next + d->silence + b->block > d->info.total) /* more than was announced is not given */
        b->block = d->next + d->silence < d->info.total ? (u32)(d->info.total - d->next - d->silence) : 0;
    if (d->checked) flac_add_to_md5(&d->md5, b, d->info.channels, b->block, d->info.bits);
    return 1;
}

static void flac_lose(st_decoder *d, u64 at) {
    st_writer w = flac_fail(d, ST_E_IO, "damaged at byte ");
    flac_fail_number(d, &w, at, ", frame ");
    flac_fail_number(d, &w, d->next, " of the sound");
}

/* Decodes on. Gives 0 where there is nothing to go on with in this call. Whether or not, there may be a failure to be told first. */
static int flac_next_frame(st_decoder *d) {
    flac_input *in = &d->in;
    flac_header h;
    u32 bytes = 0;
    d->block.block = d->taken = 0;
    if (d->ended || (d->info.total && d->next >= d->info.total)) return flac_end(d);
    if (!flac_have(in, 1)) return in->failed ? (flac_fail_host(d), 0) : flac_end(d);
    const u64 at = flac_tell(in);
    if (!d->lost) {
        if (flac_header_here(d, &h)) bytes = flac_decode_frame(in, &h, &d->block);
        if (bytes) return flac_accept(d, &h, bytes);
        d->block.block = 0;
        if (in->failed) return flac_fail_host(d), 0;
        d->lost = 1, d->checked = 0;
    }
    if (flac_find(d, ~0ull, &h, &bytes)) return flac_lose(d, at), flac_accept(d, &h, bytes);
    d->block.block = 0;
    if (in->failed) return flac_fail_host(d), 0;
    if (in->ended && in->end - in->start < 2) return in->start = in->end, flac_end(d);
    return flac_lose(d, at), 0; /* told once for each stretch that a call looks through: no call looks without end */
}

static int st_decoder_read(st_decoder *d, float *out, u32 frames, u32 *got, u8 *eof, st_plugin_error *error) {
    const u32 channels = d->info.channels;
    u32 n = 0;
    while (n < frames && !d->failure.set) {
        u32 step = frames - n;
        if (d->silence) {
            if (d->silence < step) step = (u32)d->silence;
            st_zero(out + n * channels, step * channels * sizeof *out);
            d->silence -= step;
        } else if (d->taken < d->block.block) {
            if (d->block.block - d->taken < step) step = d->block.block - d->taken;
            flac_to_floats(d->samples + d->taken, d->block.stride, channels, step, d->info.bits, out + n * channels);
            d->taken += step;
        } else {
            if (!flac_next_frame(d)) break;
            continue;
        }
        n += step, d->next += step;
    }
    *got = n;
    if (d->failure.set && n == 0) return *error = flac_tell_failure(d), 0;
    /* The end is said with the last frames already, if it is known. */
    if (!d->failure.set && d->info.total && d->next >= d->info.total && !d->ended) flac_end(d);
    *eof = d->ended && !d->failure.set;
    return 1;
}

static int st_decoder_seek_ms(st_decoder *d, u64 position_ms, st_plugin_error *error) {
    if (!d->seekable) return *error = st_fail(ST_E_UNSUPPORTED, ST_TEXT("the stream cannot seek")), 0;
    const u64 most = ~0ull / FLAC_RATE_MOST;
    if (flac_seek(d, (position_ms < most ? position_ms : most) * d->info.rate / 1000)) return 1;
    if (d->in.failed) flac_fail_host(d);
    else flac_fail(d, ST_E_IO, "no frame of this place can be found: the stream is damaged");
    /* Nobody knows where it stands now: it begins anew. */
    *error = flac_tell_failure(d);
    flac_seek(d, 0);
    d->in.failed = 0;
    return 0;
}

static st_stream *st_decoder_stream(st_decoder *d) { return &d->in.stream; }

#include "st_glue_decoder.h"
