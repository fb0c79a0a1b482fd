/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>

#include "object/object.h"

/* Fetching an algorithm takes OpenSSL's locks and searches its providers: done once, kept for ever. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;
static EVP_MAC *hmac;

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static int hash_plain(uint8_t kind, const void *content, size_t len, struct object_id *ret_id)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    struct object_id id;
    bool ok = ctx && sha256 && EVP_DigestInit_ex2(ctx, sha256, NULL) &&
              EVP_DigestUpdate(ctx, &kind, 1) && EVP_DigestUpdate(ctx, content, len) &&
              EVP_DigestFinal_ex(ctx, id.bytes, NULL);

    EVP_MD_CTX_free(ctx);
    if (!ok)
        return HF_NOMEM;
    *ret_id = id;
    return HF_OK;
}

static int hash_keyed(const struct object_hasher *hasher, uint8_t kind, const void *content,
                      size_t len, struct object_id *ret_id)
{
    static char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    struct object_id id;
    size_t size = 0;
    bool ok = ctx && EVP_MAC_init(ctx, hasher->key, sizeof hasher->key, params) &&
              EVP_MAC_update(ctx, &kind, 1) && EVP_MAC_update(ctx, content, len) &&
              EVP_MAC_final(ctx, id.bytes, &size, sizeof id.bytes) && size == sizeof id.bytes;

    EVP_MAC_CTX_free(ctx);
    if (!ok)
        return HF_NOMEM;
    *ret_id = id;
    return HF_OK;
}

int object_id_compute(const struct object_hasher *hasher, enum object_kind kind,
                      const void *content, size_t len, struct object_id *ret_id)
{
    assert(len <= OBJECT_MAX_SIZE);
    pthread_once(&once, fetch);
    return hasher->keyed ? hash_keyed(hasher, (uint8_t)kind, content, len, ret_id)
                         : hash_plain((uint8_t)kind, content, len, ret_id);
}

int object_digest(const void *bytes, size_t len, struct object_id *ret_digest)
{
    pthread_once(&once, fetch);
    return hash_plain(0, bytes, len, ret_digest);
}

void object_id_hex(const struct object_id *id, char hex[OBJECT_ID_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < OBJECT_ID_SIZE; i++) {
        hex[2 * i] = digits[id->bytes[i] >> 4];
        hex[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    hex[OBJECT_ID_HEX_SIZE - 1] = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int object_id_parse(const char *hex, struct object_id *ret_id)
{
    struct object_id id;

    for (size_t i = 0; i < OBJECT_ID_SIZE; i++) {
        int high = digit_value(hex[2 * i]);
        int low = high < 0 ? -1 : digit_value(hex[2 * i + 1]);

        if (low < 0)
            return HF_INVAL;
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (hex[OBJECT_ID_HEX_SIZE - 1] != '\0')
        return HF_INVAL;
    *ret_id = id;
    return HF_OK;
}
