/* The device program: start, then serve requests for ever. */
#include "../hal/hal.h"
#include "fault.h"
#include "lotor_config.h"
#include "server.h"
#ifdef LOTOR_CAMERA
#include "../watch/outputs.h"
#include "../watch/watch.h"
#endif

#ifdef LOTOR_UPDATE
#include "../update/trial.h"
#endif

int main(void) {
    hal_init();
#ifdef LOTOR_CAMERA
    outputs_init();
#endif
    fault_boot();
    server_init();
    hal_watchdog_start();
#ifdef LOTOR_UPDATE
    trial_start();
#endif
    for (;;) {
        server_poll();
        hal_watchdog_feed();
#ifdef LOTOR_CAMERA
        watch_poll();
        if (watch_awake())
            continue;
#endif
        hal_idle();
    }
}
