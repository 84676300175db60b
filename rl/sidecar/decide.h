/* What is asked, and who goes: the two halves of a decision that need no model. */

#ifndef EVICTLAB_DECIDE_H
#define EVICTLAB_DECIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "wire.h"

struct decision {
    uint64_t mask;
    unsigned victims, not_lru; /* of the victims, those that plain LRU would have kept */
};

/* Whether a packet only says that a request is about to come; it gets no reply. */
bool is_wake(const struct request *request, size_t length);

/* Status of a packet of that many bytes: OK, MALFORMED or MISMATCH. Sets the id to be echoed, 0 where it cannot be told. */
int check_request(const struct request *request, size_t length, uint64_t *id);

/* Victims by falling value until enough bytes are free; FAILED where a candidate's value is no finite number. */
int choose_victims(const float *q, const struct request *request, struct decision *decision);

#endif
