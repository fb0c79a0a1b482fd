/* SPDX-License-Identifier: Apache-2.0 */
#include "linediff.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_LOOK 8000 /* bytes that are looked at for a NUL */

static const char no_newline[] = "\\ No newline at end of file\n";

bool linediff_is_text(struct slice content)
{
    const size_t len = content.len < TEXT_LOOK ? content.len : TEXT_LOOK;

    return len == 0 || !memchr(content.data, '\0', len);
}

void linediff_clear(struct linediff *diff)
{
    buf_free(&diff->hunks);
    *diff = (struct linediff){0};
}

/* --- one text is empty ------------------------------------------------------------------------------ */

static int append_lines(struct buf *out, char sign, struct slice text, uint64_t *ret_lines)
{
    uint64_t lines = 0;

    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        const size_t len = end ? (size_t)(end - text.data) + 1 : text.len;

        if (buf_append(out, &sign, 1) != HF_OK || buf_append(out, text.data, len) != HF_OK)
            return HF_NOMEM;
        if (!end && (buf_append(out, "\n", 1) != HF_OK ||
                     buf_append(out, no_newline, sizeof no_newline - 1) != HF_OK))
            return HF_NOMEM;
        text = slice_of(text.data + len, text.len - len);
        lines++;
    }
    *ret_lines = lines;
    return HF_OK;
}

static int whole(struct slice text, bool added, struct linediff *diff)
{
    BUF_AUTO lines = {0};
    uint64_t n = 0;
    char head[80];
    int status = append_lines(&lines, added ? '+' : '-', text, &n);

    if (status != HF_OK || n == 0)
        return status;
    if (added)
        snprintf(head, sizeof head, "@@ -0,0 +1,%" PRIu64 " @@\n", n);
    else
        snprintf(head, sizeof head, "@@ -1,%" PRIu64 " +0,0 @@\n", n);
    *(added ? &diff->added : &diff->removed) = n;
    status = buf_append(&diff->hunks, head, strlen(head));
    return status == HF_OK ? buf_append(&diff->hunks, lines.data, lines.len) : status;
}

/* --- diff(1) ------------------------------------------------------------------------------------------ */

/* A file in memory that a child inherits. */
static int text_file(struct slice text, struct hf_error *err)
{
    int fd = memfd_create("text", 0);

    for (size_t done = 0; fd >= 0 && done < text.len;) {
        const ssize_t n = write(fd, text.data + done, text.len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            close(fd);
            fd = -1;
        } else {
            done += (size_t)n;
        }
    }
    if (fd < 0)
        hf_fail(err, hf_status_from_errno(errno), "cannot write a text for diff(1): %s",
                strerror(errno));
    return fd;
}

static int start_diff(int before, int after, int out, unsigned context, pid_t *ret_pid)
{
    char lines[32], first[32], second[32];
    char *const argv[] = {"diff", "-a", lines, first, second, NULL};
    char *const env[] = {"LC_ALL=C", NULL};
    posix_spawn_file_actions_t actions;
    int error;

    snprintf(lines, sizeof lines, "-U%u", context);
    snprintf(first, sizeof first, "/proc/self/fd/%d", before);
    snprintf(second, sizeof second, "/proc/self/fd/%d", after);
    error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (!error)
        error = posix_spawnp(ret_pid, "diff", &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int read_all(int fd, struct buf *out)
{
    ssize_t n;

    do {
        if (buf_reserve(out, 65536) != HF_OK)
            return HF_NOMEM;
        n = read(fd, out->data + out->len, 65536);
        if (n > 0)
            out->len += (size_t)n;
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? HF_IO : HF_OK;
}

/* Runs diff(1) and reads what it says. */
static int converse(int before, int after, unsigned context, struct buf *out, struct hf_error *err)
{
    int pipes[2], error, wait_status = 0, status;
    pid_t pid;

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return hf_fail(err, hf_status_from_errno(errno), "cannot make a pipe: %s", strerror(errno));
    error = start_diff(before, after, pipes[1], context, &pid);
    close(pipes[1]);
    if (error) {
        close(pipes[0]);
        return hf_fail(err, HF_UNSUPPORTED, "cannot run diff(1), of diffutils: %s",
                       strerror(error));
    }
    status = read_all(pipes[0], out);
    close(pipes[0]);
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
        ;
    if (status != HF_OK)
        return hf_fail(err, status, "cannot read from diff(1)");
    if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) > 1)
        return hf_fail(err, HF_UNSUPPORTED, "diff(1) failed");
    return HF_OK;
}

/* Passes over the two lines with names, and counts. */
static int take_hunks(struct slice said, struct linediff *diff)
{
    for (unsigned line = 0; said.len > 0; line++) {
        const uint8_t *end = memchr(said.data, '\n', said.len);
        const size_t len = end ? (size_t)(end - said.data) + 1 : said.len;

        if (line >= 2) {
            diff->added += said.data[0] == '+';
            diff->removed += said.data[0] == '-';
            if (buf_append(&diff->hunks, said.data, len) != HF_OK)
                return HF_NOMEM;
        }
        said = slice_of(said.data + len, said.len - len);
    }
    return HF_OK;
}

static int run_diff(struct slice before, struct slice after, unsigned context,
                    struct linediff *diff, struct hf_error *err)
{
    BUF_AUTO said = {0};
    int status = HF_IO, a, b;

    a = text_file(before, err);
    if (a < 0)
        return status;
    b = text_file(after, err);
    if (b >= 0) {
        status = converse(a, b, context, &said, err);
        close(b);
    }
    close(a);
    return status == HF_OK ? take_hunks(buf_slice(&said), diff) : status;
}

int linediff_run(struct slice before, struct slice after, unsigned context,
                 struct linediff *ret_diff, struct hf_error *err)
{
    struct linediff diff = {0};
    int status = HF_OK;

    if (before.len == 0 || after.len == 0)
        status = whole(before.len ? before : after, before.len == 0, &diff);
    else if (slice_compare(before, after) != 0)
        status = run_diff(before, after, context, &diff, err);
    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory for a comparison");
    if (status == HF_OK)
        *ret_diff = diff;
    else
        linediff_clear(&diff);
    return status;
}
