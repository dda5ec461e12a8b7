/* The stream's description and the frames' headers (RFC 9639, sections 8.2 and 9.1). */
#pragma once
#include "flac_sums.h"

#define FLAC_MAX_CHANNELS 8u
#define FLAC_MAX_BLOCK 65535u
#define FLAC_RATE_MOST 0xfffffu
#define FLAC_HEADER_MOST 16u /* bytes of a frame's header */

typedef struct {
    u32 smallest_block, largest_block;
    u32 rate, channels, bits;
    u64 total; /* frames of sound; 0: unknown */
    u8 md5[16];
} flac_info;

enum { FLAC_INDEPENDENT, FLAC_LEFT_SIDE, FLAC_SIDE_RIGHT, FLAC_MID_SIDE };

typedef struct {
    u32 size; /* bytes of the header */
    u32 block;
    u32 channels, bits; /* bits: 0 as the stream says */
    u8 stereo, variable;
    u64 number; /* of the frame, or of its first sample where the block size is variable */
} flac_header;

static u32 flac_be16(const u8 *p) { return (u32)p[0] << 8 | p[1]; }
static u32 flac_be24(const u8 *p) { return (u32)p[0] << 16 | (u32)p[1] << 8 | p[2]; }
static u32 flac_be32(const u8 *p) { return flac_be16(p) << 16 | flac_be16(p + 2); }
static u64 flac_be64(const u8 *p) { return (u64)flac_be32(p) << 32 | flac_be32(p + 4); }
static u32 flac_le32(const u8 *p) { return (u32)p[3] << 24 | (u32)p[2] << 16 | (u32)p[1] << 8 | p[0]; }

#define FLAC_INFO_BYTES 34u
static void flac_read_info(const u8 *p, flac_info *info) {
    info->smallest_block = flac_be16(p), info->largest_block = flac_be16(p + 2);
    const u64 packed = flac_be64(p + 10);
    info->rate = (u32)(packed >> 44);
    info->channels = (u32)(packed >> 41 & 7) + 1;
    info->bits = (u32)(packed >> 36 & 31) + 1;
    info->total = packed & 0xfffffffffull;
    st_copy(info->md5, p + 18, 16);
}

/* The number of a frame or sample, in UTF-8 stretched to 36 bits; gives its bytes, 0 where it is malformed. */
static u32 flac_read_number(const u8 *p, u64 *number) {
    const u32 first = p[0];
    if (first < 0x80) return *number = first, 1;
    if (first < 0xc0 || first == 0xff) return 0;
    u32 n = 2;
    while (first & 0x80u >> n) n++;
    u64 value = n == 7 ? 0 : first & (0x7fu >> n);
    for (u32 i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (p[i] & 0x3f);
    }
    *number = value;
    return n;
}

/* Reads a header from FLAC_HEADER_MOST bytes; gives 0 for anything that is none, or not of this stream. */
static int flac_read_header(const u8 *p, const flac_info *info, flac_header *h) {
    static const u8 widths[8] = {0, 8, 12, 0xff, 16, 20, 24, 32};
    if (p[0] != 0xff || (p[1] & 0xfe) != 0xf8 || (p[3] & 1)) return 0;
    const u32 block = p[2] >> 4, rate = p[2] & 15, layout = p[3] >> 4, width = widths[p[3] >> 1 & 7];
    if (block == 0 || rate == 15 || layout > 10 || width == 0xff) return 0;
    h->variable = p[1] & 1;
    u32 n = flac_read_number(p + 4, &h->number);
    if (n == 0 || (n == 7 && !h->variable)) return 0;
    n += 4;
    if (block == 1) h->block = 192;
    else if (block < 6) h->block = 576u << (block - 2);
    else if (block == 6) h->block = p[n] + 1u, n += 1;
    else if (block == 7) h->block = flac_be16(p + n) + 1u, n += 2;
    else h->block = 256u << (block - 8);
    n += rate == 12 ? 1 : rate > 12 ? 2 : 0; /* some encoders write a wrong rate: the stream's counts */
    if (h->block > FLAC_MAX_BLOCK || flac_crc8(p, n) != p[n]) return 0;
    h->size = n + 1;
    h->channels = layout < 8 ? layout + 1 : 2;
    h->stereo = layout < 8 ? FLAC_INDEPENDENT : (u8)(layout - 7);
    h->bits = width ? width : info->bits;
    return h->channels == info->channels && h->bits == info->bits;
}
