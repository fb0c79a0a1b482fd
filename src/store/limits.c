/* SPDX-License-Identifier: Apache-2.0 */
#include "store/limits.h"

#include <string.h>

#include "store/retention_rules.h"

/* Of a commit that makes a session no larger: names, times, a few lines. */
#define SMALL_CHANGE 65536

int limits_set(struct limits *limits, struct slice text)
{
    struct limits next = {0};

    if (slice_compare(text, buf_slice(&limits->text)) == 0)
        return HF_OK;
    if (text.len > 0 && buf_append(&next.text, text.data, text.len) != HF_OK)
        return HF_NOMEM;
    if (text.len > 0 && retention_parse(text, &next.policy, NULL) == HF_NOMEM) {
        limits_free(&next);
        return HF_NOMEM;
    }
    limits_free(limits);
    *limits = next;
    return HF_OK;
}

void limits_free(struct limits *limits)
{
    buf_free(&limits->text);
    retention_free(limits->policy);
    *limits = (struct limits){0};
}

bool limits_of_store(const struct limits *limits)
{
    return limits->policy && retention_store_limit(limits->policy) != 0;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static int admit_session(const struct limits *limits, const struct limits_step *step,
                         struct hf_error *err)
{
    const struct retention_rule *rule =
        retention_rule_of(limits->policy, SECTION_LIMITS, step->session);

    if (!rule || step->after <= rule->bytes || step->after <= step->before)
        return HF_OK;
    return hf_fail(err, HF_QUOTA,
                   "session %s would have %.1f MiB, more than the %.1f MiB that the retention "
                   "policy's rule for sessions '%s' allows (line %zu); remove files, or change the "
                   "policy",
                   step->session, mib(step->after), mib(rule->bytes), rule->pattern, rule->line);
}

static int admit_store(const struct limits *limits, const struct limits_step *step,
                       struct hf_error *err)
{
    uint64_t limit = retention_store_limit(limits->policy);

    if (limit == 0 || step->used < limit)
        return HF_OK;
    if (step->session && (step->after < step->before ||
                          (step->after == step->before && step->added <= SMALL_CHANGE)))
        return HF_OK;
    return hf_fail(err, HF_NOSPC,
                   "%s%s adds to a store that has %.1f MiB, the store_limit of the retention "
                   "policy being %.1f MiB; 'holdfast gc' may free some, or change the policy",
                   step->session ? "session " : "what is put", step->session ? step->session : "",
                   mib(step->used), mib(limit));
}

int limits_admit(const struct limits *limits, const struct limits_step *step, struct hf_error *err)
{
    int rc = HF_OK;

    if (!limits->policy)
        return HF_OK;
    if (step->session)
        rc = admit_session(limits, step, err);
    return rc == HF_OK ? admit_store(limits, step, err) : rc;
}
