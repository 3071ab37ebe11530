// SPDX-License-Identifier: Apache-2.0
#include "admin.h"

void kafka_admin_begin(struct kafka_handle *handle, rd_kafka_admin_op_t op,
                       struct kafka_admin *admin)
{
    *admin = (struct kafka_admin){.queue = rd_kafka_queue_new(kafka_handle_rk(handle)),
                                  .options = kafka_handle_admin(handle, op)};
}

int kafka_admin_wait(struct kafka_handle *handle, const char *what, struct kafka_admin *admin,
                     struct err *err)
{
    return kafka_handle_wait(handle, what, admin->queue, &admin->event, err);
}

int kafka_admin_await(struct kafka_handle *handle, const char *what, struct kafka_admin *admin,
                      struct err *err)
{
    if (kafka_admin_wait(handle, what, admin, err) < 0)
        return -1;
    if (rd_kafka_event_error(admin->event) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    return kafka_fail(handle, what, rd_kafka_event_error(admin->event),
                      rd_kafka_event_error_string(admin->event), err);
}

void kafka_admin_end(struct kafka_admin *admin)
{
    if (admin->event != NULL)
        rd_kafka_event_destroy(admin->event);
    rd_kafka_AdminOptions_destroy(admin->options);
    rd_kafka_queue_destroy(admin->queue);
}
