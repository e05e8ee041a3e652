/* Faults of disks for one command and its children: LD_PRELOAD=faults.so, and below FAULTS_UNDER …

   FAULTS_READ_ONLY=1      nothing can be written (EROFS)
   FAULTS_ROOM=N           after N bytes nothing more can be written (FAULTS_FULL: ENOSPC or EDQUOT, as a number)
   FAULTS_READ_ERROR=N     every Nth read fails once (EIO)
   FAULTS_SLOW_US=N        every read takes N microseconds longer
   faults_fail(KIND, N, E) from then on, in this process, the Nth call of a kind fails once, with the error E;
                           faults_calls(KIND) says how many there were. KIND: a letter, see below.
                           Kind j: from the Nth look at the clock on, it is E seconds later (earlier where E < 0).
   FAULTS_LOG=FILE         what is written, synced, renamed and removed; what is replaced is kept in FAULTS_KEPT/

   What the C library reads for itself (fread, mmap) is not seen. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define MOST_FILES 65536

static char is_under[MOST_FILES];
static atomic_long n_reads, n_written, n_kept, n_calls[128];

/* Kinds: o open, r read, w write, n rename, s fsync, u unlink, m mkdir, f flock, c close, t stat, l listdir */
static char failing_kind;
static long failing_call;
static int failing_error;

void faults_fail(char kind, long nth, int error) {
    failing_kind = kind;
    failing_call = nth;
    failing_error = error;
    for (int one = 0; one < 128; one++) atomic_store(&n_calls[one], 0);
}

long faults_calls(char kind) { return atomic_load(&n_calls[(int)kind]); }

static int fails(char kind, int is_under) {
    if (!is_under) return 0;
    long call = atomic_fetch_add(&n_calls[(int)kind], 1) + 1;
    if (kind != failing_kind || call != failing_call) return 0;
    errno = failing_error;
    return 1;
}

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : -1;
}

static int under(const char *path) {
    const char *folder = getenv("FAULTS_UNDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int fd_under(int fd) { return fd >= 0 && fd < MOST_FILES && is_under[fd]; }

static void note(char what, const char *first, const char *second, const char *third) {
    const char *log = getenv("FAULTS_LOG");
    char line[3 * PATH_MAX];
    if (!log) return;
    int length = snprintf(line, sizeof line, "%c\t%s\t%s\t%s\n", what, first, second, third);
    int fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    syscall(SYS_write, fd, line, length);
    syscall(SYS_close, fd);
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return under(path);
}

static void note_fd(char what, int fd) {
    char path[PATH_MAX];
    if (path_of(fd, path)) note(what, path, "", "");
}

/* Keep what a name leads to, before it leads elsewhere; the place where, or "". */
static const char *kept(const char *path, char *place) {
    const char *folder = getenv("FAULTS_KEPT");
    place[0] = 0;
    if (!folder) return place;
    snprintf(place, PATH_MAX, "%s/%d.%ld", folder, getpid(), atomic_fetch_add(&n_kept, 1));
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, place, 0)) place[0] = 0;
    return place;
}

static int refused(const char *path) {
    if (!under(path) || number("FAULTS_READ_ONLY") <= 0) return 0;
    errno = EROFS;
    return 1;
}

static int opened(const char *path, int flags, mode_t mode, int fd_of_folder) {
    if (fails('o', under(path))) return -1;
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
    if (writes && refused(path)) return -1;
    int is_new = writes && under(path) && (flags & O_CREAT) && access(path, F_OK);
    int fd = syscall(SYS_openat, fd_of_folder, path, flags, mode);
    if (fd >= 0 && fd < MOST_FILES) {
        is_under[fd] = under(path);
        if (is_under[fd] && writes) note(is_new ? 'C' : 'W', path, "", "");
    }
    return fd;
}

#define MODE                                  \
    mode_t mode = 0;                          \
    if (flags & (O_CREAT | __O_TMPFILE)) {    \
        va_list more;                         \
        va_start(more, flags);                \
        mode = va_arg(more, mode_t);          \
        va_end(more);                         \
    }
int open(const char *path, int flags, ...) { MODE return opened(path, flags, mode, AT_FDCWD); }
int open64(const char *path, int flags, ...) { MODE return opened(path, flags | O_LARGEFILE, mode, AT_FDCWD); }
int openat(int at, const char *path, int flags, ...) { MODE return opened(path, flags, mode, at); }
int openat64(int at, const char *path, int flags, ...) { MODE return opened(path, flags | O_LARGEFILE, mode, at); }

int close(int fd) {
    int was_under = fd_under(fd);
    if (fd >= 0 && fd < MOST_FILES) is_under[fd] = 0;
    int failed = REAL(close)(fd);
    return fails('c', was_under) ? -1 : failed; /* it is closed all the same, as on Linux */
}

