/* ESP-IDF's own panic handler: it prints, and no record is made. The linker puts ours in its place,
   which it can in other files only. */
#include <esp_private/panic_internal.h>
#include <stdio.h>
#include <unistd.h>

void esp_panic_handler(panic_info_t *info) {
    fprintf(stderr, "Guru Meditation Error: %s\n", info->reason);
    _exit(4);
}
