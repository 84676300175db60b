/*
 * The table beside the caches.
 *
 * A key may stand in any of the eight entries of one set.  What leaves the cache keeps its entry (a ghost) until
 * another key needs it: ghosts go first, then residents, the one that was requested longest ago.  The residents are
 * also listed in a dense array, so that one can be drawn at random in one step.  Nobody tells the table what NGINX
 * removes by itself; whoever draws a resident looks whether it is still there, and says so if not.
 */

#include <math.h>

#include "evictlab_table.h"

#define RECENT   256.0f      /* a request counts half after so many others */
#define STEADY   4096.0f
#define PACE_N   4096        /* the mean over as many gaps */

#define SHADOW_SHARE  16     /* of the memory, for all simulated LRUs */
#define SHADOWS       2


static ngx_uint_t
same(const u_char *a, const u_char *b)
{
    return ngx_memcmp(a, b, EVICTLAB_KEY) == 0;
}


static evictlab_entry_t *
set_of(evictlab_table_t *table, const u_char *key)
{
    uint64_t  hash;

    ngx_memcpy(&hash, key, sizeof(hash));

    return &table->entries[(hash % table->sets) * EVICTLAB_WAYS];
}


static evictlab_entry_t *
find(evictlab_table_t *table, uint32_t cache, const u_char *key)
{
    ngx_uint_t         i;
    evictlab_entry_t  *entry = set_of(table, key);

    for (i = 0; i < EVICTLAB_WAYS; i++) {
        if (entry[i].requests && entry[i].cache == cache && same(entry[i].key, key)) {
            return &entry[i];
        }
    }

    return NULL;
}


static void
enter(evictlab_table_t *table, evictlab_entry_t *entry)
{
    if (entry->place == 0) {
        table->dense[table->residents++] = (uint32_t) (entry - table->entries);
        entry->place = table->residents;
    }
}


/* The last of the array takes the place of the one that leaves. */
static void
vacate(evictlab_table_t *table, uint32_t index)
{
    uint32_t  last = table->dense[--table->residents];

    if (index == table->residents) {
        return;
    }

    table->dense[index] = last;

    if (last < table->slots) {
        table->entries[last].place = index + 1;
    }
}


static void
leave(evictlab_table_t *table, evictlab_entry_t *entry)
{
    uint32_t  index = entry->place - 1;

    if (entry->place && index < table->residents && table->dense[index] == (uint32_t) (entry - table->entries)) {
        vacate(table, index);
    }

    entry->place = 0;
}


/* An entry for a new key: a free one, else that of the ghost, else of the resident, requested longest ago. */
static evictlab_entry_t *
take(evictlab_table_t *table, const u_char *key)
{
    ngx_uint_t         i;
    evictlab_entry_t  *entry, *worst, *set = set_of(table, key);

    worst = &set[0];

    for (i = 0; i < EVICTLAB_WAYS; i++) {
        entry = &set[i];

        if (entry->requests == 0) {
            worst = entry;
            break;
        }

        if ((entry->place == 0) != (worst->place == 0)) {
            if (entry->place == 0) {
                worst = entry;
            }

        } else if (entry->last_us < worst->last_us) {
            worst = entry;
        }
    }

    if (worst->requests == 0) {
        table->used++;

    } else if (worst->place) {
        table->displaced++;
        leave(table, worst);
    }

    ngx_memzero(worst, sizeof(*worst));
    ngx_memcpy(worst->key, key, EVICTLAB_KEY);
    worst->origin_s = EVICTLAB_MISSING;

    return worst;
}


static float
decayed(float count, uint64_t requests, float half_life)
{
    return count * exp2f(-(float) requests / half_life);
}


static uint64_t
keep_pace(evictlab_cache_t *cache, uint64_t now_us)
{
    double    gap_s;
    uint64_t  n = ++cache->requests;

    if (n > 1) {
        gap_s = now_us > cache->last_us ? (double) (now_us - cache->last_us) / 1e6 : 0.0;
        cache->pace_s += (gap_s - cache->pace_s) / (double) ngx_min(n - 1, PACE_N);
    }

    cache->last_us = ngx_max(cache->last_us, now_us);

    return n;
}


