/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void writer_log(const struct daemon *daemon, unsigned session, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/session-%u/log", daemon->mountpoint, session);
}

int writer_line(int fd, char who, unsigned round, unsigned n)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%c %u %u\n", who, round, n);

    return write(fd, line, (size_t)len) == len ? 0 : errno;
}

/* One line, and whether it was acknowledged. */
static int add_line(struct writer *writer, int *fd, const char *path)
{
    int error;

    if (*fd < 0)
        *fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (*fd < 0)
        return errno;
    error = writer_line(*fd, 'A', writer->round, writer->written);
    if (error != 0)
        return error;
    writer->written++;
    if (writer->keeps_open && writer->written % 7 != 0)
        return 0;
    if (writer->keeps_open) {
        error = fsync(*fd) == 0 ? 0 : errno;
    } else {
        error = close(*fd) == 0 ? 0 : errno;
        *fd = -1;
    }
    if (error == 0)
        writer->acked = writer->written;
    return error;
}

static void *run(void *arg)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    struct writer *writer = arg;
    char path[400];
    int fd = -1;

    writer_log(writer->daemon, writer->session, path, sizeof path);
    while (!atomic_load(&writer->stop) && writer->error == 0) {
        writer->error = add_line(writer, &fd, path);
        nanosleep(&pause, NULL);
    }
    if (fd < 0)
        return NULL;
    if (close(fd) != 0 && writer->error == 0)
        writer->error = errno;
    if (writer->error == 0)
        writer->acked = writer->written;
    return NULL;
}

void writer_start(struct writer *writer)
{
    assert_int_equal(pthread_create(&writer->thread, NULL, run, writer), 0);
}

void writer_join(struct writer *writer)
{
    atomic_store(&writer->stop, true);
    pthread_join(writer->thread, NULL);
}

void writer_check(const struct writer *writer, const struct daemon *reader,
                  unsigned *ret_lines_of_b)
{
    char path[400], line[200], who;
    unsigned round, n, lines_of_a = 0, lines_of_b = 0;
    FILE *log;

    writer_log(reader, writer->session, path, sizeof path);
    log = fopen(path, "r");
    if (!log)
        fail_msg("%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, log)) {
        if (!strchr(line, '\n') || sscanf(line, "%c %u %u", &who, &round, &n) != 3)
            fail_msg("%s holds a torn line: '%s'", path, line);
        if (round != writer->round)
            continue;
        if (who == 'B')
            lines_of_b++;
        else if (lines_of_a != n)
            fail_msg("%s: line %u of A follows line %u", path, n, lines_of_a);
        else
            lines_of_a++;
    }
    fclose(log);
    if (lines_of_a < writer->acked)
        fail_msg("%s has %u lines of A, but %u were acknowledged", path, lines_of_a, writer->acked);
    *ret_lines_of_b = lines_of_b;
}
