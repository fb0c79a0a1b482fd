/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const ledger_names[LEDGER_FILES] = {"events", "notes", "plan", "x",
                                                "d/a",    "d/b",   "d/c",  "d/d"};

void ledger_init(struct ledger *ledger)
{
    for (unsigned i = 0; i < LEDGER_FILES; i++)
        ledger->steps[0].files[i].size = -1;
}

bool ledger_is_full(const struct ledger *ledger)
{
    return atomic_load(&ledger->begun) + 1 >= LEDGER_STEPS;
}

uint32_t ledger_begin(struct ledger *ledger, uint32_t base, uint32_t touched,
                      const struct file_state files[LEDGER_FILES],
                      const struct file_state cuts[LEDGER_CUTS])
{
    uint32_t number = atomic_load(&ledger->begun) + 1;
    struct ledger_step *step = &ledger->steps[number];

    step->base = base;
    step->touched = touched;
    memcpy(step->files, files, sizeof step->files);
    for (unsigned i = 0; i < LEDGER_CUTS; i++)
        step->cuts[i] = cuts ? cuts[i] : (struct file_state){.size = -2};
    atomic_store(&ledger->begun, number);
    return number;
}

void ledger_note_version(struct ledger *ledger, uint64_t version, uint32_t step)
{
    unsigned n = atomic_load(&ledger->nversions);

    if (n == LEDGER_VERSIONS)
        return;
    ledger->versions[n] = (struct ledger_version){version, step};
    atomic_store(&ledger->nversions, n + 1);
}

/* FNV-1a. */
struct file_state ledger_hash(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    struct file_state state = {(int64_t)size, 0xcbf29ce484222325};

    for (size_t i = 0; i < size; i++)
        state.hash = (state.hash ^ bytes[i]) * 0x100000001b3;
    return state;
}

static int read_all(int fd, uint8_t *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, data + done, size - done);

        if (n <= 0)
            return n < 0 ? errno : EIO;
        done += (size_t)n;
    }
    return 0;
}

static int read_file(int dir, const char *name, struct file_state *ret_state, uint8_t **ret_data)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), error = 0;
    uint8_t *data = NULL;
    struct stat st;

    if (fd < 0 && errno == ENOENT) {
        *ret_state = (struct file_state){.size = -1};
        *ret_data = NULL;
        return 0;
    }
    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0)
        error = errno;
    if (error == 0 && !(data = malloc((size_t)st.st_size + 1)))
        error = ENOMEM;
    if (error == 0)
        error = read_all(fd, data, (size_t)st.st_size);
    close(fd);
    if (error != 0) {
        free(data);
        return error;
    }
    *ret_state = ledger_hash(data, (size_t)st.st_size);
    *ret_data = data;
    return 0;
}

static bool is_expected(const char *folder, const char *name)
{
    char path[300];

    if (name[0] == '.' || strcmp(name, folder[0] ? "" : "step") == 0 ||
        strcmp(name, folder[0] ? "" : "d") == 0)
        return true;
    snprintf(path, sizeof path, "%s%s", folder, name);
    for (unsigned i = 0; i < LEDGER_FILES; i++)
        if (strcmp(path, ledger_names[i]) == 0)
            return true;
    printf("there is a file %s\n", path);
    return false;
}

static int check_names(int at, const char *folder)
{
    int fd = openat(at, folder[0] ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
    struct dirent *entry;
    DIR *dir;

    if (fd < 0)
        return folder[0] && errno == ENOENT ? 0 : errno;
    dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return ENOMEM;
    }
    errno = 0;
    while (error == 0 && (entry = readdir(dir)))
        if (!is_expected(folder, entry->d_name))
            error = EILSEQ;
    if (error == 0)
        error = errno;
    closedir(dir);
    return error;
}

static int read_step(int dir, uint32_t *ret_step)
{
    struct file_state state;
    uint8_t *data;
    int error = read_file(dir, "step", &state, &data);

    if (error != 0)
        return error;
    if (state.size > 0)
        data[state.size] = '\0';
    *ret_step = state.size > 0 ? (uint32_t)strtoul((char *)data, NULL, 10) : 0;
    free(data);
    return 0;
}

