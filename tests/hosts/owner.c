/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of a session. Each step changes a file or two, and writes its number. When a mount is killed in the
 * middle, it looks what became of the step, and goes on through any mount that answers. */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX 200000
#define BLOCK_MAX 20000
/** Contents come from so few blocks that what was garbage is often written again. */
#define BLOCKS 60
/** How long a session may be out of reach, or a mount behind a server that was away. */
#define PATIENCE_MS 60000
/** For so long a session may be in use: a tool that was killed counts as dead after two seconds. */
#define IN_USE_MS 5000

struct owner {
    struct soak *soak;
    struct ledger *ledger;
    unsigned session, mount;
    uint64_t random;
    struct ledger_state state; /* as it is, when nothing failed */
    uint8_t *data[LEDGER_FILES];
    int error; /* of the last attempt */
    uint32_t
        also; /* besides the last acknowledged step, the session may be at this one: an attempt, or one that
                      was restored */
};

/* --- one change ------------------------------------------------------------------------------------- */

struct change {
    unsigned file, to; /* of a rename: two files; else the same */
    int flags;         /* of open; -1: unlink; -2: rename */
    off_t offset;
    const uint8_t *bytes;
    size_t size;
    bool sync;
};

static int write_file(int dir, const char *name, const struct change *change)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | change->flags, 0600), error = 0;
    ssize_t n;

    if (fd < 0)
        return errno;
    n = change->flags & O_APPEND ? write(fd, change->bytes, change->size)
                                 : pwrite(fd, change->bytes, change->size, change->offset);
    if (n != (ssize_t)change->size)
        error = n < 0 ? errno : EIO;
    if (error == 0 && change->sync && fsync(fd) != 0)
        error = errno;
    if (close(fd) != 0 && error == 0)
        error = errno;
    return error;
}

static int carry_out(int dir, const struct change *change)
{
    const char *name = ledger_names[change->file], *to = ledger_names[change->to];

    if (change->flags == -1)
        return unlinkat(dir, name, 0) == 0 ? 0 : errno;
    if (change->flags == -2)
        return renameat(dir, name, dir, to) == 0 ? 0 : errno;
    return write_file(dir, name, change);
}

static int write_step(int dir, uint32_t step, bool sync)
{
    char text[12];
    struct change change = {.bytes = (uint8_t *)text, .sync = sync};

    change.size = (size_t)snprintf(text, sizeof text, "%010u\n", step);
    return write_file(dir, "step", &change);
}

/* --- what happens on the way ------------------------------------------------------------------------ */

/* An error is right while the mount is killed, or its store fails, or its lease is another's that was. */
static void tolerate(const struct owner *owner, int error, unsigned before, const char *what)
{
    unsigned now = atomic_load(&owner->soak->disturbed[owner->mount]);

    bool may_fail =
        before % 2 == 1 || now != before || atomic_load(&owner->soak->faulty[owner->mount]);

    if (error == EILSEQ || (error != EBUSY && !may_fail))
        soak_die("s%u, %s through mount %u: %s", owner->session, what, owner->mount,
                 strerror(error));
}

/* The last acknowledged state, or a later one that was attempted. A mount may be late that could not reach its server
 * for a while; no other. */
static bool is_fresh(const struct owner *owner, const struct ledger_state *state)
{
    if (!ledger_allows(owner->ledger, state))
        soak_die("s%u is as it never was", owner->session);
    if (state->step == atomic_load(&owner->ledger->acked) || state->step == owner->also)
        return true;
    if (!owner->soak->served)
        soak_die("s%u is at step %u; %u was acknowledged, and %u perhaps done", owner->session,
                 state->step, atomic_load(&owner->ledger->acked), owner->also);
    return false;
}

/* Reads the session, and makes sure that what was read stays: a mount shows changes that it has not committed yet, and
 * that are gone when their commit fails, or when it is killed. */
static int read_settled(struct owner *owner, const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;

    if (dir < 0)
        return errno;
    error = ledger_read(path, &owner->state, owner->data);
    if (error == 0 && fsync(dir) != 0)
        error = errno;
    close(dir);
    return error;
}