static int read_fails(int fd) {
    if (!fd_under(fd)) return 0;
    if (fails('r', 1)) return 1;
    long slow = number("FAULTS_SLOW_US"), each = number("FAULTS_READ_ERROR");
    if (slow > 0) usleep(slow);
    if (each <= 0 || (atomic_fetch_add(&n_reads, 1) + 1) % each) return 0;
    errno = EIO;
    return 1;
}

ssize_t read(int fd, void *to, size_t n) { return read_fails(fd) ? -1 : REAL(read)(fd, to, n); }
ssize_t pread(int fd, void *to, size_t n, off_t at) { return read_fails(fd) ? -1 : REAL(pread)(fd, to, n, at); }
ssize_t pread64(int fd, void *to, size_t n, off64_t at) { return read_fails(fd) ? -1 : REAL(pread64)(fd, to, n, at); }

static int write_fails(int fd, size_t n) {
    char path[PATH_MAX];
    long room = number("FAULTS_ROOM");
    if (!fd_under(fd) && !path_of(fd, path)) return 0; /* a copy of a descriptor, as numpy makes */
    if (fails('w', 1)) return 1;
    if (room >= 0 && atomic_fetch_add(&n_written, n) + (long)n > room) {
        errno = number("FAULTS_FULL") > 0 ? number("FAULTS_FULL") : ENOSPC;
        return 1;
    }
    note_fd('W', fd);
    return 0;
}

ssize_t write(int fd, const void *from, size_t n) { return write_fails(fd, n) ? -1 : REAL(write)(fd, from, n); }
ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
    return write_fails(fd, n) ? -1 : REAL(pwrite)(fd, from, n, at);
}
ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) {
    return write_fails(fd, n) ? -1 : REAL(pwrite64)(fd, from, n, at);
}

size_t fwrite(const void *from, size_t size, size_t n, FILE *to) {
    return write_fails(fileno(to), size * n) ? 0 : REAL(fwrite)(from, size, n, to);
}

int fsync(int fd) {
    char path[PATH_MAX];
    if (fails('s', path_of(fd, path))) return -1;
    int failed = REAL(fsync)(fd);
    if (!failed) note_fd('S', fd);
    return failed;
}
int fdatasync(int fd) {
    char path[PATH_MAX];
    if (fails('s', path_of(fd, path))) return -1;
    int failed = REAL(fdatasync)(fd);
    if (!failed) note_fd('S', fd);
    return failed;
}

int rename(const char *from, const char *to) {
    char place[PATH_MAX];
    if (refused(to) || fails('n', under(to))) return -1;
    if (under(to)) kept(to, place);
    int failed = REAL(rename)(from, to);
    if (!failed && under(to)) note('R', from, to, place);
    return failed;
}

int unlink(const char *path) {
    char place[PATH_MAX];
    if (refused(path) || fails('u', under(path))) return -1;
    if (under(path)) kept(path, place);
    int failed = REAL(unlink)(path);
    if (!failed && under(path)) note('U', path, place, "");
    return failed;
}

int mkdir(const char *path, mode_t mode) {
    if (refused(path) || fails('m', under(path))) return -1;
    int failed = REAL(mkdir)(path, mode);
    if (!failed && under(path)) note('M', path, "", "");
    return failed;
}

int rmdir(const char *path) { return fails('u', under(path)) ? -1 : REAL(rmdir)(path); }

int unlinkat(int at, const char *name, int flags) {
    char path[PATH_MAX];
    if (fails('u', (name[0] == '/' ? under(name) : path_of(at, path)))) return -1;
    return REAL(unlinkat)(at, name, flags);
}

int flock(int fd, int what) { return fails('f', fd_under(fd)) ? -1 : REAL(flock)(fd, what); }

int stat64(const char *path, struct stat64 *to) { return fails('t', under(path)) ? -1 : REAL(stat64)(path, to); }
int lstat64(const char *path, struct stat64 *to) { return fails('t', under(path)) ? -1 : REAL(lstat64)(path, to); }
int fstat64(int fd, struct stat64 *to) { return fails('t', fd_under(fd)) ? -1 : REAL(fstat64)(fd, to); }

DIR *opendir(const char *path) { return fails('l', under(path)) ? NULL : REAL(opendir)(path); }
DIR *fdopendir(int fd) { return fails('l', fd_under(fd)) ? NULL : REAL(fdopendir)(fd); }
struct dirent64 *readdir64(DIR *of) {
    char path[PATH_MAX];
    if (fails('l', path_of(dirfd(of), path))) return NULL;
    return REAL(readdir64)(of);
}

int clock_gettime(clockid_t clock, struct timespec *to) {
    int failed = syscall(SYS_clock_gettime, clock, to);
    if (failed || clock != CLOCK_REALTIME) return failed;
    long look = atomic_fetch_add(&n_calls['j'], 1) + 1;
    if (failing_kind == 'j' && look >= failing_call) to->tv_sec += failing_error;
    return 0;
}
