/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rangelock.h"

#include <stdlib.h>

#include "holdfast/error.h"

static bool same_subject(const struct store_lock *a, const struct store_lock *b)
{
    return a->ino == b->ino && a->kind == b->kind;
}

static bool overlap(const struct store_lock *a, const struct store_lock *b)
{
    return a->start <= b->end && b->start <= a->end;
}

bool rangelock_same_owner(const struct store_lock *a, const struct store_lock *b)
{
    return same_subject(a, b) && a->host == b->host && a->owner == b->owner;
}

bool rangelock_in_the_way(const struct store_lock *held, const struct store_lock *request)
{
    return request->type != LOCK_TYPE_NONE && same_subject(held, request) &&
           !rangelock_same_owner(held, request) && overlap(held, request) &&
           (held->type == LOCK_TYPE_WRITE || request->type == LOCK_TYPE_WRITE);
}

/* The order in which conflicts are told: by place in the file, then by owner. */
static bool before(const struct store_lock *a, const struct store_lock *b)
{
    if (a->start != b->start)
        return a->start < b->start;
    return a->host != b->host ? a->host < b->host : a->owner < b->owner;
}

const struct store_lock *rangelock_conflict(const struct store_lock *locks, size_t n,
                                            const struct store_lock *request)
{
    const struct store_lock *first = NULL;

    for (size_t i = 0; i < n; i++)
        if (rangelock_in_the_way(&locks[i], request) && (!first || before(&locks[i], first)))
            first = &locks[i];
    return first;
}

static int compare_start(const void *a, const void *b)
{
    const struct store_lock *left = a, *right = b;

    return left->start < right->start ? -1 : left->start > right->start;
}

/* Adds what `request` leaves of one lock of its owner: nothing, one piece or two. */
static size_t keep_rest(const struct store_lock *lock, const struct store_lock *request,
                        struct store_lock *out)
{
    size_t n = 0;

    if (!overlap(lock, request)) {
        out[n++] = *lock;
        return n;
    }
    if (lock->start < request->start) {
        out[n] = *lock;
        out[n++].end = request->start - 1;
    }
    if (lock->end > request->end) {
        out[n] = *lock;
        out[n++].start = request->end + 1;
    }
    return n;
}

/* Joins neighbours of one type; `locks` are in order and disjoint. Returns how many are left. */
static size_t merge(struct store_lock *locks, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        struct store_lock *last = kept > 0 ? &locks[kept - 1] : NULL;

        if (last && last->type == locks[i].type && last->end != UINT64_MAX &&
            last->end + 1 == locks[i].start)
            last->end = locks[i].end;
        else
            locks[kept++] = locks[i];
    }
    return kept;
}

int rangelock_apply(const struct store_lock *locks, size_t n, const struct store_lock *request,
                    struct store_lock **ret_locks, size_t *ret_n)
{
    struct store_lock *out = reallocarray(NULL, n + 1, 2 * sizeof *out);
    size_t count = 0;

    if (!out)
        return HF_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (rangelock_same_owner(&locks[i], request))
            count += keep_rest(&locks[i], request, out + count);
    if (request->type != LOCK_TYPE_NONE)
        out[count++] = *request;
    if (count == 0) {
        free(out);
        out = NULL;
    } else {
        qsort(out, count, sizeof *out, compare_start);
        count = merge(out, count);
    }
    *ret_locks = out;
    *ret_n = count;
    return HF_OK;
}
