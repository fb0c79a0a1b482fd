/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/principal.h"

#include <errno.h>
#include <fnmatch.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <yaml.h>

#include "base/htable.h"
#include "store/types.h"

#define SCHEME "holdfast:"
#define URI_MAX 32768
#define LIST_MAX (4 << 20) /* bytes of the list's file */

/* --- words and rules ---------------------------------------------------------------------------------- */

static const char *const role_names[] = {
    [ROLE_NONE] = "none", [ROLE_READER] = "reader", [ROLE_AGENT] = "agent", [ROLE_ADMIN] = "admin"};

enum role role_parse(const char *word)
{
    for (enum role role = ROLE_READER; role <= ROLE_ADMIN; role++)
        if (strcmp(word, role_names[role]) == 0)
            return role;
    return ROLE_NONE;
}

const char *role_name(enum role role)
{
    return role_names[role];
}

static int check_tenant(const char *tenant, struct hf_error *err)
{
    size_t len = strlen(tenant);

    if (len == 0 || len > PRINCIPAL_TENANT_MAX || tenant[0] == '-' ||
        tenant[strspn(tenant, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return hf_fail(
            err, HF_INVAL,
            "'%.80s' is no tenant: those are 1 to %d of a-z, 0-9 and '-', and begin with "
            "no '-'",
            tenant, PRINCIPAL_TENANT_MAX);
    return 0;
}

/* A name of a session has no more bytes, and no slash; a glob that has can only be a mistake. */
static int check_glob(const char *glob, struct hf_error *err)
{
    size_t len = strlen(glob);

    if (len == 0 || len > SESSION_NAME_MAX || strchr(glob, '/'))
        return hf_fail(
            err, HF_INVAL,
            "'%.80s' is no pattern of session names: those have 1 to %d bytes and no '/'", glob,
            SESSION_NAME_MAX);
    return 0;
}

static int check_rights(const struct principal *principal, struct hf_error *err)
{
    if (principal->role == ROLE_NONE)
        return hf_fail(err, HF_INVAL, "there is no role: agent, reader or admin");
    if (principal->role == ROLE_ADMIN && principal->nglobs > 0)
        return hf_fail(err, HF_INVAL, "an admin cannot be limited to some sessions");
    return 0;
}

static int add_glob(struct principal *principal, const char *glob, struct hf_error *err)
{
    char **globs;
    int status = check_glob(glob, err);

    if (status)
        return status;
    if (principal->nglobs >= PRINCIPAL_GLOBS_MAX)
        return hf_fail(err, HF_INVAL, "there are more than %d patterns of session names",
                       PRINCIPAL_GLOBS_MAX);
    globs = reallocarray(principal->globs, principal->nglobs + 1, sizeof *globs);
    if (globs)
        principal->globs = globs;
    if (!globs || !(globs[principal->nglobs] = strdup(glob)))
        return hf_fail(err, HF_NOMEM, "out of memory");
    principal->nglobs++;
    return 0;
}

static void set_tenant(struct principal *principal, const char *tenant)
{
    snprintf(principal->tenant, sizeof principal->tenant, "%s", tenant);
}

void principal_release(struct principal *principal)
{
    for (size_t i = 0; i < principal->nglobs; i++)
        free(principal->globs[i]);
    free(principal->globs);
    *principal = (struct principal){0};
}

bool principal_matches(const struct principal *principal, const char *session)
{
    if (principal->role == ROLE_NONE)
        return false;
    if (principal->role == ROLE_ADMIN || principal->nglobs == 0)
        return true;
    for (size_t i = 0; i < principal->nglobs; i++)
        if (fnmatch(principal->globs[i], session, 0) == 0)
            return true;
    return false;
}

/* --- the URI ------------------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What may stand in a query (RFC 3986, 3.4) beside the signs that mean something here. */
static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~!$'()*,;:@/?", c));
}

/* Undoes percent-encoding in place. */
static int decode(char *text, struct hf_error *err)
{
    char *to = text;

    for (const char *from = text; *from; to++) {
        int high, low;
        if (is_plain(*from)) {
            *to = *from++;
            continue;
        }
        if (*from != '%' || (high = hex_digit(from[1])) < 0 || (low = hex_digit(from[2])) < 0 ||
            (high == 0 && low == 0))
            return hf_fail(err, HF_INVAL, "a value is not percent-encoded as it should be");
        *to = (char)(high << 4 | low);
        from += 3;
    }
    *to = '\0';
    return 0;
}

static int take_parameter(struct principal *principal, char *parameter, struct hf_error *err)
{
    char *value = strchr(parameter, '=');
    int status;

    if (!value)
        return hf_fail(err, HF_INVAL, "the parameter '%.80s' has no value", parameter);
    *value++ = '\0';
    status = decode(value, err);
    if (status)
        return status;
    if (strcmp(parameter, "session") == 0)
        return add_glob(principal, value, err);
    if (strcmp(parameter, "tenant") != 0)
        return hf_fail(err, HF_INVAL, "the parameter '%.80s' is not known", parameter);
    if (principal->tenant[0])
        return hf_fail(err, HF_INVAL, "there are two tenants");
    status = check_tenant(value, err);
    if (status == 0)
        set_tenant(principal, value);
    return status;
}

/* Takes the part after the scheme apart. */
static int parse_uri(struct principal *principal, char *text, struct hf_error *err)
{
    char *query = strchr(text, '?');
    int status = 0;

    if (query)
        *query++ = '\0';
    principal->role = role_parse(text);
    if (principal->role == ROLE_NONE)
        return hf_fail(err, HF_INVAL, "there is no role '%.80s'", text);
    while (query && !status) {
        char *parameter = strsep(&query, "&");
        status = take_parameter(principal, parameter, err);
    }
    return status ? status : check_rights(principal, err);
}

static bool is_ours(const ASN1_STRING *uri)
{
    return ASN1_STRING_length(uri) >= (int)sizeof SCHEME - 1 &&
           strncasecmp((const char *)ASN1_STRING_get0_data(uri), SCHEME, sizeof SCHEME - 1) == 0;
}

static int take_uri(struct principal *principal, const ASN1_STRING *uri, struct hf_error *err)
{
    size_t len = (size_t)ASN1_STRING_length(uri);
    const char *data = (const char *)ASN1_STRING_get0_data(uri);
    char *text;
    int status;

    if (principal->role != ROLE_NONE)
        return hf_fail(err, HF_INVAL, "there are two of them");
    if (len > URI_MAX || memchr(data, '\0', len) || strncmp(data, SCHEME, sizeof SCHEME - 1) != 0)
        return hf_fail(err, HF_INVAL, "it is too long, or not in lower case, or holds a NUL");
    text = strndup(data + sizeof SCHEME - 1, len - (sizeof SCHEME - 1));
    if (!text)
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = parse_uri(principal, text, err);
    free(text);
    return status;
}

/* Sets the role when the certificate has a URI of ours. */
static int read_uris(X509 *certificate, struct principal *principal, struct hf_error *err)
{
    int critical, status = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);

    if (!names && critical != -1)
        return hf_fail(err, HF_ACCESS, "its alternative names cannot be read");
    for (int i = 0; !status && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI || !is_ours(name->d.uniformResourceIdentifier))
            continue;
        status = take_uri(principal, name->d.uniformResourceIdentifier, err);
        if (status == HF_INVAL) {
            status = HF_ACCESS;
            (void)hf_fail_prefix(err, status, "the rights in its certificate cannot be understood");
        }
    }
    GENERAL_NAMES_free(names);
    return status;
}

