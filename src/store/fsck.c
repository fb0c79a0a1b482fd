/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fsck.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/graph.h"

#define PROGRESS_STEP 64 /* roots between two reports of progress */

/* A root, kept beyond its visit. */
struct pin {
    enum root_kind kind;
    uint64_t sid, version, bytes, files;
    struct object_id root;
    char *name;  /* of the session */
    char *label; /* or NULL */
    bool trashed;
    bool owns_name; /* else another pin does */
};

struct fsck {
    struct store *store;
    const struct fsck_options *options;
    struct fsck_totals totals;
    struct idmap told; /* objects that the engine's own check told of */
    struct pin *pins;
    size_t npins, cap;
    const struct pin *walked;               /* now */
    enum { UNKNOWN, KEPT, FORGOTTEN } fate; /* of that one, since the roots were listed */
    struct hf_error *err;
};

static int tell(struct fsck *fsck, const struct check_finding *finding)
{
    fsck->totals.findings++;
    return fsck->options->report(finding, fsck->options->report_arg);
}

/* --- the engine's check ---------------------------------------------------------------------------------- */

static int take_finding(const struct check_finding *finding, void *arg)
{
    struct fsck *fsck = arg;
    uint32_t *value;

    /* Without room to remember it, it is told twice. */
    if (finding->has_object)
        (void)idmap_add(&fsck->told, &finding->object, 1, &value);
    return tell(fsck, finding);
}

/* Whether a failure is the check's own, and no finding about the store. */
static bool says_nothing(int status)
{
    return status == HF_NOMEM || status == HF_ACCESS || status == HF_TIMEOUT || status == HF_INTR;
}

static int give_up(struct fsck *fsck, int status, const struct hf_error *err)
{
    return hf_fail(fsck->err, status, "%s", status == HF_NOMEM ? "out of memory" : err->message);
}

/* A check that cannot run to its end is a finding, and no reason not to look at the rest. */
static int check_engine(struct fsck *fsck)
{
    uint64_t before = fsck->totals.findings;
    struct hf_error err = {0};
    struct check_finding finding = {.what = "store", .message = err.message};
    int rc = store_check(fsck->store, take_finding, fsck, &err);

    if (rc != HF_OK && says_nothing(rc))
        return give_up(fsck, rc, &err);
    if (rc == HF_OK || (fsck->totals.findings > before && err.status != rc))
        return rc;
    finding.status = rc;
    return tell(fsck, &finding);
}

/* --- roots ----------------------------------------------------------------------------------------------- */

static void pin_clear(struct pin *pin)
{
    if (pin->owns_name)
        free(pin->name);
    free(pin->label);
}

/* Versions of one session come one after another mostly, and share its name. */
static int name_pin(const struct fsck *fsck, const struct root_info *root, struct pin *pin)
{
    const char *name = root->session_name ? root->session_name : "?";
    const struct pin *last = fsck->npins > 0 ? &fsck->pins[fsck->npins - 1] : NULL;

    if (last && strcmp(last->name, name) == 0) {
        pin->name = last->name;
    } else {
        pin->name = strdup(name);
        pin->owns_name = true;
    }
    pin->label = root->label ? strdup(root->label) : NULL;
    return pin->name && (pin->label || !root->label) ? HF_OK : HF_NOMEM;
}

static int take_root(const struct root_info *root, void *arg)
{
    struct fsck *fsck = arg;
    struct pin pin = {
        .kind = root->kind,
        .sid = root->sid,
        .version = root->version,
        .bytes = root->bytes,
        .files = root->files,
        .root = root->root,
        .trashed = root->trashed,
    };

    if (fsck->npins == fsck->cap) {
        size_t cap = fsck->cap ? fsck->cap * 2 : 64;
        struct pin *pins = reallocarray(fsck->pins, cap, sizeof *pins);

        if (!pins)
            return hf_fail(fsck->err, HF_NOMEM, "out of memory");
        fsck->pins = pins;
        fsck->cap = cap;
    }
    if (name_pin(fsck, root, &pin) != HF_OK) {
        pin_clear(&pin);
        return hf_fail(fsck->err, HF_NOMEM, "out of memory");
    }
    fsck->pins[fsck->npins++] = pin;
    return HF_OK;
}

