// SPDX-License-Identifier: Apache-2.0
// A folder on a local (or mounted) file system as a store: a key is a file's path below it.
#pragma once

#include "store.h"

extern const struct store_ops local_store;
