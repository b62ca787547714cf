/* Part of the stand-in, see README.md. */
#pragma once
#include "../esp_system.h"

void esp_restart_noos(void) __attribute__((noreturn));
esp_reset_reason_t esp_reset_reason_get_hint(void);
