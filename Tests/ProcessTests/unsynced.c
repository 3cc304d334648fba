// What a process writes below a folder is lost with it unless it was synced: loaded before libc (LD_PRELOAD), this
// library notes what every write, truncation, creation, renaming and removal below UNSYNCED_ROOT replaces, before it is
// done, and what every fsync and fdatasync makes durable. After `kill -9`, unsynced.py takes back what was not synced:
// all of it, or as much as chance decides, sector by sector, which leaves torn writes.
//
// Files are changed at once and taken back afterwards, instead of being held in memory until they are synced: then
// reads, sizes, listings, mappings, locks and other processes need nothing of this library, and SQLite, which maps its
// index, runs as it is. The kernel keeps what was written when only a process dies, so the notes need no sync.
//
// A sync covers what was done before it began. Names are made durable by a sync of their folder alone (of the new one,
// for what moves between two), as POSIX has it; file systems promise more. A note is taken just before its change: where
// the process dies between the two, unsynced.py finds that there is nothing to take back.
//
// Not modelled: what is written through a mapping (SQLite's index, "-shm", is removed by unsynced.py, which SQLite
// bears at any time), by stdio, by another process, or through a path with ".." or links; modes, times, extended
// attributes; a disk that breaks its word on a sync. What this library cannot follow it refuses, by ending the process:
// O_SYNC, sendfile, copy_file_range, fallocate, mappings to be written to, symbolic links, a second process below the
// same folder.
//
// UNSYNCED_LIES=1: syncs say that they were made and make nothing durable, to see that a test would notice.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// Of the file `journal`, in the machine's byte order; unsynced.py reads it.
enum kind { WRITTEN = 1, TRUNCATED, SYNCED, MADE, RENAMED, REMOVED, FOLDER_REMOVED };

struct note {
    uint64_t kind, number;
    uint64_t inode;   // of the file, or of the folder the name is in
    uint64_t offset;  // WRITTEN, TRUNCATED: of the change. SYNCED: the last number covered. RENAMED: the folder before
    uint64_t length;  // WRITTEN, TRUNCATED: of the change. RENAMED, REMOVED...: inode of what had the name
    uint64_t size;    // WRITTEN, TRUNCATED: of the file before. RENAMED: whether it replaced a file
    uint64_t names, bytes;  // how much follows: names that end with 0, and what was replaced
};

// A name in a folder below the root.
struct place {
    uint64_t folder;
    const char *name;
    char path[PATH_MAX];
};

static const char *root, *journal;
static int lying, notes = -1;
static uint64_t last_number;
// Held from a note to the end of its change, so that a sync knows what was done before it.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    root = getenv("UNSYNCED_ROOT");
    journal = getenv("UNSYNCED_JOURNAL");
    lying = getenv("UNSYNCED_LIES") != NULL;
}

__attribute__((noreturn)) static void refuse(const char *what, const char *path) {
    fprintf(stderr, "unsynced: cannot follow %s of %s: %s\n", what, path, strerror(errno));
    abort();
}

static void take_note(enum kind kind, struct note note, const char *name, const char *other, const void *bytes) {
    if (notes < 0) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/journal", journal);
        notes = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
        if (notes < 0) refuse("notes", path);
    }
    note.kind = kind;
    note.number = ++last_number;
    const size_t first = name ? strlen(name) + 1 : 0, second = other ? strlen(other) + 1 : 0;
    note.names = first + second;
    const struct iovec parts[] = {
        {&note, sizeof note}, {(void *)name, first}, {(void *)other, second}, {(void *)bytes, note.bytes}};
    const ssize_t wanted = sizeof note + note.names + note.bytes;
    if (syscall(SYS_writev, notes, parts, 4) != wanted) refuse("notes", journal);
}

static int is_below(const char *path) {
    const size_t count = strlen(root);
    return strncmp(path, root, count) == 0 && (path[count] == '/' || path[count] == 0);
}

static int is_index(const char *path) {
    const size_t count = strlen(path);
    return count > 4 && strcmp(path + count - 4, "-shm") == 0;
}

// Whether the descriptor is of a file or folder below the root.
static int follows(int descriptor, struct stat *info) {
    char link[64], path[PATH_MAX];
    if (root == NULL || fstat(descriptor, info) != 0 || !(S_ISREG(info->st_mode) || S_ISDIR(info->st_mode))) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    const ssize_t count = readlink(link, path, sizeof path - 1);
    if (count < 0) return 0;
    path[count] = 0;
    return is_below(path) && !is_index(path);
}

// Whether the path, which need not lead to anything, is below the root.
static int find(int folder, const char *path, struct place *place) {
    if (root == NULL || path == NULL) return 0;
    char base[PATH_MAX / 2] = "";
    if (path[0] != '/') {
        char link[64] = "/proc/self/cwd";
        if (folder != AT_FDCWD) snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        const ssize_t count = readlink(link, base, sizeof base - 2);
        if (count < 0) return 0;
        base[count] = '/';
    }
    if (snprintf(place->path, sizeof place->path, "%s%s", base, path) >= (int)sizeof place->path) return 0;
    char *slash = strrchr(place->path, '/');
    while (slash > place->path && slash[1] == 0) *slash = 0, slash = strrchr(place->path, '/');
    if (!is_below(place->path) || strcmp(place->path, root) == 0 || is_index(place->path)) return 0;
    struct stat info;
    *slash = 0;
    const int found = stat(place->path, &info);
    *slash = '/';
    place->folder = info.st_ino;
    place->name = slash + 1;
    return found == 0;
}

