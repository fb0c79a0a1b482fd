/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/eventlog.h"

#include <stdlib.h>
#include <string.h>

#include "base/htable.h"
#include "base/jsonscan.h"
#include "base/utf8.h"
#include "object/object.h"

/** What stands between two events is told in so many parts at most. */
#define GAP_MAX 64
/** A torn line is searched for whole records for so many times its length, and no longer. */
#define SEARCH_MAX 8

/** An event that was met. */
struct seen {
    struct hnode node;
    struct object_id id, content; /* hashes */
    uint64_t line;
};

/** A part of a line that is no event, from offset `start` of the line. */
struct piece {
    enum eventlog_kind kind; /* 0: white space */
    size_t start, end;
    uint64_t other;
};

/** A record in the line. */
struct record {
    size_t start, end;
    struct slice type, id, timestamp;
    bool said; /* it has what events have */
};

struct eventlog {
    struct eventlog_listener listener;
    struct htable seen;
    struct buf pending;    /* the beginning of a line */
    bool passing;          /* over a line that is too long */
    uint64_t line, offset; /* of the line being read */
    uint64_t fed;
    /* Of the line being judged. */
    struct slice text;
    bool any; /* events in it so far */
    struct piece gap[GAP_MAX];
    size_t ngap;
};

struct eventlog *eventlog_new(const struct eventlog_listener *listener)
{
    struct eventlog *log = calloc(1, sizeof *log);

    if (log) {
        log->listener = *listener;
        log->line = 1;
    }
    return log;
}

static void free_seen(struct hnode *node, void *arg)
{
    (void)arg;
    free(HTABLE_ENTRY(node, struct seen, node));
}

void eventlog_free(struct eventlog *log)
{
    if (!log)
        return;
    htable_each(&log->seen, free_seen, NULL);
    htable_free(&log->seen);
    buf_free(&log->pending);
    free(log);
}

void eventlog_restart(struct eventlog *log)
{
    log->pending.len = 0;
    log->passing = false;
    log->line = 1;
    log->offset = log->fed = 0;
}

uint64_t eventlog_offset(const struct eventlog *log)
{
    return log->fed;
}

const char *eventlog_kind_text(enum eventlog_kind kind)
{
    static const char *const texts[] = {
        [EVENTLOG_NULS] = "NUL bytes",
        [EVENTLOG_TORN] = "torn",
        [EVENTLOG_JOINED] = "run together",
        [EVENTLOG_UTF8] = "no UTF-8",
        [EVENTLOG_DUPLICATE] = "duplicate",
        [EVENTLOG_EMPTY] = "empty line",
        [EVENTLOG_UNENDED] = "no newline at the end",
        [EVENTLOG_SAME_ID] = "same id",
        [EVENTLOG_LONG] = "line too long",
    };

    return texts[kind];
}

/* --- telling ------------------------------------------------------------------------------------ */

static int tell(struct eventlog *log, struct eventlog_damage damage, size_t start, size_t len)
{
    size_t shown = start < log->text.len ? log->text.len - start : 0;

    if (!log->listener.damage)
        return HF_OK;
    damage.line = log->line;
    damage.offset = log->offset + start;
    damage.len = len;
    damage.mendable = damage.put != NULL;
    damage.text = slice_of(shown > 0 ? log->text.data + start : NULL, shown < len ? shown : len);
    return log->listener.damage(&damage, log->listener.arg);
}

static void add_piece(struct eventlog *log, struct piece piece)
{
    struct piece *last = log->ngap > 0 ? &log->gap[log->ngap - 1] : NULL;

    if (last && (log->ngap == GAP_MAX || last->kind == 0 || piece.kind == 0)) {
        if (piece.kind != 0)
            last->kind = last->kind == 0 ? piece.kind : EVENTLOG_TORN;
        last->other = last->other ? last->other : piece.other;
        last->end = piece.end;
        return;
    }
    log->gap[log->ngap++] = piece;
}