/* Takes the lease by opening a file for writing, so that what a failed attempt has left behind is committed or gone.
 * -1: not; of a session in which no step was taken there is nothing to open. */
static int pin(const char *path)
{
    char step[420];

    snprintf(step, sizeof step, "%s/step", path);
    return open(step, O_WRONLY | O_CLOEXEC);
}

/* Reads the session through any mount. With `ret_pin` what was read is what follows builds on; 0, or an errno. ESTALE: it
 * is older than what was acknowledged. */
static int look_once(struct owner *owner, int *ret_pin)
{
    char path[400];
    unsigned before;
    int error = 0;

    owner->mount = soak_below(&owner->random, owner->soak->nmounts);
    soak_note("reading s%u through mount %u", owner->session, owner->mount);
    before = atomic_load(&owner->soak->disturbed[owner->mount]);
    soak_path(owner->soak, owner->mount, owner->session, path);
    if (ret_pin && (*ret_pin = pin(path)) < 0 && errno != ENOENT)
        error = errno;
    if (error == 0)
        error = read_settled(owner, path);
    if (error == 0 && !is_fresh(owner, &owner->state))
        return ESTALE;
    if (error != 0)
        tolerate(owner, error, before, "reading");
    return error;
}

static void look(struct owner *owner)
{
    for (unsigned ms = 0; ms < PATIENCE_MS; ms += 20) {
        if (look_once(owner, NULL) == 0)
            return;
        soak_pause_ms(20);
    }
    soak_die("s%u cannot be read as it should be", owner->session);
}

/* One change, and then the step's number. */
static bool attempt(struct owner *owner, const struct change *change, uint32_t step)
{
    unsigned before = atomic_load(&owner->soak->disturbed[owner->mount]);
    char path[400];
    int dir, error;

    soak_note("writing s%u through mount %u (before: %s)", owner->session, owner->mount,
              strerror(owner->error));
    soak_path(owner->soak, owner->mount, owner->session, path);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    error = dir < 0 ? errno : 0;
    if (error == 0 && change)
        error = carry_out(dir, change);
    /* No close(2) tells that a changed name could not be committed, and is undone. */
    if (error == 0 && change && change->flags < 0 &&
        atomic_load(&owner->soak->faulty[owner->mount]) && fsync(dir) != 0)
        error = errno;
    if (error == 0)
        error = write_step(dir, step, soak_below(&owner->random, 8) == 0);
    if (dir >= 0)
        close(dir);
    owner->error = error;
    if (error == 0) {
        atomic_store(&owner->ledger->acked, step);
        owner->state.step = owner->also = step;
        atomic_fetch_add(&owner->soak->count.steps, 1);
        return true;
    }
    tolerate(owner, error, before, "writing");
    return false;
}

/* The token under which a tool has the session: a holder without a mount. 0: none has. */
static unsigned long token_of_tool(const struct owner *owner, const char *name)
{
    const char *const argv[] = {"holdfast", "lease", "show", "--json", name, NULL};
    char output[2000];

    if (soak_run(owner->soak, owner->soak->url, argv, NULL, output, sizeof output) != 0 ||
        !strstr(output, "\"mount_point\": null"))
        return 0;
    return soak_number(output, "token");
}

/* When the server is killed too before it counts a killed tool as dead, the one that starts cannot know of its end: it
 * gives the tool's host session a whole TTL, here ten minutes, and so does each that starts later. Does what an
 * administrator would. */
