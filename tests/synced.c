/* What a power cut leaves at worst: of every file that is synced, a copy beside it as it was then.

   Preloaded (LD_PRELOAD) into a program that keeps a database. `X.synced` is what the disk is sure
   to have of X; a copy that was not finished is not there, as a sync that was not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static void keep(int file) {
    char link[64], path[PATH_MAX], unfinished[PATH_MAX + 16], synced[PATH_MAX + 16];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) {
        return;
    }
    path[length] = '\0';
    if (strstr(path, "/store.sqlite") == NULL) {
        return;
    }
    (void)snprintf(unfinished, sizeof unfinished, "%s.unfinished", path);
    (void)snprintf(synced, sizeof synced, "%s.synced", path);
    int copy = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (copy < 0) {
        return;
    }
    static char buffer[1 << 16];
    off_t at = 0;
    ssize_t count = 0;
    while ((count = pread(file, buffer, sizeof buffer, at)) > 0) {
        if (write(copy, buffer, (size_t)count) != count) {
            count = -1;
            break;
        }
        at += count;
    }
    (void)close(copy);
    if (count == 0) {
        (void)rename(unfinished, synced);
    }
}

static int through(const char *name, int file) {
    int (*real)(int) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, name);
    int result = real(file);
    if (result == 0) {
        keep(file);
    }
    return result;
}

int fsync(int file) { return through("fsync", file); }

int fdatasync(int file) { return through("fdatasync", file); }
