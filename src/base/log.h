/* SPDX-License-Identifier: Apache-2.0 */
/** Logging for the edges (programs, the mount, the server). Libraries return errors instead. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO };

/** Writes one line to stderr ("holdfast: warning: …"). Thread safe; one write(2) a line. Control
 *  characters, which a peer may have sent, become '?'. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
