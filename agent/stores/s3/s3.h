// SPDX-License-Identifier: Apache-2.0
// The S3 store: AWS and whatever speaks its protocol.
#pragma once

#include "store.h"

extern const struct store_ops s3_store;