// Notes what stands between two places of a file, of which a change may reach further.
static void keep(enum kind kind, int descriptor, const struct stat *info, off_t from, size_t length) {
    struct note note = {.inode = info->st_ino, .offset = from, .length = length, .size = info->st_size};
    const off_t end = from + (off_t)length < info->st_size ? from + (off_t)length : info->st_size;
    note.bytes = end > from ? end - from : 0;
    char *bytes = malloc(note.bytes + 1);
    for (size_t done = 0; done < note.bytes;) {
        const ssize_t count = syscall(SYS_pread64, descriptor, bytes + done, note.bytes - done, from + done);
        if (count <= 0) refuse("a write", "a file that cannot be read");
        done += count;
    }
    take_note(kind, note, NULL, NULL, bytes);
    free(bytes);
}

// Keeps the file itself, by another name, so that its inode stays its own.
static int keep_file(const char *path) {
    char kept[PATH_MAX];
    snprintf(kept, sizeof kept, "%s/%llu", journal, (unsigned long long)last_number + 1);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0) == 0) return 1;
    if (errno != ENOENT) refuse("the removal", path);
    return 0;
}

static uint64_t inode_of(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0 ? info.st_ino : 0;
}

// Opening.

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    struct place place;
    if (!find(folder, path, &place)) return syscall(SYS_openat, folder, path, flags, mode);
    if ((flags & (O_SYNC | O_DSYNC)) || (flags & O_TMPFILE) == O_TMPFILE) refuse("the opening", path);
    // What is to be written must be read before.
    if ((flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;
    pthread_mutex_lock(&lock);
    if ((flags & O_CREAT) && inode_of(place.path) == 0)
        take_note(MADE, (struct note){.inode = place.folder}, place.name, NULL, NULL);
    const int descriptor = syscall(SYS_openat, folder, path, flags & ~O_TRUNC, mode);
    struct stat info;
    if (descriptor >= 0 && (flags & O_TRUNC) && follows(descriptor, &info) && info.st_size > 0) {
        keep(TRUNCATED, descriptor, &info, 0, info.st_size);
        syscall(SYS_ftruncate, descriptor, 0);
    }
    pthread_mutex_unlock(&lock);
    return descriptor;
}

static mode_t mode_after(int flags, va_list list) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list list; \
        va_start(list, flags); \
        const mode_t mode = mode_after(flags, list); \
        va_end(list); \
        return open_at(AT_FDCWD, path, flags, mode); \
    }
