// SPDX-License-Identifier: Apache-2.0
// `lifeboat-agent run`: the daemon.
#pragma once

/* Returns the exit status: 0 after SIGTERM or SIGINT, 2 when the configuration is wrong. */
int run_daemon(const char *config_path);
