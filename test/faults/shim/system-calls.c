/*
 * A shim between Postern and the C library (LD_PRELOAD), built by the fault suites. For files below FAULTS_ROOT it
 *
 *   records     each write, sync and change of a directory, with content and the time of its begin and end
 *               (CLOCK_MONOTONIC, as process.hrtime), to FAULTS_RECORD.<pid>: crash-images.ts builds crash images of it;
 *   fails       the n-th call of a kind, counted for the whole process, as the page at FAULTS_CONTROL says, which the
 *               test writes while the server runs (control-page.ts has the same layout);
 *   pretends    with FAULTS_NO_SYNC that a file is synced and does not sync it: `fdatasync`, `fsync` or `dsync` (O_DSYNC
 *               is dropped) names the call that a broken build left out, which the check of crash images must find.
 *
 * LMDB's lock files are left out: they hold nothing that must survive. Calls that go round the C library (io_uring,
 * copy_file_range by syscall(2)) are not seen; the recording of a sound server that used them would fail the check.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OP_CREATE = 1, OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_UNLINK, OP_RENAME, OP_MKDIR, OP_OPEN, OP_META };
/* Kinds of calls to fail, never recorded: OP_META is a write through O_DSYNC (LMDB's meta page after a commit), OP_OPEN
   all that LMDB does to open a file, with the write of the two first meta pages. */
enum { KIND_EIO = 1, KIND_ENOSPC, KIND_SHORT, KIND_SLOW };

/* One record: this header, `path_bytes` of path (rename: old NUL new), `data_bytes` of data. Little-endian. */
struct record {
  uint32_t magic;
  uint16_t op;
  uint16_t durable; /* written through O_DSYNC */
  int32_t error;    /* errno, 0 when it succeeded */
  uint32_t path_bytes;
  uint64_t begin_ns;
  uint64_t end_ns;
  uint64_t inode;
  int64_t offset;
  uint64_t data_bytes;
};

/* What to fail. The test writes the fields, `epoch` last; the shim writes the last three. */
struct control {
  _Atomic uint32_t epoch; /* changes: counting begins again */
  uint32_t ops;           /* bit per OP_ */
  uint32_t nth;
  uint32_t kind;
  uint32_t delay_ms;
  uint32_t sticky; /* every matching call after it, too, in the process that it struck */
  uint32_t fresh;  /* only processes that start after this epoch was set */
  _Atomic uint32_t victim; /* pid that it struck */
  _Atomic uint32_t struck; /* how often */
  _Atomic uint32_t counted; /* calls that matched, for the test to know how far n can go */
};

struct file {
  char *path;
  dev_t device;
  ino_t inode;
  int dsync;
};