static uint32_t
shadow_slots(ngx_slab_pool_t *pool)
{
    size_t  bytes = pool->pfree * ngx_pagesize / SHADOW_SHARE / SHADOWS;

    return (uint32_t) ((bytes - sizeof(evictlab_shadow_t)) / (sizeof(uint32_t) + sizeof(evictlab_ghost_t)));
}


evictlab_table_t *
evictlab_table_create(ngx_slab_pool_t *pool)
{
    size_t             bytes;
    u_char            *memory;
    ngx_uint_t         i;
    uint32_t           n_shadow;
    evictlab_table_t  *table;

    if (pool->pfree < 16) {
        return NULL;
    }

    n_shadow = shadow_slots(pool);

    table = ngx_slab_calloc(pool, sizeof(evictlab_table_t));
    if (table == NULL) {
        return NULL;
    }

    table->layout = EVICTLAB_LAYOUT;
    table->pool = pool;

    for (i = 0; i < SHADOWS; i++) {
        memory = ngx_slab_alloc(pool, evictlab_shadow_size(n_shadow));
        if (memory == NULL) {
            break;
        }

        table->caches[i].guard.shadow = evictlab_shadow_init(memory, n_shadow);
    }

    /* All the rest is the table's, in one piece. */
    bytes = pool->pfree * ngx_pagesize;
    table->sets = (uint32_t) (bytes / EVICTLAB_WAYS / (sizeof(evictlab_entry_t) + sizeof(uint32_t)));

    if (table->sets == 0) {
        return NULL;
    }

    table->slots = table->sets * EVICTLAB_WAYS;

    memory = ngx_slab_calloc(pool, table->slots * (sizeof(evictlab_entry_t) + sizeof(uint32_t)));
    if (memory == NULL) {
        return NULL;
    }

    table->entries = (evictlab_entry_t *) memory;
    table->dense = (uint32_t *) (table->entries + table->slots);

    return table;
}


uint32_t
evictlab_table_cache(evictlab_table_t *table, const ngx_str_t *name)
{
    size_t    length = ngx_min(name->len, EVICTLAB_NAME - 1);
    uint32_t  i;

    for (i = 0; i < EVICTLAB_CACHES; i++) {
        if (table->caches[i].name[0] == '\0') {
            ngx_memcpy(table->caches[i].name, name->data, length);
            return i;
        }

        if (ngx_strlen(table->caches[i].name) == length && ngx_memcmp(table->caches[i].name, name->data, length) == 0) {
            return i;
        }
    }

    return EVICTLAB_CACHES;
}


void
evictlab_table_note(evictlab_table_t *table, const evictlab_event_t *event)
{
    uint64_t           n;
    evictlab_entry_t  *entry;
    evictlab_cache_t  *cache = &table->caches[event->cache];

    n = keep_pace(cache, event->now_us);
    entry = find(table, event->cache, event->key);

    if (entry == NULL) {
        entry = take(table, event->key);
        entry->cache = event->cache;
        entry->first_us = event->now_us;
        entry->last_n = n;

    } else {
        entry->previous_us = entry->last_us;
    }

    entry->last_us = event->now_us;
    entry->requests++;
    entry->recent = decayed(entry->recent, n - entry->last_n, RECENT) + 1.0f;
    entry->steady = decayed(entry->steady, n - entry->last_n, STEADY) + 1.0f;
    entry->last_n = n;

    switch (event->kind) {

    case EVICTLAB_HIT:
        cache->hits++;
        entry->hits++;
        break;

    case EVICTLAB_INSERTED:
        entry->hits = 0;
        /* fall through */

    case EVICTLAB_REFRESHED:
        entry->fetched_us = event->now_us;
        entry->origin_s = event->origin_s;
        break;
    }

    entry->valid_sec = event->valid_sec;
    enter(table, entry);
}


static float
since(uint64_t then_us, uint64_t now_us)
{
    if (then_us == 0) {
        return EVICTLAB_MISSING;
    }

    return now_us > then_us ? (float) ((double) (now_us - then_us) / 1e6) : 0.0f;
}


