/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/series.h"

#include <stdlib.h>
#include <string.h>

#include "holdfast/error.h"

#define PIECE_MIN 512
#define PIECE_MAX 8192
#define NEW_SHARE 10 /* one in so many bytes */

int series_init(struct series *series, struct content *content, uint64_t versions)
{
    uint8_t *data = malloc(SERIES_MAX + SERIES_MAX / NEW_SHARE);

    if (!data)
        return HF_NOMEM;
    *series = (struct series){
        .content = content,
        .data = data,
        .len = SERIES_MIN,
        .growth = versions > 1 ? (SERIES_MAX - SERIES_MIN) / (versions - 1) : 0,
    };
    content_fill(content, data, series->len);
    return HF_OK;
}

/* Puts `added` new bytes in the place of `removed` old ones. */
static void edit(struct series *series, size_t removed, size_t added)
{
    size_t at = (size_t)content_random(series->content, series->len - removed + 1);
    uint8_t *place = series->data + at;

    memmove(place + added, place + removed, series->len - at - removed);
    content_fill(series->content, place, added);
    series->len = series->len - removed + added;
}

void series_next(struct series *series)
{
    size_t growth = series->len + series->growth <= SERIES_MAX ? series->growth : 0;
    size_t share = (series->len + growth) / NEW_SHARE, fresh = share > growth ? share : growth;
    size_t surplus = fresh - growth; /* what goes, so that it grows by no more */

    while (fresh > 0) {
        size_t added = PIECE_MIN + (size_t)content_random(series->content, PIECE_MAX - PIECE_MIN);
        size_t removed;

        if (added > fresh)
            added = fresh;
        removed = (size_t)content_random(series->content, 2 * added);
        fresh -= added;
        if (fresh == 0 || removed > surplus)
            removed = surplus;
        surplus -= removed;
        edit(series, removed, added);
    }
}

void series_free(struct series *series)
{
    free(series->data);
    *series = (struct series){0};
}