static int list_roots(struct fsck *fsck)
{
    struct hf_error err = {0};
    struct check_finding finding = {.what = "store", .message = err.message};
    int rc = store_roots(fsck->store, take_root, fsck, &err);

    if (rc == HF_OK)
        return rc;
    if (says_nothing(rc))
        return give_up(fsck, rc, &err);
    /* What was listed before the damage is walked all the same. */
    finding.status = rc;
    return tell(fsck, &finding);
}

/* --- what was forgotten meanwhile ------------------------------------------------------------------------ */

/* Looks for the root of a pin. */
struct search {
    const struct pin *pin;
    bool found;
};

static int compare_version(const struct history_entry *entry, void *arg)
{
    struct search *search = arg;

    search->found |=
        entry->version == search->pin->version && object_id_equal(&entry->root, &search->pin->root);
    return HF_OK;
}

static int compare_pinned(const struct pin_info *pinned, void *arg)
{
    struct search *search = arg;

    search->found |=
        pinned->sid == search->pin->sid && object_id_equal(&pinned->root, &search->pin->root);
    return HF_OK;
}

static int compare_rescue(const struct rescue_info *rescue, void *arg)
{
    struct search *search = arg;

    search->found |= object_id_equal(&rescue->root, &search->pin->root);
    return HF_OK;
}

static bool look_whether_kept(const struct fsck *fsck)
{
    const struct pin *pin = fsck->walked;
    struct search search = {.pin = pin};
    int rc;

    if (pin->kind == ROOT_SNAPSHOT)
        rc = store_snapshot_pins(fsck->store, pin->label, compare_pinned, &search, NULL);
    else if (pin->kind == ROOT_RESCUE)
        rc = store_rescue_list(fsck->store, pin->sid, compare_rescue, &search, NULL);
    else /* a head that was moved is a version like others */
        rc = store_history(fsck->store, pin->sid, pin->version, 1, compare_version, &search, NULL);
    return rc == HF_OK ? search.found : rc != HF_NOENT;
}

/* Whether the store still keeps the root that is walked: what only one that it has forgotten meanwhile leads to may
 * have been collected. */
static bool is_kept(struct fsck *fsck)
{
    if (fsck->fate == UNKNOWN)
        fsck->fate = look_whether_kept(fsck) ? KEPT : FORGOTTEN;
    return fsck->fate == KEPT;
}

/* --- references ------------------------------------------------------------------------------------------ */

static int take_damage(int status, const struct object_id *id, const char *message, void *arg)
{
    struct fsck *fsck = arg;
    struct check_finding finding = {
        .status = status, .what = "object", .message = message, .has_object = true, .object = *id};

    if (idmap_find(&fsck->told, id) || (status == HF_MISSING && !is_kept(fsck)))
        return HF_OK;
    return tell(fsck, &finding);
}

/* "version 7 of session alpha, in the trash" */
static void describe(const struct pin *pin, char *ret_text, size_t size)
{
    static const char *const kinds[] = {"root", "head", "version", "snapshot", "rescue"};
    const char *trash = pin->trashed ? ", in the trash," : "";
    char session[300];

    if (pin->sid == SHARED_SID)
        snprintf(session, sizeof session, "the shared tree");
    else
        snprintf(session, sizeof session, "session %s%s", pin->name, trash);
    if (pin->label)
        snprintf(ret_text, size, "%s %s of version %llu of %s", kinds[pin->kind], pin->label,
                 (unsigned long long)pin->version, session);
    else
        snprintf(ret_text, size, "%s %llu of %s",
                 pin->kind == ROOT_HEAD ? "the head, version" : kinds[pin->kind],
                 (unsigned long long)pin->version, session);
}

