/* Checks of a request and the choice of victims; the same rules, in Python: protocol.py and victims.py. */

#include "decide.h"

#include <math.h>

bool is_wake(const struct request *request, size_t length)
{
    return length == WAKE_BYTES && request->magic == MAGIC && request->version == VERSION && request->flags == WAKE &&
           !request->k;
}

int check_request(const struct request *request, size_t length, uint64_t *id)
{
    *id = 0;
    if (length < REQUEST_HEAD || request->magic != MAGIC)
        return MALFORMED;
    *id = request->id;
    if (request->version != VERSION || (request->flags & ~SHADOW) || request->reserved)
        return MALFORMED;
    if (request->k < 1 || request->k > MAX_K)
        return MALFORMED;
    if (request->features != FEATURES || request->context_size != CONTEXT)
        return MISMATCH;
    if (length != REQUEST_HEAD + sizeof(float) * (CONTEXT + (size_t)request->k * FEATURES))
        return MALFORMED;
    for (int i = 0; i < CONTEXT; i++)
        if (!isfinite(request->context[i]))
            return MALFORMED;
    for (int i = 0; i < request->k * FEATURES; i++)
        if (!isfinite(request->candidates[i]))
            return MALFORMED;
    return OK;
}

static float size_of(const struct request *request, int i)
{
    return request->candidates[i * FEATURES + SIZE_BYTES];
}

/* At most an eighth of the candidates go, so looking for the largest value again and again is cheap. Of equal values the
 * earlier candidate goes first: a model without an opinion is LRU. */
int choose_victims(const float *q, const struct request *request, struct decision *decision)
{
    int k = request->k;
    unsigned limit = k / 8 > 1 ? (unsigned)k / 8 : 1;
    double freed = 0;
    *decision = (struct decision){0};

    for (int i = 0; i < k; i++)
        if (size_of(request, i) >= 0 && !isfinite(q[i]))
            return FAILED;
    while (decision->victims < limit) {
        int best = -1;
        for (int i = 0; i < k; i++)
            if (size_of(request, i) >= 0 && !(decision->mask >> i & 1) && (best < 0 || q[i] > q[best]))
                best = i;
        if (best < 0)
            break;
        decision->mask |= (uint64_t)1 << best;
        decision->victims++;
        freed += (double)size_of(request, best);
        if (freed >= (double)request->context[NEED_BYTES])
            break;
    }
    unsigned present = 0;
    for (int i = 0; i < k; i++) {
        if (size_of(request, i) < 0)
            continue;
        if (present++ >= decision->victims && (decision->mask >> i & 1))
            decision->not_lru++;
    }
    return OK;
}
