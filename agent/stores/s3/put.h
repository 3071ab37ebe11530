// SPDX-License-Identifier: Apache-2.0
// One object on its way into the store: what put.c (the sink), upload.c (the requests) and
// readback.c (is what is there ours?) share.
//
//   FILLING -> FINISHING                          one PUT, at commit
//   FILLING -> CREATING -> SENDING -> FINISHING   when a second part begins; complete, at commit
//   FINISHING -> STORED                           the store said so
//   FINISHING -> CHECKING -> STORED               the key is taken: by us, if its bytes are these
// An error stops it in any state; close() then takes back what was begun.
#pragma once

#include "internal.h"

#include <openssl/evp.h>

enum put_state { PUT_FILLING, PUT_CREATING, PUT_SENDING, PUT_FINISHING, PUT_CHECKING, PUT_STORED };

enum part_state { PART_EMPTY, PART_FILLING, PART_READY, PART_SENDING };

/* A chunk of memory and the part that is in it. */
struct part {
    struct s3_put *put;
    enum part_state state;
    uint8_t *chunk; /* of the store's pool, kept until close; NULL: not taken yet */
    size_t bytes;
    unsigned number; /* from 1 */
    struct s3_call *call;
};

/* What stays of a part that was filled. */
struct part_record {
    uint8_t sha256[S3_SHA256_BYTES];
    char etag[96]; /* "" until it is stored */
};

struct s3_put {
    struct sink sink;
    struct s3_store *store;
    char *key;
    enum put_state state;
    struct part parts[S3_PARTS_IN_MEMORY];
    struct part *filling; /* NULL: none */
    EVP_MD_CTX *digest;   /* of what is filling, or of what is read back */
    struct part_record *records;
    unsigned record_count;
    uint64_t bytes;
    bool ended;           /* commit was called */
    char *upload;         /* multipart: its id, while it may be there to be aborted */
    struct s3_call *call; /* all but the parts'; NULL: none */
    bool is_settled;      /* no part is in flight, no upload being created */
    struct text list;     /* FINISHING: the parts */
    bool upload_is_gone;  /* CHECKING: because complete said NoSuchUpload */
    struct source *there; /* CHECKING: the object */
    bool there_waits;     /* it said AGAIN */
    uint64_t there_bytes;
    struct err err; /* ERR_NONE: none */
    struct waker waker;
    bool armed;
};

/* put.c */
void s3_put_move(struct s3_put *put, enum put_state state);
/* The first one counts; read by the next write() or commit(). */
void s3_put_fail(struct s3_put *put, const struct err *err);
void s3_put_wake(struct s3_put *put);
void s3_put_note_settled(struct s3_put *put);

/* upload.c: each goes on by itself, and wakes the put */
void s3_put_single(struct s3_put *put);
void s3_put_create(struct s3_put *put);
/* Sends parts that are ready, and after commit completes the upload once none is left. */
void s3_put_go_on(struct s3_put *put);

/* readback.c: like commit(). END: equal, byte for byte. */
enum step s3_put_check(struct s3_put *put, struct err *err);
