/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_add(struct names *names, const char *name)
{
    if (names->count == names->cap) {
        size_t cap = names->cap ? 2 * names->cap : 32;
        char **grown = reallocarray(names->names, cap, sizeof *grown);
        if (!grown)
            return HF_NOMEM;
        names->names = grown;
        names->cap = cap;
    }
    names->names[names->count] = strdup(name);
    if (!names->names[names->count])
        return HF_NOMEM;
    names->count++;
    return 0;
}

int names_read(int dirfd, struct names *ret_names, struct hf_error *err)
{
    struct names names = {0};
    struct dirent *entry;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    int status = 0;

    if (!dir) {
        status = hf_status_from_errno(errno);
        if (fd >= 0)
            close(fd);
        return hf_fail(err, status, "cannot list a directory: %s", strerror(errno));
    }
    errno = 0;
    while (status == 0 && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = names_add(&names, entry->d_name);
    if (status == 0 && errno != 0)
        status = hf_fail(err, hf_status_from_errno(errno), "cannot list a directory: %s",
                         strerror(errno));
    else if (status)
        hf_fail(err, status, "out of memory");
    closedir(dir);
    if (status) {
        names_clear(&names);
        return status;
    }
    if (names.count > 1)
        qsort(names.names, names.count, sizeof names.names[0], compare);
    *ret_names = names;
    return 0;
}

void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct names){0};
}

int path_push(struct buf *path, const char *name, size_t *ret_mark)
{
    size_t mark = path->len, len = strlen(name);

    if (buf_reserve(path, len + 2) != 0)
        return HF_NOMEM;
    if (mark > 0)
        path->data[path->len++] = '/';
    memcpy(path->data + path->len, name, len + 1);
    path->len += len;
    *ret_mark = mark;
    return 0;
}

void path_pop(struct buf *path, size_t mark)
{
    path->len = mark;
    path->data[mark] = '\0';
}

const char *path_text(const struct buf *path)
{
    return path->len ? (const char *)path->data : ".";
}