/** Tells of what has gathered since the last event. `put` takes the place of all of it. */
static int tell_gap(struct eventlog *log, const char *put)
{
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < log->ngap; i++) {
        const struct piece *piece = &log->gap[i];

        rc = tell(log,
                  (struct eventlog_damage){
                      .kind = piece->kind, .put = i == 0 ? put : "", .other = piece->other},
                  piece->start, piece->end - piece->start);
    }
    log->ngap = 0;
    return rc;
}

/** Before an event that begins at `start` of the line. */
static int tell_between(struct eventlog *log, size_t start)
{
    bool blank = log->ngap == 1 && log->gap[0].kind == 0;

    if (!log->any && blank)
        log->ngap = 0;
    if (!log->any)
        return tell_gap(log, "");
    if (blank)
        log->gap[0].kind = EVENTLOG_JOINED;
    if (log->ngap == 0)
        return tell(log, (struct eventlog_damage){.kind = EVENTLOG_JOINED, .put = "\n"}, start, 0);
    return tell_gap(log, "\n");
}

/** At the end of a line; `newline`: there is one. */
static int tell_rest(struct eventlog *log, bool newline)
{
    bool blank = log->ngap == 1 && log->gap[0].kind == 0;

    if (log->any) {
        int rc = HF_OK;

        if (!blank)
            rc = tell_gap(log, "");
        log->ngap = 0;
        if (rc == HF_OK && !newline)
            rc = tell(log, (struct eventlog_damage){.kind = EVENTLOG_UNENDED, .put = "\n"},
                      log->text.len, 0);
        return rc;
    }
    /* Nothing stays of the line. */
    if (log->ngap == 0 || blank)
        log->gap[0] = (struct piece){.kind = EVENTLOG_EMPTY};
    log->ngap = log->ngap > 0 ? log->ngap : 1;
    log->gap[log->ngap - 1].end = log->text.len + (newline ? 1 : 0);
    return tell_gap(log, "");
}

/* --- events ------------------------------------------------------------------------------------- */

/** Whether the event was there before: *ret_kind is DUPLICATE, SAME_ID or 0, *ret_line the line of the first one.
 *  It is, from now on. */
static int meet(struct eventlog *log, const struct record *record, enum eventlog_kind *ret_kind,
                uint64_t *ret_line)
{
    struct slice text = slice_of(log->text.data + record->start, record->end - record->start);
    struct object_id id, content;
    struct seen *seen;
    int rc;

    *ret_kind = 0;
    if (record->id.len == 0)
        return HF_OK;
    rc = object_digest(record->id.data, record->id.len, &id);
    if (rc == HF_OK)
        rc = object_digest(text.data, text.len, &content);
    if (rc != HF_OK)
        return rc;
    for (struct hnode *node = htable_find(&log->seen, object_id_hash(&id)); node;
         node = htable_next(node)) {
        seen = HTABLE_ENTRY(node, struct seen, node);
        if (!object_id_equal(&seen->id, &id))
            continue;
        *ret_kind =
            object_id_equal(&seen->content, &content) ? EVENTLOG_DUPLICATE : EVENTLOG_SAME_ID;
        *ret_line = seen->line;
        if (*ret_kind == EVENTLOG_DUPLICATE)
            return HF_OK;
    }
    seen = calloc(1, sizeof *seen);
    if (!seen)
        return HF_NOMEM;
    *seen = (struct seen){.id = id, .content = content, .line = log->line};
    if (htable_insert(&log->seen, &seen->node, object_id_hash(&id)) != HF_OK) {
        free(seen);
        return HF_NOMEM;
    }
    return HF_OK;
}

