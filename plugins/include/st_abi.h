/* Texts, errors, options and results, as the canonical ABI lays them out: on wasm32 that is the natural C layout.
 *
 * Nothing here depends on WebAssembly, so native twins use the same types.
 */
#pragma once
#include "st_base.h"

typedef struct {
    const void *at;
    u32 len;
} st_text;
#define ST_TEXT(literal) ((st_text){literal, sizeof(literal) - 1})

enum { ST_E_INVALID_ARG, ST_E_NOT_FOUND, ST_E_IO, ST_E_TIMEOUT, ST_E_UNSUPPORTED, ST_E_DENIED, ST_E_INTERNAL };
enum { ST_HOT_APPLY, ST_RECREATE, ST_REJECT };

typedef struct {
    u8 tag;
    st_text message;
} st_plugin_error;
typedef struct {
    u8 some;
    st_text value;
} st_option_text;
typedef struct {
    u8 some;
    u32 value;
} st_option_u32;
typedef struct {
    u8 failed;
    st_plugin_error error;
} st_result_unit;
typedef struct {
    u8 failed;
    union {
        i32 handle;
        st_plugin_error error;
    };
} st_result_handle;
typedef struct {
    u8 failed;
    union {
        st_text bytes;
        st_plugin_error error;
    };
} st_result_bytes;
typedef struct {
    u8 failed;
    union {
        st_option_text text;
        st_plugin_error error;
    };
} st_result_option_text;
typedef struct {
    u8 failed;
    union {
        struct {
            u8 mode;
            st_option_text reason;
        } plan;
        st_plugin_error error;
    };
} st_result_plan;
typedef struct {
    u8 failed;
    union {
        u64 value;
        st_plugin_error error;
    };
} st_result_u64;
typedef struct {
    u8 some;
    u16 value;
} st_option_u16;
typedef struct {
    u8 some;
    u64 value;
} st_option_u64;
typedef struct {
    const st_text *at;
    u32 len;
} st_texts;

#ifdef __wasm__
_Static_assert(sizeof(st_result_plan) == 20, "canonical layout");
_Static_assert(sizeof(st_result_u64) == 24, "canonical layout");
_Static_assert(sizeof(st_option_u64) == 16, "canonical layout");
#endif

static st_plugin_error st_fail(u8 tag, st_text message) { return (st_plugin_error){tag, message}; }
