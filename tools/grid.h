/* SPDX-License-Identifier: Apache-2.0 */
/** Tables on a terminal: columns as wide as they need to be, cut or left out where the terminal is too narrow. */
#ifndef TOOLS_GRID_H
#define TOOLS_GRID_H

#include <stdbool.h>
#include <stdio.h>

struct grid;

struct grid_column {
    const char *title;
    bool right; /**< numbers stand to the right */
    bool cut;   /**< may be cut when the terminal is too narrow */
    unsigned
        spare; /**< when cutting is not enough, the column with the highest goes first; of equals
                         the rightmost. The first column stays. */
};

/** The columns are borrowed. NULL when out of memory. */
struct grid *grid_new(const struct grid_column *columns, size_t ncolumns);
void grid_free(struct grid *grid);

/** Adds the next cell, row by row. The text is copied and made printable; NULL is an empty cell. A failure
 *  is remembered and told by grid_print(). */
void grid_add(struct grid *grid, const char *text);

/** Prints it, at most `width` columns wide (0: as wide as it is), without trailing blanks. Returns 0 or
 *  HF_NOMEM. */
int grid_print(const struct grid *grid, FILE *file, size_t width);

/** Columns of the terminal that a file is, or 0 when it is none. */
size_t grid_terminal_width(FILE *file);

#endif
