/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/sqlite/engine.h"
#include "engine/sqlite/settings.h"

/* They are few, and each is looked at: one whose name was damaged must not be taken for one that is not set. */
int setting_load(struct db *db, const char *name, struct buf *ret_text, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    BUF_AUTO text = {0};
    bool found = false;
    int rc = db_start(db, QUERY_SETTING_ALL, DB_NO_VALUES, &statement, err);

    while (rc == HF_OK && (rc = db_next(db, statement, err)) == 1) {
        struct slice blob = db_column_blob(statement, 1);

        rc = db_verify(statement, "setting", 0, 2, err);
        if (rc != HF_OK || strcmp(db_column_text(statement, 0), name) != 0)
            continue;
        found = true;
        if (buf_append(&text, blob.data, blob.len) != HF_OK)
            rc = hf_fail(err, HF_NOMEM, "out of memory");
    }
    if (rc == HF_OK && !found)
        return hf_fail(err, HF_NOENT, "the store has no setting %s", name);
    if (rc == HF_OK && buf_append(ret_text, text.data, text.len) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    return rc;
}

int setting_write(struct db *db, const char *name, struct slice text, struct hf_error *err)
{
    if (!text.data)
        return db_run(db, QUERY_SETTING_DELETE, DB_VALUES(db_text(name)), err);
    return db_run_summed(db, QUERY_SETTING_WRITE, "setting",
                         DB_VALUES(db_text(name), db_blob(text.data, text.len)), err);
}

int sqlite_setting_get(struct store *base, const char *name, struct buf *ret_text,
                       struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = setting_load(reader, name, ret_text, err);
    readers_give(&store->readers, reader);
    return rc;
}

struct setting_change {
    struct write write;
    const char *name;
    struct slice text;
};

static int run_set(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct setting_change *change = (struct setting_change *)write;

    writer_forget(transaction->writer); /* what was read of it */
    return setting_write(transaction->db, change->name, change->text, err);
}

int sqlite_setting_set(struct store *base, const char *name, struct slice text,
                       struct hf_error *err)
{
    struct setting_change change = {.write = {.run = run_set}, .name = name, .text = text};

    return writer_do(&sqlite_store_of(base)->writer, &change.write, err);
}
