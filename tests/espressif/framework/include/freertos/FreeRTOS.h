/* Part of the stand-in, see README.md. */
#pragma once
#include <stdint.h>

typedef uint32_t TickType_t;
typedef void *TaskHandle_t;
