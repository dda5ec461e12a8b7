/* Types, vectors and memory helpers shared by every plugin.
 *
 * Nothing here needs a C library. All arithmetic is plain IEEE 754 with contraction off, so that the
 * WebAssembly module and the native twin give the same bits.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;
typedef __SIZE_TYPE__ usize;
typedef __UINTPTR_TYPE__ uptr;

typedef float f32x4 __attribute__((vector_size(16)));
typedef int i32x4 __attribute__((vector_size(16)));
typedef u32 u32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));
typedef i64 i64x2 __attribute__((vector_size(16)));
typedef float f32x2 __attribute__((vector_size(8)));
typedef float f32x4_u __attribute__((vector_size(16), aligned(4)));
typedef float f32x2_u __attribute__((vector_size(8), aligned(4)));

#define ST_INLINE static inline __attribute__((always_inline))
#define ST_APART __attribute__((noinline))
#define ST_UNUSED __attribute__((unused))
#define ST_UNROLL _Pragma("clang loop unroll(full)")
#define ST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Stops the compiler from hoisting loop-invariant loads into registers. A kernel with more coefficients
 * than the 16 vector registers is faster when they stay memory operands than when they are spilled. */
#define ST_KEEP_IN_MEMORY() __asm__ volatile("" ::: "memory")

/* Has a vector computed here and not later. Wasmtime's optimiser keeps loads where they are and places arithmetic just
 * before the next store, branch or call that needs its result; in a long unrolled block all loads then come first, and most of
 * what they loaded goes to the stack and back. A store to a scratch place is cheaper. Native compilers need no help. */
#ifdef __wasm__
static f32x4 st_pins[8];
ST_INLINE void st_pin(u32 place, f32x4 v) {
    *(volatile f32x4 *)&st_pins[place] = v;
    ST_KEEP_IN_MEMORY();
}
#else
ST_INLINE void st_pin(u32 place, f32x4 v) { (void)place, (void)v; }
#endif

#define ST_MAX_FRAMES 4096u
#define ST_MAX_CHANNELS 8u
#define ST_MIN_RATE 8000u
#define ST_MAX_RATE 192000u

ST_INLINE f32x4 st_load4(const float *p) { return *(const f32x4_u *)p; }
ST_INLINE void st_store4(float *p, f32x4 v) { *(f32x4_u *)p = v; }
ST_INLINE f32x4 st_splat(float x) { return (f32x4){x, x, x, x}; }
ST_INLINE f64x2 st_splat2(double x) { return (f64x2){x, x}; }

/* Two neighbouring floats in lanes 0 and 1 (lanes 2 and 3 are zero). */
ST_INLINE f32x4 st_load2(const float *p) {
    double bits;
    __builtin_memcpy(&bits, p, 8);
    return (f32x4)(f64x2){bits, 0.0};
}
ST_INLINE void st_store2_low(float *p, f32x4 v) {
    double bits = ((f64x2)v)[0];
    __builtin_memcpy(p, &bits, 8);
}
ST_INLINE void st_store2_high(float *p, f32x4 v) {
    double bits = ((f64x2)v)[1];
    __builtin_memcpy(p, &bits, 8);
}

/* Zeroes lanes that are too small to hear, too large to be sound, or not a number. It keeps subnormals,
 * which cost many times a normal operation, out of the recursive state, and lets a filter that was fed
 * NaN or infinity recover by itself. */
ST_INLINE f32x4 st_clean(f32x4 v) {
    /* As integers, without the sign's bit, floats are in order. One comparison does for both bounds, because what lies below the
     * lower one wraps round to the top. */
    const u32 least = 0x1e3ce508u << 1, most = 0x60ad78ecu << 1; /* 1e-20, 1e20 */
    const u32 offset = 0x80000000u - least, bound = most + offset;
    const u32x4 moved = ((u32x4)v << 1) + offset;
    return (f32x4)((i32x4)v & ((i32x4)moved < (i32)bound));
}
ST_INLINE f64x2 st_clean2(f64x2 v) {
    const i64x2 magnitude = (i64x2)v & 0x7fffffffffffffffll;
    const f64x2 a = (f64x2)magnitude;
    return (f64x2)((i64x2)v & (a >= st_splat2(1e-20)) & (a < st_splat2(1e20)));
}

ST_INLINE f32x4 st_max4(f32x4 a, f32x4 b) {
    const i32x4 m = a > b;
    return (f32x4)(((i32x4)a & m) | ((i32x4)b & ~m));
}

/* With bulk memory each of these is one instruction in wasm. */
ST_UNUSED static void st_zero(void *p, usize n) { __builtin_memset(p, 0, n); }
ST_UNUSED static void st_copy(void *d, const void *s, usize n) { __builtin_memmove(d, s, n); }