static int tell_pin(struct fsck *fsck, const struct pin *pin, const struct object_id *damage,
                    const char *what)
{
    static const char *const kinds[] = {"root", "head", "history", "snapshot", "rescue"};
    char text[420], message[480], hex[OBJECT_ID_HEX_SIZE] = "";
    struct check_finding finding = {.status = HF_CORRUPT,
                                    .what = kinds[pin->kind],
                                    .message = message,
                                    .has_session = true,
                                    .sid = pin->sid,
                                    .version = pin->version};

    describe(pin, text, sizeof text);
    if (damage) {
        finding.has_object = true;
        finding.object = *damage;
        object_id_hex(damage, hex);
    }
    snprintf(message, sizeof message, "%s %s%s", text, what, hex);
    return tell(fsck, &finding);
}

static int walk_pin(struct fsck *fsck, struct graph *graph, const struct pin *pin)
{
    struct graph_totals totals;
    char what[160];
    int rc;

    fsck->walked = pin;
    fsck->fate = UNKNOWN;
    rc = graph_walk(graph, &pin->root, &totals, fsck->err);
    if (rc != HF_OK || (totals.damage && !is_kept(fsck)))
        return rc;
    if (totals.damage)
        return tell_pin(fsck, pin, totals.damage, "is damaged: it needs object ");
    if (totals.bytes == pin->bytes && totals.files == pin->files)
        return HF_OK;
    snprintf(what, sizeof what, "is recorded with %llu bytes in %llu files, and has %llu in %llu",
             (unsigned long long)pin->bytes, (unsigned long long)pin->files,
             (unsigned long long)totals.bytes, (unsigned long long)totals.files);
    return tell_pin(fsck, pin, NULL, what);
}

static int compare_pins(const void *a, const void *b)
{
    const struct pin *left = a, *right = b;

    if (left->sid != right->sid)
        return left->sid < right->sid ? -1 : 1;
    if (left->version != right->version)
        return left->version < right->version ? -1 : 1;
    return (int)left->kind - (int)right->kind;
}

/* Whether a pin is the row of history of the head before it: what is said of one holds of both. */
static bool is_heads_own(const struct fsck *fsck, size_t i)
{
    const struct pin *pin = &fsck->pins[i], *head = pin - 1;

    return i > 0 && head->kind == ROOT_HEAD && pin->kind == ROOT_HISTORY && head->sid == pin->sid &&
           head->version == pin->version && object_id_equal(&head->root, &pin->root) &&
           head->bytes == pin->bytes && head->files == pin->files;
}

static int walk_pins(struct fsck *fsck)
{
    const struct fsck_options *options = fsck->options;
    struct store_stats stats = {0};
    struct graph graph;
    int rc = HF_OK;

    if (options->progress)
        (void)store_stats(fsck->store, &stats,
                          NULL); /* without it, no one knows how much there is */
    if (fsck->npins > 0)
        qsort(fsck->pins, fsck->npins, sizeof *fsck->pins, compare_pins);
    graph_init(&graph, fsck->store, take_damage, fsck);
    for (size_t i = 0; rc == HF_OK && i < fsck->npins; i++) {
        if (!is_heads_own(fsck, i))
            rc = walk_pin(fsck, &graph, &fsck->pins[i]);
        if (options->progress && (i % PROGRESS_STEP == 0 || i + 1 == fsck->npins))
            options->progress(graph_count(&graph), stats.objects, options->progress_arg);
    }
    fsck->totals.objects = graph_count(&graph);
    fsck->totals.roots = fsck->npins;
    graph_free(&graph);
    return rc;
}

int fsck_run(struct store *store, const struct fsck_options *options,
             struct fsck_totals *ret_totals, struct hf_error *err)
{
    struct fsck fsck = {.store = store, .options = options, .err = err};
    int rc = check_engine(&fsck);

    if (rc == HF_OK)
        rc = list_roots(&fsck);
    if (rc == HF_OK)
        rc = walk_pins(&fsck);
    for (size_t i = 0; i < fsck.npins; i++)
        pin_clear(&fsck.pins[i]);
    free(fsck.pins);
    idmap_free(&fsck.told);
    if (rc == HF_OK)
        *ret_totals = fsck.totals;
    return rc;
}
