/* What the build knows about an image; the build writes the values beside the model table. */
#ifndef LOTOR_IMAGE_H
#define LOTOR_IMAGE_H

#include <stdint.h>

extern const char lotor_board[], lotor_chip[], lotor_version[], lotor_tick_unit[];
extern const uint8_t lotor_build_id[20];

#endif
