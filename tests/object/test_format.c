/* SPDX-License-Identifier: Apache-2.0 */
/* Reads docs/spec/format.md and checks every vector in it. */
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "object/chunker.h"
#include "reencode.h"
#include "samples.h"

#define LINE_SIZE 512
#define SHOWN 12

/** A block of the document between two lines of three backquotes. */
struct block {
    char head[LINE_SIZE]; /* its first line */
    char *lines[64];
    size_t n;
};

static const struct object_hasher hasher;

static bool read_line(FILE *file, char line[LINE_SIZE])
{
    if (!fgets(line, LINE_SIZE, file))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* The next block of vectors; false at the end of the document. */
static bool read_block(FILE *file, struct block *ret_block)
{
    char line[LINE_SIZE];

    while (read_line(file, line))
        if (strcmp(line, "```") == 0)
            break;
    *ret_block = (struct block){.n = 0};
    if (feof(file) || !read_line(file, ret_block->head))
        return false;
    while (read_line(file, line) && strcmp(line, "```") != 0) {
        assert_true(ret_block->n < 64);
        ret_block->lines[ret_block->n++] = strdup(line);
    }
    return true;
}

static void free_block(struct block *block)
{
    while (block->n > 0)
        free(block->lines[--block->n]);
}

static void append_hex(struct buf *bytes, const char *hex)
{
    for (; *hex; hex += 2) {
        unsigned value;
        uint8_t byte;

        assert_int_equal(sscanf(hex, "%2x", &value), 1);
        byte = (uint8_t)value;
        assert_int_equal(buf_append(bytes, &byte, 1), HF_OK);
    }
}

static void block_bytes(const struct block *block, struct buf *bytes)
{
    for (size_t i = 0; i < block->n; i++)
        if (strncmp(block->lines[i], "id ", 3) != 0)
            append_hex(bytes, block->lines[i]);
}

static enum object_kind kind_named(const char *name)
{
    static const char *const names[] = {"RECORD", "CHUNK", "DIR", "FILE", "ROOT"};

    for (unsigned i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum object_kind)i;
    fail_msg("no kind %s", name);
    return OBJECT_CHUNK;
}

static void assert_hex_id(const char *line, const struct object_id *id)
{
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(id, hex);
    assert_memory_equal(line, "id ", 3);
    assert_string_equal(line + 3, hex);
}

/* --- encodings ------------------------------------------------------------------------------------ */

static void check_encoding(const struct block *block, const char *name, enum object_kind kind,
                           const struct sample *samples, size_t nsamples)
{
    BUF_AUTO bytes = {0};
    BUF_AUTO again = {0};
    struct object_id id;
    size_t i = 0;

    block_bytes(block, &bytes);
    while (i < nsamples && strcmp(samples[i].name, name) != 0)
        i++;
    assert_true(i < nsamples);
    assert_int_equal(samples[i].kind, kind);
    assert_int_equal(slice_compare(buf_slice(&bytes), buf_slice(&samples[i].bytes)), 0);
    if (kind == 0) {
        assert_int_equal(reencode_record(buf_slice(&bytes), &again), HF_OK);
    } else {
        assert_int_equal(reencode_object(kind, buf_slice(&bytes), &again), HF_OK);
        assert_int_equal(object_id_compute(&hasher, kind, bytes.data, bytes.len, &id), HF_OK);
        assert_hex_id(block->lines[block->n - 1], &id);
    }
    assert_int_equal(slice_compare(buf_slice(&bytes), buf_slice(&again)), 0);
}

static void check_refused(const struct block *block, enum object_kind kind)
{
    BUF_AUTO bytes = {0};
    BUF_AUTO again = {0};

    block_bytes(block, &bytes);
    assert_int_equal(kind == 0 ? reencode_record(buf_slice(&bytes), &again)
                               : reencode_object(kind, buf_slice(&bytes), &again),
                     HF_CORRUPT);
}

/* Gives how many blocks begin with `word`. */
static size_t each_block(const char *word, void (*check)(const struct block *block, void *arg),
                         void *arg)
{
    FILE *file = fopen(HOLDFAST_FORMAT_SPEC, "re");
    struct block block;
    size_t n = 0;

    assert_non_null(file);
    while (read_block(file, &block)) {
        if (strncmp(block.head, word, strlen(word)) == 0 && block.head[strlen(word)] == ' ') {
            check(&block, arg);
            n++;
        }
        free_block(&block);
    }
    fclose(file);
    return n;
}

struct sample_list {
    struct sample samples[SAMPLES_MAX];
    size_t n;
};

static void check_vector_block(const struct block *block, void *arg)
{
    const struct sample_list *list = arg;
    char name[64], kind[16];

    assert_int_equal(sscanf(block->head, "vector %63s %15s", name, kind), 2);
    check_encoding(block, name, kind_named(kind), list->samples, list->n);
}

static void every_encoding_in_the_specification_is_what_the_codec_writes(void **state)
{
    struct sample_list list;

    (void)state;
    list.n = samples_make(list.samples);
    assert_int_equal(each_block("vector", check_vector_block, &list), list.n);
    samples_free(list.samples, list.n);
}

static void check_refused_block(const struct block *block, void *arg)
{
    char name[64], kind[16];

    (void)arg;
    assert_int_equal(sscanf(block->head, "refused %63s %15s", name, kind), 2);
    check_refused(block, kind_named(kind));
}

static void every_form_that_the_specification_refuses_is_refused(void **state)
{
    (void)state;
    assert_int_equal(each_block("refused", check_refused_block, NULL), 9);
}

/* --- chunks --------------------------------------------------------------------------------------- */

static uint8_t *chunk_data(size_t size)
{
    uint8_t *data = malloc(size), counter[4];

    for (uint32_t i = 0; i < size / 32; i++) {
        bytes_put_u32(counter, i);
        SHA256(counter, sizeof counter, data + (size_t)i * 32);
    }
    return data;
}

/* Appends a number and a blank, or the end of the line. */
static void append_number(char *line, size_t size, size_t number)
{
    const size_t at = strlen(line);

    snprintf(line + at, size - at, "%s%zu", at > 0 ? " " : "", number);
}

static void check_chunks_block(const struct block *block, void *arg)
{
    const size_t size = 1 << 20;
    uint8_t *data = chunk_data(size), digest[32], le[4];
    struct chunker_params params;
    char first[LINE_SIZE] = "", line[LINE_SIZE];
    BUF_AUTO lengths = {0};
    BUF_AUTO want = {0};
    size_t n = 0;

    (void)arg;
    assert_int_equal(sscanf(block->head, "chunks %u %u %u", &params.min, &params.avg, &params.max),
                     3);
    for (size_t at = 0; at < size; n++) {
        const size_t len = chunker_cut(&params, data + at, size - at);

        if (n < SHOWN)
            append_number(first, sizeof first, len);
        bytes_put_u32(le, (uint32_t)len);
        assert_int_equal(buf_append(&lengths, le, sizeof le), HF_OK);
        at += len;
    }
    free(data);
    assert_string_equal(block->lines[0], first);
    snprintf(line, sizeof line, "count %zu", n);
    assert_string_equal(block->lines[1], line);
    SHA256(lengths.data, lengths.len, digest);
    append_hex(&want, block->lines[2] + strlen("lengths "));
    assert_memory_equal(want.data, digest, sizeof digest);
}

static void chunks_are_cut_as_the_specification_says(void **state)
{
    (void)state;
    assert_int_equal(each_block("chunks", check_chunks_block, NULL), 2);
}

/* --- trees ---------------------------------------------------------------------------------------- */

/** A reference to a node: what its parent says of it. */
struct child {
    char first[16]; /* DIR */
    uint64_t sum;   /* entries, or bytes */
    struct object_id id;
};

struct tree {
    enum object_kind kind;
    struct child *children; /* the level that is cut, and then the one above */
    size_t n;
    uint8_t height;
    char line[LINE_SIZE]; /* what the specification must say of this level */
};

static int write_item(struct node_writer *writer, const struct child *item)
{
    const struct slice name = slice_of(item->first, strlen(item->first));

    if (writer->kind == OBJECT_DIR && writer->height == 0)
        return node_writer_dir_entry(
            writer, &(struct dir_entry){.name = name, .ino = item->sum, .mode = S_IFREG});
    if (writer->kind == OBJECT_DIR)
        return node_writer_dir_child(writer, &(struct dir_child){name, item->sum, item->id});
    if (writer->height == 0)
        return node_writer_extent(writer, &(struct extent){.len = item->sum, .id = item->id});
    return node_writer_file_child(writer, &(struct file_child){item->sum, item->id});
}

/* Cuts the items of a level into nodes, which become the items of the next. */
static void cut_level(struct tree *tree)
{
    const bool entries = tree->kind == OBJECT_DIR && tree->height == 0;
    struct child *nodes = calloc(tree->n, sizeof *nodes);
    struct node_writer writer = {0};
    char counts[LINE_SIZE] = "";
    size_t n = 0;

    for (size_t i = 0; i < tree->n; i++) {
        if (nodes[n].sum == 0) {
            assert_int_equal(node_writer_start(&writer, tree->kind, tree->height), HF_OK);
            memcpy(nodes[n].first, tree->children[i].first, sizeof nodes[n].first);
        }
        assert_int_equal(write_item(&writer, &tree->children[i]), HF_OK);
        nodes[n].sum += entries ? 1 : tree->children[i].sum;
        if (!node_writer_at_boundary(&writer) && i + 1 < tree->n)
            continue;
        assert_int_equal(object_id_compute(&hasher, tree->kind, writer.bytes.data, writer.bytes.len,
                                           &nodes[n].id),
                         HF_OK);
        if (n++ < SHOWN)
            append_number(counts, sizeof counts, writer.count);
    }
    buf_free(&writer.bytes);
    free(tree->children);
    snprintf(tree->line, sizeof tree->line, "height %u nodes %zu: %.300s", tree->height, n, counts);
    tree->children = nodes;
    tree->n = n;
    tree->height++;
}

static void make_items(struct tree *tree, size_t n)
{
    tree->children = calloc(n, sizeof *tree->children);
    tree->n = n;
    for (size_t i = 0; i < n; i++) {
        struct child *item = &tree->children[i];
        uint8_t le[8];

        snprintf(item->first, sizeof item->first, "%08zu", i);
        item->sum = tree->kind == OBJECT_DIR ? i + 2 : 8192;
        bytes_put_u64(le, i);
        assert_int_equal(object_id_compute(&hasher, OBJECT_CHUNK, le, sizeof le, &item->id), HF_OK);
    }
}

static void check_tree_block(const struct block *block, void *arg)
{
    struct tree tree = {.kind = *(const enum object_kind *)arg};
    size_t level = 0;

    make_items(&tree, strtoull(strchr(block->head, ' '), NULL, 10));
    do {
        cut_level(&tree);
        assert_string_equal(block->lines[level++], tree.line);
    } while (tree.n > 1);
    assert_int_equal(level + 1, block->n);
    assert_hex_id(block->lines[level], &tree.children[0].id);
    free(tree.children);
}

static void trees_are_cut_as_the_specification_says(void **state)
{
    enum object_kind dir = OBJECT_DIR, file = OBJECT_FILE;

    (void)state;
    assert_int_equal(each_block("directory", check_tree_block, &dir), 1);
    assert_int_equal(each_block("file", check_tree_block, &file), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_encoding_in_the_specification_is_what_the_codec_writes),
        cmocka_unit_test(every_form_that_the_specification_refuses_is_refused),
        cmocka_unit_test(chunks_are_cut_as_the_specification_says),
        cmocka_unit_test(trees_are_cut_as_the_specification_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
