/* SPDX-License-Identifier: Apache-2.0 */
#include "object/chunker.h"