static int append_encoded(struct buf *uri, const char *text)
{
    int status = 0;

    for (; !status && *text; text++) {
        char coded[4];
        int len = snprintf(coded, sizeof coded, "%%%02X", (unsigned char)*text);
        bool plain = is_plain(*text) && (*text == '*' || !strchr("!$'(),;:@/?", *text));
        status = plain ? buf_append(uri, text, 1) : buf_append(uri, coded, (size_t)len);
    }
    return status;
}

static int append_parameter(struct buf *uri, bool first, const char *name, const char *value)
{
    int status = buf_append(uri, first ? "?" : "&", 1);

    if (!status)
        status = buf_append(uri, name, strlen(name));
    return status ? status : append_encoded(uri, value);
}

static int print_uri(const struct principal *principal, struct buf *uri)
{
    const char *role = role_name(principal->role);
    bool tenant = principal->tenant[0] && strcmp(principal->tenant, PRINCIPAL_DEFAULT_TENANT) != 0;
    int status = buf_append(uri, SCHEME, sizeof SCHEME - 1);

    if (!status)
        status = buf_append(uri, role, strlen(role));
    if (!status && tenant)
        status = append_parameter(uri, true, "tenant=", principal->tenant);
    for (size_t i = 0; !status && i < principal->nglobs; i++)
        status = append_parameter(uri, i == 0 && !tenant, "session=", principal->globs[i]);
    return status ? status : buf_append(uri, "", 1);
}

