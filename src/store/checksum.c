/* SPDX-License-Identifier: Apache-2.0 */
#include "store/checksum.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "base/bytes.h"
#include "holdfast/error.h"

static void add(struct checksum *sum, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (sum->overflow.len == 0 && len <= sizeof sum->bytes - sum->len) {
        memcpy(sum->bytes + sum->len, data, len);
        sum->len += len;
        return;
    }
    if (sum->status == HF_OK && sum->overflow.len == 0)
        sum->status = buf_append(&sum->overflow, sum->bytes, sum->len);
    if (sum->status == HF_OK)
        sum->status = buf_append(&sum->overflow, data, len);
}

static void add_header(struct checksum *sum, char type, uint64_t value)
{
    uint8_t header[9];

    header[0] = (uint8_t)type;
    bytes_put_u64(header + 1, value);
    add(sum, header, sizeof header);
}

void checksum_start(struct checksum *sum, const char *table)
{
    sum->overflow = (struct buf){0};
    sum->len = 0;
    sum->status = HF_OK;
    checksum_text(sum, table);
}

void checksum_int(struct checksum *sum, int64_t value)
{
    add_header(sum, 'i', (uint64_t)value);
}

void checksum_text(struct checksum *sum, const char *text)
{
    size_t len = text ? strlen(text) : 0;

    add_header(sum, text ? 't' : 'n', len);
    add(sum, text, len);
}

void checksum_blob(struct checksum *sum, const void *data, size_t len)
{
    add_header(sum, 'b', len);
    add(sum, data, len);
}

/* Fetching the algorithm costs more than the checksum of a row. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

int checksum_end(struct checksum *sum, int64_t *ret_value)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    struct slice bytes =
        sum->overflow.len > 0 ? buf_slice(&sum->overflow) : slice_of(sum->bytes, sum->len);

    pthread_once(&once, fetch);
    if (sum->status == HF_OK &&
        !(sha256 && EVP_Digest(bytes.data, bytes.len, digest, NULL, sha256, NULL)))
        sum->status = HF_NOMEM;
    if (sum->status == HF_OK)
        *ret_value = (int64_t)bytes_get_u64(digest);
    buf_free(&sum->overflow);
    return sum->status;
}
