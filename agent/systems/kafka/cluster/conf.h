// SPDX-License-Identifier: Apache-2.0
// What is configured of a component, in librdkafka's properties.
#pragma once

#include "err.h"
#include "kafka_options.h"

#include <librdkafka/rdkafka.h>

/* A property that a user of librdkafka in lifeboat needs to be so, to be right. */
struct kafka_setting {
    const char *name, *value;
};

/* First what the options say, then their list rdkafka, which wins. needed (may be NULL; ends with a
 * name of NULL) stands in no such list: ERR_CONFIG, as for a property or a value that librdkafka
 * does not know; the error names the property. Secret values are registered with log_hide. Destroy
 * *conf, or hand it to rd_kafka_new. */
int kafka_conf_make(const struct kafka_options *options, const struct kafka_setting *needed,
                    rd_kafka_conf_t **conf, struct err *err);