int principal_uri(const struct principal *principal, struct buf *ret_uri, struct hf_error *err)
{
    int status = check_rights(principal, err);

    if (!status && principal->tenant[0])
        status = check_tenant(principal->tenant, err);
    if (!status && principal->nglobs > PRINCIPAL_GLOBS_MAX)
        status = hf_fail(err, HF_INVAL, "there are more than %d patterns of session names",
                         PRINCIPAL_GLOBS_MAX);
    for (size_t i = 0; !status && i < principal->nglobs; i++)
        status = check_glob(principal->globs[i], err);
    if (!status && print_uri(principal, ret_uri) != 0)
        status = hf_fail(err, HF_NOMEM, "out of memory");
    return status;
}

/* --- the certificate ------------------------------------------------------------------------------------ */

/* Names are for logs and messages: nothing in them may look like something else. */
static bool is_clean(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return len > 0;
}

static int read_name(X509 *certificate, struct principal *principal, struct hf_error *err)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *text = NULL;
    int len, status = 0;

    if (at < 0)
        return hf_fail(err, HF_ACCESS, "its certificate does not say who it is: it has no CN");
    if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return hf_fail(err, HF_ACCESS, "its certificate has two names (CN)");
    len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len < 0 || len >= (int)sizeof principal->name || !is_clean((const char *)text, (size_t)len))
        status = hf_fail(err, HF_ACCESS, "the name (CN) in its certificate is too long or no text");
    else
        snprintf(principal->name, sizeof principal->name, "%.*s", len, text);
    OPENSSL_free(text);
    return status;
}

static int read_serial(X509 *certificate, struct principal *principal, struct hf_error *err)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = number ? BN_bn2hex(number) : NULL;
    int status = 0;

    if (!hex || strlen(hex) >= sizeof principal->serial)
        status = hf_fail(err, HF_ACCESS, "the serial number of its certificate cannot be read");
    else
        snprintf(principal->serial, sizeof principal->serial, "%s", hex);
    OPENSSL_free(hex);
    BN_free(number);
    return status;
}

static int read_expiry(X509 *certificate, struct principal *principal, struct hf_error *err)
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm))
        return hf_fail(err, HF_ACCESS, "its certificate does not say when it expires");
    principal->expires = timegm(&tm);
    return 0;
}

static int ask_list(const struct principal_list *list, struct principal *principal,
                    struct hf_error *err);

int principal_read(X509 *certificate, const struct principal_list *list,
                   struct principal *ret_principal, struct hf_error *err)
{
    struct principal principal = {0};
    int status = read_name(certificate, &principal, err);

    if (!status)
        status = read_serial(certificate, &principal, err);
    if (!status)
        status = read_expiry(certificate, &principal, err);
    if (!status)
        status = read_uris(certificate, &principal, err);
    if (!status && principal.role == ROLE_NONE)
        status = ask_list(list, &principal, err);
    if (status) {
        principal_release(&principal);
        return status;
    }
    if (!principal.tenant[0])
        set_tenant(&principal, PRINCIPAL_DEFAULT_TENANT);
    *ret_principal = principal;
    return 0;
}

/* --- the list ------------------------------------------------------------------------------------------- */

/* What the list says of one name. */
struct entry {
    struct hnode node;
    struct principal rights; /* name, role, tenant, globs */
};

struct principal_list {
    struct htable entries;
};

