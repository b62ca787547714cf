/* Tells an RP2350's boot ROM that flash holds a program: RP2350 datasheet, 5.9.5.1, an executable
   for a secure Arm core. It must lie in the first 4 KiB; the vector table is at the very beginning.
 */
#if __ARM_ARCH >= 8
#include <stdint.h>

__attribute__((section(".image_def"), used)) static const uint32_t image_def[] = {
    0xFFFFDED3, /* start */
    0x10210142, /* IMAGE_TYPE, one word: EXE, secure, Arm, RP2350 */
    0x000001FF, /* last item, after one word */
    0x00000000, /* the next block is this one */
    0xAB123579, /* end */
};
#endif
