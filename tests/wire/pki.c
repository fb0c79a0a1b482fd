/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *test_pki_path(struct test_pki *pki, const char *file)
{
    char **path = &pki->paths[pki->next_path++ % 8];

    free(*path);
    assert(asprintf(path, "%s/%s", pki->dir, file) > 0);
    return *path;
}

static void write_file(struct test_pki *pki, const char *file, const struct buf *text)
{
    int fd = open(test_pki_path(pki, file), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert(fd >= 0);
    assert(write(fd, text->data, text->len) == (ssize_t)text->len);
    close(fd);
}

static void write_crl(struct test_pki *pki, X509_CRL *crl)
{
    BUF_AUTO text = {0};

    assert(pki_print_crl(crl, &text, NULL) == 0);
    write_file(pki, PKI_CRL_FILE, &text);
}

void test_pki_other_ca(struct pki_pair *ret_ca)
{
    int64_t now = time(NULL);
    struct pki_request request = {
        .kind = PKI_CA, .name = "another CA", .not_before = now - 3600, .not_after = now + 86400};

    assert(pki_issue(&request, NULL, ret_ca, NULL) == 0);
}

void test_pki_make(struct test_pki *pki)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "::1"};
    const char *tmp = getenv("TMPDIR");
    BUF_AUTO text = {0};
    X509_CRL *crl;

    memset(pki, 0, sizeof *pki);
    snprintf(pki->dir, sizeof pki->dir, "%s/holdfast-pki-XXXXXX", tmp ? tmp : "/tmp");
    assert(mkdtemp(pki->dir));
    test_pki_other_ca(&pki->ca);
    assert(pki_print_certificate(pki->ca.certificate, &text, NULL) == 0);
    write_file(pki, PKI_CA_FILE, &text);
    assert(pki_crl_new(&pki->ca, &crl, NULL) == 0);
    write_crl(pki, crl);
    X509_CRL_free(crl);
    test_pki_issue(
        pki,
        (struct pki_request){.kind = PKI_SERVER, .name = "localhost", .hosts = hosts, .nhosts = 3},
        &pki->ca, PKI_SERVER_FILE);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

void test_pki_remove(struct test_pki *pki)
{
    assert(nftw(pki->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    for (size_t i = 0; i < 8; i++)
        free(pki->paths[i]);
    pki_pair_release(&pki->ca);
}

void test_pki_issue(struct test_pki *pki, struct pki_request request, const struct pki_pair *issuer,
                    const char *file)
{
    struct hf_error err = {0};
    struct pki_pair pair = {0};
    BUF_AUTO text = {0};
    int status;

    if (!request.not_before)
        request.not_before = time(NULL) - 3600;
    if (!request.not_after)
        request.not_after = time(NULL) + 86400;
    status = pki_issue(&request, issuer, &pair, &err);
    if (status != 0)
        fprintf(stderr, "%s: %s\n", file, err.message);
    assert(status == 0);
    assert(pki_print_bundle(&pair, pki->ca.certificate, &text, NULL) == 0);
    write_file(pki, file, &text);
    pki_pair_release(&pair);
}

void test_pki_host(struct test_pki *pki, const char *name, const char *uri)
{
    char file[128];

    snprintf(file, sizeof file, "%s.pem", name);
    test_pki_issue(pki, (struct pki_request){.kind = PKI_HOST, .name = name, .uri = uri}, &pki->ca,
                   file);
}

void test_pki_revoke(struct test_pki *pki, const char *file)
{
    FILE *in = fopen(test_pki_path(pki, file), "re");
    X509 *certificate = in ? PEM_read_X509(in, NULL, NULL, NULL) : NULL;
    X509_CRL *crl;

    assert(certificate);
    fclose(in);
    in = fopen(test_pki_path(pki, PKI_CRL_FILE), "re");
    crl = in ? PEM_read_X509_CRL(in, NULL, NULL, NULL) : NULL;
    assert(crl);
    fclose(in);
    assert(pki_crl_add(&pki->ca, crl, X509_get0_serialNumber(certificate), time(NULL), NULL) == 0);
    write_crl(pki, crl);
    X509_CRL_free(crl);
    X509_free(certificate);
}

struct tls_files test_pki_files(struct test_pki *pki, const char *bundle, bool crl)
{
    const char *path = test_pki_path(pki, bundle);

    return (struct tls_files){.certificate = path,
                              .key = path,
                              .ca = test_pki_path(pki, PKI_CA_FILE),
                              .crl = crl ? test_pki_path(pki, PKI_CRL_FILE) : NULL};
}
