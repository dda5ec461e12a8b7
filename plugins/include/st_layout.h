/* Where the audio regions lie in a hot-path module's memory. The linker keeps them free: the stack is below
 * (--stack-first) and the data above (--global-base), so the component can name the offsets as constants. */
#pragma once
#define ST_IN_OFFSET 0x10000u
#define ST_OUT_OFFSET 0x30000u
#define ST_REGION_BYTES 0x20000u /* 4096 frames of 8 channels of 32-bit float */
#define ST_GLOBAL_BASE 0x50000u
