/* SPDX-License-Identifier: Apache-2.0 */
#include "grid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "holdfast/error.h"
#include "text.h"

#define GAP 2      /* blanks between columns */
#define CUT_MIN 12 /* no column is cut to less */

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
    for (size_t i = 0; i < grid->ncolumns; i++)
        widths[i] = text_columns(grid->columns[i].title);
    for (size_t i = 0; i < grid->ncells; i++) {
        size_t width = text_columns(grid->cells[i]);
        if (width > widths[i % grid->ncolumns])
            widths[i % grid->ncolumns] = width;
    }
}

/* Takes from the widest column that may be cut until all fit, or none is left. */
static void fit(const struct grid *grid, size_t *widths, size_t width)
{
    size_t total = GAP * (grid->ncolumns - 1);

    for (size_t i = 0; i < grid->ncolumns; i++)
        total += widths[i];
    while (total > width) {
        size_t widest = grid->ncolumns;
        for (size_t i = 0; i < grid->ncolumns; i++)
            if (grid->columns[i].cut && widths[i] > CUT_MIN &&
                (widest == grid->ncolumns || widths[i] > widths[widest]))
                widest = i;
        if (widest == grid->ncolumns)
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

static void print_cell(FILE *file, const struct grid_column *column, const char *text, size_t width,
                       bool last)
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

int grid_print(const struct grid *grid, FILE *file, size_t width)
{
    size_t *widths;

    if (grid->failed || !(widths = calloc(grid->ncolumns, sizeof *widths)))
        return HF_NOMEM;
    measure(grid, widths);
    if (width > 0)
        fit(grid, widths, width);
    for (size_t i = 0; i < grid->ncolumns; i++)
        print_cell(file, &grid->columns[i], grid->columns[i].title, widths[i],
                   i + 1 == grid->ncolumns);
    fputc('\n', file);
    for (size_t row = 0; row + grid->ncolumns <= grid->ncells; row += grid->ncolumns) {
        size_t used = cells_in_use(grid->cells + row, grid->ncolumns);
        for (size_t i = 0; i < used; i++)
            print_cell(file, &grid->columns[i], grid->cells[row + i], widths[i], i + 1 == used);
        fputc('\n', file);
    }
    free(widths);
    return 0;
}
