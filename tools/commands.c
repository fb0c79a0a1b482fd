/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <string.h>

extern const struct command command_adopt;
extern const struct command command_backup_create;
extern const struct command command_backup_list;
extern const struct command command_backup_verify;
extern const struct command command_bench_gc;
extern const struct command command_bench_run;
extern const struct command command_cert_init;
extern const struct command command_cert_issue;
extern const struct command command_cert_list;
extern const struct command command_cert_revoke;
extern const struct command command_cert_show;
extern const struct command command_completion;
extern const struct command command_doctor;
extern const struct command command_fsck;
extern const struct command command_gc;
extern const struct command command_lease_audit;
extern const struct command command_lease_break;
extern const struct command command_lease_hold;
extern const struct command command_lease_list;
extern const struct command command_lease_show;
extern const struct command command_lease_wait;
extern const struct command command_lease_watch;
extern const struct command command_mount;
extern const struct command command_retention_apply;
extern const struct command command_retention_set;
extern const struct command command_retention_show;
extern const struct command command_restore;
extern const struct command command_run;
extern const struct command command_serve;
extern const struct command command_session_cat;
extern const struct command command_session_check;
extern const struct command command_session_delete;
extern const struct command command_session_diff;
extern const struct command command_session_events;
extern const struct command command_session_export;
extern const struct command command_session_fork;
extern const struct command command_session_import;
extern const struct command command_session_list;
extern const struct command command_session_log;
extern const struct command command_session_rename;
extern const struct command command_session_rescue;
extern const struct command command_session_restore;
extern const struct command command_session_show;
extern const struct command command_session_undelete;
extern const struct command command_snapshot_create;
extern const struct command command_snapshot_delete;
extern const struct command command_snapshot_diff;
extern const struct command command_snapshot_list;
extern const struct command command_snapshot_restore;
extern const struct command command_snapshot_show;
extern const struct command command_stats;
extern const struct command command_top;
extern const struct command command_umount;

/* clang-format off */
const struct command *const commands[] = {
    &command_mount,
    &command_umount,
    &command_adopt,
    &command_doctor,
    &command_session_list,
    &command_session_show,
    &command_session_log,
    &command_session_diff,
    &command_session_cat,
    &command_session_events,
    &command_session_check,
    &command_session_fork,
    &command_session_export,
    &command_session_import,
    &command_session_restore,
    &command_session_rename,
    &command_session_delete,
    &command_session_undelete,
    &command_session_rescue,
    &command_snapshot_create,
    &command_snapshot_list,
    &command_snapshot_show,
    &command_snapshot_diff,
    &command_snapshot_restore,
    &command_snapshot_delete,
    &command_run,
    &command_lease_hold,
    &command_lease_wait,
    &command_lease_list,
    &command_lease_show,
    &command_lease_break,
    &command_lease_audit,
    &command_lease_watch,
    &command_serve,
    &command_cert_init,
    &command_cert_issue,
    &command_cert_list,
    &command_cert_show,
    &command_cert_revoke,
    &command_gc,
    &command_retention_show,
    &command_retention_set,
    &command_retention_apply,
    &command_backup_create,
    &command_backup_list,
    &command_backup_verify,
    &command_restore,
    &command_fsck,
    &command_stats,
    &command_top,
    &command_bench_run,
    &command_bench_gc,
    &command_completion,
    NULL,
};
/* clang-format on */

const struct command_family families[] = {
    {"session", COMMAND_SESSION, "See, compare and undo sessions"},
    {"snapshot", COMMAND_SESSION, "Pin sessions at one moment, and go back to it"},
    {"lease", COMMAND_SESSION, "See, hold and break the leases of sessions"},
    {"cert", COMMAND_SERVER, "Make certificates for a server and its hosts"},
    {"retention", COMMAND_STORE, "Say what is kept for how long, and let the rest go"},
    {"backup", COMMAND_STORE, "Copy what a store holds into another"},
    {"bench", COMMAND_STORE, "Measure what agents wait for"},
    {0},
};

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = commands; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}
