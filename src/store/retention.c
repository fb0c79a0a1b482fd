/* SPDX-License-Identifier: Apache-2.0 */
#include "store/retention.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/retention_rules.h"

const char retention_default[] =
    "# The policy of a store that has none of its own. docs/ops/retention.md explains it.\n"
    "history:            # versions of sessions; '.' is the shared tree\n"
    "  - sessions: '*'\n"
    "    all: 2d         # every one of the last two days,\n"
    "    hourly: 2w      # then the last of each hour (UTC),\n"
    "    daily: 90d\n"
    "    weekly: 1y\n"
    "    last: 50        # and the last 50, whatever their age\n"
    "trash:              # deleted sessions\n"
    "  - keep: 30d\n"
    "rescue:             # work that had lost its lease\n"
    "  - keep: 90d\n"
    "snapshots:          # by name; those that no rule names stay\n"
    "  - names: 'daily-[0-9]*'\n"
    "    all: 2w\n"
    "    weekly: 90d\n"
    "    monthly: 1y\n"
    "  - names: 'backup-[0-9]*'\n"
    "    all: 2w\n"
    "    weekly: 90d\n"
    "    monthly: 3y\n"
    "    last: 3\n";

int retention_load(struct store *store, struct retention **ret_policy, struct hf_error *err)
{
    BUF_AUTO text = {0};
    int rc = store_setting_get(store, RETENTION_SETTING, &text, err);

    if (rc == HF_NOENT)
        return retention_parse(slice_of(retention_default, sizeof retention_default - 1),
                               ret_policy, err);
    return rc == HF_OK ? retention_parse(buf_slice(&text), ret_policy, err) : rc;
}

void retention_free(struct retention *policy)
{
    if (!policy)
        return;
    for (enum retention_section section = 0; section < SECTIONS; section++) {
        struct retention_rules *list = &policy->sections[section];

        for (size_t i = 0; i < list->count; i++)
            free(list->rules[i].pattern);
        free(list->rules);
    }
    free(policy);
}

const struct retention_rule *retention_rule_of(const struct retention *policy,
                                               enum retention_section section, const char *name)
{
    const struct retention_rules *list = &policy->sections[section];

    for (size_t i = 0; i < list->count; i++)
        if (fnmatch(list->rules[i].pattern, name, 0) == 0)
            return &list->rules[i];
    return NULL;
}

uint64_t retention_session_limit(const struct retention *policy, const char *name)
{
    const struct retention_rule *rule = retention_rule_of(policy, SECTION_LIMITS, name);

    return rule ? rule->bytes : 0;
}

uint64_t retention_store_limit(const struct retention *policy)
{
    return policy->store_limit;
}

bool retention_has_idle(const struct retention *policy)
{
    return policy->sections[SECTION_IDLE].count > 0;
}

/* --- rules as people read them ---------------------------------------------------------------------- */

static const char *duration_text(int64_t ns, char text[32])
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = {{"year", 365 * 24 * 3600},
                 {"day", 24 * 3600},
                 {"hour", 3600},
                 {"minute", 60},
                 {"second", 1}};
    int64_t seconds = ns / 1000000000, n;
    size_t i = 0;

    if (ns == KEEP_FOREVER)
        return "ever";
    while (seconds % units[i].seconds != 0)
        i++;
    n = seconds / units[i].seconds;
    snprintf(text, 32, "%" PRId64 " %s%s", n, units[i].name, n == 1 ? "" : "s");
    return text;
}

/* "hourly for 14 days"; of what is older than all periods: what there is in their place. */
static void keep_text(const struct keep_rule *keep, enum keep_period period, char *text,
                      size_t size)
{
    enum keep_period longest = KEEP_PERIODS;
    char duration[32];

    if (period < KEEP_PERIODS) {
        snprintf(text, size, "%s for %s", keep_period_name(period),
                 duration_text(keep->within[period], duration));
        return;
    }
    for (period = KEEP_ALL; period < KEEP_PERIODS; period++)
        if (keep->within[period] != 0)
            longest = period;
    if (longest < KEEP_PERIODS && keep->last > 0)
        snprintf(text, size, "nothing beyond %s but the last %" PRIu64,
                 duration_text(keep->within[longest], duration), keep->last);
    else if (longest < KEEP_PERIODS)
        snprintf(text, size, "nothing beyond %s", duration_text(keep->within[longest], duration));
    else
        snprintf(text, size, "only the last %" PRIu64, keep->last);
}

const char *retention_rule_text(const struct retention_rule *rule, enum retention_section section,
                                enum keep_period period, char text[RETENTION_TEXT])
{
    char what[96] = "", duration[32];

    if (section == SECTION_HISTORY || section == SECTION_SNAPSHOTS)
        keep_text(&rule->keep, period, what, sizeof what);
    else if (section != SECTION_LIMITS)
        duration_text(rule->age, duration);
    switch (section) {
    case SECTION_HISTORY:
        snprintf(text, RETENTION_TEXT, "history of sessions '%s': %s", rule->pattern, what);
        break;
    case SECTION_SNAPSHOTS:
        snprintf(text, RETENTION_TEXT, "snapshots '%s': %s", rule->pattern, what);
        break;
    case SECTION_IDLE:
        snprintf(text, RETENTION_TEXT, "sessions '%s': to the trash after %s without a change",
                 rule->pattern, duration);
        break;
    case SECTION_TRASH:
        snprintf(text, RETENTION_TEXT, "trash of sessions '%s': for %s", rule->pattern, duration);
        break;
    case SECTION_RESCUE:
        snprintf(text, RETENTION_TEXT, "rescues of sessions '%s': for %s", rule->pattern, duration);
        break;
    default:
        snprintf(text, RETENTION_TEXT, "limits: sessions '%s' at most %" PRIu64 " bytes",
                 rule->pattern, rule->bytes);
        break;
    }
    return text;
}
