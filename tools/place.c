/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* $COPILOT_HOME/session-state, or that of the home directory. */
static int default_place(char path[PLACE_MAX], struct hf_error *err)
{
    const char *state = getenv("COPILOT_HOME");
    const char *home = getenv("HOME");
    int n;

    if (state && *state)
        n = snprintf(path, PLACE_MAX, "%s/session-state", state);
    else if (home && *home)
        n = snprintf(path, PLACE_MAX, "%s/.copilot/session-state", home);
    else
        return hf_fail(err, HF_CONFIG, "neither HOME nor COPILOT_HOME is set: name the directory");
    if (n >= PLACE_MAX)
        return hf_fail(err, HF_NAMETOOLONG, "the path of the directory is too long");
    return 0;
}

static int make_absolute(char path[PLACE_MAX], struct hf_error *err)
{
    char cwd[PLACE_MAX], joined[2 * PLACE_MAX];

    if (path[0] == '/')
        return 0;
    if (!getcwd(cwd, sizeof cwd))
        return hf_fail(err, hf_status_from_errno(errno), "cannot tell the current directory: %s",
                       strerror(errno));
    if (snprintf(joined, sizeof joined, "%s/%s", cwd, path) >= PLACE_MAX)
        return hf_fail(err, HF_NAMETOOLONG, "the path '%s' is too long", path);
    memcpy(path, joined, strlen(joined) + 1);
    return 0;
}

/* Takes the last name off `path` and puts it before what is in `rest`. */
static bool shift_last(char *path, char rest[PLACE_MAX])
{
    char *slash = strrchr(path, '/');
    char joined[2 * PLACE_MAX];

    if (!slash || slash == path)
        return false;
    snprintf(joined, sizeof joined, "%s%s%s", slash + 1, *rest ? "/" : "", rest);
    if (strlen(joined) >= PLACE_MAX)
        return false;
    memcpy(rest, joined, strlen(joined) + 1);
    *slash = '\0';
    return true;
}

int place_of(const char *given, char ret_path[PLACE_MAX], struct hf_error *err)
{
    char path[PLACE_MAX], rest[PLACE_MAX] = "", real[PLACE_MAX], joined[2 * PLACE_MAX];
    int status = 0;

    if (given && strlen(given) >= sizeof path)
        return hf_fail(err, HF_NAMETOOLONG, "the path of the directory is too long");
    if (given)
        snprintf(path, sizeof path, "%s", given);
    else
        status = default_place(path, err);
    if (status == 0)
        status = make_absolute(path, err);
    if (status)
        return status;
    while (strlen(path) > 1 && path[strlen(path) - 1] == '/')
        path[strlen(path) - 1] = '\0';
    /* What does not exist yet, or does not answer, is kept as it is written. */
    while (!realpath(path, real))
        if (!shift_last(path, rest))
            return hf_fail(err, HF_NOENT, "'%s' cannot be resolved", path);
    snprintf(joined, sizeof joined, "%s%s%s", strcmp(real, "/") == 0 ? "" : real, *rest ? "/" : "",
             rest);
    if (strlen(joined) >= PLACE_MAX)
        return hf_fail(err, HF_NAMETOOLONG, "the path of the directory is too long");
    snprintf(ret_path, PLACE_MAX, "%s", *joined ? joined : "/");
    return 0;
}

/* Undoes the octal escapes (\040 for a blank) of mountinfo, in place. */
static void unescape(char *text)
{
    char *out = text;

    while (*text) {
        unsigned byte;
        if (text[0] == '\\' && sscanf(text + 1, "%3o", &byte) == 1 && strlen(text) >= 4) {
            *out++ = (char)byte;
            text += 4;
        } else {
            *out++ = *text++;
        }
    }
    *out = '\0';
}

/* "36 35 98:0 /root /mount/point opts opt:1 - type source superopts" */
static bool parse_mountinfo(char *line, const char *path, struct place_mount *mount)
{
    char *save = NULL, *field = strtok_r(line, " \n", &save);

    for (int i = 0; field && i < 4; i++)
        field = strtok_r(NULL, " \n", &save);
    if (!field)
        return false;
    unescape(field);
    if (strcmp(field, path) != 0)
        return false;
    while (field && strcmp(field, "-") != 0)
        field = strtok_r(NULL, " \n", &save);
    field = field ? strtok_r(NULL, " \n", &save) : NULL;
    if (!field)
        return false;
    snprintf(mount->type, sizeof mount->type, "%s", field);
    field = strtok_r(NULL, " \n", &save);
    snprintf(mount->source, sizeof mount->source, "%s", field ? field : "");
    unescape(mount->source);
    return true;
}

bool place_mount(const char *path, struct place_mount *ret_mount)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t cap = 0;
    bool found = false;

    if (!file)
        return false;
    /* A later line lies on top of an earlier one. */
    while (getline(&line, &cap, file) > 0) {
        struct place_mount mount;
        if (parse_mountinfo(line, path, &mount)) {
            *ret_mount = mount;
            found = true;
        }
    }
    free(line);
    fclose(file);
    return found;
}
