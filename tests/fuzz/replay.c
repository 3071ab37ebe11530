// SPDX-License-Identifier: Apache-2.0
// The short form of a fuzzer: gives LLVMFuzzerTestOneInput every file of a folder, then mutations
// of each that are the same in every run (cut, bytes changed, a part twice, a part of another
// file). It finds what a fuzzer once found and what is easy to find; the search is libFuzzer's.
// An abort or a sanitizer ends it; the file being mutated is named before.
#include "file.h"
#include "mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MUTATIONS = 400, /* of each file */
    MAX_BYTES = 1 << 20,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
    char *data;
    size_t len;
};

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* The input in a block of its own size, so that a read past its end is seen. */
static void run(const char *data, size_t len)
{
    uint8_t *exact = mem_calloc(len == 0 ? 1 : len, 1);

    memcpy(exact, data, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

static size_t pick(uint32_t *seed, size_t below)
{
    return below == 0 ? 0 : next_random(seed) % below;
}

/* Changes data, of room for the two inputs; returns the new length. */
static size_t mutate(char *data, size_t len, const struct input *other, uint32_t *seed)
{
    size_t at = pick(seed, len);
    size_t from = pick(seed, other->len);
    size_t part = pick(seed, other->len - from + 1);
    size_t middle;

    switch (next_random(seed) % 4) {
    case 0:
        return at;
    case 1:
        middle = len - (at > len / 2 ? at : len / 2);
        memmove(data + at, data + len / 2, middle);
        return len;
    case 2:
        memmove(data + at + part, data + at, len - at);
        memcpy(data + at, other->data + from, part);
        return len + part;
    default:
        for (size_t i = 0; i < 4 && len > 0; i++)
            data[pick(seed, len)] = (char)next_random(seed);
        return len;
    }
}

static void run_mutations(const struct input *input, const struct input *other, uint32_t seed)
{
    char *data = mem_calloc(input->len + other->len + 1, 1);

    for (int i = 0; i < MUTATIONS; i++) {
        memcpy(data, input->data, input->len);
        run(data, mutate(data, input->len, other, &seed));
    }
    free(data);
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct dirent **names = NULL;
    struct input previous = {.data = NULL};
    int count = argc == 2 ? scandir(argv[1], &names, NULL, alphasort) : -1;
    int runs = 0;

    if (count < 0) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    run("", 0);
    for (int i = 0; i < count; i++) {
        char path[4096];
        struct input input = {.data = NULL};

        snprintf(path, sizeof path, "%s/%s", argv[1], names[i]->d_name);
        free(names[i]);
        if (file_read(path, MAX_BYTES, &input.data, &input.len, &err) < 0)
            continue; /* . and .. */
        fprintf(stderr, "%s\n", path);
        run(input.data, input.len);
        run_mutations(&input, runs == 0 ? &input : &previous, (uint32_t)runs + 1);
        free(previous.data);
        previous = input;
        runs++;
    }
    free(previous.data);
    free(names);
    printf("%d files, %d mutations each\n", runs, MUTATIONS);
    return runs > 0 ? 0 : 1;
}
