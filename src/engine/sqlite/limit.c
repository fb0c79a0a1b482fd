/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/limit.h"

#include "engine/sqlite/settings.h"

static int refresh(struct sqlite_store *store, struct db *db, struct hf_error *err)
{
    BUF_AUTO text = {0};
    int rc;

    if (store->limits_epoch == store->writer.epoch)
        return HF_OK;
    rc = setting_load(db, RETENTION_SETTING, &text, err);
    if (rc != HF_OK && rc != HF_NOENT && rc != HF_CORRUPT)
        return rc;
    /* A policy that is damaged is for a check to tell of, and no reason to take no work. */
    if (rc != HF_CORRUPT && limits_set(&store->limits, buf_slice(&text)) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    store->limits_epoch = store->writer.epoch;
    return HF_OK;
}

/* What the file has but for its free pages; what is in the log still, too. */
static int count_used(struct db *db, uint64_t *ret_bytes, struct hf_error *err)
{
    return query_number(db, QUERY_USED_BYTES, ret_bytes, err);
}

static int admit(struct transaction *transaction, struct limits_step *step,
                 const struct incoming *incoming, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_at(transaction);
    int rc = refresh(store, transaction->db, err);

    step->added = incoming->packed_len;
    if (rc == HF_OK && limits_of_store(&store->limits))
        rc = count_used(transaction->db, &step->used, err);
    return rc == HF_OK ? limits_admit(&store->limits, step, err) : rc;
}

int limit_commit(struct transaction *transaction, const struct session_row *row,
                 const struct commit *commit, const struct incoming *incoming, struct hf_error *err)
{
    struct limits_step step = {.session = row->sid == SHARED_SID ? "." : row->name,
                               .before = row->bytes,
                               .after = commit->meta.bytes};

    return admit(transaction, &step, incoming, err);
}

int limit_put(struct transaction *transaction, const struct incoming *incoming,
              struct hf_error *err)
{
    struct limits_step step = {0};

    return incoming->n > 0 ? admit(transaction, &step, incoming, err) : HF_OK;
}
