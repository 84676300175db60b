/*
 * The guard: plain LRU simulated on a sample of the keys, beside what the real cache does with the same keys.
 *
 * A key is in the sample if the last bits of its hash are zero (spatial sampling: Waldspurger et al., "Efficient MRC
 * Construction with SHARDS", FAST 2015), so all requests to an object are seen or none.  The sample starts with all
 * keys and is halved whenever the simulated cache no longer fits in its slots.
 */

#include "evictlab_guard.h"

#define LONGEST_PENALTY  16


static evictlab_ghost_t *
ghost(evictlab_shadow_t *shadow, uint32_t slot)
{
    return &shadow->ghosts[slot - 1];
}


static uint32_t *
bucket(evictlab_shadow_t *shadow, uint64_t key)
{
    return &shadow->buckets[(key >> 32) % shadow->slots];
}


static uint32_t
find(evictlab_shadow_t *shadow, uint64_t key)
{
    uint32_t  slot;

    for (slot = *bucket(shadow, key); slot; slot = ghost(shadow, slot)->chain) {
        if (ghost(shadow, slot)->key == key) {
            break;
        }
    }

    return slot;
}


static void
unlink_slot(evictlab_shadow_t *shadow, uint32_t slot)
{
    evictlab_ghost_t  *g = ghost(shadow, slot);

    if (g->newer) {
        ghost(shadow, g->newer)->older = g->older;
    } else {
        shadow->newest = g->older;
    }

    if (g->older) {
        ghost(shadow, g->older)->newer = g->newer;
    } else {
        shadow->oldest = g->newer;
    }
}


static void
push(evictlab_shadow_t *shadow, uint32_t slot)
{
    evictlab_ghost_t  *g = ghost(shadow, slot);

    g->newer = 0;
    g->older = shadow->newest;

    if (shadow->newest) {
        ghost(shadow, shadow->newest)->newer = slot;
    } else {
        shadow->oldest = slot;
    }

    shadow->newest = slot;
}


static void
drop(evictlab_shadow_t *shadow, uint32_t slot)
{
    uint32_t          *link;
    evictlab_ghost_t  *g = ghost(shadow, slot);

    for (link = bucket(shadow, g->key); *link; link = &ghost(shadow, *link)->chain) {
        if (*link == slot) {
            *link = g->chain;
            break;
        }
    }

    unlink_slot(shadow, slot);
    shadow->used -= g->blocks;
    g->chain = shadow->free;
    shadow->free = slot;
}


static ngx_uint_t
in_sample(evictlab_shadow_t *shadow, uint64_t key)
{
    return (key & (shadow->rate - 1)) == 0;
}


/* Halves the sample until a slot is free. */
static void
halve(evictlab_shadow_t *shadow)
{
    uint32_t  slot, older;

    while (!shadow->free) {
        shadow->rate *= 2;

        for (slot = shadow->newest; slot; slot = older) {
            older = ghost(shadow, slot)->older;
            if (!in_sample(shadow, ghost(shadow, slot)->key)) {
                drop(shadow, slot);
            }
        }
    }
}


/* One request to the simulated LRU; says whether it is a hit. */
static ngx_uint_t
request(evictlab_shadow_t *shadow, uint64_t key, const evictlab_noted_t *noted)
{
    uint32_t           slot;
    uint64_t           blocks = noted->blocks, capacity = noted->capacity / shadow->rate;
    ngx_uint_t         hit;
    evictlab_ghost_t  *g;

    while (shadow->oldest && noted->now_s - ghost(shadow, shadow->oldest)->last_s > noted->inactive_s) {
        drop(shadow, shadow->oldest);
    }

    slot = find(shadow, key);
    hit = slot != 0;

    if (hit) {
        unlink_slot(shadow, slot);
        push(shadow, slot);
        g = ghost(shadow, slot);

        if (blocks) {
            shadow->used += blocks - g->blocks;
            g->blocks = (uint32_t) blocks;
        }

    } else {
        if (blocks > capacity) {
            return 0;                       /* it would empty the cache and then leave, too */
        }

        while (shadow->oldest && shadow->used + blocks > capacity) {
            drop(shadow, shadow->oldest);
        }

        halve(shadow);

        if (!in_sample(shadow, key)) {
            return 0;
        }

        slot = shadow->free;
        g = ghost(shadow, slot);
        shadow->free = g->chain;

        g->key = key;
        g->blocks = (uint32_t) blocks;
        g->chain = *bucket(shadow, key);
        *bucket(shadow, key) = slot;
        shadow->used += blocks;
        push(shadow, slot);
    }

    g->last_s = noted->now_s;

    while (shadow->oldest && shadow->used > capacity) {
        drop(shadow, shadow->oldest);
    }

    return hit;
}


