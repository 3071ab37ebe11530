// SPDX-License-Identifier: Apache-2.0
// Redis and Valkey as a system.
#pragma once

#include "system.h"

extern const struct system_ops redis_system;
