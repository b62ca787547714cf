/* Outputs that an alarm or the host switches on. How long one is on at most, and off at least, are
   the board file's; nothing else in the program writes to these pins. */
#ifndef LOTOR_OUTPUTS_H
#define LOTOR_OUTPUTS_H

#include <stdbool.h>
#include <stdint.h>

/* Switch everything off; outputs then rest, so that a reset is no way around it. */
void outputs_init(void);

uint8_t outputs_count(void);

/* Switch one on for `ms`, at most its max_on_ms; false when it is on, rests or does not exist. */
bool outputs_on(uint8_t index, uint32_t ms);

/* Whether one is a servo that may be sent there; and switching it on, which sends it there. Only in
   images with servos. */
bool outputs_reaches(uint8_t index, uint16_t us);
bool outputs_turn(uint8_t index, uint32_t ms, uint16_t us);

/* Switch one off; harmless when it is. */
void outputs_off(uint8_t index);

/* For how long one is on, rounded up; 0 when it is off. */
uint32_t outputs_left_ms(uint8_t index);

/* Switch off whose time is over. Called wherever the program may stay for long: between the layers
   of a model, the views of a frame and the requests of a host. */
void outputs_poll(void);

void outputs_all_off(void);

/* Those that are on, a bit for each. */
uint8_t outputs_lit(void);

/* The longest time that any was on since the start. */
uint32_t outputs_longest_ms(void);

#endif
