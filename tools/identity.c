/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* Reads the first 32 hex digits of a file, dashes left out. */
static bool read_uuid(const char *path, uint8_t uuid[UUID_SIZE])
{
    char text[64] = "", digits[2 * UUID_SIZE + 1];
    size_t n = 0;
    FILE *file = fopen(path, "re");

    if (!file)
        return false;
    if (!fgets(text, sizeof text, file))
        text[0] = '\0';
    fclose(file);
    for (const char *c = text; *c && n < 2 * UUID_SIZE; c++)
        if (isxdigit((unsigned char)*c))
            digits[n++] = *c;
    if (n < 2 * UUID_SIZE)
        return false;
    digits[n] = '\0';
    for (size_t i = 0; i < UUID_SIZE; i++) {
        unsigned byte = 0;
        sscanf(digits + 2 * i, "%2x", &byte);
        uuid[i] = (uint8_t)byte;
    }
    return true;
}

/* A UUID that the same text always gives. */
static int uuid_of_text(const char *text, uint8_t uuid[UUID_SIZE])
{
    const struct object_hasher plain = {0};
    struct object_id id;
    int status = object_id_compute(&plain, OBJECT_CHUNK, text, strlen(text), &id);

    if (status == 0)
        memcpy(uuid, id.bytes, UUID_SIZE);
    return status;
}

int identity_read(const char *place, struct identity *ret_identity, struct hf_error *err)
{
    struct identity who = {0};
    char owner[PATH_MAX + 32];
    int status = 0;

    if (strlen(place) >= sizeof who.place)
        return hf_fail(err, HF_NAMETOOLONG, "the path of the mount point is too long");
    snprintf(who.place, sizeof who.place, "%s", place);
    if (gethostname(who.host_name, sizeof who.host_name) != 0 || !who.host_name[0])
        snprintf(who.host_name, sizeof who.host_name, "localhost");
    who.host_name[sizeof who.host_name - 1] = '\0';
    if (!read_uuid("/etc/machine-id", who.host.host_id))
        status = uuid_of_text(who.host_name, who.host.host_id);
    /* Without /proc every process counts as a boot of its own, which only delays a takeover. */
    if (status == 0 && !read_uuid("/proc/sys/kernel/random/boot_id", who.host.boot_id))
        memset(who.host.boot_id, 0, sizeof who.host.boot_id);
    snprintf(owner, sizeof owner, "%u:%s", (unsigned)geteuid(), place);
    if (status == 0)
        status = uuid_of_text(owner, who.host.mount_id);
    if (status)
        return hf_fail(err, status, "cannot tell who this host is: %s", hf_status_text(status));
    who.host.incarnation = (uint64_t)clock_boottime(&clock_system);
    who.host.pid = (uint32_t)getpid();
    *ret_identity = who;
    ret_identity->host.host_name = ret_identity->host_name;
    ret_identity->host.mount_point = ret_identity->place;
    return 0;
}