/* Whether so many hits are lost already that the window cannot be waited for: this is what one trial costs at most. */
static ngx_uint_t
hopeless(const evictlab_guard_t *guard, ngx_uint_t window, double margin, ngx_uint_t may_stop)
{
    return may_stop && !guard->native
           && (double) guard->shadow_hits - (double) guard->real_hits > margin * (double) window;
}


/* A window has ended: who rules the next one. */
static evictlab_verdict_t
judge(evictlab_guard_t *guard, double margin, ngx_uint_t may_stop)
{
    double  lost = ((double) guard->shadow_hits - (double) guard->real_hits) / (double) guard->sampled;

    guard->all_sampled += guard->sampled;
    guard->all_real_hits += guard->real_hits;
    guard->all_shadow_hits += guard->shadow_hits;
    guard->sampled = guard->real_hits = guard->shadow_hits = 0;
    guard->windows++;

    if (!may_stop) {
        return EVICTLAB_GUARD_SAME;
    }

    if (guard->native) {
        return --guard->native ? EVICTLAB_GUARD_SAME : EVICTLAB_GUARD_RESUMES;
    }

    if (lost > margin) {
        guard->penalty = guard->penalty ? ngx_min(2 * guard->penalty, LONGEST_PENALTY) : 1;
        guard->native = guard->penalty;
        guard->good = 0;
        guard->stops++;
        return EVICTLAB_GUARD_STOPS;
    }

    /* It has stood the test for as long as it was last shut out: forgive. */
    if (++guard->good > guard->penalty) {
        guard->penalty /= 2;
        guard->good = 0;
    }

    return EVICTLAB_GUARD_SAME;
}


size_t
evictlab_shadow_size(uint32_t slots)
{
    return sizeof(evictlab_shadow_t) + slots * (sizeof(uint32_t) + sizeof(evictlab_ghost_t));
}


evictlab_shadow_t *
evictlab_shadow_init(void *memory, uint32_t slots)
{
    uint32_t            slot;
    evictlab_shadow_t  *shadow = memory;

    ngx_memzero(shadow, evictlab_shadow_size(slots));

    shadow->slots = slots;
    shadow->rate = 1;
    shadow->ghosts = (evictlab_ghost_t *) (shadow + 1);
    shadow->buckets = (uint32_t *) (shadow->ghosts + slots);

    for (slot = slots; slot; slot--) {
        ghost(shadow, slot)->chain = shadow->free;
        shadow->free = slot;
    }

    return shadow;
}


evictlab_verdict_t
evictlab_guard_note(evictlab_guard_t *guard, const evictlab_noted_t *noted, ngx_uint_t window, double margin,
    ngx_uint_t may_stop)
{
    uint64_t            hash, rate;
    ngx_uint_t          hit;
    evictlab_shadow_t  *shadow = guard->shadow;

    if (shadow == NULL) {
        return EVICTLAB_GUARD_SAME;
    }

    ngx_memcpy(&hash, noted->key + 8, sizeof(hash));

    if (!in_sample(shadow, hash)) {
        return EVICTLAB_GUARD_SAME;
    }

    rate = shadow->rate;
    hit = request(shadow, hash, noted);

    if (shadow->rate != rate) {
        /* Another sample: what was counted so far is of other keys. */
        guard->sampled = guard->real_hits = guard->shadow_hits = 0;
        return EVICTLAB_GUARD_SAME;
    }

    guard->sampled++;
    guard->real_hits += noted->resident;
    guard->shadow_hits += hit;

    if (guard->sampled >= window || hopeless(guard, window, margin, may_stop)) {
        return judge(guard, margin, may_stop);
    }

    return EVICTLAB_GUARD_SAME;
}
