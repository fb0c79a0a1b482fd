/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *finding_json(const struct check_finding *finding)
{
    json_t *object = json_object();

    if (!object)
        return NULL;
    json_object_set_new(object, "what", json_bytes(finding->what));
    json_object_set_new(object, "status", json_bytes(hf_status_text(finding->status)));
    json_object_set_new(object, "message", json_bytes(finding->message));
    if (finding->has_object)
        json_object_set_new(object, "object", json_id(&finding->object));
    if (finding->has_session) {
        json_object_set_new(object, "session", json_u64(finding->sid));
        json_object_set_new(object, "version", json_u64(finding->version));
    }
    return object;
}

static int note_version(struct findings *findings, uint64_t sid, uint64_t version)
{
    for (size_t i = 0; i < findings->nversions; i++)
        if (findings->versions[i].sid == sid) {
            if (findings->versions[i].version < version)
                findings->versions[i].version = version;
            return HF_OK;
        }
    if (findings->nversions == findings->cap) {
        size_t cap = findings->cap ? findings->cap * 2 : 16;
        struct findings_version *versions = reallocarray(findings->versions, cap, sizeof *versions);

        if (!versions)
            return HF_NOMEM;
        findings->versions = versions;
        findings->cap = cap;
    }
    findings->versions[findings->nversions++] = (struct findings_version){sid, version};
    return HF_OK;
}

int findings_print(const struct check_finding *finding, void *arg)
{
    struct findings *findings = arg;
    int status = repair_note(&findings->damage, finding);

    if (status == HF_OK && finding->has_session)
        status = note_version(findings, finding->sid, finding->version);
    if (status != HF_OK)
        return status;
    progress_end(&findings->progress);
    if (findings->json)
        return json_list_add(&findings->list, finding_json(finding));
    printf("%s: %s\n", finding->what, finding->message);
    return 0;
}

int findings_add(struct findings *findings, int status, const char *what, const char *format, ...)
{
    char message[700];
    struct check_finding finding = {.status = status, .what = what, .message = message};
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return findings_print(&finding, findings);
}

void findings_end(struct findings *findings)
{
    progress_end(&findings->progress);
    if (findings->json)
        json_list_end(&findings->list);
    repair_list_free(&findings->damage);
    free(findings->versions);
    findings->versions = NULL;
    findings->nversions = findings->cap = 0;
}

static void show_progress(uint64_t done, uint64_t all, void *arg)
{
    struct findings *findings = arg;

    if (!findings->begun)
        progress_start(&findings->progress, "Walking", "objects", all, 0);
    findings->begun = true;
    progress_set(&findings->progress, done, all, 0);
}

int findings_check(struct store *store, struct findings *findings, struct fsck_totals *ret_totals,
                   struct hf_error *err)
{
    struct fsck_options options = {findings_print, findings, show_progress, findings};
    int status;

    repair_list_free(&findings->damage);
    findings->nversions = 0;
    status = fsck_run(store, &options, ret_totals, err);
    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory");
    progress_end(&findings->progress);
    findings->begun = false;
    return status;
}
