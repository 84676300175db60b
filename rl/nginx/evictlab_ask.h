/* The client of the sidecar: one question, one answer, within a deadline. */

#ifndef EVICTLAB_ASK_H
#define EVICTLAB_ASK_H

#include <ngx_config.h>
#include <ngx_core.h>

#include "evictlab_wire.h"

typedef enum {
    EVICTLAB_ANSWERED = 0,
    EVICTLAB_EMPTY,       /* answered in time: evict nothing */
    EVICTLAB_LATE,        /* no answer in time */
    EVICTLAB_FAILED,      /* the sidecar says it cannot, or hung up, or sends what is no answer */
    EVICTLAB_ABSENT       /* there is no connection, and nothing was asked */
} evictlab_answer_t;

/* What is left between two questions; one per process. */
typedef struct {
    int         fd;           /* -1: not connected */
    uint64_t    id;
    uint64_t    tried_ns;     /* when it last tried to connect; 0: never */
    uint64_t    connects;
    uint64_t    stale;        /* answers to questions that were given up */
} evictlab_client_t;

/*
 * Tells the sidecar that questions are about to come, and gives it a moment: after a pause the processor's caches have
 * forgotten the model, and the first decision would take several times as long as the next.  Nothing if it is not there.
 */
void evictlab_wake(evictlab_client_t *client, const ngx_str_t *path);

/* Nanoseconds of monotonic time. */
uint64_t evictlab_now_ns(void);

/*
 * Asks about request->k candidates (the other fields of the head are set here).  took_ns: from sending to the answer,
 * or until it was given up.
 */
evictlab_answer_t evictlab_ask(evictlab_client_t *client, const ngx_str_t *path, evictlab_request_t *request,
    uint64_t timeout_ns, uint64_t *mask, uint64_t *took_ns);

#endif
