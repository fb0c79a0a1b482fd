/* SPDX-License-Identifier: Apache-2.0 */
/** Sizes, times and names as people read them, and as JSON holds them. */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "object/object.h"

#define TEXT_SHORT 32 /**< enough for any size, age or time */

/** "0 B", "1023 B", "1.5 KiB", "12 GiB". Each writes into `text` and returns it. */
const char *text_size(uint64_t bytes, char text[TEXT_SHORT]);
/** "now", "42 s ago", "5 min ago", "3 h ago", "12 d ago", "2 y ago". */
const char *text_age(int64_t time, int64_t now, char text[TEXT_SHORT]);
/** "2026-01-31 10:00:00 +0100", in the local zone. */
const char *text_time(int64_t time, char text[TEXT_SHORT]);
/** "2026-01-31T09:00:00.123456789Z". */
const char *text_time_utc(int64_t time, char text[TEXT_SHORT]);
/** The first twelve digits of an id. */
const char *text_id(const struct object_id *id, char text[TEXT_SHORT]);
/** "drwxr-xr-x". */
const char *text_mode(uint32_t mode, char text[TEXT_SHORT]);

/** Bytes that may go to a terminal: control characters and what is not valid in the locale become \ooo.
 *  Freed by the caller; NULL when out of memory. */
char *text_printable(const char *bytes, size_t len);
/** Columns that a printable string takes on a terminal. */
size_t text_columns(const char *printable);

/** Prints one line as fprintf(3) does, with its newline, made printable: what names hold is not for the terminal to obey. */
void text_line(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vline(FILE *file, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/** Prints "Label        text" and a newline, made printable. */
void text_print_line(const char *label, const char *text);
/** The same, but nothing when the text is NULL or empty. */
void text_print_known(const char *label, const char *text);

#endif
