/* The guard: what plain LRU would have hit, and so whether the learned policy may go on. */

#ifndef EVICTLAB_GUARD_H
#define EVICTLAB_GUARD_H

#include <ngx_config.h>
#include <ngx_core.h>

/* One object of the simulated LRU; links are numbers of slots, from 1; 0 is none. */
typedef struct {
    uint64_t  key;
    uint32_t  blocks;
    uint32_t  newer;
    uint32_t  older;
    uint32_t  chain;      /* the next one in the bucket, or in the list of the free */
    uint32_t  last_s;     /* of its last request */
} evictlab_ghost_t;

/* A simulated LRU over a sample of the keys, in shared memory. */
typedef struct {
    uint32_t          slots;
    uint32_t          free;
    uint32_t          newest;
    uint32_t          oldest;
    uint64_t          rate;       /* one key in so many is sampled; a power of two */
    uint64_t          used;       /* blocks */
    uint32_t         *buckets;
    evictlab_ghost_t *ghosts;     /* slot i is ghosts[i - 1] */
} evictlab_shadow_t;

typedef struct {
    evictlab_shadow_t  *shadow;   /* NULL: none, there was no room or it is off */
    uint64_t            sampled;  /* in this window: requests, what was really hit, what LRU would have hit */
    uint64_t            real_hits;
    uint64_t            shadow_hits;
    uint64_t            all_sampled;     /* of all finished windows */
    uint64_t            all_real_hits;
    uint64_t            all_shadow_hits;
    uint64_t            windows;  /* some of them cut short */
    uint64_t            stops;    /* how often LRU took over */
    uint32_t            native;   /* windows for which LRU still rules; 0: the learned policy does */
    uint32_t            penalty;  /* for how many it will the next time */
    uint32_t            good;     /* windows that the learned policy stood since it was stopped or forgiven */
} evictlab_guard_t;

typedef enum {
    EVICTLAB_GUARD_SAME = 0,
    EVICTLAB_GUARD_STOPS,         /* the learned policy is worse: LRU takes over */
    EVICTLAB_GUARD_RESUMES
} evictlab_verdict_t;

/* Bytes of a shadow with so many slots. */
size_t evictlab_shadow_size(uint32_t slots);

/* Makes an empty one in that memory. */
evictlab_shadow_t *evictlab_shadow_init(void *memory, uint32_t slots);

/* One request, and the real cache that it went to. */
typedef struct {
    const u_char  *key;
    uint64_t       blocks;      /* that the object takes; 0: not known */
    ngx_uint_t     resident;    /* whether the real cache had it, fresh or not */
    uint64_t       capacity;    /* blocks */
    uint32_t       inactive_s;  /* an object that nobody asked for so long leaves */
    uint32_t       now_s;
} evictlab_noted_t;

/*
 * Notes one request; the lock of the table is held.  may_stop: whether the learned policy decides at all.  A window
 * that ends here may change who rules.
 */
evictlab_verdict_t evictlab_guard_note(evictlab_guard_t *guard, const evictlab_noted_t *noted, ngx_uint_t window,
    double margin, ngx_uint_t may_stop);

#endif