#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        va_list list; \
        va_start(list, flags); \
        const mode_t mode = mode_after(flags, list); \
        va_end(list); \
        return open_at(folder, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __openat_2(int folder, const char *path, int flags) { return open_at(folder, path, flags, 0); }
int __openat64_2(int folder, const char *path, int flags) { return open_at(folder, path, flags, 0); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

// Writing. `offset` below 0: at the descriptor's own, or at the end where the file was opened so.

static ssize_t write_at(int descriptor, const struct iovec *parts, int count, off_t offset) {
    struct stat info;
    const int is_followed = follows(descriptor, &info);
    if (is_followed) {
        pthread_mutex_lock(&lock);
        fstat(descriptor, &info);
        size_t length = 0;
        for (int part = 0; part < count; part++) length += parts[part].iov_len;
        off_t from = offset;
        if (fcntl(descriptor, F_GETFL) & O_APPEND) from = info.st_size;
        else if (offset < 0) from = lseek(descriptor, 0, SEEK_CUR);
        if (length > 0) keep(WRITTEN, descriptor, &info, from, length);
    }
    const ssize_t done = offset < 0 ? syscall(SYS_writev, descriptor, parts, count)
                                    : syscall(SYS_pwritev, descriptor, parts, count, offset, 0);
    if (is_followed) pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    return write_at(descriptor, &(struct iovec){(void *)bytes, count}, 1, -1);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    return write_at(descriptor, parts, count, -1);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off_t offset) {
    if (offset < 0) return errno = EINVAL, -1;
    return write_at(descriptor, &(struct iovec){(void *)bytes, count}, 1, offset);
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off_t offset) {
    if (offset < 0) return errno = EINVAL, -1;
    return write_at(descriptor, parts, count, offset);
}

int ftruncate64(int descriptor, off_t size) {
    struct stat info;
    const int is_followed = follows(descriptor, &info);
    if (is_followed) {
        pthread_mutex_lock(&lock);
        fstat(descriptor, &info);
        keep(TRUNCATED, descriptor, &info, size, size < info.st_size ? info.st_size - size : 0);
    }
    const int done = syscall(SYS_ftruncate, descriptor, size);
    if (is_followed) pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    return pwrite64(descriptor, bytes, count, offset);
}
ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(descriptor, parts, count, offset);
}
int ftruncate(int descriptor, off_t size) { return ftruncate64(descriptor, size); }

// Syncing.

static int sync_with(long call, int descriptor) {
    struct stat info;
    if (!follows(descriptor, &info)) return syscall(call, descriptor);
    if (lying) return 0;
    pthread_mutex_lock(&lock);
    const uint64_t covered = last_number;
    pthread_mutex_unlock(&lock);
    const int done = syscall(call, descriptor);
    if (done == 0) {
        pthread_mutex_lock(&lock);
        take_note(SYNCED, (struct note){.inode = info.st_ino, .offset = covered}, NULL, NULL, NULL);
        pthread_mutex_unlock(&lock);
    }
    return done;
}

int fsync(int descriptor) { return sync_with(SYS_fsync, descriptor); }
int fdatasync(int descriptor) { return sync_with(SYS_fdatasync, descriptor); }

// Names.

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    struct place before, after;
    const int leaves = find(from_folder, from, &before), comes = find(to_folder, to, &after);
    if (leaves != comes) refuse("a renaming out of or into the folder", from);
    if (comes) {
        pthread_mutex_lock(&lock);
        struct note note = {.inode = after.folder, .offset = before.folder, .length = inode_of(before.path)};
        note.size = keep_file(after.path);
        take_note(RENAMED, note, after.name, before.name, NULL);
    }
    const int done = syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
    if (comes) pthread_mutex_unlock(&lock);
    return done;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int unlinkat(int folder, const char *path, int flags) {
    struct place place;
    if (!find(folder, path, &place)) return syscall(SYS_unlinkat, folder, path, flags);
    pthread_mutex_lock(&lock);
    struct note note = {.inode = place.folder, .length = inode_of(place.path)};
    if (flags & AT_REMOVEDIR) {
        // Stays open, so that no other folder is given its inode.
        syscall(SYS_openat, AT_FDCWD, place.path, O_PATH | O_CLOEXEC);
        take_note(FOLDER_REMOVED, note, place.name, NULL, NULL);
    } else if (keep_file(place.path)) {
        take_note(REMOVED, note, place.name, NULL, NULL);
    }
    const int done = syscall(SYS_unlinkat, folder, path, flags);
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0) return -1;
    return S_ISDIR(info.st_mode) ? rmdir(path) : unlink(path);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    struct place place;
    if (!find(folder, path, &place)) return syscall(SYS_mkdirat, folder, path, mode);
    pthread_mutex_lock(&lock);
    if (inode_of(place.path) == 0)
        take_note(MADE, (struct note){.inode = place.folder}, place.name, NULL, NULL);
    const int done = syscall(SYS_mkdirat, folder, path, mode);
    pthread_mutex_unlock(&lock);
    return done;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    struct place place;
    if (!find(to_folder, to, &place)) return syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    pthread_mutex_lock(&lock);
    if (inode_of(place.path) == 0)
        take_note(MADE, (struct note){.inode = place.folder}, place.name, NULL, NULL);
    const int done = syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    pthread_mutex_unlock(&lock);
    return done;
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

// What cannot be followed.

int symlinkat(const char *target, int folder, const char *path) {
    struct place place;
    if (find(folder, path, &place)) refuse("a symbolic link", path);
    return syscall(SYS_symlinkat, target, folder, path);
}

int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

void *mmap64(void *place, size_t count, int protection, int flags, int descriptor, off64_t offset) {
    struct stat info;
    if ((protection & PROT_WRITE) && !(flags & (MAP_PRIVATE | MAP_ANONYMOUS)) && follows(descriptor, &info))
        refuse("a mapping to be written to", "a file");
    return (void *)syscall(SYS_mmap, place, count, protection, flags, descriptor, offset);
}

void *mmap(void *place, size_t count, int protection, int flags, int descriptor, off_t offset) {
    return mmap64(place, count, protection, flags, descriptor, offset);
}

ssize_t sendfile64(int to, int from, off_t *offset, size_t count) {
    struct stat info;
    if (follows(to, &info)) refuse("sendfile", "a file");
    return syscall(SYS_sendfile, to, from, offset, count);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t count) { return sendfile64(to, from, offset, count); }

ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t count, unsigned flags) {
    struct stat info;
    if (follows(to, &info)) refuse("copy_file_range", "a file");
    return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, count, flags);
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t count) {
    struct stat info;
    if (follows(descriptor, &info)) refuse("fallocate", "a file");
    return syscall(SYS_fallocate, descriptor, mode, offset, count);
}

int fallocate(int descriptor, int mode, off_t offset, off_t count) {
    return fallocate64(descriptor, mode, offset, count);
}
int posix_fallocate64(int descriptor, off64_t offset, off64_t count) {
    return fallocate64(descriptor, 0, offset, count) == 0 ? 0 : errno;
}
int posix_fallocate(int descriptor, off_t offset, off_t count) { return posix_fallocate64(descriptor, offset, count); }
