/* What a chip family must offer; hal/<family>/ implements it. */
#ifndef LOTOR_HAL_H
#define LOTOR_HAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why the chip started, as far as its registers tell. */
typedef enum { HAL_CAUSE_UNKNOWN, HAL_CAUSE_POWER, HAL_CAUSE_PIN, HAL_CAUSE_WATCHDOG } hal_cause;

/* Clocks, UART (receiving by interrupt), tick counter; called once, first. */
void hal_init(void);

/* Sleep until a byte may have arrived. Ticks may stand still meanwhile. */
void hal_idle(void);

/* The next received byte, or -1. */
int hal_uart_read(void);

/* Send; returns when all is handed to the UART, which may still be sending. */
void hal_uart_write(const uint8_t *data, size_t bytes);

/* Wait until all that was handed to the UART is on the line. */
void hal_uart_flush(void);

/* Bytes lost because nobody read them in time. */
uint32_t hal_uart_overruns(void);

/* Ticks since hal_init, in the unit of the board file; never wraps. */
uint64_t hal_ticks(void);

/* Start the watchdog, or do nothing on a board without one; feed it within its time. A boot
   loader starts it before an image on trial. */
void hal_watchdog_start(void);
void hal_watchdog_feed(void);

/* Also makes the chip forget it; called once at every start. */
hal_cause hal_reset_cause(void);
_Noreturn void hal_reset(void);

/* Whether this chip can provoke a fault (a reason of fault.h), and provoking it: images for tests.
 */
bool hal_can_provoke(uint8_t reason);
void hal_provoke(uint8_t reason);

/* Memory for the arena, aligned to 16, where the linker does not place it (LOTOR_ARENA_OF_HAL). */
void *hal_arena(size_t bytes);

/* Outputs of boards whose file has some: a pin that is driven, at first to `level`. */
void hal_output_init(uint32_t pin, bool level);
void hal_output_set(uint32_t pin, bool level);

/* Outputs that are servos: a pin that is high for so many microseconds, 50 times a second. */
void hal_servo_init(uint32_t pin, uint32_t us);
void hal_servo_set(uint32_t pin, uint32_t us);

/* Image sensors on a parallel bus, of families that take frames off one: open-drain pins with a
   pull-up for their registers (released or low), a wait, pins and clock, the clock off. */
void hal_wire_set(uint32_t pin, bool released);
bool hal_wire_get(uint32_t pin);
void hal_wait_us(uint32_t us);
void hal_camera_init(void);
void hal_camera_stop(void);

/* Take the next frame: rows of so many bytes, after some rows, and in each after some bytes, that
   are left out. False when it does not come. */
bool hal_camera_capture(uint8_t *to, uint32_t rows, uint32_t row_bytes, uint32_t skip_rows,
                        uint32_t skip_bytes);

/* The stack: lowest address and size; size 0 when unknown. */
const void *hal_stack(uint32_t *bytes);

#endif
