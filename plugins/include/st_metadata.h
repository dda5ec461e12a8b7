/* What a decoder or a source says about a track: the records of interface `common`, as the canonical ABI lays them out. */
#pragma once
#include "st_abi.h"

typedef struct {
    st_option_text title, album;
    st_texts artists, album_artists, genres;
    st_option_u32 track_number, track_total, disc_number, disc_total, year;
    st_option_text comment;
} st_audio_tags;

typedef struct {
    st_text codec;
    st_option_u32 sample_rate;
    st_option_u16 channels;
    st_option_u32 bitrate_kbps;
    st_option_text container;
} st_encoded_format;

enum { ST_V_TEXT, ST_V_BOOLEAN, ST_V_UINT32, ST_V_UINT64, ST_V_INT64, ST_V_FLOAT64, ST_V_BYTES };
typedef struct {
    st_text key;
    struct {
        u8 tag;
        union {
            st_text text, bytes;
            u8 boolean;
            u32 uint32;
            u64 uint64;
            i64 int64;
            double float64;
        };
    } value;
} st_metadata_entry;

typedef struct {
    st_audio_tags tags;
    st_option_u64 duration_ms;
    st_encoded_format format;
    struct {
        const st_metadata_entry *at;
        u32 len;
    } extras;
} st_media_metadata;

typedef struct {
    u8 failed;
    union {
        st_media_metadata metadata;
        st_plugin_error error;
    };
} st_result_metadata;

#ifdef __wasm__
_Static_assert(sizeof(st_metadata_entry) == 24, "canonical layout");
_Static_assert(sizeof(st_audio_tags) == 100, "canonical layout");
_Static_assert(sizeof(st_encoded_format) == 40, "canonical layout");
_Static_assert(sizeof(st_media_metadata) == 168, "canonical layout");
#endif
