/* Part of the stand-in, see README.md. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

int esp_task_wdt_init(uint32_t timeout, bool panic);
int esp_task_wdt_add(void *task);
int esp_task_wdt_reset(void);
