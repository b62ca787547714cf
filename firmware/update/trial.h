/* What an image does at its start: confirm itself, or tell why another was given up. */
#ifndef LOTOR_TRIAL_H
#define LOTOR_TRIAL_H

#include "state.h"

/* The slot that runs: 0 or 1. */
uint32_t trial_running(void);

/* On trial: test every model, then confirm; one that fails is recorded, and the board resets.
   After a rollback: record how the other image ended. */
void trial_start(void);

/* Whether the running image has yet to confirm. */
int trial_pending(void);

#endif