static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0;

    for (; *name; name++)
        hash = htable_hash_u64(hash + (unsigned char)*name + 1);
    return hash;
}

static const struct entry *find(const struct principal_list *list, const char *name)
{
    struct hnode *node = htable_find(&list->entries, hash_name(name));

    for (; node; node = htable_next(node)) {
        const struct entry *entry = HTABLE_ENTRY(node, struct entry, node);
        if (strcmp(entry->rights.name, name) == 0)
            return entry;
    }
    return NULL;
}

static int ask_list(const struct principal_list *list, struct principal *principal,
                    struct hf_error *err)
{
    const struct entry *entry = list ? find(list, principal->name) : NULL;
    int status = 0;

    if (!entry)
        return hf_fail(err, HF_ACCESS, "its certificate does not say what '%s' may do, and %s",
                       principal->name,
                       list ? "the list of rights has no such host" : "there is no list of rights");
    principal->role = entry->rights.role;
    set_tenant(principal, entry->rights.tenant);
    for (size_t i = 0; !status && i < entry->rights.nglobs; i++)
        status = add_glob(principal, entry->rights.globs[i], err);
    return status;
}

static void free_entry(struct hnode *node, void *arg)
{
    struct entry *entry = HTABLE_ENTRY(node, struct entry, node);

    (void)arg;
    principal_release(&entry->rights);
    free(entry);
}

void principal_list_free(struct principal_list *list)
{
    if (!list)
        return;
    htable_each(&list->entries, free_entry, NULL);
    htable_free(&list->entries);
    free(list);
}

/* --- reading it ------------------------------------------------------------------------------------------ */

/* A document of YAML that is being read: for the sentences. */
struct reader {
    const char *path;
    yaml_document_t *document;
    struct hf_error *err;
};

static int complain(const struct reader *reader, const yaml_node_t *node, const char *what)
{
    return hf_fail(reader->err, HF_CONFIG, "%s, line %zu: %s", reader->path,
                   node ? node->start_mark.line + 1 : 1, what);
}

/* The text of a scalar; NULL for anything else, and for one with a NUL in it. */
static const char *scalar(const yaml_node_t *node)
{
    if (!node || node->type != YAML_SCALAR_NODE ||
        strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
        return NULL;
    return (const char *)node->data.scalar.value;
}

/* Turns a rule's own sentence into one that says where. */
static int judged(const struct reader *reader, const yaml_node_t *node, int status,
                  const struct hf_error *rule)
{
    if (status == HF_INVAL)
        return complain(reader, node, rule->message);
    return status ? hf_fail(reader->err, status, "%s", rule->message) : 0;
}

static int read_globs(const struct reader *reader, yaml_node_t *node, struct principal *rights)
{
    struct hf_error rule;
    int status = 0;

    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.start == node->data.sequence.items.top)
        return complain(reader, node,
                        "'sessions' is a list of patterns; leave it out for all sessions");
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         !status && item < node->data.sequence.items.top; item++) {
        yaml_node_t *glob = yaml_document_get_node(reader->document, *item);
        if (!scalar(glob))
            return complain(reader, glob, "a pattern of session names is a string");
        status = judged(reader, glob, add_glob(rights, scalar(glob), &rule), &rule);
    }
    return status;
}

static int read_right(const struct reader *reader, yaml_node_t *key, yaml_node_t *value,
                      struct principal *rights)
{
    const char *name = scalar(key), *text = scalar(value);
    struct hf_error rule;
    int status;

    if (name && strcmp(name, "sessions") == 0)
        return rights->nglobs ? complain(reader, key, "'sessions' stands there twice")
                              : read_globs(reader, value, rights);
    if (!name || !text || (strcmp(name, "role") != 0 && strcmp(name, "tenant") != 0))
        return complain(reader, key, "expected 'role', 'tenant' or 'sessions'");
    if (strcmp(name, "role") == 0) {
        if (rights->role != ROLE_NONE)
            return complain(reader, key, "'role' stands there twice");
        rights->role = role_parse(text);
        return rights->role == ROLE_NONE
                   ? complain(reader, value, "a role is agent, reader or admin")
                   : 0;
    }
    if (rights->tenant[0])
        return complain(reader, key, "'tenant' stands there twice");
    status = judged(reader, value, check_tenant(text, &rule), &rule);
    if (!status)
        set_tenant(rights, text);
    return status;
}

