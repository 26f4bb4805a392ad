/* Preloaded into a program, it stands between the program and its disk, for files below DISK_UNDER.
 *
 * DISK_LOG: every change, in its order, with its bytes: what a power cut at any moment leaves can be
 * worked out from it. DISK_FAULT: a file of three 32-bit numbers (errno, kinds of calls: 1 changes,
 * 2 reads) and 64 characters that the path must contain; while errno is not 0, such calls fail with
 * it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct fault {
    volatile int32_t number, kinds;
    volatile char within[64];
};
enum { CHANGES = 1, READS = 2 };

static const struct fault *fault;
static const char *under;
static int log_fd = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("DISK_LOG"), *control = getenv("DISK_FAULT");
    under = getenv("DISK_UNDER");
    if (log)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, log,
                              O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (control) {
        int file = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
        void *seen = mmap(NULL, sizeof *fault, PROT_READ, MAP_SHARED, file, 0);
        syscall(SYS_close, file);
        if (seen != MAP_FAILED)
            fault = seen;
    }
}

static int ours(const char *path)
{
    return under && path && !strncmp(path, under, strlen(under));
}

static int path_of(int fd, char *path)
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, 4095);
    path[n < 0 ? 0 : n] = 0;
    return n > 0 && ours(path);
}

static int fails(const char *path, int kind)
{
    if (!fault || !fault->number || !(fault->kinds & kind) || !ours(path) ||
        !strstr(path, (const char *)fault->within))
        return 0;
    errno = fault->number;
    return 1;
}

static void note(char op, const char *path, const char *other, uint64_t at, uint64_t size,
                 const void *data)
{
    if (log_fd < 0)
        return;
    struct __attribute__((packed)) {
        char op;
        uint32_t path, other, data;
        uint64_t at, size;
    } head = {op, (uint32_t)strlen(path), (uint32_t)strlen(other), data ? (uint32_t)size : 0, at, size};
    syscall(SYS_write, log_fd, &head, sizeof head);
    syscall(SYS_write, log_fd, path, head.path);
    syscall(SYS_write, log_fd, other, head.other);
    if (data)
        syscall(SYS_write, log_fd, data, head.data);
}

/* --- files ----------------------------------------------------------------------------------- */

static int opened(int at, const char *path, int flags, mode_t mode)
{
    int mine = ours(path), changes = flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR);
    if (mine && fails(path, changes ? CHANGES : READS))
        return -1;
    pthread_mutex_lock(&turn);
    int absent = mine && (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK);
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    int error = errno;
    if (fd >= 0 && absent)
        note('c', path, "", 0, 0, NULL);
    else if (fd >= 0 && mine && (flags & O_TRUNC))
        note('t', path, "", 0, 0, NULL);
    pthread_mutex_unlock(&turn);
    errno = error;
    return fd;
}

#define MODE(flags) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return opened(at, path, flags, mode); }

static ssize_t written(int fd, const void *data, size_t size, off_t at)
{
    char path[4096];
    if (!path_of(fd, path))
        return at < 0 ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, at);
    if (fails(path, CHANGES))
        return -1;
    pthread_mutex_lock(&turn);
    off_t place = at;
    if (at < 0 && (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND)) {
        struct stat seen;
        fstat(fd, &seen);
        place = seen.st_size;
    } else if (at < 0)
        place = syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t n = at < 0 ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, at);
    int error = errno;
    if (n > 0)
        note('w', path, "", (uint64_t)place, (uint64_t)n, data);
    pthread_mutex_unlock(&turn);
    errno = error;
    return n;
}

ssize_t write(int fd, const void *data, size_t size) { return written(fd, data, size, -1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return written(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return written(fd, data, size, at); }

static int refused_read(int fd)
{
    char path[4096];
    return fault && fault->number && (fault->kinds & READS) && path_of(fd, path) && fails(path, READS);
}

ssize_t read(int fd, void *data, size_t size) { return refused_read(fd) ? -1 : syscall(SYS_read, fd, data, size); }
ssize_t pread(int fd, void *data, size_t size, off_t at) { return refused_read(fd) ? -1 : syscall(SYS_pread64, fd, data, size, at); }
ssize_t pread64(int fd, void *data, size_t size, off64_t at) { return refused_read(fd) ? -1 : syscall(SYS_pread64, fd, data, size, at); }

static int on_file(char op, long call, int fd, uint64_t size)
{
    char path[4096];
    int mine = path_of(fd, path);
    if (mine && fails(path, CHANGES))
        return -1;
    pthread_mutex_lock(&turn);
    int done = (int)syscall(call, fd, size), error = errno;
    if (!done && mine)
        note(op, path, "", 0, size, NULL);
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}

int fsync(int fd) { return on_file('s', SYS_fsync, fd, 0); }
int fdatasync(int fd) { return on_file('s', SYS_fdatasync, fd, 0); }
int syncfs(int fd) { return on_file('S', SYS_syncfs, fd, 0); }
int ftruncate(int fd, off_t size) { return on_file('t', SYS_ftruncate, fd, (uint64_t)size); }
int ftruncate64(int fd, off64_t size) { return on_file('t', SYS_ftruncate, fd, (uint64_t)size); }

/* --- names ----------------------------------------------------------------------------------- */

static int named(char op, long call, const char *path, const char *other, long third)
{
    if (fails(path, CHANGES))
        return -1;
    pthread_mutex_lock(&turn);
    int done = call == SYS_renameat ? (int)syscall(call, AT_FDCWD, path, AT_FDCWD, other)
                                    : (int)syscall(call, AT_FDCWD, path, third);
    int error = errno;
    if (!done && ours(path))
        note(op, path, other, 0, 0, NULL);
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}

int rename(const char *path, const char *other) { return named('r', SYS_renameat, path, other, 0); }
int unlink(const char *path) { return named('u', SYS_unlinkat, path, "", 0); }
int mkdir(const char *path, mode_t mode) { return named('d', SYS_mkdirat, path, "", (long)mode); }
