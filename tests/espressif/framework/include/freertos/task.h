/* Part of the stand-in, see README.md. */
#pragma once
#include "FreeRTOS.h"

void vTaskDelay(TickType_t ticks);
uint8_t *pxTaskGetStackStart(TaskHandle_t task);
