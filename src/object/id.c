/* SPDX-License-Identifier: Apache-2.0 */
#include "object/object.h"
