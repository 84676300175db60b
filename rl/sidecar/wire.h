/* The packets between the NGINX module and the sidecar; protocol.py describes them. */

#ifndef EVICTLAB_WIRE_H
#define EVICTLAB_WIRE_H

#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the packets are little-endian, and this program does not swap bytes"
#endif

enum { MAX_K = 64, FEATURES = 11, CONTEXT = 4, SIZE_BYTES = 1, NEED_BYTES = 3 };
enum { VERSION = 1, SHADOW = 1, WAKE = 2 };
enum { OK = 0, MALFORMED = 1, MISMATCH = 2, FAILED = 3 };
#define MAGIC 0x314C5645u
#define MISSING (-1.0f) /* a value that is not known; as a size: no candidate */

struct request {
    uint32_t magic;
    uint16_t version, flags;
    uint64_t id;
    uint16_t k, features, context_size, reserved;
    float context[CONTEXT];
    float candidates[MAX_K * FEATURES]; /* the first k rows are sent */
};

enum { REQUEST_HEAD = 24, WAKE_BYTES = REQUEST_HEAD + sizeof(float) * CONTEXT };

struct reply {
    uint32_t magic;
    uint16_t version, status;
    uint64_t id, mask;
};

/* Every number lies where it would lie anyway: no holes, so no packing is needed. */
_Static_assert(offsetof(struct request, context) == REQUEST_HEAD, "the head has 24 bytes");
_Static_assert(sizeof(struct request) == REQUEST_HEAD + 4 * (CONTEXT + MAX_K * FEATURES), "no holes in a request");
_Static_assert(sizeof(struct reply) == 24, "a reply has 24 bytes");

#endif
