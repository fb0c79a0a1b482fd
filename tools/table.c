/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "holdfast/error.h"
#include "text.h"

#define GAP 2      /* blanks between columns */
#define CUT_MIN 12 /* no column is cut to less */

struct table {
    const struct table_column *columns;
    size_t ncolumns;
    char **cells; /* printable; row by row */
    size_t ncells, cap;
    bool failed; /* out of memory while cells were added */
};

struct table *table_new(const struct table_column *columns, size_t ncolumns)
{
    struct table *table = calloc(1, sizeof *table);

    if (table) {
        table->columns = columns;
        table->ncolumns = ncolumns;
    }
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->ncells; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

static bool make_room(struct table *table)
{
    size_t cap = table->cap ? 2 * table->cap : 64;
    char **cells;

    if (table->ncells < table->cap)
        return true;
    cells = reallocarray(table->cells, cap, sizeof *cells);
    if (!cells)
        return false;
    table->cells = cells;
    table->cap = cap;
    return true;
}

void table_add(struct table *table, const char *text)
{
    char *cell;

    if (!text)
        text = "";
    if (table->failed || !make_room(table) || !(cell = text_printable(text, strlen(text)))) {
        table->failed = true;
        return;
    }
    table->cells[table->ncells++] = cell;
}

size_t table_terminal_width(FILE *file)
{
    struct winsize size;

    if (!isatty(fileno(file)))
        return 0;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

static void measure(const struct table *table, size_t *widths)
{
    for (size_t i = 0; i < table->ncolumns; i++)
        widths[i] = text_columns(table->columns[i].title);
    for (size_t i = 0; i < table->ncells; i++) {
        size_t width = text_columns(table->cells[i]);
        if (width > widths[i % table->ncolumns])
            widths[i % table->ncolumns] = width;
    }
}

/* Takes from the widest column that may be cut until all fit, or none is left. */
static void fit(const struct table *table, size_t *widths, size_t width)
{
    size_t total = GAP * (table->ncolumns - 1);

    for (size_t i = 0; i < table->ncolumns; i++)
        total += widths[i];
    while (total > width) {
        size_t widest = table->ncolumns;
        for (size_t i = 0; i < table->ncolumns; i++)
            if (table->columns[i].cut && widths[i] > CUT_MIN &&
                (widest == table->ncolumns || widths[i] > widths[widest]))
                widest = i;
        if (widest == table->ncolumns)
            return;
        widths[widest]--;
        total--;
    }
}

/* Bytes of `text` that fit `width` columns. */
static size_t prefix_that_fits(const char *text, size_t width)
{
    mbstate_t state;
    size_t bytes = 0, columns = 0;

    memset(&state, 0, sizeof state);
    while (text[bytes]) {
        wchar_t wide = 0;
        size_t n = mbrtowc(&wide, text + bytes, MB_CUR_MAX, &state);
        int w = n > 0 && n <= MB_CUR_MAX ? wcwidth(wide) : 1;
        if (n == 0 || n > MB_CUR_MAX)
            n = 1;
        columns += w > 0 ? (size_t)w : 0;
        if (columns > width)
            break;
        bytes += n;
    }
    return bytes;
}

static void print_cell(FILE *file, const struct table_column *column, const char *text,
                       size_t width, bool last)
{
    size_t columns = text_columns(text);
    size_t pad = columns < width ? width - columns : 0;

    if (column->right)
        fprintf(file, "%*s", (int)pad, "");
    if (columns <= width)
        fputs(text, file);
    else
        fprintf(file, "%.*s~", (int)prefix_that_fits(text, width - 1), text);
    if (!last)
        fprintf(file, "%*s", (int)((column->right ? 0 : pad) + GAP), "");
}

/* The last cell with text, so that no line ends in blanks. */
static size_t cells_in_use(char *const *cells, size_t n)
{
    while (n > 1 && !cells[n - 1][0])
        n--;
    return n;
}

int table_print(const struct table *table, FILE *file, size_t width)
{
    size_t *widths;

    if (table->failed || !(widths = calloc(table->ncolumns, sizeof *widths)))
        return HF_NOMEM;
    measure(table, widths);
    if (width > 0)
        fit(table, widths, width);
    for (size_t i = 0; i < table->ncolumns; i++)
        print_cell(file, &table->columns[i], table->columns[i].title, widths[i],
                   i + 1 == table->ncolumns);
    fputc('\n', file);
    for (size_t row = 0; row + table->ncolumns <= table->ncells; row += table->ncolumns) {
        size_t used = cells_in_use(table->cells + row, table->ncolumns);
        for (size_t i = 0; i < used; i++)
            print_cell(file, &table->columns[i], table->cells[row + i], widths[i], i + 1 == used);
        fputc('\n', file);
    }
    free(widths);
    return 0;
}
