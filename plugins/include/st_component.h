/* What the components of every world share: the memory of a call and the lifecycle's exports.
 *
 * What the host passes in (strings, lists) is allocated with cabi_realloc in an arena; results may point into the
 * arena or into static memory; the post-return call of each export empties the arena. What has to outlive the call
 * is copied into static memory or into memory from st_keep.
 *
 * A plugin with another world writes its exports over this header: st_glue_component.h (dsp) and st_glue_decoder.h
 * are examples. Each export that returns a pointer needs its `cabi_post_` sibling: ST_POST.
 */
#pragma once
#include "st_abi.h"

#define ST_EXPORT(name) __attribute__((export_name(name)))
#define ST_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
/* The post-return call of the export `name`: the call's memory is free again. */
#define ST_POST(name, function) \
    ST_EXPORT("cabi_post_" name) void function(void *result) { (void)result, st_arena_clear(); }
#define ST_LIFECYCLE "stellatune:plugin/lifecycle@0.1.0"

/* ---- memory that lives until the end of a call ---- */
extern u8 __heap_base;
static u8 st_reserve[1u << 19] __attribute__((aligned(16)));
static u32 st_reserve_used, st_heap_top, st_heap_floor;
static void *st_aim_at;
static u32 st_aim_room;

static void *st_arena(u32 size, u32 align) {
    const u32 at = (st_reserve_used + align - 1) & ~(align - 1);
    if (at <= sizeof st_reserve && size <= sizeof st_reserve - at) {
        st_reserve_used = at + size;
        return st_reserve + at;
    }
    /* Larger than any block of audio: fall back to growing. */
    if (!st_heap_top) st_heap_top = st_heap_floor ? st_heap_floor : (u32)(uptr)&__heap_base;
    const u64 start = ((u64)st_heap_top + align - 1) & ~(u64)(align - 1), end = start + size;
    const u64 have = (u64)__builtin_wasm_memory_size(0) << 16;
    if (end > 0xffff0000ull) __builtin_trap();
    if (end > have && __builtin_wasm_memory_grow(0, (usize)((end - have + 65535) >> 16)) == (usize)-1) __builtin_trap();
    st_heap_top = (u32)end;
    return (void *)(uptr)start;
}
static void st_arena_clear(void) { st_reserve_used = 0, st_heap_top = 0; }

/* Memory that stays, zeroed; null where the host gives no more. Before anything of the call spilled from the arena. */
ST_UNUSED static void *st_keep(u32 size) {
    const u64 start = ((u64)(st_heap_floor ? st_heap_floor : (u32)(uptr)&__heap_base) + 15) & ~15ull, end = start + size;
    const u64 have = (u64)__builtin_wasm_memory_size(0) << 16;
    if (st_heap_top || end > 0xffff0000ull) return 0;
    if (end > have && __builtin_wasm_memory_grow(0, (usize)((end - have + 65535) >> 16)) == (usize)-1) return 0;
    st_heap_floor = (u32)end;
    /* An earlier call may have spilled to here; what the host gave just now is zeros, and stays untouched. */
    if (start < have) st_zero((void *)(uptr)start, (usize)((end < have ? end : have) - start));
    return (void *)(uptr)start;
}

/* The next thing that the host passes in goes to `at`, where it fits: a read lands where it is wanted. */
ST_UNUSED static void st_aim(void *at, u32 room) { st_aim_at = at, st_aim_room = room; }

ST_EXPORT("cabi_realloc") void *st_cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
    if (!old && size && size <= st_aim_room) {
        st_aim_room = 0;
        return st_aim_at;
    }
    void *p = st_arena(size, align);
    if (old && old_size) st_copy(p, old, old_size < size ? old_size : size);
    return p;
}

static st_result_unit st_unit;
static st_result_unit *st_done(void) {
    st_unit.failed = 0;
    return &st_unit;
}

ST_EXPORT(ST_LIFECYCLE "#on-enable") st_result_unit *st_on_enable(void) { return st_done(); }
ST_EXPORT("cabi_post_" ST_LIFECYCLE "#on-enable") void st_post_on_enable(void *r) { (void)r, st_arena_clear(); }
ST_EXPORT(ST_LIFECYCLE "#on-disable") st_result_unit *st_on_disable(u32 reason) { return (void)reason, st_done(); }
ST_EXPORT("cabi_post_" ST_LIFECYCLE "#on-disable") void st_post_on_disable(void *r) { (void)r, st_arena_clear(); }
