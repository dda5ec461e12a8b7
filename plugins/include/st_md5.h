/* MD5 (RFC 1321), for protocols that ask for it. */
#pragma once
#include "st_base.h"

typedef struct {
    u32 state[4];
    u64 length;
    u8 block[64];
} st_md5;

static const u32 st_md5_sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1,
    0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453,
    0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
    0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05,
    0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d,
    0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const u8 st_md5_turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static void st_md5_start(st_md5 *m) {
    *m = (st_md5){{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}, 0, {0}};
}

static void st_md5_take_block(st_md5 *m) {
    u32 words[16], a = m->state[0], b = m->state[1], c = m->state[2], d = m->state[3];
    __builtin_memcpy(words, m->block, 64);
    for (u32 i = 0; i < 64; i++) {
        u32 f, word;
        if (i < 16) f = (b & c) | (~b & d), word = i;
        else if (i < 32) f = (d & b) | (~d & c), word = (5 * i + 1) & 15;
        else if (i < 48) f = b ^ c ^ d, word = (3 * i + 5) & 15;
        else f = c ^ (b | ~d), word = (7 * i) & 15;
        const u32 sum = a + f + st_md5_sines[i] + words[word], turn = st_md5_turns[i >> 4][i & 3];
        a = d, d = c, c = b;
        b += sum << turn | sum >> (32 - turn);
    }
    m->state[0] += a, m->state[1] += b, m->state[2] += c, m->state[3] += d;
}

static void st_md5_add(st_md5 *m, const void *bytes, u32 len) {
    for (u32 i = 0; i < len; i++) {
        m->block[m->length++ & 63] = ((const u8 *)bytes)[i];
        if (!(m->length & 63)) st_md5_take_block(m);
    }
}

static void st_md5_finish(st_md5 *m, u8 digest[16]) {
    const u64 bits = m->length * 8;
    static const u8 mark = 0x80, zero = 0;
    st_md5_add(m, &mark, 1);
    while ((m->length & 63) != 56) st_md5_add(m, &zero, 1);
    st_md5_add(m, &bits, 8);
    __builtin_memcpy(digest, m->state, 16);
}
