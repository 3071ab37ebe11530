// SPDX-License-Identifier: Apache-2.0
// One rule for all systems that have primaries and replicas.
#include "run_on.h"

int run_on_check(const struct component_options *component, bool replica, struct err *err)
{
    if (component->run_on == RUN_ON_PRIMARY && replica)
        return err_set(err, ERR_ELSEWHERE,
                       "the server is a replica, and run_on says primary; set run_on: replica to "
                       "back up from here");
    if (component->run_on == RUN_ON_REPLICA && !replica)
        return err_set(err, ERR_ELSEWHERE,
                       "the server is a primary, and run_on says replica; set run_on: primary to "
                       "back up from here");
    return 0;
}
