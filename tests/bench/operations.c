/* SPDX-License-Identifier: Apache-2.0 */
/**
 * operations DIR WHAT COUNT: does one thing so many times in a directory, and nothing else, so that what the filesystem
 * does for it can be counted. `make` first makes what the others work on: COUNT files and a log.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "bench/content.h"

#define LOG_BYTES ((size_t)1 << 20)
#define CHECKPOINT_BYTES ((size_t)256 << 10)
#define FILE_BYTES 4096
#define BATCH 2048

static uint8_t data[LOG_BYTES];

static void need(bool done, const char *what)
{
    if (done)
        return;
    fprintf(stderr, "operations: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void write_file(const char *path, size_t len, bool durably)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    need(fd >= 0, path);
    need(write(fd, data, len) == (ssize_t)len, path);
    need(!durably || fsync(fd) == 0, path);
    need(close(fd) == 0, path);
}

static void make(struct content *content, int count)
{
    char path[32];

    content_fill(content, data, LOG_BYTES);
    write_file("events.jsonl", LOG_BYTES, true);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "file-%d", i);
        content_fill(content, data, FILE_BYTES);
        write_file(path, FILE_BYTES, false);
    }
}

/* As the client appends a batch of events. */
static void append(struct content *content, bool durably)
{
    static const char path[] = "events.jsonl";
    struct stat st;
    char last;
    int fd;

    content_event(content, data, BATCH);
    need(mkdir("../session", 0700) != 0 && errno == EEXIST, "../session");
    need(stat(path, &st) == 0, path);
    fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
    need(fd >= 0 && lseek(fd, -1, SEEK_END) >= 0 && read(fd, &last, 1) == 1, path);
    need(stat(path, &st) == 0, path);
    need(stat(path, &st) == 0, path);
    need(write(fd, data, BATCH) == BATCH, path);
    need(!durably || fsync(fd) == 0, path);
    need(close(fd) == 0, path);
}

static void append_held_open(struct content *content, int count)
{
    int fd = open("events.jsonl", O_WRONLY | O_APPEND);

    for (int i = 0; i < count; i++) {
        content_event(content, data, BATCH);
        need(write(fd, data, BATCH) == BATCH, "events.jsonl");
    }
    need(close(fd) == 0, "events.jsonl");
}

static void save_checkpoint(struct content *content, int number)
{
    char path[32];

    content_fill(content, data + content_random(content, CHECKPOINT_BYTES - BATCH), BATCH);
    write_file("temporary", CHECKPOINT_BYTES, true);
    snprintf(path, sizeof path, "checkpoint-%d", number);
    need(rename("temporary", path) == 0, path);
}

static void read_file(int number)
{
    char path[32];
    struct stat st;
    int fd;

    snprintf(path, sizeof path, "file-%d", number);
    need(stat(path, &st) == 0, path);
    fd = open(path, O_RDONLY);
    need(fd >= 0, path);
    while (read(fd, data, sizeof data) > 0)
        ;
    close(fd);
}

/* `begin` opens the database and says what a transaction is. */
static void transact(const char *begin, int count)
{
    sqlite3 *db;

    need(sqlite3_open("work.db", &db) == SQLITE_OK, "work.db");
    need(sqlite3_exec(db, begin, NULL, NULL, NULL) == SQLITE_OK, begin);
    for (int i = 0; i < count; i++)
        need(sqlite3_exec(db, "INSERT INTO work VALUES (randomblob(200))", NULL, NULL, NULL) ==
                 SQLITE_OK,
             "work.db");
    need(sqlite3_close(db) == SQLITE_OK, "work.db");
}

static void do_one(struct content *content, const char *what, int number)
{
    if (strcmp(what, "append") == 0)
        append(content, false);
    else if (strcmp(what, "append_fsync") == 0)
        append(content, true);
    else if (strcmp(what, "checkpoint") == 0)
        save_checkpoint(content, number);
    else if (strcmp(what, "read") == 0)
        read_file(number);
    else
        need((errno = EINVAL, false), what);
}

int main(int argc, char **argv)
{
    struct content content;
    int count;

    if (argc != 4 || (count = (int)strtol(argv[3], NULL, 10)) <= 0) {
        fprintf(stderr, "Usage: operations DIR WHAT COUNT\n");
        return 64;
    }
    need(chdir(argv[1]) == 0, argv[1]);
    content_init(&content, 1);
    if (strcmp(argv[2], "make") == 0)
        make(&content, count);
    else if (strcmp(argv[2], "append_held_open") == 0)
        append_held_open(&content, count);
    else if (strcmp(argv[2], "sqlite_wal") == 0)
        transact("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE work (row)",
                 count);
    else if (strcmp(argv[2], "sqlite_delete") == 0)
        transact("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS "
                 "work (row)",
                 count);
    else
        for (int i = 0; i < count; i++)
            do_one(&content, argv[2], i);
    return 0;
}
