/* SPDX-License-Identifier: Apache-2.0 */
#include "suggest.h"

#include <string.h>

#define WORD_MAX 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t suggest_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2], *free_row;
    size_t la = strnlen(a, WORD_MAX), lb = strnlen(b, WORD_MAX);

    for (size_t j = 0; j <= lb; j++)
        last[j] = j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            row[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[lb];
}

void suggest_offer(struct suggestion *suggestion, const char *typed, const char *word)
{
    size_t distance = suggest_distance(typed, word);
    size_t len = strlen(typed);

    /* One wrong letter in three is a slip; more is another word. A typed beginning counts as close. */
    if (len >= 3 && strncmp(typed, word, len) == 0)
        distance = 1;
    if (distance > 1 + len / 3)
        return;
    if (!suggestion->word || distance < suggestion->distance)
        *suggestion = (struct suggestion){word, distance};
}