/** Tells of the bytes of an event that are no UTF-8. */
static int tell_utf8(struct eventlog *log, const struct record *record)
{
    size_t at = record->start;
    int rc = HF_OK;

    while (rc == HF_OK) {
        size_t bad;

        at += utf8_check(slice_of(log->text.data + at, record->end - at));
        if (at == record->end)
            break;
        for (bad = at; bad < record->end &&
                       utf8_length(slice_of(log->text.data + bad, record->end - bad)) == 0;)
            bad++;
        rc = tell(log, (struct eventlog_damage){.kind = EVENTLOG_UTF8, .put = "\xef\xbf\xbd"}, at,
                  bad - at);
        at = bad;
    }
    return rc;
}

static int give(struct eventlog *log, const struct record *record)
{
    struct eventlog_event event = {
        .line = log->line,
        .offset = log->offset + record->start,
        .text = slice_of(log->text.data + record->start, record->end - record->start),
        .type = record->type,
        .id = record->id,
        .timestamp = record->timestamp,
    };

    return log->listener.event ? log->listener.event(&event, log->listener.arg) : HF_OK;
}

static int take_record(struct eventlog *log, const struct record *record)
{
    enum eventlog_kind kind;
    uint64_t other = 0;
    int rc = meet(log, record, &kind, &other);

    if (rc != HF_OK)
        return rc;
    if (kind == EVENTLOG_DUPLICATE) {
        add_piece(log,
                  (struct piece){
                      .kind = kind, .start = record->start, .end = record->end, .other = other});
        return HF_OK;
    }
    rc = tell_between(log, record->start);
    if (rc == HF_OK && kind == EVENTLOG_SAME_ID)
        rc = tell(log, (struct eventlog_damage){.kind = kind, .other = other}, record->start, 0);
    if (rc == HF_OK)
        rc = tell_utf8(log, record);
    log->any = true;
    return rc == HF_OK ? give(log, record) : rc;
}

/* --- lines -------------------------------------------------------------------------------------- */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static size_t skip_space(struct slice text, size_t at, size_t end)
{
    while (at < end && is_space(text.data[at]))
        at++;
    return at;
}

/** Reads an object that begins at `at`. *ret_cost: bytes looked at. */
static bool read_record(struct slice text, size_t at, size_t end, struct record *ret_record,
                        size_t *ret_cost)
{
    struct jsonscan_member members[] = {
        {.path = "type"}, {.path = "id"}, {.path = "timestamp"}, {.path = "data"}};

    *ret_cost = 0;
    if (at == end || text.data[at] != '{' ||
        jsonscan(slice_of(text.data + at, end - at), members, 4, ret_cost) != JSONSCAN_WHOLE)
        return false;
    *ret_record = (struct record){
        .start = at,
        .end = at + *ret_cost,
        .type = jsonscan_plain(members[0].value),
        .id = jsonscan_plain(members[1].value),
        .timestamp = jsonscan_plain(members[2].value),
    };
    ret_record->said =
        ret_record->type.len > 0 &&
        (ret_record->id.len > 0 || (members[3].value.len > 0 && members[3].value.data[0] == '{'));
    return true;
}

/** The next record in text[at, end) after something torn, of which it must not be a part: nothing but a record
 *  follows it. Its start, or `end`. */
static size_t find_record(struct slice text, size_t at, size_t end)
{
    size_t left = (end - at) * SEARCH_MAX;

    for (; at < end; at++) {
        const uint8_t *brace = memchr(text.data + at, '{', end - at);
        struct record record;
        size_t cost, next;

        if (!brace)
            break;
        at = (size_t)(brace - text.data);
        if (read_record(text, at, end, &record, &cost) && record.said) {
            next = skip_space(text, record.end, end);
            if (next == end || text.data[next] == '{')
                return at;
        }
        if (cost + 1 > left)
            break;
        left -= cost + 1;
    }
    return end;
}

