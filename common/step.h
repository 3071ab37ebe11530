// SPDX-License-Identifier: Apache-2.0
// What a call that never waits comes back with.
#pragma once

enum step { STEP_OK, STEP_AGAIN, STEP_END, STEP_ERROR };
