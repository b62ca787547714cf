/* The device program: start, then serve requests for ever. */
#include "../hal/hal.h"
#include "fault.h"
#include "server.h"

int main(void) {
    hal_init();
    fault_boot();
    server_init();
    hal_watchdog_start();
    for (;;) {
        server_poll();
        hal_watchdog_feed();
        hal_idle();
    }
}
