/* SPDX-License-Identifier: Apache-2.0 */
/** Which files of a damaged store cannot be read. */
#ifndef TOOLS_DAMAGE_H
#define TOOLS_DAMAGE_H

#include "findings.h"

/** Reads every file of the latest of the damaged versions of each session that `findings` was told of, and adds a
 *  finding with the path of each that cannot be read. */
int damage_name_paths(struct store *store, struct findings *findings, struct hf_error *err);

#endif
