/* The models inside an image: the build writes the table, the server serves it. */
#ifndef LOTOR_MODEL_H
#define LOTOR_MODEL_H

#include <stdint.h>

/* Where an input or an output lies in the arena. */
typedef struct {
    uint32_t offset, bytes;
} lotor_buffer;

typedef struct {
    const char *name;
    uint8_t hash[32]; /* SHA-256 of the .tflite */
    uint32_t arena_bytes, layers;
    uint8_t inputs, outputs;
    const lotor_buffer *input, *output;
    int (*run)(void *arena);   /* reads the inputs and leaves the outputs in the arena */
    int (*reset)(void *arena); /* forgets what is kept between runs; NULL where nothing is */
    /* Input bytes come from this xorshift32 seed (0: no self-test); CRC-32 over all outputs. */
    uint32_t self_test_seed, self_test_crc;
} lotor_model;

extern const lotor_model lotor_models[];
extern const uint32_t lotor_model_count;

#endif