#define MAX_FILES 65536
#define FIRST_METAS (2 * 4096)
static struct file files[MAX_FILES];
static const char *root;
static size_t root_bytes;
static const char *no_sync = "";
static int record_fd = -1;
static struct control *control;
static uint32_t first_epoch, seen_epoch, count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t record_lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name, ...) \
  static type (*real_##name)(__VA_ARGS__); \
  if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void) {
  const char *prefix = getenv("FAULTS_RECORD"), *page = getenv("FAULTS_CONTROL");
  root = getenv("FAULTS_ROOT");
  if (!root) return;
  root_bytes = strlen(root);
  if (getenv("FAULTS_NO_SYNC")) no_sync = getenv("FAULTS_NO_SYNC");
  if (prefix) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s.%d", prefix, getpid());
    record_fd = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  /* Node tells its cluster workers from their primary by this variable; faults are for workers. A spool that a test
     runs by itself has FAULTS_ANY_PROCESS. */
  if (page && (getenv("NODE_UNIQUE_ID") || getenv("FAULTS_ANY_PROCESS"))) {
    int fd = syscall(SYS_openat, AT_FDCWD, page, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) syscall(SYS_close, fd);
    if (map != MAP_FAILED) control = map;
    if (control) first_epoch = atomic_load(&control->epoch);
  }
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static int below_root(const char *path) {
  size_t bytes;
  if (!root || !path || strncmp(path, root, root_bytes) || (path[root_bytes] && path[root_bytes] != '/')) return 0;
  bytes = strlen(path);
  return bytes < 5 || strcmp(path + bytes - 5, "-lock");
}

/* ---- faults ---- */

/* The fault of this call, or 0. A slow call has been slow when this returns. */
static int fault_of(int op) {
  int kind = 0;
  uint32_t epoch, none = 0, delay_ms = 0;
  if (!control || !(epoch = atomic_load(&control->epoch)) || !(control->ops & (1u << op))) return 0;
  if (control->fresh && first_epoch != epoch) return 0;
  pthread_mutex_lock(&lock);
  if (seen_epoch != epoch) {
    seen_epoch = epoch;
    count = 0;
  }
  count++;
  if (count > atomic_load(&control->counted)) atomic_store(&control->counted, count);
  if (count == control->nth || (control->sticky && count > control->nth)) {
    uint32_t me = getpid();
    if (atomic_compare_exchange_strong(&control->victim, &none, me) || none == me) {
      atomic_fetch_add(&control->struck, 1);
      kind = control->kind;
      delay_ms = control->delay_ms;
    }
  }
  pthread_mutex_unlock(&lock);
  if (kind != KIND_SLOW) return kind;
  struct timespec pause = { delay_ms / 1000, (delay_ms % 1000) * 1000000L };
  while (nanosleep(&pause, &pause) && errno == EINTR) continue;
  return 0;
}

/* True: errno is set and the call must fail. */
static int refused(int kind) {
  if (kind != KIND_EIO && kind != KIND_ENOSPC) return 0;
  errno = kind == KIND_EIO ? EIO : ENOSPC;
  return 1;
}

/* ---- the record ---- */

static void record(struct record head, const char *path, const struct iovec *data, int pieces, ssize_t done) {
  struct iovec out[2 + IOV_MAX];
  int kept = errno, n = 2;
  size_t left = done > 0 ? (size_t)done : 0;
  if (record_fd < 0) return;
  head.magic = 0x504d4c46;
  head.end_ns = now();
  if (!head.path_bytes) head.path_bytes = strlen(path);
  head.data_bytes = data ? left : 0;
  out[0] = (struct iovec){ &head, sizeof head };
  out[1] = (struct iovec){ (void *)path, head.path_bytes };
  for (int i = 0; data && i < pieces && left > 0; i++) {
    size_t bytes = data[i].iov_len < left ? data[i].iov_len : left;
    out[n++] = (struct iovec){ data[i].iov_base, bytes };
    left -= bytes;
  }
  pthread_mutex_lock(&record_lock);
  for (int i = 0; i < n;) {
    int some = n - i < IOV_MAX ? n - i : IOV_MAX;
    ssize_t wrote = syscall(SYS_writev, record_fd, out + i, some);
    if (wrote < 0) break; /* the reader finds the record cut short and says so */
    while (i < n && (size_t)wrote >= out[i].iov_len) wrote -= out[i++].iov_len;
    if (i < n) {
      out[i].iov_base = (char *)out[i].iov_base + wrote;
      out[i].iov_len -= wrote;
    }
  }
  pthread_mutex_unlock(&record_lock);
  errno = kept;
}

/* ---- descriptors ---- */

/* The file of a descriptor, if it is one of ours. Descriptors are reused, and not every close passes here. */
static struct file *file_of(int fd) {
  struct stat now_open;
  if (!root || fd < 0 || fd >= MAX_FILES || !files[fd].path) return NULL;
  if (fstat(fd, &now_open) || now_open.st_ino != files[fd].inode || now_open.st_dev != files[fd].device) return NULL;
  return &files[fd];
}

static void remember(int fd, const char *path, int flags) {
  struct stat opened;
  if (fd < 0 || fd >= MAX_FILES || fstat(fd, &opened)) return;
  free(files[fd].path);
  files[fd] = (struct file){ strdup(path), opened.st_dev, opened.st_ino, (flags & O_DSYNC) != 0 };
}

static int open_at(int directory, const char *path, int flags, mode_t mode) {
  struct record head = { .op = OP_CREATE, .begin_ns = now() };
  int fd, is_new;
  if (!below_root(path)) return syscall(SYS_openat, directory, path, flags, mode);
  if (refused(fault_of(OP_OPEN))) return -1;
  if (!strcmp(no_sync, "dsync")) flags &= ~(O_DSYNC | O_SYNC);
  is_new = (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0;
  fd = syscall(SYS_openat, directory, path, flags, mode);
  if (fd < 0) return fd;
  remember(fd, path, flags);
  head.inode = files[fd].inode;
  if (is_new) record(head, path, NULL, 0, 0);
  if (!is_new && (flags & O_TRUNC)) {
    head.op = OP_TRUNCATE;
    record(head, path, NULL, 0, 0);
  }
  return fd;
}

static mode_t mode_of(int flags, va_list rest) {
  return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = mode_of(flags, rest); \
    va_end(rest); \
    return open_at(AT_FDCWD, path, flags, mode); \
  }
#define OPENAT(name) \
  int name(int directory, const char *path, int flags, ...) { \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = mode_of(flags, rest); \
    va_end(rest); \
    return open_at(directory, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
  REAL(int, close, int);
  if (root && fd >= 0 && fd < MAX_FILES && files[fd].path) {
    free(files[fd].path);
    files[fd].path = NULL;
  }
  return real_close(fd);
}

/* ---- writing ---- */

/* `offset` -1: at the descriptor's own place. */
static ssize_t write_to(int fd, const struct iovec *data, int pieces, off_t offset) {
  struct file *file = file_of(fd);
  struct record head = { .op = OP_WRITE };
  ssize_t done;
  int kind;
  if (file) {
    head.begin_ns = now();
    head.inode = file->inode;
    head.durable = file->dsync;
    head.offset = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR);
    kind = fault_of(file->dsync                                          ? OP_META
                    : offset == 0 && data[0].iov_len == FIRST_METAS ? OP_OPEN
                                                                    : OP_WRITE);
    if (refused(kind)) {
      head.error = errno;
      record(head, file->path, NULL, 0, 0);
      return -1;
    }
    if (kind == KIND_SHORT) {
      /* Half, and no more than half of the first piece: what a disk that runs full in the middle does. */
      size_t half = data[0].iov_len / 2;
      done = offset >= 0 ? syscall(SYS_pwrite64, fd, data[0].iov_base, half, offset)
                         : syscall(SYS_write, fd, data[0].iov_base, half);
      record(head, file->path, data, 1, done);
      return done;
    }
  }
  if (offset >= 0 && pieces == 1) done = syscall(SYS_pwrite64, fd, data[0].iov_base, data[0].iov_len, offset);
  else if (offset >= 0) done = syscall(SYS_pwritev, fd, data, pieces, (long)offset, 0L);
  else done = syscall(SYS_writev, fd, data, pieces);
  if (file) {
    head.error = done < 0 ? errno : 0;
    record(head, file->path, data, pieces, done);
  }
  return done;
}

ssize_t write(int fd, const void *data, size_t bytes) {
  struct iovec one = { (void *)data, bytes };
  if (!file_of(fd)) return syscall(SYS_write, fd, data, bytes);
  return write_to(fd, &one, 1, -1);
}
ssize_t writev(int fd, const struct iovec *data, int pieces) { return write_to(fd, data, pieces, -1); }
ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
  struct iovec one = { (void *)data, bytes };
  return write_to(fd, &one, 1, offset);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) { return pwrite64(fd, data, bytes, offset); }
ssize_t pwritev64(int fd, const struct iovec *data, int pieces, off_t offset) {
  return write_to(fd, data, pieces, offset);
}
ssize_t pwritev(int fd, const struct iovec *data, int pieces, off_t offset) {
  return write_to(fd, data, pieces, offset);
}

int ftruncate64(int fd, off_t bytes) {
  struct file *file = file_of(fd);
  struct record head = { .op = OP_TRUNCATE, .begin_ns = now(), .offset = bytes };
  int result;
  if (file && refused(fault_of(OP_WRITE))) return -1;
  result = syscall(SYS_ftruncate, fd, bytes);
  if (file) {
    head.inode = file->inode;
    head.error = result < 0 ? errno : 0;
    record(head, file->path, NULL, 0, 0);
  }
  return result;
}
int ftruncate(int fd, off_t bytes) { return ftruncate64(fd, bytes); }

/* ---- syncing ---- */

static int sync_call(int fd, long call) {
  struct file *file = file_of(fd);
  struct record head = { .op = OP_SYNC, .begin_ns = now() };
  int result;
  if (!file) return syscall(call, fd);
  if (!strcmp(no_sync, call == SYS_fsync ? "fsync" : "fdatasync")) return 0;
  if (refused(fault_of(OP_SYNC))) return -1;
  result = syscall(call, fd);
  head.inode = file->inode;
  head.error = result < 0 ? errno : 0;
  record(head, file->path, NULL, 0, 0);
  return result;
}
int fsync(int fd) { return sync_call(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_call(fd, SYS_fdatasync); }

/* ---- directories ---- */

int mkdir(const char *path, mode_t mode) {
  struct record head = { .op = OP_MKDIR, .begin_ns = now() };
  struct stat made;
  int result;
  if (!below_root(path)) return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  if (refused(fault_of(OP_OPEN))) return -1;
  result = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  if (result == 0 && stat(path, &made) == 0) {
    head.inode = made.st_ino;
    record(head, path, NULL, 0, 0);
  }
  return result;
}

static int unlink_at(const char *path, int flags) {
  struct record head = { .op = OP_UNLINK, .begin_ns = now() };
  int result = syscall(SYS_unlinkat, AT_FDCWD, path, flags);
  if (result == 0 && below_root(path)) record(head, path, NULL, 0, 0);
  return result;
}
int unlinkat(int directory, const char *path, int flags) {
  return below_root(path) ? unlink_at(path, flags) : (int)syscall(SYS_unlinkat, directory, path, flags);
}
int unlink(const char *path) { return unlink_at(path, 0); }
int rmdir(const char *path) { return unlink_at(path, AT_REMOVEDIR); }

int rename(const char *from, const char *to) {
  struct record head = { .op = OP_RENAME, .begin_ns = now() };
  char both[2 * PATH_MAX];
  int result = syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
  if (result == 0 && below_root(from) && below_root(to)) {
    head.path_bytes = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
    record(head, both, NULL, 0, 0);
  }
  return result;
}