void
evictlab_table_describe(evictlab_table_t *table, uint32_t cache, evictlab_candidate_t *candidate, uint64_t now_us,
    time_t now_sec)
{
    float             *f = candidate->features;
    uint64_t           n = table->caches[cache].requests;
    ngx_uint_t         i;
    evictlab_entry_t  *entry = find(table, cache, candidate->key);

    for (i = 0; i < EVICTLAB_FEATURES; i++) {
        f[i] = EVICTLAB_MISSING;
    }

    candidate->known = entry != NULL;

    if (entry == NULL) {
        return;
    }

    f[EVICTLAB_AGE_S] = since(entry->fetched_us, now_us);
    f[EVICTLAB_HITS] = (float) entry->hits;
    f[EVICTLAB_GAP_S] = entry->previous_us ? since(entry->previous_us, entry->last_us) : EVICTLAB_MISSING;
    f[EVICTLAB_ORIGIN_S] = entry->origin_s;
    f[EVICTLAB_IDLE_S] = since(entry->last_us, now_us);
    f[EVICTLAB_REQUESTS] = (float) entry->requests;
    f[EVICTLAB_KNOWN_S] = since(entry->first_us, now_us);
    f[EVICTLAB_RECENT] = decayed(entry->recent, n - entry->last_n, RECENT);
    f[EVICTLAB_STEADY] = decayed(entry->steady, n - entry->last_n, STEADY);

    if (entry->valid_sec > 0) {
        f[EVICTLAB_TTL_LEFT_S] = (float) ngx_max(entry->valid_sec - (int64_t) now_sec, 0);
    }
}


ngx_uint_t
evictlab_table_draw(evictlab_table_t *table, uint32_t cache, evictlab_candidate_t *candidates, ngx_uint_t n,
    ngx_uint_t want)
{
    uint32_t           index;
    ngx_uint_t         i, drawn = 0, tries = 4 * want;
    evictlab_entry_t  *entry;
    static uint64_t    dice;

    if (dice == 0) {
        dice = (uint64_t) ngx_random() << 32 | (uint64_t) ngx_random() | 1;
    }

    while (drawn < want && tries-- && table->residents) {
        dice ^= dice << 13;             /* xorshift64: Marsaglia, 2003 */
        dice ^= dice >> 7;
        dice ^= dice << 17;

        index = (uint32_t) ((dice >> 16) % table->residents);
        entry = table->dense[index] < table->slots ? &table->entries[table->dense[index]] : NULL;

        if (entry == NULL || entry->place != index + 1) {
            vacate(table, index);           /* a worker died in the middle of a change */
            continue;
        }

        if (entry->cache != cache) {
            continue;
        }

        for (i = 0; i < n + drawn; i++) {
            if (same(candidates[i].key, entry->key)) {
                break;
            }
        }

        if (i == n + drawn) {
            ngx_memcpy(candidates[i].key, entry->key, EVICTLAB_KEY);
            drawn++;
        }
    }

    return drawn;
}


void
evictlab_table_left(evictlab_table_t *table, uint32_t cache, const u_char *key)
{
    evictlab_entry_t  *entry = find(table, cache, key);

    if (entry) {
        leave(table, entry);
    }
}


void
evictlab_count_took(evictlab_counters_t *counters, uint64_t took_ns)
{
    uint64_t    us = took_ns / 1000;
    ngx_uint_t  power, bucket;

    if (us < 8) {
        bucket = us;

    } else {
        power = 63 - (ngx_uint_t) __builtin_clzll(us);
        bucket = (power - 2) * 8 + ((us >> (power - 3)) & 7);
    }

    evictlab_count(&counters->took[ngx_min(bucket, EVICTLAB_BUCKETS - 1)], 1);
}


uint64_t
evictlab_bucket_us(ngx_uint_t bucket)
{
    if (bucket < 8) {
        return bucket + 1;
    }

    return (uint64_t) (bucket % 8 + 9) << (bucket / 8 - 1);
}
