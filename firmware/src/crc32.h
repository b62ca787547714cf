/* CRC-32/ISO-HDLC, the one of zlib and Ethernet (polynomial 0xEDB88320, reflected). */
#ifndef LOTOR_CRC32_H
#define LOTOR_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 at the start) over `bytes` bytes. */
uint32_t crc32_update(uint32_t crc, const void *data, size_t bytes);

#endif
