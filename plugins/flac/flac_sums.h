/* Checksums: CRC-8 and CRC-16 of frames (RFC 9639, sections 9.1.8 and 9.3), MD5 of the sound (RFC 1321). */
#pragma once
#include "st_base.h"

static u8 flac_crc8_table[256];
static u16 flac_crc16_table[8][256];
static u8 flac_tables_ready;

static void flac_make_tables(void) {
    if (flac_tables_ready) return;
    for (u32 i = 0; i < 256; i++) {
        u32 low = i, high = i << 8;
        for (u32 bit = 0; bit < 8; bit++) {
            low = low & 0x80 ? low << 1 ^ 0x07 : low << 1;
            high = high & 0x8000 ? high << 1 ^ 0x8005 : high << 1;
        }
        flac_crc8_table[i] = (u8)low;
        flac_crc16_table[0][i] = (u16)high;
    }
    /* Row n: the same byte with n zero bytes behind it. */
    for (u32 row = 1; row < 8; row++)
        for (u32 i = 0; i < 256; i++) {
            const u32 before = flac_crc16_table[row - 1][i];
            flac_crc16_table[row][i] = (u16)(before << 8 ^ flac_crc16_table[0][before >> 8]);
        }
    flac_tables_ready = 1;
}

static u8 flac_crc8(const u8 *p, u32 n) {
    u8 crc = 0;
    for (u32 i = 0; i < n; i++) crc = flac_crc8_table[crc ^ p[i]];
    return crc;
}

static u16 flac_crc16(const u8 *p, u32 n) {
    u32 crc = 0;
    for (; n >= 8; n -= 8, p += 8)
        crc = (u32)(flac_crc16_table[7][p[0] ^ crc >> 8] ^ flac_crc16_table[6][p[1] ^ (crc & 0xff)] ^ flac_crc16_table[5][p[2]] ^
                    flac_crc16_table[4][p[3]] ^ flac_crc16_table[3][p[4]] ^ flac_crc16_table[2][p[5]] ^
                    flac_crc16_table[1][p[6]] ^ flac_crc16_table[0][p[7]]);
    for (u32 i = 0; i < n; i++) crc = (crc << 8 & 0xffff) ^ flac_crc16_table[0][crc >> 8 ^ p[i]];
    return (u16)crc;
}

/* ---- MD5 ---- */
typedef struct {
    u32 state[4];
    u64 length;
    u8 block[64]; /* what did not fill a block yet: length % 64 bytes */
} flac_md5;

static void flac_md5_start(flac_md5 *m) {
    *m = (flac_md5){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
}

#define MD5_TURN(f, a, b, c, d, x, t, s) \
    a += f(b, c, d) + w[x] + t##u;       \
    a = (a << s | a >> (32 - s)) + b;
#define MD5_F(x, y, z) (z ^ (x & (y ^ z)))
#define MD5_G(x, y, z) ((x & z) + (y & ~z)) /* disjoint, so that the sum with the late operand comes last */
#define MD5_H(x, y, z) (x ^ y ^ z)
#define MD5_I(x, y, z) (y ^ (x | ~z))
#define MD5_FOUR(f, i, j, k, l, t1, t2, t3, t4, s1, s2, s3, s4)                   \
    MD5_TURN(f, a, b, c, d, i, t1, s1) MD5_TURN(f, d, a, b, c, j, t2, s2)         \
    MD5_TURN(f, c, d, a, b, k, t3, s3) MD5_TURN(f, b, c, d, a, l, t4, s4)

static ST_APART void flac_md5_blocks(flac_md5 *m, const u8 *p, u32 blocks) {
    u32 a = m->state[0], b = m->state[1], c = m->state[2], d = m->state[3], w[16];
    for (; blocks; blocks--, p += 64) {
        const u32 a0 = a, b0 = b, c0 = c, d0 = d;
        __builtin_memcpy(w, p, 64); /* both targets are little-endian */
        MD5_FOUR(MD5_F, 0, 1, 2, 3, 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 7, 12, 17, 22)
        MD5_FOUR(MD5_F, 4, 5, 6, 7, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 7, 12, 17, 22)
        MD5_FOUR(MD5_F, 8, 9, 10, 11, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 7, 12, 17, 22)
        MD5_FOUR(MD5_F, 12, 13, 14, 15, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 7, 12, 17, 22)
        MD5_FOUR(MD5_G, 1, 6, 11, 0, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 5, 9, 14, 20)
        MD5_FOUR(MD5_G, 5, 10, 15, 4, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 5, 9, 14, 20)
        MD5_FOUR(MD5_G, 9, 14, 3, 8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 5, 9, 14, 20)
        MD5_FOUR(MD5_G, 13, 2, 7, 12, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 5, 9, 14, 20)
        MD5_FOUR(MD5_H, 5, 8, 11, 14, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 4, 11, 16, 23)
        MD5_FOUR(MD5_H, 1, 4, 7, 10, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 4, 11, 16, 23)
        MD5_FOUR(MD5_H, 13, 0, 3, 6, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 4, 11, 16, 23)
        MD5_FOUR(MD5_H, 9, 12, 15, 2, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 4, 11, 16, 23)
        MD5_FOUR(MD5_I, 0, 7, 14, 5, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 6, 10, 15, 21)
        MD5_FOUR(MD5_I, 12, 3, 10, 1, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, 6, 10, 15, 21)
        MD5_FOUR(MD5_I, 8, 15, 6, 13, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 6, 10, 15, 21)
        MD5_FOUR(MD5_I, 4, 11, 2, 9, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391, 6, 10, 15, 21)
        a += a0, b += b0, c += c0, d += d0;
    }
    m->state[0] = a, m->state[1] = b, m->state[2] = c, m->state[3] = d;
}

static void flac_md5_add(flac_md5 *m, const u8 *p, u32 n) {
    const u32 held = (u32)(m->length & 63);
    m->length += n;
    if (held) {
        const u32 room = 64 - held, taken = n < room ? n : room;
        st_copy(m->block + held, p, taken);
        if (taken < room) return;
        flac_md5_blocks(m, m->block, 1);
        p += taken, n -= taken;
    }
    flac_md5_blocks(m, p, n / 64);
    st_copy(m->block, p + (n & ~63u), n & 63);
}

/* The digest; `m` is spent. */
static void flac_md5_end(flac_md5 *m, u8 digest[16]) {
    static const u8 stop[64] = {0x80};
    const u64 bits = m->length * 8;
    flac_md5_add(m, stop, (u32)(((119 - (m->length & 63)) & 63) + 1));
    flac_md5_add(m, (const u8 *)&bits, 8);
    st_copy(digest, m->state, 16);
}
