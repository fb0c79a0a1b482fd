/* SPDX-License-Identifier: Apache-2.0 */
#include "globs.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "holdfast/error.h"

int globs_split(char *list, struct globs *ret_globs)
{
    struct globs globs = {0};
    size_t most = 1;

    if (!list) {
        *ret_globs = globs;
        return HF_OK;
    }
    for (const char *c = list; *c; c++)
        most += *c == ',';
    globs.globs = calloc(most, sizeof *globs.globs);
    if (!globs.globs)
        return HF_NOMEM;
    for (char *next, *glob = list; glob; glob = next) {
        next = strchr(glob, ',');
        if (next)
            *next++ = '\0';
        if (*glob)
            globs.globs[globs.count++] = glob;
    }
    *ret_globs = globs;
    return HF_OK;
}

void globs_clear(struct globs *globs)
{
    free(globs->globs);
    *globs = (struct globs){0};
}

bool globs_match(const struct globs *globs, const char *name)
{
    for (size_t i = 0; i < globs->count; i++)
        if (fnmatch(globs->globs[i], name, 0) == 0)
            return true;
    return globs->count == 0;
}
