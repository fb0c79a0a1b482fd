/* SPDX-License-Identifier: Apache-2.0 */
#include "authority.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "certificate.h"
#include "names.h"

#define ISSUED_DIR "issued"

struct authority {
    int fd; /* of the directory */
    struct buf dir;
    struct pki_pair ca; /* without a key unless it was opened to sign */
};

static const char *dir_text(const struct authority *authority)
{
    return (const char *)authority->dir.data;
}

/* --- files ---------------------------------------------------------------------------------------------- */

static int write_whole(int fd, const struct buf *content)
{
    size_t done = 0;

    while (done < content->len) {
        ssize_t n = write(fd, content->data + done, content->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    return fsync(fd);
}

/* At `name` in the directory; `shown` is for the sentence. */
static int write_at(int dirfd, const char *name, const char *shown, const struct buf *content,
                    bool replace, mode_t mode, struct hf_error *err)
{
    char work[NAME_MAX + 32];
    int fd, error = 0;

    snprintf(work, sizeof work, ".%.200s.%ld.new", name, (long)getpid());
    fd = openat(dirfd, work, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return hf_fail(err, hf_status_from_errno(errno), "cannot write %s: %s", shown,
                       strerror(errno));
    if (write_whole(fd, content) != 0 || fchmod(fd, mode) != 0)
        error = errno;
    if (close(fd) != 0 && !error)
        error = errno;
    if (!error && renameat2(dirfd, work, dirfd, name, replace ? 0 : RENAME_NOREPLACE) != 0)
        error = errno;
    if (!error)
        return fsync(dirfd) == 0
                   ? 0
                   : hf_fail(err, HF_IO, "cannot write %s: %s", shown, strerror(errno));
    (void)unlinkat(dirfd, work, 0);
    if (error == EEXIST)
        return hf_fail(err, HF_EXIST, "there is a file %s already", shown);
    return hf_fail(err, hf_status_from_errno(error), "cannot write %s: %s", shown, strerror(error));
}

int authority_write(const char *path, const struct buf *content, bool replace, struct hf_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char dir[PATH_MAX];
    int fd, status;

    if (snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1,
                 slash ? path : ".") >= (int)sizeof dir ||
        !*name || strlen(name) > 200)
        return hf_fail(err, HF_USAGE, "'%.100s' is not the name of a file", path);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return hf_fail(err, hf_status_from_errno(errno), "cannot write %s: %s", path,
                       strerror(errno));
    status = write_at(fd, name, path, content, replace, 0600, err);
    close(fd);
    return status;
}

static int write_own(struct authority *authority, const char *name, const struct buf *content,
                     bool replace, mode_t mode, struct hf_error *err)
{
    char shown[PATH_MAX];

    snprintf(shown, sizeof shown, "%s/%s", dir_text(authority), name);
    return write_at(authority->fd, name, shown, content, replace, mode, err);
}

/* NULL with a sentence. */
static FILE *open_own(struct authority *authority, const char *name, struct hf_error *err)
{
    int fd = openat(authority->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

    if (file)
        return file;
    (void)hf_fail(err, errno == ENOENT ? HF_NOENT : HF_CONFIG, "cannot read %s/%s: %s",
                  dir_text(authority), name, strerror(errno));
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* --- the directory ----------------------------------------------------------------------------------------- */

static int append_text(struct buf *buf, const char *text, struct hf_error *err)
{
    if (buf_append(buf, text, strlen(text)) != 0)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return 0;
}

int authority_dir(const char *given, struct buf *ret_dir, struct hf_error *err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int status;

    if (given && *given) {
        status = append_text(ret_dir, given, err);
    } else if (geteuid() == 0) {
        status = append_text(ret_dir, "/etc/holdfast/pki", err);
    } else if (config && *config == '/') {
        status = append_text(ret_dir, config, err);
        status = status ? status : append_text(ret_dir, "/holdfast/pki", err);
    } else if (home && *home == '/') {
        status = append_text(ret_dir, home, err);
        status = status ? status : append_text(ret_dir, "/.config/holdfast/pki", err);
    } else {
        status = hf_fail(err, HF_CONFIG, "neither --dir nor $HOME is set");
    }
    if (!status && buf_append(ret_dir, "", 1) != 0)
        status = hf_fail(err, HF_NOMEM, "out of memory");
    return status;
}

/* Makes all of it that is missing. */
static int make_dirs(const char *dir, struct hf_error *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/", dir) >= (int)sizeof path)
        return hf_fail(err, HF_NAMETOOLONG, "the path of the directory is too long");
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return hf_fail(err, hf_status_from_errno(errno), "cannot make the directory %s: %s",
                           path, strerror(errno));
        *slash = '/';
    }
    return 0;
}

static int attach(const char *dir, struct authority **ret_authority, struct hf_error *err)
{
    struct authority *authority = calloc(1, sizeof *authority);

    if (!authority || buf_append(&authority->dir, dir, strlen(dir) + 1) != 0) {
        free(authority);
        return hf_fail(err, HF_NOMEM, "out of memory");
    }
    authority->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (authority->fd < 0) {
        int error = errno, status = hf_status_from_errno(error);
        authority_close(authority);
        assert(status != 0);
        if (error == ENOENT)
            return hf_fail(err, HF_NOENT, "there is no CA in %s; 'holdfast cert init' makes one",
                           dir);
        return hf_fail(err, status, "cannot read %s: %s", dir, strerror(error));
    }
    *ret_authority = authority;
    return 0;
}

void authority_close(struct authority *authority)
{
    if (!authority)
        return;
    if (authority->fd >= 0)
        close(authority->fd);
    buf_free(&authority->dir);
    pki_pair_release(&authority->ca);
    free(authority);
}

X509 *authority_certificate(const struct authority *authority)
{
    return authority->ca.certificate;
}

static int read_key(struct authority *authority, struct hf_error *err)
{
    FILE *file = open_own(authority, PKI_CA_KEY_FILE, err);
    struct stat st;
    int status = 0;

    if (!file)
        return hf_fail_prefix(err, HF_CONFIG, "without the CA's key nothing can be signed");
    if (fstat(fileno(file), &st) != 0 || (st.st_mode & 077))
        status =
            hf_fail(err, HF_CONFIG, "%s/%s can be read by others; chmod 600 it, and ask who did",
                    dir_text(authority), PKI_CA_KEY_FILE);
    else if (!(authority->ca.key = PEM_read_PrivateKey(file, NULL, NULL, NULL)) ||
             X509_check_private_key(authority->ca.certificate, authority->ca.key) != 1)
        status = hf_fail(err, HF_CONFIG, "%s/%s is not the key of %s", dir_text(authority),
                         PKI_CA_KEY_FILE, PKI_CA_FILE);
    fclose(file);
    return status;
}

int authority_open(const char *dir, bool sign, struct authority **ret_authority,
                   struct hf_error *err)
{
    struct authority *authority = NULL;
    FILE *file;
    int status = attach(dir, &authority, err);

    if (status)
        return status;
    file = open_own(authority, PKI_CA_FILE, err);
    if (!file) {
        status =
            hf_fail(err, HF_NOENT, "there is no CA in %s; 'holdfast cert init' makes one", dir);
    } else {
        authority->ca.certificate = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
        if (!authority->ca.certificate)
            status = hf_fail(err, HF_CONFIG, "%s/%s holds no certificate", dir, PKI_CA_FILE);
    }
    if (!status && sign)
        status = read_key(authority, err);
    ERR_clear_error();
    if (status)
        authority_close(authority);
    else
        *ret_authority = authority;
    return status;
}

/* --- issuing ------------------------------------------------------------------------------------------------ */

/* Fills "issued/SERIAL.pem". */
static int record_name(X509 *certificate, char ret_name[NAME_MAX + 1], struct hf_error *err)
{
    char serial[CERTIFICATE_SERIAL_SIZE];
    int status = certificate_serial(certificate, serial, err);

    if (!status)
        snprintf(ret_name, NAME_MAX + 1, "%s.pem", serial);
    return status;
}

static int open_issued(struct authority *authority, struct hf_error *err)
{
    int fd = openat(authority->fd, ISSUED_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return hf_fail(err, errno == ENOENT ? HF_CONFIG : hf_status_from_errno(errno),
                       "cannot read %s/%s: %s", dir_text(authority), ISSUED_DIR, strerror(errno));
    return fd;
}

static int record(struct authority *authority, X509 *certificate, struct hf_error *err)
{
    char name[NAME_MAX + 1], shown[PATH_MAX];
    BUF_AUTO text = {0};
    int fd, status = record_name(certificate, name, err);

    if (!status)
        status = pki_print_certificate(certificate, &text, err);
    if (status)
        return status;
    fd = open_issued(authority, err);
    if (fd < 0)
        return fd;
    snprintf(shown, sizeof shown, "%s/%s/%s", dir_text(authority), ISSUED_DIR, name);
    status = write_at(fd, name, shown, &text, false, 0644, err);
    close(fd);
    return status;
}

int authority_issue(struct authority *authority, const struct pki_request *request,
                    struct buf *ret_bundle, X509 **ret_certificate, struct hf_error *err)
{
    struct pki_pair pair = {0};
    int status = pki_issue(request, &authority->ca, &pair, err);

    if (!status)
        status = record(authority, pair.certificate, err);
    if (!status)
        status = pki_print_bundle(&pair, authority->ca.certificate, ret_bundle, err);
    if (!status && X509_up_ref(pair.certificate))
        *ret_certificate = pair.certificate;
    pki_pair_release(&pair);
    return status;
}

/* --- making one ----------------------------------------------------------------------------------------------- */

static const char *const own_files[] = {PKI_CA_FILE, PKI_CRL_FILE, PKI_SERVER_FILE, PKI_CA_KEY_FILE,
                                        ISSUED_DIR};

static int check_unused(struct authority *authority, struct hf_error *err)
{
    for (size_t i = 0; i < sizeof own_files / sizeof own_files[0]; i++)
        if (faccessat(authority->fd, own_files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return hf_fail(err, HF_EXIST, "there is a CA already: %s/%s", dir_text(authority),
                           own_files[i]);
    if (mkdirat(authority->fd, ISSUED_DIR, 0700) != 0)
        return hf_fail(err, hf_status_from_errno(errno), "cannot make %s/%s: %s",
                       dir_text(authority), ISSUED_DIR, strerror(errno));
    return 0;
}

static int write_list(struct authority *authority, X509_CRL *crl, bool replace,
                      struct hf_error *err)
{
    BUF_AUTO text = {0};
    int status = pki_print_crl(crl, &text, err);

    return status ? status : write_own(authority, PKI_CRL_FILE, &text, replace, 0644, err);
}

static int make_list(struct authority *authority, struct hf_error *err)
{
    X509_CRL *crl = NULL;
    int status = pki_crl_new(&authority->ca, &crl, err);

    if (!status)
        status = write_list(authority, crl, false, err);
    X509_CRL_free(crl);
    return status;
}

static int make_server(struct authority *authority, const struct pki_request *server,
                       struct hf_error *err)
{
    BUF_AUTO text = {0};
    X509 *certificate = NULL;
    int status = authority_issue(authority, server, &text, &certificate, err);

    if (!status)
        status = write_own(authority, PKI_SERVER_FILE, &text, false, 0600, err);
    X509_free(certificate);
    OPENSSL_cleanse(text.data, text.len);
    return status;
}

static int make_ca(struct authority *authority, struct hf_error *err)
{
    BUF_AUTO certificate = {0};
    BUF_AUTO key = {0};
    int status = pki_print_certificate(authority->ca.certificate, &certificate, err);

    if (!status)
        status = pki_print_key(authority->ca.key, &key, err);
    if (!status)
        status = write_own(authority, PKI_CA_FILE, &certificate, false, 0644, err);
    if (!status)
        status = write_own(authority, PKI_CA_KEY_FILE, &key, false, 0600, err);
    OPENSSL_cleanse(key.data, key.len);
    return status;
}

/* Only called between check_unused(), which found none of them, and the end of a failed authority_init(). */
static void unmake(struct authority *authority)
{
    struct names issued = {0};
    int fd = open_issued(authority, NULL);

    if (fd >= 0 && names_read(fd, &issued, NULL) == 0)
        for (size_t i = 0; i < issued.count; i++)
            (void)unlinkat(fd, issued.names[i], 0);
    names_clear(&issued);
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; i < sizeof own_files / sizeof own_files[0]; i++)
        (void)unlinkat(authority->fd, own_files[i],
                       strcmp(own_files[i], ISSUED_DIR) == 0 ? AT_REMOVEDIR : 0);
}

int authority_init(const char *dir, const struct pki_request *ca, const struct pki_request *server,
                   struct hf_error *err)
{
    struct authority *authority = NULL;
    int status = make_dirs(dir, err);

    if (!status)
        status = attach(dir, &authority, err);
    if (!status)
        status = check_unused(authority, err);
    if (status) {
        authority_close(authority);
        return status;
    }
    status = pki_issue(ca, NULL, &authority->ca, err);
    if (!status)
        status = make_list(authority, err);
    if (!status)
        status = make_server(authority, server, err);
    if (!status)
        status = make_ca(authority, err);
    if (status)
        unmake(authority);
    authority_close(authority);
    return status;
}

/* --- what was issued, and what was revoked ---------------------------------------------------------------------- */

static int read_list(struct authority *authority, X509_CRL **ret_crl, struct hf_error *err)
{
    FILE *file = open_own(authority, PKI_CRL_FILE, err);
    X509_CRL *crl;

    if (!file)
        return HF_CONFIG;
    crl = PEM_read_X509_CRL(file, NULL, NULL, NULL);
    fclose(file);
    if (!crl || X509_CRL_verify(crl, X509_get0_pubkey(authority->ca.certificate)) != 1) {
        X509_CRL_free(crl);
        ERR_clear_error();
        return hf_fail(err, HF_CORRUPT, "%s/%s is not a list of this CA", dir_text(authority),
                       PKI_CRL_FILE);
    }
    *ret_crl = crl;
    return 0;
}

static int64_t revoked_since(X509_CRL *crl, X509 *certificate)
{
    X509_REVOKED *entry;

    if (X509_CRL_get0_by_serial(crl, &entry, X509_get0_serialNumber(certificate)) != 1)
        return 0;
    return certificate_time(X509_REVOKED_get0_revocationDate(entry));
}

static int visit_record(struct authority *authority, int dirfd, const char *name, X509_CRL *crl,
                        int (*visit)(const struct authority_record *record, void *arg), void *arg,
                        struct hf_error *err)
{
    char serial[CERTIFICATE_SERIAL_SIZE];
    struct authority_record found = {.serial = serial};
    size_t len = strlen(name);
    int fd, status;
    FILE *file;

    if (name[0] == '.' || len < 5 || strcmp(name + len - 4, ".pem") != 0)
        return 0;
    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    file = fd >= 0 ? fdopen(fd, "r") : NULL;
    found.certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    if (!found.certificate) {
        ERR_clear_error();
        return hf_fail(err, HF_CORRUPT, "%s/%s/%s holds no certificate", dir_text(authority),
                       ISSUED_DIR, name);
    }
    status = certificate_serial(found.certificate, serial, err);
    found.revoked = revoked_since(crl, found.certificate);
    if (!status)
        status = visit(&found, arg);
    X509_free(found.certificate);
    return status;
}

int authority_each(struct authority *authority,
                   int (*visit)(const struct authority_record *record, void *arg), void *arg,
                   struct hf_error *err)
{
    struct names issued = {0};
    X509_CRL *crl = NULL;
    int fd = -1, status = read_list(authority, &crl, err);

    if (!status && (fd = open_issued(authority, err)) < 0)
        status = fd;
    if (!status)
        status = names_read(fd, &issued, err);
    for (size_t i = 0; !status && i < issued.count; i++)
        status = visit_record(authority, fd, issued.names[i], crl, visit, arg, err);
    names_clear(&issued);
    if (fd >= 0)
        close(fd);
    X509_CRL_free(crl);
    return status;
}

int authority_revoke(struct authority *authority, X509 *const *certificates, size_t n,
                     struct hf_error *err)
{
    X509_CRL *crl = NULL;
    int status;

    if (flock(authority->fd, LOCK_EX) != 0)
        return hf_fail(err, HF_IO, "cannot lock %s: %s", dir_text(authority), strerror(errno));
    status = read_list(authority, &crl, err);
    for (size_t i = 0; !status && i < n; i++)
        status = pki_crl_add(&authority->ca, crl, X509_get0_serialNumber(certificates[i]),
                             time(NULL), err);
    if (!status)
        status = write_list(authority, crl, true, err);
    X509_CRL_free(crl);
    (void)flock(authority->fd, LOCK_UN);
    return status;
}
