/* SPDX-License-Identifier: Apache-2.0 */
/** The sessions of a snapshot, or those that live now, in order of number: to be shown, compared, restored. */
#ifndef TOOLS_PINS_H
#define TOOLS_PINS_H

#include "globs.h"
#include "store/store.h"

struct pin {
    struct session_head head;
    char *name; /**< "." of the shared tree */
};

/** All zero is empty. */
struct pins {
    struct pin *pins;
    size_t count, cap;
};

/** Reads what a snapshot pins, of the sessions that match. Ended by pins_clear(). HF_NOENT. */
int pins_read(struct store *store, const char *snapshot, const struct globs *globs,
              struct pins *ret_pins, struct hf_error *err);
/** The live sessions that match, as they are now; and the shared tree, if it matches. */
int pins_read_now(struct store *store, const struct globs *globs, struct pins *ret_pins,
                  struct hf_error *err);
void pins_clear(struct pins *pins);

#endif
