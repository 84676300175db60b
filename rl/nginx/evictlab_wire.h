/* What goes over the socket: one packet asks, one packet answers; little-endian, packed. */

#ifndef EVICTLAB_WIRE_H
#define EVICTLAB_WIRE_H

#include <stdint.h>

#if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
#error "evictlab: the packets are little-endian, and so must this machine be"
#endif

#define EVICTLAB_MAGIC      0x314C5645  /* "EVL1" */
#define EVICTLAB_VERSION    1
#define EVICTLAB_SHADOW     1           /* flag: whatever the answer, nothing will be evicted */
#define EVICTLAB_WAKE       2           /* flag: a question is about to come; no candidates, and no answer */

#define EVICTLAB_MAX_K      64          /* as many as the mask has bits */
#define EVICTLAB_FEATURES   11
#define EVICTLAB_CONTEXT    4
#define EVICTLAB_MISSING    (-1.0f)     /* a value that is not known */

/* Of a candidate. */
enum {
    EVICTLAB_AGE_S = 0,
    EVICTLAB_SIZE_BYTES,
    EVICTLAB_HITS,
    EVICTLAB_GAP_S,
    EVICTLAB_TTL_LEFT_S,
    EVICTLAB_ORIGIN_S,
    EVICTLAB_IDLE_S,
    EVICTLAB_REQUESTS,
    EVICTLAB_KNOWN_S,
    EVICTLAB_RECENT,
    EVICTLAB_STEADY
};

/* Of the cache. */
enum {
    EVICTLAB_PACE_S = 0,
    EVICTLAB_CAPACITY_BYTES,
    EVICTLAB_RESIDENTS,
    EVICTLAB_NEED_BYTES
};

typedef struct {
    uint32_t  magic;
    uint16_t  version;
    uint16_t  flags;
    uint64_t  id;
    uint16_t  k;
    uint16_t  features;
    uint16_t  context;
    uint16_t  reserved;
    float     cache[EVICTLAB_CONTEXT];
    float     candidates[EVICTLAB_MAX_K][EVICTLAB_FEATURES];  /* only the first k are sent */
} __attribute__((packed)) evictlab_request_t;

typedef struct {
    uint32_t  magic;
    uint16_t  version;
    uint16_t  status;     /* 0: done; all others: the sidecar says why not */
    uint64_t  id;
    uint64_t  mask;       /* bit i: evict candidate i */
} __attribute__((packed)) evictlab_reply_t;

_Static_assert(sizeof(float) == 4, "a float of the packets has 4 bytes");
_Static_assert(sizeof(evictlab_reply_t) == 24, "a reply has 24 bytes");
_Static_assert(sizeof(evictlab_request_t)
               == 24 + 4 * (EVICTLAB_CONTEXT + EVICTLAB_MAX_K * EVICTLAB_FEATURES),
               "a request has 24 bytes and its floats");

#endif