static int read_rights(const struct reader *reader, yaml_node_t *node, struct principal *rights)
{
    struct hf_error rule;
    int status = 0;

    if (node->type != YAML_MAPPING_NODE)
        return complain(reader, node, "expected a mapping of 'role', 'tenant' and 'sessions'");
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         !status && pair < node->data.mapping.pairs.top; pair++)
        status = read_right(reader, yaml_document_get_node(reader->document, pair->key),
                            yaml_document_get_node(reader->document, pair->value), rights);
    if (!status)
        status = judged(reader, node, check_rights(rights, &rule), &rule);
    if (!status && !rights->tenant[0])
        set_tenant(rights, PRINCIPAL_DEFAULT_TENANT);
    return status;
}

static int read_entry(const struct reader *reader, yaml_node_pair_t *pair,
                      struct principal_list *list)
{
    yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
    const char *name = scalar(key);
    struct entry *entry;
    int status;

    if (!name || strlen(name) >= sizeof entry->rights.name || !is_clean(name, strlen(name)))
        return complain(reader, key, "the name (CN) of a host is too long or no text");
    if (find(list, name))
        return complain(reader, key, "this host stands there twice");
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return hf_fail(reader->err, HF_NOMEM, "out of memory");
    snprintf(entry->rights.name, sizeof entry->rights.name, "%s", name);
    status =
        read_rights(reader, yaml_document_get_node(reader->document, pair->value), &entry->rights);
    if (!status && htable_insert(&list->entries, &entry->node, hash_name(name)) != 0)
        status = hf_fail(reader->err, HF_NOMEM, "out of memory");
    if (status)
        free_entry(&entry->node, NULL);
    return status;
}

static int read_document(const struct reader *reader, struct principal_list *list)
{
    yaml_node_t *root = yaml_document_get_root_node(reader->document);
    int status = 0;

    if (!root) /* an empty file: nobody may do anything */
        return 0;
    if (root->type != YAML_MAPPING_NODE)
        return complain(reader, root, "expected a mapping from names of hosts to their rights");
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         !status && pair < root->data.mapping.pairs.top; pair++)
        status = read_entry(reader, pair, list);
    return status;
}

static int parse(FILE *file, const char *path, struct principal_list *list, struct hf_error *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    struct reader reader = {.path = path, .document = &document, .err = err};
    int status;

    if (!yaml_parser_initialize(&parser))
        return hf_fail(err, HF_NOMEM, "out of memory");
    yaml_parser_set_input_file(&parser, file);
    if (yaml_parser_load(&parser, &document)) {
        status = read_document(&reader, list);
        yaml_document_delete(&document);
    } else {
        status = hf_fail(err, HF_CONFIG, "%s, line %zu: %s", path, parser.problem_mark.line + 1,
                         parser.problem ? parser.problem : "not YAML");
    }
    yaml_parser_delete(&parser);
    return status;
}

static int check_file(FILE *file, const char *path, struct hf_error *err)
{
    struct stat st;

    if (fstat(fileno(file), &st) != 0)
        return hf_fail(err, HF_CONFIG, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > LIST_MAX)
        return hf_fail(err, HF_CONFIG, "%s is no file, or too large for a list of rights", path);
    if (st.st_mode & S_IWOTH)
        return hf_fail(err, HF_CONFIG, "%s can be written by everybody (mode %04o)", path,
                       st.st_mode & 07777u);
    return 0;
}

int principal_list_load(const char *path, struct principal_list **ret_list, struct hf_error *err)
{
    struct principal_list *list = calloc(1, sizeof *list);
    FILE *file = list ? fopen(path, "re") : NULL;
    int status;

    if (!list)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (!file) {
        status = hf_fail(err, HF_CONFIG, "cannot read %s: %s", path, strerror(errno));
    } else {
        status = check_file(file, path, err);
        if (!status)
            status = parse(file, path, list, err);
        fclose(file);
    }
    if (status)
        principal_list_free(list);
    else
        *ret_list = list;
    return status;
}