static void break_lease(struct owner *owner)
{
    char name[20], token[24];
    const char *const argv[] = {
        "holdfast", "lease", "break", "--token", token, "--reason", "its tool was killed",
        name,       NULL};
    unsigned long number;

    snprintf(name, sizeof name, "s%u", owner->session);
    number = token_of_tool(owner, name);
    snprintf(token, sizeof token, "%lu", number);
    if (number && soak_run(owner->soak, owner->soak->url, argv, NULL, NULL, 0) == 0)
        atomic_fetch_add(&owner->soak->count.breaks, 1);
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Looks, while it has the lease, and gives the state that it finds a number of its own. 0, or an errno. */
static int recover_once(struct owner *owner)
{
    int fd = -1, error = look_once(owner, &fd);
    uint32_t step;

    if (error == 0) {
        step = ledger_begin(owner->ledger, owner->state.step, 0, owner->state.files, NULL);
        atomic_store(&owner->ledger->acked, owner->state.step);
        owner->also = step;
        error = attempt(owner, NULL, step) ? 0 : owner->error;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

static void recover(struct owner *owner)
{
    int64_t usable = now_ms();
    int error = 0;

    atomic_fetch_add(&owner->soak->count.recoveries, 1);
    for (unsigned tries = 0; tries < 3000 && !ledger_is_full(owner->ledger); tries++) {
        error = recover_once(owner);
        if (error == 0)
            return;
        if (error != EBUSY)
            usable = now_ms();
        if (owner->soak->served && now_ms() - usable > IN_USE_MS) {
            break_lease(owner);
            usable = now_ms();
        }
        soak_pause_ms(20);
    }
    if (!ledger_is_full(owner->ledger))
        soak_die("s%u cannot be written any more: %s", owner->session, strerror(error));
}

/* --- a step ------------------------------------------------------------------------------------------- */

static size_t make_block(struct owner *owner, uint8_t *block)
{
    uint64_t random = soak_below(&owner->random, BLOCKS) + 1000;
    size_t size = 1 + soak_below(&random, BLOCK_MAX - 1);

    for (size_t i = 0; i < size; i++)
        block[i] = (uint8_t)("abcdefgh\n"[soak_random(&random) % 9]);
    return size;
}

/* Puts bytes into the copy in memory. */
static void copy_bytes(struct owner *owner, const struct change *change)
{
    size_t old = owner->state.files[change->file].size > 0
                     ? (size_t)owner->state.files[change->file].size
                     : 0;
    size_t end = (size_t)change->offset + change->size, size = old;
    uint8_t *data;

    if (change->flags & O_TRUNC)
        size = 0;
    if (end > size)
        size = end;
    data = realloc(owner->data[change->file], size + 1);
    if (!data)
        soak_die("out of memory");
    memcpy(data + change->offset, change->bytes, change->size);
    owner->data[change->file] = data;
    owner->state.files[change->file] = ledger_hash(data, size);
}

static void copy_rename(struct owner *owner, const struct change *change)
{
    free(owner->data[change->to]);
    owner->data[change->to] = owner->data[change->file];
    owner->data[change->file] = NULL;
    owner->state.files[change->to] = owner->state.files[change->file];
    owner->state.files[change->file] = (struct file_state){.size = -1};
}

static void copy_change(struct owner *owner, const struct change *change)
{
    if (change->flags == -1) {
        free(owner->data[change->file]);
        owner->data[change->file] = NULL;
        owner->state.files[change->file] = (struct file_state){.size = -1};
    } else if (change->flags == -2) {
        copy_rename(owner, change);
    } else {
        copy_bytes(owner, change);
    }
}

/* What the file is when the write was cut at byte `cut` of the file. */
static struct file_state hash_cut(const struct owner *owner, const struct change *change,
                                  size_t cut)
{
    const struct file_state *file = &owner->state.files[change->file];
    size_t old = change->flags & O_TRUNC || file->size < 0 ? 0 : (size_t)file->size;
    size_t size = old > cut ? old : cut;
    struct file_state state;
    uint8_t *data = malloc(size + 1);

    if (!data)
        soak_die("out of memory");
    if (old > 0)
        memcpy(data, owner->data[change->file], old);
    memcpy(data + change->offset, change->bytes, cut - (size_t)change->offset);
    state = ledger_hash(data, size);
    free(data);
    return state;
}

static void find_cuts(const struct owner *owner, const struct change *change,
                      struct file_state ret_cuts[LEDGER_CUTS])
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = (size_t)change->offset;
    size_t end = begin + change->size;
    const size_t cuts[LEDGER_CUTS] = {begin - begin % page + page, end - end % page};

    for (unsigned i = 0; i < LEDGER_CUTS && change->flags >= 0; i++)
        if (cuts[i] > begin && cuts[i] < end)
            ret_cuts[i] = hash_cut(owner, change, cuts[i]);
}

static struct change choose(struct owner *owner, uint8_t *block)
{
    struct change change = {.file = soak_below(&owner->random, LEDGER_FILES), .bytes = block};
    int64_t size = owner->state.files[change.file].size;
    unsigned kind = soak_below(&owner->random, 20);

    change.to = change.file;
    change.size = make_block(owner, block);
    change.sync = soak_below(&owner->random, 5) == 0;
    if (size < 0 || size > FILE_MAX || kind < 3) {
        change.flags = O_TRUNC;
    } else if (kind < 5) {
        change.flags = -1;
    } else if (kind < 7) {
        change.to = (change.file + 1 + soak_below(&owner->random, LEDGER_FILES - 1)) % LEDGER_FILES;
        change.flags = -2;
    } else if (kind < 11) {
        change.offset = soak_below(&owner->random, (unsigned)size + 1);
    } else {
        change.flags = O_APPEND;
        change.offset = size;
    }
    return change;
}

static void take_step(struct owner *owner)
{
    uint8_t block[BLOCK_MAX];
    struct change change = choose(owner, block);
    struct file_state cuts[LEDGER_CUTS] = {{.size = -2}, {.size = -2}};
    uint32_t step, base = owner->state.step;

    if (soak_below(&owner->random, 12) == 0)
        owner->mount = soak_below(&owner->random, owner->soak->nmounts);
    find_cuts(owner, &change, cuts);
    copy_change(owner, &change);
    step = ledger_begin(owner->ledger, base, 1U << change.file | 1U << change.to,
                        owner->state.files, cuts);
    owner->also = step;
    if (!attempt(owner, &change, step))
        recover(owner);
}

/* --- versions ------------------------------------------------------------------------------------------- */

static void note_version(struct owner *owner)
{
    char name[20], output[2000];
    const char *const argv[] = {"holdfast", "session", "log", "-n", "1", "--json", name, NULL};
    uint64_t version;

    snprintf(name, sizeof name, "s%u", owner->session);
    if (soak_run(owner->soak, owner->soak->url, argv, NULL, output, sizeof output) != 0)
        return;
    version = soak_number(output, "version");
    if (version)
        ledger_note_version(owner->ledger, version, owner->state.step);
}

static void restore(struct owner *owner)
{
    unsigned n = atomic_load(&owner->ledger->nversions), back = n < 4 ? n : 4;
    struct ledger_version version;
    char name[60];
    const char *const argv[] = {"holdfast", "session", "restore", "-w", "5s", name, NULL};
    int code;

    if (n == 0)
        return;
    version = owner->ledger->versions[n - 1 - soak_below(&owner->random, back)];
    snprintf(name, sizeof name, "s%u@%llu", owner->session, (unsigned long long)version.version);
    owner->also = version.step;
    code = soak_run(owner->soak, owner->soak->url, argv, &owner->random, NULL, 0);
    if (code != 0) {
        recover(owner);
        return;
    }
    atomic_store(&owner->ledger->acked, version.step);
    look(owner);
    if (!ledger_is(owner->ledger, &owner->state, version.step))
        soak_die("s%u is not as its version %llu was", owner->session,
                 (unsigned long long)version.version);
    atomic_fetch_add(&owner->soak->count.restores, 1);
    recover(owner);
}

static void hold_still(struct owner *owner)
{
    atomic_store(&owner->soak->still[owner->session], true);
    while (atomic_load(&owner->soak->quiet) && !atomic_load(&owner->soak->stop))
        soak_pause_ms(1);
    atomic_store(&owner->soak->still[owner->session], false);
}

void owner_run(struct soak *soak, unsigned session)
{
    struct owner owner = {.soak = soak,
                          .ledger = &soak->ledgers[session],
                          .session = session,
                          .random = soak->seed + 100 + session};

    recover(&owner);
    while (!atomic_load(&soak->stop)) {
        unsigned kind = soak_below(&owner.random, 50);

        if (atomic_load(&soak->quiet) || ledger_is_full(owner.ledger))
            hold_still(&owner);
        else if (kind == 0)
            restore(&owner);
        else if (kind < 3)
            look(&owner);
        else if (kind < 9)
            note_version(&owner);
        else
            take_step(&owner);
    }
    for (unsigned i = 0; i < LEDGER_FILES; i++)
        free(owner.data[i]);
}
