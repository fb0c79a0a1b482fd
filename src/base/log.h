/* SPDX-License-Identifier: Apache-2.0 */
/** Logging for the edges (programs, the mount, the server). Libraries return errors instead. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO };

enum log_format {
    LOG_FORMAT_TEXT, /**< "holdfast: warning: …" */
    LOG_FORMAT_JSON, /**< {"time":"…Z","level":"warning","message":"…","session":"…",…} */
};

/** What a line is about, for programs that read the log; the sentence says it, too. NULL and 0: not known. */
struct log_fields {
    const char *tenant, *session, *host, *peer;
    uint64_t version, token;
};

/** For all lines from now on. Text to begin with. Thread safe. */
void log_set_format(enum log_format format);

/** Writes one line to stderr. Thread safe; one write(2) a line. In text, control characters, which a peer may have
 *  sent, become '?'; in JSON they are escaped, and what is not UTF-8 becomes U+FFFD. A long line is cut. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** The same with fields. */
void log_event(enum log_level level, const struct log_fields *fields, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
