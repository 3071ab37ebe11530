// SPDX-License-Identifier: Apache-2.0
// Which of a cluster's topics a component protects.
#pragma once

#include "err.h"
#include "option.h"

/* Kafka's own, and those of its tools: "__...". (librdkafka 2.0.2 does not tell the flag.) */
bool kafka_topic_is_internal(const char *name);

/* Sets chosen[i] for names[i], by the option topics: a name chooses that topic; "re:" and an
 * extended regular expression all whose whole name matches, but no internal ones. ERR_NOT_FOUND:
 * a name that is not there, or a pattern that matches none. */
int kafka_topics_choose(const struct option_list *wanted, const char *const *names, size_t count,
                        bool *chosen, struct err *err);