/** Judges text[at, end) of the line, in which no NUL is. */
static int judge_part(struct eventlog *log, size_t at, size_t end)
{
    bool whole_line = at == 0 && end == log->text.len;
    int rc = HF_OK;

    while (rc == HF_OK && at < end) {
        size_t start = skip_space(log->text, at, end), next, cost;
        struct record record;

        if (start > at)
            add_piece(log, (struct piece){.start = at, .end = start});
        if (start == end)
            break;
        /* What fills a line alone need not say what it is. */
        if (read_record(log->text, start, end, &record, &cost) &&
            (record.said ||
             (whole_line && skip_space(log->text, record.end, end) == end && !log->any))) {
            rc = take_record(log, &record);
            at = record.end;
            continue;
        }
        next = find_record(log->text, start + 1, end);
        add_piece(log, (struct piece){.kind = EVENTLOG_TORN, .start = start, .end = next});
        at = next;
    }
    return rc;
}

/** Judges a line; `newline`: it is ended by one. */
static int judge(struct eventlog *log, struct slice text, bool newline)
{
    int rc = HF_OK;

    log->text = text;
    log->any = false;
    log->ngap = 0;
    for (size_t at = 0; rc == HF_OK && at < text.len;) {
        const uint8_t *nul = memchr(text.data + at, 0, text.len - at);
        size_t end = nul ? (size_t)(nul - text.data) : text.len;

        rc = judge_part(log, at, end);
        for (at = end; at < text.len && text.data[at] == 0;)
            at++;
        if (rc == HF_OK && at > end)
            add_piece(log, (struct piece){.kind = EVENTLOG_NULS, .start = end, .end = at});
    }
    if (rc == HF_OK && (newline || text.len > 0))
        rc = tell_rest(log, newline);
    log->offset += text.len + (newline ? 1 : 0);
    log->line++;
    return rc;
}

/** A line that was too long has ended. */
static int pass_over(struct eventlog *log, uint64_t end)
{
    uint64_t len = end - log->offset;
    int rc;

    log->passing = false;
    log->text = (struct slice){0};
    rc = log->listener.damage
             ? log->listener.damage(
                   &(struct eventlog_damage){
                       .kind = EVENTLOG_LONG, .line = log->line, .offset = log->offset, .len = len},
                   log->listener.arg)
             : HF_OK;
    log->offset = end;
    log->line++;
    return rc;
}

/** Takes bytes of one line, up to and with its newline if that is there. */
static int take_bytes(struct eventlog *log, struct slice bytes, bool newline)
{
    size_t len = bytes.len - (newline ? 1 : 0);
    int rc = HF_OK;

    log->fed += bytes.len;
    if (log->passing)
        return newline ? pass_over(log, log->fed) : HF_OK;
    if (newline && log->pending.len == 0 && len <= EVENTLOG_LINE_MAX)
        return judge(log, slice_of(bytes.data, len), true);
    if (len > EVENTLOG_LINE_MAX - log->pending.len) {
        buf_free(&log->pending);
        log->passing = true;
        return newline ? pass_over(log, log->fed) : HF_OK;
    }
    rc = buf_append(&log->pending, bytes.data, len);
    if (rc == HF_OK && newline) {
        rc = judge(log, buf_slice(&log->pending), true);
        log->pending.len = 0;
    }
    return rc;
}

int eventlog_feed(struct eventlog *log, struct slice bytes)
{
    int rc = HF_OK;

    while (rc == HF_OK && bytes.len > 0) {
        const uint8_t *newline = memchr(bytes.data, '\n', bytes.len);
        size_t n = newline ? (size_t)(newline - bytes.data) + 1 : bytes.len;

        rc = take_bytes(log, slice_of(bytes.data, n), newline != NULL);
        bytes = slice_of(bytes.data + n, bytes.len - n);
    }
    return rc;
}

int eventlog_end(struct eventlog *log)
{
    int rc = HF_OK;

    if (log->passing)
        return pass_over(log, log->fed);
    if (log->pending.len > 0)
        rc = judge(log, buf_slice(&log->pending), false);
    log->pending.len = 0;
    return rc;
}