int ledger_read(const char *path, struct ledger_state *ret_state, uint8_t *data[LEDGER_FILES])
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
    uint8_t *contents[LEDGER_FILES] = {0};
    struct ledger_state state;

    if (dir < 0)
        return errno;
    error = read_step(dir, &state.step);
    if (error == 0)
        error = check_names(dir, "");
    if (error == 0)
        error = check_names(dir, "d/");
    for (unsigned i = 0; i < LEDGER_FILES && error == 0; i++)
        error = read_file(dir, ledger_names[i], &state.files[i], &contents[i]);
    close(dir);
    for (unsigned i = 0; i < LEDGER_FILES; i++) {
        if (error == 0 && data) {
            free(data[i]);
            data[i] = contents[i];
        } else {
            free(contents[i]);
        }
    }
    if (error == 0)
        *ret_state = state;
    return error;
}

static bool same(const struct file_state *a, const struct file_state *b)
{
    return a->size == b->size && (a->size < 0 || a->hash == b->hash);
}

/* A file that a step from here on had in hand: as it was to be, emptied before it was written, or with a
 * part of the write. */
static bool was_in_hand(const struct ledger *ledger, uint32_t base, unsigned i,
                        const struct file_state *found)
{
    uint32_t begun = atomic_load(&ledger->begun);

    for (uint32_t n = base + 1; n <= begun; n++) {
        const struct ledger_step *step = &ledger->steps[n];

        if (step->base == base && step->touched & 1U << i &&
            (same(found, &step->files[i]) || found->size == 0 || same(found, &step->cuts[0]) ||
             same(found, &step->cuts[1])))
            return true;
    }
    return false;
}

/* Which steps knew the file like that: to find out what went wrong. */
static void print_origin(const struct ledger *ledger, unsigned i, const struct file_state *found)
{
    uint32_t begun = atomic_load(&ledger->begun);

    for (uint32_t n = 0; n <= begun; n++) {
        const struct ledger_step *step = &ledger->steps[n];
        bool part = same(found, &step->cuts[0]) || same(found, &step->cuts[1]);

        if (step->touched & 1U << i && (same(found, &step->files[i]) || part))
            printf("  step %u, begun at %u, made %s like that\n", n, step->base,
                   part ? "a part of it" : "it");
    }
}

bool ledger_allows(const struct ledger *ledger, const struct ledger_state *state)
{
    const struct ledger_step *step;

    if (state->step > atomic_load(&ledger->begun)) {
        printf("it says step %u, which never began\n", state->step);
        return false;
    }
    step = &ledger->steps[state->step];
    for (unsigned i = 0; i < LEDGER_FILES; i++) {
        const struct file_state *found = &state->files[i];

        if (same(found, &step->files[i]) || was_in_hand(ledger, state->step, i, found))
            continue;
        printf("step %u: %s has %lld bytes (%llx), not %lld (%llx)\n", state->step, ledger_names[i],
               (long long)found->size, (unsigned long long)found->hash,
               (long long)step->files[i].size, (unsigned long long)step->files[i].hash);
        print_origin(ledger, i, found);
        print_origin(ledger, i, &step->files[i]);
        for (uint32_t n = state->step > 6 ? state->step - 6 : 1;
             n <= atomic_load(&ledger->begun) && n <= state->step + 6; n++)
            printf("  step %u: begun at %u, touched %x\n", n, ledger->steps[n].base,
                   ledger->steps[n].touched);
        return false;
    }
    return true;
}

bool ledger_is(const struct ledger *ledger, const struct ledger_state *state, uint32_t step)
{
    if (state->step != step) {
        printf("it is step %u, not %u\n", state->step, step);
        return false;
    }
    for (unsigned i = 0; i < LEDGER_FILES; i++) {
        if (same(&state->files[i], &ledger->steps[step].files[i]))
            continue;
        printf("%s is not as it was at step %u\n", ledger_names[i], step);
        return false;
    }
    return true;
}

bool ledger_allows_version(const struct ledger *ledger, uint64_t version,
                           const struct ledger_state *state, bool *ret_exact)
{
    unsigned n = atomic_load(&ledger->nversions);

    *ret_exact = true;
    for (unsigned i = 0; i < n; i++)
        if (ledger->versions[i].version == version)
            return ledger_is(ledger, state, ledger->versions[i].step);
    *ret_exact = false;
    return ledger_allows(ledger, state);
}
