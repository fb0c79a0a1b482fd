/* SPDX-License-Identifier: Apache-2.0 */
#include "grid.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "holdfast/error.h"
#include "text.h"

#define GAP 2      /* blanks between columns */
#define CUT_MIN 12 /* no column is cut to less */
#define GRID_COLUMNS_MAX 16

struct grid {
    const struct grid_column *columns;
    size_t ncolumns;
    char **cells; /* printable; row by row */
    size_t ncells, cap;
    bool failed; /* out of memory while cells were added */
};

struct grid *grid_new(const struct grid_column *columns, size_t ncolumns)
{
    struct grid *grid = calloc(1, sizeof *grid);

    assert(ncolumns <= GRID_COLUMNS_MAX);
    if (grid) {
        grid->columns = columns;
        grid->ncolumns = ncolumns;
    }
    return grid;
}

void grid_free(struct grid *grid)
{
    if (!grid)
        return;
    for (size_t i = 0; i < grid->ncells; i++)
        free(grid->cells[i]);
    free(grid->cells);
    free(grid);
}

static bool make_room(struct grid *grid)
{
    size_t cap = grid->cap ? 2 * grid->cap : 64;
    char **cells;

    if (grid->ncells < grid->cap)
        return true;
    cells = reallocarray(grid->cells, cap, sizeof *cells);
    if (!cells)
        return false;
    grid->cells = cells;
    grid->cap = cap;
    return true;
}

void grid_add(struct grid *grid, const char *text)
{
    char *cell;

    if (!text)
        text = "";
    if (grid->failed || !make_room(grid) || !(cell = text_printable(text, strlen(text)))) {
        grid->failed = true;
        return;
    }
    grid->cells[grid->ncells++] = cell;
}

size_t grid_terminal_width(FILE *file)
{
    struct winsize size;

    if (!isatty(fileno(file)))
        return 0;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

static void measure(const struct grid *grid, size_t *widths)
{
    assert(grid->ncolumns > 0);
    for (size_t i = 0; i < grid->ncolumns; i++)
        widths[i] = text_columns(grid->columns[i].title);
    for (size_t i = 0; i < grid->ncells; i++) {
        size_t width = text_columns(grid->cells[i]);
        if (width > widths[i % grid->ncolumns])
            widths[i % grid->ncolumns] = width;
    }
}

/* What a row takes; a column of no width is left out. */
static size_t total_width(const struct grid *grid, const size_t *widths)
{
    size_t total = 0;

    for (size_t i = 0; i < grid->ncolumns; i++)
        total += widths[i] ? widths[i] + (i > 0 ? GAP : 0) : 0;
    return total;
}

/* Takes from the widest column that may be cut until all fit, or none is left. False: they do not fit. */
static bool cut_columns(const struct grid *grid, size_t *widths, size_t width)
{
    while (total_width(grid, widths) > width) {
        size_t widest = grid->ncolumns;
        for (size_t i = 0; i < grid->ncolumns; i++)
            if (grid->columns[i].cut && widths[i] > CUT_MIN &&
                (widest == grid->ncolumns || widths[i] > widths[widest]))
                widest = i;
        if (widest == grid->ncolumns)
            return false;
        widths[widest]--;
    }
    return true;
}

/* The column that is missed least of those that are there; 0 when only the first is left. */
static size_t most_spare(const struct grid *grid, const size_t *widths)
{
    size_t most = 0;

    for (size_t i = 1; i < grid->ncolumns; i++)
        if (widths[i] && (most == 0 || grid->columns[i].spare >= grid->columns[most].spare))
            most = i;
    return most;
}

/* As few columns as possible are left out; the others are then as wide as there is room for. */
static void fit(const struct grid *grid, size_t *widths, size_t width)
{
    size_t left_out;

    while (!cut_columns(grid, widths, width) && (left_out = most_spare(grid, widths)) != 0) {
        bool there[GRID_COLUMNS_MAX];

        for (size_t i = 0; i < grid->ncolumns; i++)
            there[i] = widths[i] > 0 && i != left_out;
        measure(grid, widths);
        for (size_t i = 0; i < grid->ncolumns; i++)
            widths[i] = there[i] ? widths[i] : 0;
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

/* Blanks stand before what is right of them, so that no line ends in any. */
static void print_cell(FILE *file, const struct grid_column *column, const char *text, size_t width,
                       size_t *blanks)
{
    size_t columns = text_columns(text), pad = columns < width ? width - columns : 0;

    if (columns > 0) {
        fprintf(file, "%*s", (int)(*blanks + (column->right ? pad : 0)), "");
        if (columns <= width)
            fputs(text, file);
        else
            fprintf(file, "%.*s~", (int)prefix_that_fits(text, width - 1), text);
        *blanks = column->right ? 0 : pad;
    } else {
        *blanks += width;
    }
    *blanks += GAP;
}

static void print_row(const struct grid *grid, FILE *file, const size_t *widths, char *const *cells)
{
    size_t blanks = 0;

    for (size_t i = 0; i < grid->ncolumns; i++)
        if (widths[i] > 0)
            print_cell(file, &grid->columns[i], cells ? cells[i] : grid->columns[i].title,
                       widths[i], &blanks);
    fputc('\n', file);
}

int grid_print(const struct grid *grid, FILE *file, size_t width)
{
    size_t widths[GRID_COLUMNS_MAX];

    if (grid->failed)
        return HF_NOMEM;
    measure(grid, widths);
    if (width > 0)
        fit(grid, widths, width);
    print_row(grid, file, widths, NULL);
    for (size_t row = 0; row + grid->ncolumns <= grid->ncells; row += grid->ncolumns)
        print_row(grid, file, widths, grid->cells + row);
    return 0;
}
